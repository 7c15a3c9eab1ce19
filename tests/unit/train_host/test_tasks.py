"""What each task asks of a dataset, and what it puts into the contract; no TensorFlow."""

from pathlib import Path

import numpy as np
import pytest

from edge_sdk.contract import Channel, DecisionSettings
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, Split, write
from edge_sdk.errors import ConfigError, DatasetError
from tests import task_folders
from train_host import tasks
from train_host.config import Config
from train_host.tasks.anomaly import allowed
from train_host.tasks.regression import statistics
from train_host.windows.prepare import Prepared, prepare


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    where = tmp_path_factory.mktemp("tasks")
    return {name: getattr(task_folders, name)(where / name) for name in ("kitchen", "pump", "bearing")}


def prepared(dataset: Dataset, window: int = 100) -> Prepared:
    split = dataset.split(0)
    return prepare(dataset, dataset.windows(dataset.groups, window, window), split)


def test_a_regression_speaks_units(folders: dict[str, Dataset]) -> None:
    dataset = folders["pump"]
    task, sides = tasks.of(dataset), prepared(dataset)
    head = task.head(dataset, sides)
    assert (head.units, head.activation) == (2, None)
    assert head.values == statistics(sides.train)
    assert head.values is not None
    assert head.values.mean[1] == pytest.approx(101_000, abs=100)
    assert task.head(dataset).values is None
    flow, pressure = task.output(dataset, sides).values or ()
    assert (flow.unit, flow.range) == ("l/min", (0.0, 40.0))
    assert pressure.range == pytest.approx((sides.train.y[:, 1].min(), sides.train.y[:, 1].max()))
    found = task.evaluate(sides.test.y, sides.test, dataset)
    assert (found.figure, found.value) == ("error", 0.0)
    assert not task.shares(dataset, sides.test.y).size


def test_several_labels_are_sigmoids(folders: dict[str, Dataset]) -> None:
    dataset = folders["kitchen"]
    task, sides = tasks.of(dataset), prepared(dataset)
    assert (task.head(dataset).units, task.head(dataset).activation) == (2, "sigmoid")
    assert task.output(dataset, sides).labels == ("fan", "mixer")
    assert task.evaluate(sides.test.y, sides.test, dataset).value == 1.0
    assert task.shares(dataset, np.array([[0.9, 0.6], [0.2, 0.7]])).tolist() == [0.5, 1.0]


def test_an_anomaly_detector_learns_normal_windows_and_is_tested_on_all(folders: dict[str, Dataset]) -> None:
    dataset = folders["bearing"]
    sides = prepared(dataset)
    assert sides.validation is not None
    assert set(sides.train.y) == set(sides.validation.y) == {0}
    assert set(prepare(dataset, dataset.windows(dataset.groups, 100, 100), dataset.split(0)).test.y) >= {0}
    task = tasks.of(dataset)
    assert task.output(dataset, sides).labels == ("normal", "anomaly")
    assert task.decision(dataset, Config(decision=DecisionSettings(threshold=0.9, smooth=3))).smooth == 3
    assert task.decision(dataset, Config(decision=DecisionSettings(threshold=0.9))).threshold == 0.5
    assert task.shares(dataset, np.array([[0.1], [0.5]])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("words", "share"), [(None, 0.01), ("2%", 0.02), ("36/h", 0.005)])
def test_false_alarms_are_a_share_of_windows(
    folders: dict[str, Dataset], words: str | None, share: float
) -> None:
    config = Config(false_alarms=words, window=100, hop=50)  # two windows a second, 7,200 an hour
    assert allowed(config, folders["bearing"]) == pytest.approx(share)


def test_false_alarms_that_cannot_be_read_are_refused(folders: dict[str, Dataset]) -> None:
    with pytest.raises(ConfigError, match="false alarms"):
        allowed(Config(false_alarms="often"), folders["bearing"])


def test_a_label_that_no_training_group_has_is_named(tmp_path: Path) -> None:
    def one(label: str, group: str) -> NewRecording:
        return NewRecording(Signal(np.ones((20, 1), np.float32), 10.0, ("a",)), label, group, "1")

    facts = Facts(name="d", channels=(Channel("a"),), rate_hz=10, task="multilabel", labels=("fan", "mixer"))
    groups = [one("fan", f"g{n}") for n in range(4)] + [one("mixer", "last")]
    dataset = write(tmp_path / "d", facts, groups)
    split = Split(("g0", "g1", "g2"), ("g3",), ("last",))
    with pytest.raises(DatasetError, match="nothing to learn label 'mixer' from"):
        prepare(dataset, dataset.windows(dataset.groups, 10, 10), split)


@pytest.mark.parametrize(
    ("task", "label", "target", "message"),
    [
        ("regression", None, (3.0,), "targets: expected unlike values .* found 1 of them"),
        ("anomaly", "normal", None, None),
        ("multilabel", "none", None, "labels: expected at least one"),
        ("classification", "only", None, "labels: expected at least two"),
    ],
)
def test_what_a_task_lacks_is_said_before_tensorflow_starts(
    tmp_path: Path, task: str, label: str | None, target: tuple[float, ...] | None, message: str | None
) -> None:
    targets = (Channel("level"),) if task == "regression" else ()
    facts = Facts(name="d", channels=(Channel("a"),), rate_hz=10, task=task, targets=targets)  # type: ignore[arg-type]
    signal = Signal(np.ones((20, 1), np.float32), 10.0, ("a",))
    dataset = write(tmp_path / "d", facts, [NewRecording(signal, label, "g", "1", target=target)])
    if message is None:
        tasks.of(dataset)
        return
    with pytest.raises(DatasetError, match=message):
        tasks.of(dataset)
