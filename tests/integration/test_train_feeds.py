"""What a model is fed, and the options of the loop that eats it; all in one process with TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.child import Worker
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError
from tests.folders import motion

pytestmark = pytest.mark.integration
pytest.importorskip("tensorflow", reason="pip install 'edgeml-kit[train]'")

TINY = {"filters": [4], "kernels": [3], "strides": [2]}
FLAGS: dict[str, Any] = {"epochs": 2, "batch": 16, "augment": [], "seed": 5, "model": TINY, "arch": "cnn1d"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motion(tmp_path_factory.mktemp("data") / "shaking", groups=6).folder


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One process with TensorFlow for all."""
    with Worker() as worker:
        yield worker


def do(worker: Worker, function: str, folder: Path, flags: dict[str, Any], **arguments: Any) -> Any:
    work = f"tests.integration.training_work:{function}"
    return worker.call(work, timeout_s=300, data=str(folder), flags=flags, **arguments)


def test_an_epoch_is_fed_the_same_from_any_step_on_in_memory_and_from_the_disk(
    folder: Path, worker: Worker
) -> None:
    flags = {**FLAGS, "class_weights": {"shake": 3.0}}
    steps = 4  # 60 windows in batches of 16
    found = do(worker, "batches", folder, flags, starts=[[0, 0], [0, 3], [1, 0], [1, 1]], count=2 * steps)
    memory, disk = found[: len(found) // 2], found[len(found) // 2 :]
    assert memory == disk
    whole, third, second, fifth = (memory[n : n + 2 * steps] for n in range(0, len(memory), 2 * steps))
    assert [batch["n"] for batch in whole] == [16, 16, 16, 12] * 2
    assert third[: steps + 1] == whole[3:]
    assert second[:steps] == whole[steps:]
    assert fifth[: steps - 1] == whole[steps + 1 :]
    labels = [[y for batch in whole[at : at + steps] for y in batch["y"]] for at in (0, steps)]
    assert labels[0] != labels[1]
    assert sorted(labels[0]) == sorted(labels[1]) == [0] * 30 + [1] * 30
    for batch in memory:
        assert batch["weight"] == [3.0 if y else 1.0 for y in batch["y"]]


def test_all_windows_come_once_and_in_their_order(folder: Path, worker: Worker) -> None:
    assert all(do(worker, "in_order", folder, FLAGS))


def test_tensorboard_reads_the_curves_of_both_sides(folder: Path, tmp_path: Path, worker: Worker) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'edgeml-kit[tensorboard]'")
    found = do(worker, "curves", folder, FLAGS, place=str(tmp_path / "curves"))
    history = found["history"]
    for side, prefix in (("training", ""), ("validation", "val_")):
        assert set(found[side]) == {"loss", "accuracy"}
        for name, curve in found[side].items():
            assert [step for step, _ in curve] == [1, 2]
            assert [value for _, value in curve] == pytest.approx(history[prefix + name])


def test_half_precision_computes_behind_raw_units_and_ahead_of_scores_and_is_not_saved(
    folder: Path, tmp_path: Path, worker: Worker
) -> None:
    flags = {**FLAGS, "epochs": 1, "precision": "mixed_float16"}
    found = do(worker, "halved", folder, flags, place=str(tmp_path))
    computed = list(found["computed"].values())
    assert found["computed"]["normalization"] == "float32"
    assert computed[2:-1] == ["float16"] * (len(computed) - 3)
    assert computed[-1] == "float32"
    assert found["saved"] == ["float32"]
    assert set(found["variables"]) <= {"float32", "int32", "uint32", "int64"}
    assert found["history"]["loss"][0] < 2


def test_xla_learns_the_same(folder: Path, worker: Worker) -> None:
    # random numbers are others there, so without them; and without validation, which is compiled too
    flags = {**FLAGS, "epochs": 1, "validation": 0.0, "model": {**TINY, "dropout": 0.0}}
    histories = [do(worker, "history", folder, {**flags, "jit": jit}) for jit in (True, False)]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-3)


def test_a_training_that_diverges_is_told_in_one_line(folder: Path, worker: Worker) -> None:
    with pytest.raises(
        ConfigError, match=r"diverged in epoch \d+: expected a finite loss, found (nan|inf); lo"
    ):
        do(worker, "history", folder, {**FLAGS, "learning_rate": 1e30, "epochs": 9, "patience": 0})


# --- starting from a model


@pytest.fixture(scope="module")
def start(folder: Path, tmp_path_factory: pytest.TempPathFactory, worker: Worker) -> Path:
    place = tmp_path_factory.mktemp("start")
    (place / "train.toml").write_text(
        "epochs = 2\nbatch = 16\nseed = 5\nwindow = 32\n"
        "[model]\nfilters = [4]\nkernels = [3]\nstrides = [2]\n"
    )
    work = "tests.integration.training_work:made"
    worker.call(
        work,
        timeout_s=300,
        data=str(folder),
        config=str(place / "train.toml"),
        output=str(place / "champion.keras"),
    )
    return place / "champion.keras"


def test_before_its_first_step_a_model_says_what_the_one_says_that_it_starts_from(
    folder: Path, start: Path, worker: Worker
) -> None:
    found = do(worker, "warm", folder, {"init_from": str(start), "seed": 77, "epochs": 1})
    assert found["apart"] < 1e-5
    assert (found["window"], found["notes"]) == (32, [])
    assert found["split"] == Dataset.load(folder).split(5, validation=0.1, test=0.2).as_dict()


def test_a_new_label_begins_anew_beside_the_old_ones(start: Path, tmp_path: Path, worker: Worker) -> None:
    folder = motion(tmp_path / "more", groups=6, labels=("nod", "shake", "rest")).folder
    found = do(worker, "warm", folder, {"init_from": str(start), "epochs": 1})
    assert found["notes"] == [f"{start}: y begins anew for nod"]
    new, old = found["columns"]  # labels are nod, shake, rest; they were rest, shake
    assert new[1] == old[1]
    assert new[2] == old[0]
    assert new[0] not in old


def test_another_architecture_is_no_start(folder: Path, start: Path, worker: Worker) -> None:
    deeper = {"filters": [4, 4], "kernels": [3, 3], "strides": [2, 2]}
    flags = {"init_from": str(start), "epochs": 1, "model": deeper}
    with pytest.raises(ConfigError, match=r"another architecture: expected 5 layers: Conv1D.*found 3"):
        do(worker, "warm", folder, flags)


def test_layers_of_another_size_begin_anew_and_say_so(folder: Path, start: Path, worker: Worker) -> None:
    found = do(worker, "warm", folder, {"init_from": str(start), "model": {**TINY, "kernels": [5]}})
    assert len(found["notes"]) == 1
    assert "begins anew: its weights are (5, 3, 4), not (3, 3, 4)" in found["notes"][0]
