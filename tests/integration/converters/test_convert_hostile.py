"""Damaged and hostile inputs of `edgeml convert` end in one line; nothing runs, nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from converters import convert, environments, workshop
from edge_sdk import cli
from edge_sdk.child import Worker
from tests import mixed_units, models
from tests.hostile import Case, archives, elsewhere, flatbuffers, folders, kinds, mutated, samples
from tests.hostile.attempts import MOST_BYTES, TIMEOUT_S, Attempts
from tests.loading import Loading, loader
from tests.shared_workers import Shared

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

#: Mutated files. A thousand take some minutes; see CONTRIBUTING.md.
MUTATIONS = int(os.environ.get("EDGEML_FUZZ_CASES", "28"))
#: Of the crafted .tflite, .onnx and .pt2 files every so many-th is taken, all of them in the long run.
EVERY = 1 if MUTATIONS >= 500 else 3
SEED = int(os.environ.get("EDGEML_FUZZ_SEED", "0"))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One good model of each kind, and the data that it was trained on."""
    folder = tmp_path_factory.mktemp("seeds")
    data = mixed_units.write_dataset(folder / "data")
    file = str(folder / "m.keras")
    with Worker() as worker:
        worker.call("tests.mixed_units:train", timeout_s=TIMEOUT_S, file=file, folder=str(data.folder))
        worker.call("tests.mixed_units:export", timeout_s=TIMEOUT_S, file=file)
    (folder / "linear.tflite").write_bytes(models.packed())
    convert(folder / "m.h5", folder / "m.tflite", recipe="float32", report=False)
    foreign = {}
    for name in ("onnx", "torch"):
        if environments.examine(name)[0] == "ok":  # what needs them alone is skipped with the remedy
            with environments.worker(name, ["tests"]) as worker:
                foreign[name] = Loading(name, worker).build(folder, "mlp")
    return {
        **foreign,
        "keras": mixed_units.without_members(folder / "m.keras", folder / "bare.keras"),
        "h5": folder / "m.h5",
        "saved_model": folder / "m_saved",
        "tflite": folder / "m.tflite",
        "packed": folder / "linear.tflite",
    }


@pytest.fixture(scope="module")
def workers() -> Iterator[dict[str | None, Shared]]:
    started: dict[str | None, Shared] = {}
    yield started
    for worker in started.values():
        worker.end()


@pytest.fixture
def attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: dict[str | None, Shared]
) -> Iterator[Attempts]:
    """Conversions that share their workers; afterwards nothing may be anywhere that was not there before."""
    folder = tmp_path / "output"
    folder.mkdir()
    made = Attempts(folder, workers)
    monkeypatch.setattr(workshop, "_start", made.start)
    yield made
    print(made)
    assert not made.failures, "\n".join(made.failures)
    assert not list(tmp_path.rglob("*escaped*"))
    assert not (tmp_path.parent / "escaped.txt").exists()
    assert made.largest[0] < MOST_BYTES, made.largest


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_mutated_files(seeds: dict[str, Path], attempts: Attempts, inputs: Path) -> None:
    attempts.run(mutated.cases(seeds, inputs, MUTATIONS, SEED))
    assert attempts.count == MUTATIONS


@pytest.mark.slow
def test_crafted_keras_files(seeds: dict[str, Path], attempts: Attempts, inputs: Path) -> None:
    attempts.run(archives.cases(seeds["keras"], inputs))
    assert attempts.count > 40


@pytest.mark.slow
def test_crafted_tflite_files(attempts: Attempts, inputs: Path) -> None:
    attempts.run(flatbuffers.cases(inputs, EVERY))
    assert attempts.count > 100 // EVERY


def test_things_of_another_kind(seeds: dict[str, Path], attempts: Attempts, inputs: Path) -> None:
    attempts.run(kinds.cases(seeds, inputs))
    assert attempts.count > 100


def test_samples_that_do_not_fit(seeds: dict[str, Path], attempts: Attempts, inputs: Path) -> None:
    attempts.run(samples.cases(seeds["tflite"], (40, 7), inputs))
    assert attempts.count > 40


def test_crafted_folders(seeds: dict[str, Path], attempts: Attempts, inputs: Path) -> None:
    attempts.run(folders.saved_models(seeds["saved_model"], inputs))
    attempts.run(folders.datasets(seeds["tflite"], seeds["tflite"].parent / "data", inputs))
    assert attempts.count > 40


@pytest.mark.slow
def test_crafted_onnx_files(attempts: Attempts, inputs: Path) -> None:
    with loader("onnx") as onnx:
        attempts.run(islice(elsewhere.onnx(onnx.worker, inputs), 0, None, EVERY))


@pytest.mark.slow
def test_crafted_exported_programs(seeds: dict[str, Path], attempts: Attempts, inputs: Path) -> None:
    if "torch" not in seeds:
        pytest.skip(environments.remedy("torch"))
    attempts.run(islice(elsewhere.programs(seeds["torch"], inputs), 0, None, EVERY))


def test_the_good_ones_pass(seeds: dict[str, Path], attempts: Attempts, inputs: Path) -> None:
    """Else none of the above would prove anything."""
    attempts.run(Case(name, model, may_pass=True) for name, model in seeds.items())
    np.savez(inputs / "x.npz", x=np.random.default_rng(0).normal(size=(20, 40, 7)).astype(np.float32))
    for data in (inputs / "x.npz", seeds["tflite"].parent / "data"):
        assert convert(seeds["tflite"], attempts.folder / "out.tflite", data=data, report=False).passed


@pytest.mark.usefixtures("attempts")
def test_the_command_line_says_one_line(
    seeds: dict[str, Path], inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in _some(seeds, inputs):
        with pytest.raises(SystemExit) as ended:
            cli.main(_arguments(case, tmp_path))
        out, err = capsys.readouterr()
        _check_said(case, ended.value.code, out, err)


def test_the_program_says_one_line(seeds: dict[str, Path], inputs: Path, tmp_path: Path) -> None:
    """The same in a process of its own, for a few."""
    for case in list(_some(seeds, inputs))[::8]:
        command = [sys.executable, "-m", "edge_sdk", *_arguments(case, tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        _check_said(case, done.returncode, done.stdout, done.stderr)


def _some(seeds: dict[str, Path], folder: Path) -> Iterator[Case]:
    others = (case for i, case in enumerate(kinds.cases(seeds, folder)) if i % 8 == 0)
    for case in chain(others, flatbuffers.cases(folder, every=7)):
        if not (case.may_pass or case.endless):
            yield case


def _arguments(case: Case, folder: Path) -> list[str]:
    command = [
        "convert",
        "--json",
        "--recipe",
        "float32",
        "-o",
        str(folder / "o.tflite"),
        "--",
        str(case.model),
    ]
    return command if case.data is None else [*command[:2], "--data", str(case.data), *command[2:]]


def _check_said(case: Case, status: object, out: str, err: str) -> None:
    assert status in (2, 3), case.name
    told = err.rstrip("\n").split("\n")
    assert told[-1].startswith("edgeml: "), (case.name, err)
    assert all(line.endswith(" …") for line in told[:-1]), (case.name, err)
    assert all(line.isprintable() for line in told), (case.name, err)
    assert set(json.loads(out)) == {"error", "expected", "found", "remedy"}, case.name
