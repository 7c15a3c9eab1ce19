"""The commands of docs/dataset.md, one after the other, on sources of every kind that it names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.cli import main
from edge_sdk.dataset import Dataset
from edge_sdk.recordings import Signal, write
from tests import dataset_pages, folders

pytestmark = pytest.mark.integration
arrow = pytest.importorskip("pyarrow", reason="pip install 'edgeml-kit[data]'")
pillow = pytest.importorskip("PIL.Image", reason="pip install 'edgeml-kit[data]'")

PAGE = Path(__file__).parents[2] / "docs" / "dataset.md"
RNG = np.random.default_rng(0)
NAMES = ("ax", "ay", "az")


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("edgeml data ")]


def signal(n: int = 200) -> Signal:
    return Signal(RNG.normal(size=(n, 3)).astype(np.float32), 50.0, NAMES)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the commands read."""
    place = tmp_path_factory.mktemp("docs")
    people = ("anna", "bob", "eve", "tim", "zoe")
    for person in people:
        for label in ("rest", "walk"):
            for path in (f"measured/{label}/{person}_1.csv", f"people/{person}/{label}/1.csv"):
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                write(place / path, signal())
    (place / "day1").mkdir()
    for name in ("a", "b"):
        write(place / f"day1/{name}.csv", signal())
    sounds = dataset_pages.sounds(place / "made-sounds")
    (sounds.folder / "recordings").rename(place / "sounds")
    for n in range(4):
        (place / "photos/cup").mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (20 + n, 30, 3), dtype=np.uint8)
        pillow.fromarray(pixels).save(place / f"photos/cup/cam{n}_1.{('jpg', 'webp', 'bmp', 'png')[n]}")
    (place / "impulse/training").mkdir(parents=True)
    for label in ("circle", "wave"):
        sensors = [{"name": name, "units": "g"} for name in NAMES]
        payload = {"device_name": "b1", "device_type": "BOARD", "interval_ms": 20, "sensors": sensors}
        content = {"protected": {"ver": "v1", "alg": "none"}, "signature": "0" * 64}
        content["payload"] = {**payload, "values": signal().samples.tolist()}
        (place / f"impulse/training/{label}.1.json").write_text(json.dumps(content))
    for side, subject in (("train", 1), ("test", 2)):
        inner = place / "har" / side / "Inertial Signals"
        inner.mkdir(parents=True)
        for name in NAMES:
            np.savetxt(inner / f"{name}_{side}.txt", RNG.normal(size=(6, 16)), fmt="%.5e")
        (inner.parent / f"y_{side}.txt").write_text("1\n1\n1\n2\n2\n2\n")
        (inner.parent / f"subject_{side}.txt").write_text(f"{subject}\n" * 6)
    table = {
        "t": np.tile(np.arange(100) * 20, len(people)),
        "activity": (["rest"] * 50 + ["walk"] * 50) * len(people),
        "person": np.repeat(people, 100),
        **{name: RNG.normal(size=100 * len(people)) for name in NAMES},
    }
    from pyarrow import csv, parquet

    csv.write_csv(arrow.table(table), place / "all.csv")
    when = np.datetime64("2026-03-01") + table.pop("t") * np.timedelta64(1, "ms")
    parquet.write_table(
        arrow.table({**table, "when": when, "day": ["monday"] * len(when)}), place / "all.parquet"
    )
    return place


def test_every_command_of_the_page_does_what_it_says(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert len(commands()) >= 16
    said: dict[str, str] = {}
    for command in commands():
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command)[1:])
        said[command], err = capsys.readouterr()
        assert ended.value.code == 0, f"{command}: {err}"
    made = {
        name: Dataset.load(name) for name in ("data", "idle", "people-data", "words", "things", "gestures")
    }
    made |= {name: Dataset.load(name) for name in ("activities", "steps", "days")}
    assert {name: (len(d.recordings), len(d.groups), len(d.labels)) for name, d in made.items()} == {
        "data": (10, 5, 2),
        "idle": (2, 1, 1),
        "people-data": (10, 5, 2),
        "words": (6, 3, 2),
        "things": (4, 4, 1),
        "gestures": (2, 1, 2),
        "activities": (12, 2, 2),
        "steps": (10, 5, 2),
        "days": (10, 5, 2),
    }
    assert made["words"].rate_hz == 16000
    assert len(made["words"].read(made["words"].recordings[0]).samples) == 16000
    assert made["things"].read(made["things"].recordings[0]).samples.shape == (96, 96, 3)
    assert {recording.fold for recording in made["data"].recordings} == {1, 2, 3, 4, 5}
    assert made["data"].split(0).test
    assert Path("data.html").read_text().startswith("<!doctype html>")
    assert json.loads(said["edgeml data split data --leave-one-group-out --json"])["written"] is True
    assert "since march: nothing changed" in said["edgeml data version data"]


def test_a_split_is_replaced_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders.motion(tmp_path / "d", groups=6)
    monkeypatch.chdir(tmp_path)

    def edgeml(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["data", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    assert edgeml("split", "d")[0] == 0
    before = Path("d/manifest.csv").read_bytes()
    code, _, err = edgeml("split", "d", "--seed", "3")
    assert code == 2
    assert "has a split already; give --force" in err
    code, out, _ = edgeml("split", "d", "--seed", "3", "--dry-run")
    assert code == 0
    assert re.search(r"^shake +\d+ +67% +\d+ +17% +\d+ +17%$", out, re.MULTILINE)
    assert Path("d/manifest.csv").read_bytes() == before
    assert edgeml("split", "d", "--seed", "3", "--force")[0] == 0
    for wrong in (
        ["--test", "0"],
        ["--validation", "0.9"],
        ["--folds", "3", "--leave-one-group-out"],
        ["--folds", "7"],
    ):
        code, _, err = edgeml("split", "d", "--force", *wrong)
        assert code == 2
        assert len(err.strip().splitlines()[-1]) > 20


def report(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["data", "report", *map(str, words)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_report_lies_beside_the_folder_or_where_it_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folders.motion(tmp_path / "d", groups=3).folder
    code, out, _ = report(capsys, folder, "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["report"] == str(tmp_path / "d.html")
    assert facts["bytes"] == (tmp_path / "d.html").stat().st_size
    assert report(capsys, folder, "-o", tmp_path / "absent" / "x.html")[0] == 2
    assert report(capsys, tmp_path / "absent")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "d.html"]
