from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import convert
from edge_sdk import Model, modelfile
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, DatasetError
from edge_sdk.modelfile import CONTRACT, GOLDEN, LABELS, RUN, Golden
from edge_sdk.schema import parse_contract
from tests.folders import motion, pictures
from train_host import config as configs
from train_host.training import Request, train

pytestmark = pytest.mark.integration
h5py = pytest.importorskip("h5py", reason="pip install 'edgeml-kit[train]'")

FLAGS: dict[str, Any] = {"epochs": 12, "batch": 16, "augment": ["rotation", "jitter", "scaling"], "seed": 5}


def weights(model: Path) -> list[np.ndarray]:
    """Every array in a .keras file, in the order of their names."""
    with zipfile.ZipFile(model) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        found: dict[str, np.ndarray] = {}
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return [found[name] for name in sorted(found)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motion(tmp_path_factory.mktemp("data") / "shaking", groups=6).folder


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    model = tmp_path_factory.mktemp("model") / "shaking.keras"
    return model, train(Request(folder, configs.load(None, **FLAGS), model))


def test_a_training_learns_and_says_how_well(trained: tuple[Path, dict[str, Any]], folder: Path) -> None:
    model, result = trained
    assert result["accuracy"] > 0.9
    low, high = result["interval"]
    assert low <= result["accuracy"] <= high
    split = Dataset.load(folder).split(5, validation=0.1)
    assert set(result["per_group"]) == set(split.test)
    assert result["n"] == 10
    assert result["model"] == str(model)
    assert result["seconds"] > 0


def test_the_model_carries_contract_golden_vectors_labels_and_record(
    trained: tuple[Path, dict[str, Any]], folder: Path
) -> None:
    model, result = trained
    dataset = Dataset.load(folder)
    members = modelfile.read_members(model)
    contract = parse_contract(members[CONTRACT])
    assert contract.name == "shaking"
    assert contract.input.channels == dataset.channels
    assert (contract.input.rate_hz, contract.input.window, contract.input.hop) == (20, 40, 20)
    assert contract.output.labels == dataset.labels
    assert contract.reference is not None
    assert sum(contract.reference.predictions) == pytest.approx(1, abs=1e-5)
    assert contract.lineage is not None
    assert (contract.lineage.dataset, contract.lineage.split) == (dataset.digest, "person")
    assert contract.lineage.accuracy == result["accuracy"]
    assert members[LABELS] == b"rest\nshake\n"

    golden = Golden.from_bytes(members[GOLDEN])
    assert golden.inputs[0].shape == (8, 40, 3)
    assert golden.outputs[0].shape == (8, 2)
    np.testing.assert_allclose(golden.outputs[0].sum(axis=1), 1, atol=1e-5)

    run = json.loads(members[RUN])
    assert run == json.loads((model.parent / "shaking.run.json").read_text())
    assert run["dataset"] == {"path": str(folder.resolve()), "digest": dataset.digest}
    assert run["split"] == dataset.split(5, validation=0.1).as_dict()
    assert run["accuracy"] == result["accuracy"]
    assert {"tensorflow", "keras", "numpy", "python"} <= set(run["versions"])


def test_pictures_and_record_lie_beside_the_model_and_nothing_else(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = trained[0].parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "shaking.confusion.png",
        "shaking.history.png",
        "shaking.keras",
        "shaking.run.json",
        "shaking.training.html",
    ]
    for name in ("shaking.confusion.png", "shaking.history.png"):
        with image.open(folder / name) as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_the_record_repeats_the_run_to_the_last_bit(
    trained: tuple[Path, dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    model, result = trained
    again = train(Request(folder, configs.load(model.parent / "shaking.run.json"), tmp_path / "again.keras"))
    assert again["accuracy"] == result["accuracy"]
    for first, second in zip(weights(model), weights(tmp_path / "again.keras"), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_documented_program_trains_and_another_seed_gives_other_weights(
    trained: tuple[Path, dict[str, Any]],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = (Path(__file__).parents[2] / "docs/training.md").read_text()
    program = document.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(folder)
    exec(compile(program, "docs/training.md", "exec"), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:3]] == ["epoch"] * 3
    pairs = zip(weights(trained[0]), weights(tmp_path / "motion.keras"), strict=True)
    assert any(not np.array_equal(first, second) for first, second in pairs)


def test_folds_report_mean_and_spread_over_people(folder: Path) -> None:
    result = train(Request(folder, configs.load(None, epochs=2, batch=32), None, folds=2))
    folds = result["folds"]
    assert len(folds["each"]) == 2
    assert sorted(group for fold in folds["each"] for group in fold["test"]) == [f"p{n}" for n in range(6)]
    accuracies = [fold["accuracy"] for fold in folds["each"]]
    assert folds["mean"] == result["accuracy"] == pytest.approx(np.mean(accuracies))
    assert folds["sd"] == pytest.approx(np.std(accuracies, ddof=1))
    assert result["model"] is None


def test_images_train_as_they_lie_in_the_folder_convert_and_run(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d")
    result = train(
        Request(dataset.folder, configs.load(None, epochs=15, batch=8), tmp_path / "stripes.keras")
    )
    assert result["accuracy"] > 0.9
    contract = parse_contract(modelfile.read_members(tmp_path / "stripes.keras")[CONTRACT])
    assert (contract.input.layout, contract.input.rate_hz) == ("HWC", None)

    output = tmp_path / "stripes.tflite"
    converted = convert(tmp_path / "stripes.keras", output)
    assert converted.as_dict()["accuracy"] > 0.9
    with Model.load(output) as model:
        upright = next(r for r in dataset.recordings if r.label == "upright")
        image = dataset.read(upright).samples
        assert image.shape == model.input_shape
        assert model.run(image).label == "upright"


def test_errors_in_the_child_leave_nothing_behind(folder: Path, tmp_path: Path) -> None:
    options = configs.load(None, model={"filtres": [8]})
    with pytest.raises(ConfigError, match=r"option 'filtres'.*did you mean 'filters'"):
        train(Request(folder, options, tmp_path / "m.keras"))
    with pytest.raises(DatasetError, match="no windows of 999 samples"):
        train(Request(folder, configs.load(None, window=999), tmp_path / "m.keras"))
    assert not list(tmp_path.iterdir())


def edgeml(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edge_sdk", *map(str, arguments)]


def test_the_command_prints_one_json_object_and_progress_elsewhere(folder: Path, tmp_path: Path) -> None:
    arguments = edgeml("train", folder, "-o", tmp_path / "m.keras", "--epochs", 2, "--json")
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    assert {"accuracy", "interval", "n", "per_group", "model", "seconds"} <= set(json.loads(done.stdout))
    assert "epoch 2/2" in done.stderr
    assert "tensorflow" not in done.stderr.replace("TensorFlow", "")


def test_a_place_that_cannot_be_written_is_said_before_the_training(folder: Path) -> None:
    nobodys = Path("/sys/m.keras")  # not even root's
    done = subprocess.run(edgeml("train", folder, "-o", nobodys), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "cannot write" in done.stderr
