from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import DecisionSettings
from edge_sdk.dataset import Dataset, Recording
from edge_sdk.errors import ConfigError
from tests.folders import motion, pictures
from train_host import config as configs
from train_host.judging import alarms, thresholds
from train_host.judging.alarms import Allowed
from train_host.windows.streams import Stream
from train_host.windows.streams import streams as streams_of

LABELS = ("rest", "fall")
QUIET = DecisionSettings(background=("rest",))


def streams(*recordings: tuple[str, str, int], rate_hz: float = 10.0) -> list[Stream]:
    """Recordings of a label, a group and so many windows of a second, half of which overlap."""
    found, at = [], 0
    for number, (label, group, count) in enumerate(recordings):
        recording = Recording(f"{label}/{group}_{number}.csv", label, group)
        duration_s = (10 + 5 * (count - 1)) / rate_hz if count else 0.5
        found.append(Stream(recording, range(at, at + count), 10, 5, rate_hz, duration_s))
        at += count
    return found


def falls(*values: float) -> np.ndarray:
    return np.array([[1 - value, value] for value in values], np.float32)


def test_the_examples_hold() -> None:
    assert doctest.testmod(alarms).failed == 0


@pytest.mark.parametrize(
    ("words", "value", "hourly"),
    [
        ("1/h", 1.0, True),
        (" 30 / min ", 1800.0, True),
        ("2/week", 2 / 168, True),
        ("0/h", 0.0, True),
        ("0.02", 0.02, False),
        ("5%", 0.05, False),
        ("0", 0.0, False),
    ],
)
def test_how_often_an_alarm_may_be_false_is_read(words: str, value: float, hourly: bool) -> None:
    read = Allowed.parse(words)
    assert read.value == pytest.approx(value)
    assert read.hourly == hourly


@pytest.mark.parametrize(
    "words", ["", "often", "1/year", "-1/h", "2", "120%", "nan", "1e400/h", "nan/h", "--1/h"]
)
def test_what_is_no_rate_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="false alarms: expected events in a time"):
        Allowed.parse(words)


def test_events_are_counted_as_a_device_would() -> None:
    """An event that goes on counts once, one that ends and starts again counts twice."""
    recordings = streams(("rest", "a", 6), ("fall", "a", 3), ("fall", "b", 3))
    scores = falls(0.9, 0.95, 0.1, 0.1, 0.9, 0.2, 0.1, 0.9, 0.9, 0.2, 0.3, 0.4)
    found = thresholds.outcome(thresholds.at(QUIET, 0.8), LABELS, recordings, scores)
    assert found.false.tolist() == [2, 0, 0]
    assert found.found.tolist() == [False, True, False]
    assert found.due.tolist() == [False, True, True]
    assert found.detection == 0.5
    assert found.share == pytest.approx(1 / 3)
    hours = (3.5 + 2 + 2) / 3600
    assert found.per_hour == pytest.approx(2 / hours)


def test_hold_and_smoothing_are_those_of_the_decision() -> None:
    recordings = streams(("rest", "a", 6))
    scores = falls(0.9, 0.1, 0.9, 0.9, 0.9, 0.1)
    held = DecisionSettings(background=("rest",), hold_s=1.0)  # two hops of half a second
    assert thresholds.outcome(thresholds.at(held, 0.8), LABELS, recordings, scores).false.tolist() == [1]
    held = DecisionSettings(background=("rest",), hold_s=1.5)
    assert thresholds.outcome(thresholds.at(held, 0.8), LABELS, recordings, scores).false.tolist() == [0]
    smooth = DecisionSettings(background=("rest",), smooth=3)
    assert thresholds.outcome(thresholds.at(smooth, 0.65), LABELS, recordings, scores).false.tolist() == [2]
    assert thresholds.outcome(thresholds.at(smooth, 0.91), LABELS, recordings, scores).false.tolist() == [0]


def test_without_background_an_event_of_another_label_is_the_false_one() -> None:
    recordings = streams(("rest", "a", 3), ("fall", "a", 2))  # rest ends ahead of the start of fall
    scores = falls(0.1, 0.9, 0.9, 0.9, 0.9)
    found = thresholds.outcome(thresholds.at(DecisionSettings(), 0.6), LABELS, recordings, scores)
    assert found.false.tolist() == [1, 0]
    assert found.due.all()
    assert found.found.all()


def people(seed: int, count: int) -> tuple[list[Stream], np.ndarray]:
    """Recordings of a minute; falls score high, rest now and then."""
    random = np.random.default_rng(seed)
    recordings = streams(*((label, f"p{n}", 120) for n in range(count) for label in LABELS), rate_hz=10.0)
    scores = np.concatenate(
        [
            np.clip(random.normal(0.75 if stream.recording.label == "fall" else 0.35, 0.15, 120), 0, 1)
            for stream in recordings
        ]
    )
    return recordings, falls(*scores)


