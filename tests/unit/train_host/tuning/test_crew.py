"""Processes that carry out trials, up to where a training would begin; and what is said meanwhile."""

import io

import pytest

from edge_sdk.errors import DatasetError
from tests.folders import motion
from train_host.tuning.crew import Local
from train_host.tuning.front import Tried
from train_host.tuning.parcel import packed, unpacked
from train_host.tuning.progress import Progress
from train_host.tuning.trial import Order, Result, judged


class Terminal(io.StringIO):
    def isatty(self):
        return True


def order(number, dataset, **changes):
    return Order(number=number, dataset=str(dataset), config={"window": 20, **changes}, recipe="int8")


def test_processes_of_this_machine(tmp_path):
    data = motion(tmp_path / "d").folder
    with Local(2, tmp_path) as crew:
        crew.submit(order(3, tmp_path / "absent"))
        crew.submit(order(5, data, arch="gmm"))
        found = dict(crew.next() for _ in range(2))
    assert found[3].failure.startswith(str(DatasetError(f"{tmp_path / 'absent'}: no dataset folder"))[:20])
    assert "made for anomaly" in found[5].failure
    assert not list(tmp_path.glob("edgeml-trial-*"))


def test_a_machine_that_cannot_work_says_so(tmp_path):
    with Local(1, tmp_path / "absent") as crew:
        crew.submit(order(0, tmp_path))
        number, found = crew.next()
    assert number == 0
    assert not isinstance(found, Result)
    assert found.exit_code == 3


def test_a_dataset_that_was_sent(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dataset = motion(tmp_path / "d")
    place = unpacked(packed(dataset), dataset.digest)
    assert unpacked(b"", dataset.digest) == place
    assert {file.relative_to(place) for file in place.rglob("*")} == {
        file.relative_to(dataset.folder) for file in dataset.folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("task", "figures"),
    [
        ("classification", {"accuracy": 0.5}),
        ("anomaly", {"auc": 0.9, "detection": 0.8, "false_alarms": None}),
    ],
)
def test_the_figures_of_a_task(task, figures):
    report = {"accuracy": 0.5, "figures": {"auc": 0.9, "detection": {"value": 0.8}, "false_alarms": None}}
    assert judged(report, task) == figures


def test_what_is_said_meanwhile():
    plain, terminal = io.StringIO(), Terminal()
    good = Result(number=0, figures={"accuracy": 0.5, "bytes": 1000, "macs": 9}, seconds=2.0)
    for stream in (plain, terminal):
        progress = Progress(stream)
        progress.begin(1, 4, 2)
        progress.working(0, {"stage": "starting TensorFlow"})
        progress.working(1, {"epoch": 3, "epochs": 9, "loss": 0.1})
        progress.ended(Tried(0, {"cnn1d.filters": [8]}, good, ("bytes",)), 2)
        progress.ended(Tried(1, {"batch": 8}, Result(number=1, failure="it diverged")), 3)
        progress.end()
    lines = plain.getvalue().splitlines()
    assert lines[0] == "goes on after 1 of 4 trials"
    first = "2/4  trial 0: accuracy 0.500  bytes 1,000  beyond: bytes  2 s  with filters=[8]  about 0:02 left"
    assert lines[1] == first
    assert lines[2].startswith("3/4  trial 1 failed: it diverged  with batch=8")
    assert "1/4   trial 0: starting TensorFlow   trial 1: epoch 3/9 …" in terminal.getvalue()
