"""Scores become events as the settings say."""

import numpy as np

from edge_sdk import Decision, DecisionSettings, Prediction

LABELS = ("rest", "walk", "fall")


def play(settings, scores, *, step_s=1.0):
    """(label, event) for each row of scores, one a second."""
    decision = Decision(settings, LABELS)
    played = []
    for i, row in enumerate(scores):
        outputs = np.array(row, np.float32)
        best = int(outputs.argmax())
        raw = Prediction(LABELS[best], float(outputs[best]), None, outputs, time_s=i * step_s)
        prediction = decision.apply(raw)
        played.append((prediction.label, prediction.event))
    return played


WALK, FALL, REST, UNSURE = [0.05, 0.9, 0.05], [0.05, 0.05, 0.9], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3]


def test_an_event_starts_at_the_threshold_and_ends_below_it():
    assert play(DecisionSettings(threshold=0.8), [UNSURE, WALK, WALK, UNSURE]) == [
        ("walk", None),
        ("walk", "start"),
        ("walk", None),
        ("walk", "end"),
    ]


def test_hysteresis_keeps_an_event_on_between_release_and_threshold():
    settings = DecisionSettings(threshold=0.8, release=0.35)
    assert [event for _, event in play(settings, [WALK, UNSURE, UNSURE, REST])] == [
        "start",
        None,
        None,
        "end",
    ]


def test_hold_debounces_start_and_end():
    settings = DecisionSettings(threshold=0.8, hold_s=2.0)
    scores = [WALK, UNSURE, WALK, WALK, WALK, UNSURE, WALK, UNSURE, UNSURE, UNSURE]
    events = [event for _, event in play(settings, scores)]
    assert events == [None, None, None, None, "start", None, None, None, None, "end"]


def test_smoothing_averages_the_scores():
    settings = DecisionSettings(threshold=0.6, smooth=3)
    played = play(settings, [WALK, WALK, FALL, FALL, FALL])
    assert played[2] == ("walk", None)
    assert [event for _, event in played] == ["start", None, None, "end", "start"]


def test_another_label_ends_the_event_before_it_starts_its_own():
    played = play(DecisionSettings(threshold=0.8, release=0.0), [WALK, FALL, FALL])
    assert played == [("walk", "start"), ("walk", "end"), ("fall", "start")]


def test_background_labels_are_never_an_event():
    settings = DecisionSettings(threshold=0.8, background=("rest",))
    assert [event for _, event in play(settings, [REST, REST, WALK, REST])] == [None, None, "start", "end"]


def test_a_reset_forgets_the_history_but_not_the_event():
    decision = Decision(DecisionSettings(threshold=0.8, smooth=2), LABELS)
    for second, row in enumerate([WALK, WALK]):
        decision.apply(Prediction("walk", 0.9, None, np.array(row, np.float32), time_s=float(second)))
    decision.reset()
    assert decision.active == "walk"
    after = decision.apply(Prediction("rest", 0.9, None, np.array(REST, np.float32), time_s=2.0))
    assert after.event == "end"


def test_a_regression_passes_through_untouched():
    prediction = Prediction(None, None, 3.5, np.array([3.5], np.float32))
    assert Decision(DecisionSettings(), ()).apply(prediction).value == 3.5
