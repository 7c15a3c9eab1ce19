"""Events of scores that do not compete."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import DecisionSettings, Prediction
from edge_sdk.latch import Alarm, EachLabel, Latch

LABELS = ("fan", "mixer", "tap")


def said(outputs, time_s, *, value=None):
    outputs = np.array(outputs, np.float32)
    best = int(outputs.argmax())
    if value is not None:
        return Prediction("normal", None, value, outputs, time_s=time_s)
    return Prediction(LABELS[best], float(outputs[best]), None, outputs, time_s=time_s)


def alarms(settings, values):
    decision = Alarm(settings, ("normal", "anomaly"))
    found = [decision.apply(said([v], i, value=v)) for i, v in enumerate(values)]
    return [(prediction.label, prediction.event) for prediction in found]


def test_an_alarm_starts_at_the_threshold_and_ends_below_its_release():
    settings = DecisionSettings(threshold=0.5, release=0.3)
    assert alarms(settings, [0.2, 0.5, 0.4, 0.6, 0.2, 0.1]) == [
        ("normal", None),
        ("anomaly", "start"),
        ("normal", None),
        ("anomaly", None),
        ("anomaly", "end"),
        ("normal", None),
    ]


def test_an_alarm_is_held_and_smoothed():
    settings = DecisionSettings(threshold=0.5, smooth=2, hold_s=1.0)
    decision = Alarm(settings, ("normal", "anomaly"))
    found = [decision.apply(said([v], i, value=v)) for i, v in enumerate([0.0, 1.0, 0.4, 0.8, 0.0, 0.0, 0.0])]
    assert [round(p.value, 2) for p in found] == [0.0, 0.5, 0.7, 0.6, 0.4, 0.0, 0.0]
    assert [p.event for p in found] == [None, None, "start", None, None, "end", None]


def test_a_gap_restarts_the_hold_and_leaves_the_event_on():
    decision = Alarm(DecisionSettings(threshold=0.5, hold_s=2.0), ("normal", "anomaly"))
    assert decision.apply(said([0.9], 0, value=0.9)).event is None
    decision.reset()
    assert [decision.apply(said([0.9], t, value=0.9)).event for t in (1, 2, 3)] == [None, None, "start"]
    decision.reset()
    assert decision.apply(said([0.9], 4, value=0.9)).event is None


def test_each_label_has_events_of_its_own():
    decision = EachLabel(DecisionSettings(threshold=0.5), LABELS)
    rows = [[0.9, 0.1, 0.0], [0.9, 0.8, 0.0], [0.1, 0.8, 0.0], [0.1, 0.2, 0.0]]
    found = [decision.apply(said(row, i)) for i, row in enumerate(rows)]
    assert [(p.label, p.event) for p in found] == [
        ("fan", "start"),
        ("mixer", "start"),
        ("fan", "end"),
        ("mixer", "end"),
    ]


def test_what_happens_at_once_is_all_told_the_surest_first():
    decision = EachLabel(DecisionSettings(threshold=0.5, background=("tap",)), LABELS)
    first = decision.apply(said([0.7, 0.9, 0.99], 0))
    assert (first.label, first.event) == ("mixer", "start")
    assert [(p.label, p.event, round(p.score, 2)) for p in decision.also] == [("fan", "start", 0.7)]
    second = decision.apply(said([0.7, 0.9, 0.99], 1))
    assert (second.label, second.event, decision.also) == ("tap", None, ())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 3), st.floats(0, 0.5))
def test_starts_and_ends_take_turns(scores, hold_s, release):
    latch = Latch(DecisionSettings(threshold=0.5, hold_s=hold_s, release=release))
    events = [event for i, score in enumerate(scores) if (event := latch.step(score, float(i)))]
    assert events == (["start", "end"] * len(events))[: len(events)]
    assert latch.on == (len(events) % 2 == 1)