@pytest.mark.parametrize("words", ["300/h", "60/h", "20%"])
def test_the_lowest_threshold_that_keeps_the_rate_is_taken(words: str) -> None:
    validation, test = people(1, 6), people(2, 4)
    allowed = Allowed.parse(words)
    found = thresholds.choose(allowed, QUIET, LABELS, validation, test)
    assert found.kept
    assert found.validation.keeps(allowed)
    below = found.settings.threshold - 1 / thresholds.STEPS
    assert not thresholds.outcome(thresholds.at(QUIET, below), LABELS, *validation).keeps(allowed)
    assert found.settings.threshold * thresholds.STEPS == int(found.settings.threshold * thresholds.STEPS)
    again = thresholds.outcome(found.settings, LABELS, *test)
    assert again.as_dict() == found.test.as_dict()


def test_the_figures_have_intervals_and_go_into_json() -> None:
    validation, test = people(1, 6), people(2, 4)
    found = thresholds.choose(Allowed.parse("60/h"), QUIET, LABELS, validation, test)
    facts = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    for key in ("detection", "false_alarms_per_hour", "recordings_with_false_alarms"):
        low, high = facts[key]["interval"]
        assert low <= facts[key]["value"] <= high
        assert low < high
    assert facts["hours"] == pytest.approx(8 * 60.5 / 3600, rel=1e-4)
    rates = [point["false_alarms_per_hour"] for point in facts["curve"]]
    assert len(rates) > 20
    assert rates[0] > rates[-1]


def test_a_rate_that_no_threshold_keeps_is_said() -> None:
    recordings = streams(("rest", "a", 2), ("fall", "b", 2))
    sure = falls(1.0, 1.0, 1.0, 1.0)
    found = thresholds.choose(Allowed.parse("1/h"), QUIET, LABELS, (recordings, sure), (recordings, sure))
    assert not found.kept
    assert found.settings.threshold == 255 / 256
    assert found.note is None


def test_a_validation_side_that_is_too_short_to_promise_says_so() -> None:
    recordings = streams(("rest", "a", 20), ("fall", "b", 20))
    scores = falls(*[0.1] * 20, *[0.9] * 20)
    found = thresholds.choose(Allowed.parse("1/h"), QUIET, LABELS, (recordings, scores), (recordings, scores))
    assert found.kept
    assert found.test.detection == 1.0
    assert found.note is not None
    assert "cannot promise 1/h: with 0 false alarms" in found.note
    hours = 2 * 10.5 / 3600
    assert f"up to {alarms.short(3.689 / hours)} an hour" in found.note


def test_a_release_above_the_new_threshold_comes_down_with_it() -> None:
    settings: Any = DecisionSettings(threshold=0.9, release=0.7)
    assert thresholds.at(settings, 0.5).release == 0.5
    assert thresholds.at(settings, 0.8).release == 0.7
    assert thresholds.at(QUIET, 0.8).release is None


def test_many_windows_are_tried_at_fewer_thresholds() -> None:
    recordings = streams(("rest", "a", 50_000))
    scores = falls(*np.linspace(0, 1, 50_000))
    tried = thresholds.candidates(QUIET, LABELS, recordings, scores)
    assert len(tried) == 30
    assert tried == sorted(set(tried))
    assert tried[-1] == 255 / 256


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return motion(tmp_path_factory.mktemp("d") / "data", groups=4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"decision": {"background": ["walk"]}},
            "background: expected labels among rest, shake, found 'walk'",
        ),
        (
            {"false_alarms": "1/h", "decision": {"background": ["rest", "shake"]}},
            "background: expected a label that is an event, found all labels",
        ),
        ({"false_alarms": "1/h", "validation": 0.0}, "no validation side to choose a threshold on"),
        ({"false_alarms": "now and then"}, "expected events in a time, such as 1/h"),
    ],
)
def test_what_no_threshold_can_be_chosen_for_is_refused(
    dataset: Dataset, keys: dict[str, Any], message: str
) -> None:
    config = configs.load(None, **keys)
    with pytest.raises(ConfigError, match=message):
        thresholds.check(config, dataset, config.divide(dataset))


def test_images_have_shares_and_no_rates(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d")
    config = configs.load(None, false_alarms="1/h")
    with pytest.raises(ConfigError, match=r"a share of images, such as 0.02, found 1/h: images take no time"):
        thresholds.check(config, dataset, config.divide(dataset))
    config = configs.load(None, false_alarms="2%")
    split = config.divide(dataset)
    thresholds.check(config, dataset, split)
    found = streams_of(dataset, split.test, 1, 1)
    scores = np.tile([[0.2, 0.8]], (len(found), 1))
    outcome = thresholds.outcome(thresholds.at(DecisionSettings(), 0.7), dataset.labels, found, scores)
    assert (outcome.per_hour, outcome.share, outcome.detection) == (None, 0.5, 0.5)
    assert outcome.as_dict()["false_alarms_per_hour"] is None
