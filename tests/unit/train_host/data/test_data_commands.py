"""``edgeml data``, command by command: what is printed, and with which status it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sdk import recordings
from edge_sdk.cli import main
from edge_sdk.dataset import Dataset
from tests.folders import motion


def data(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["data", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return motion(tmp_path / "made", groups=6).folder


@pytest.mark.parametrize("command", ["import", "check", "report", "split", "version"])
def test_every_help_ends_with_an_example(capsys: Any, command: str) -> None:
    code, out, _ = data(capsys, command, "--help")
    assert code == 0
    assert f"Example:\n    edgeml data {command}" in out
    assert "--json" in out.split("Example:")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "96"], "--size: expected HEIGHTxWIDTH"),
        (["--size", "0x96"], "--size: expected HEIGHTxWIDTH"),
        (["--size", "9999x9"], "each 1 to 8192"),
        (["--rate-hz", "-3"], "--rate-hz: expected a positive rate"),
        (["--rate-hz", "nan"], "--rate-hz: expected a positive rate"),
        (["--pad-s", "0"], "--pad-s: expected more than 0"),
        (["--fill-s", "-1"], "--fill-s: expected more than 0"),
        (["--channels", "a,a"], "--channels: expected unlike names"),
        (["--mono"], "--mono: expected a sound, found ax, ay, az"),
        (["--colour", "blue"], "'blue' is not one of"),
        (
            ["--label-column", "activity"],
            "--label-column: expected one of time_s, ax, ay, az, found activity",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused_in_one_line(
    capsys: Any, folder: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    if "--label-column" in options:
        pytest.importorskip("pyarrow", reason="pip install 'edgeml-kit[data]'")
    code, _, err = data(capsys, "import", folder / "recordings", "-o", tmp_path / "d", *options)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_many_findings_of_one_kind_are_summed_up_and_listed_in_json(capsys: Any, folder: Path) -> None:
    for path in folder.rglob("*.csv"):
        recordings.write(
            path, recordings.Signal(recordings.read(path).samples[:30], 20.0, ("ax", "ay", "az"))
        )
    code, out, _ = data(capsys, "check", folder, "--window", 40)
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("warning")]
    assert len(lines) == 6
    assert lines[-1] == "warning  … and 7 more like these; --json has them all"
    facts = json.loads(data(capsys, "check", folder, "--window", 40, "--json")[1])
    assert (facts["errors"], facts["warnings"], facts["hints"], len(facts["findings"])) == (0, 12, 0, 12)


def test_a_piece_under_two_groups_fails_the_check(capsys: Any, folder: Path) -> None:
    signal = recordings.read(folder / "recordings/shake/p0_1.csv")
    piece = recordings.Signal(signal.samples[20:100], signal.rate_hz, signal.channels)
    recordings.write(folder / "recordings/shake/p9_1.csv", piece)
    code, out, _ = data(capsys, "check", folder)
    assert code == 1
    assert "is the same as in recordings/shake/p0_1.csv from 1.00 s on, of another person" in out


def test_a_version_tells_what_changed_since_the_last_one(capsys: Any, folder: Path) -> None:
    code, out, _ = data(capsys, "version", folder)
    assert code == 0
    assert "no version saved yet" in out
    assert data(capsys, "version", folder, "--save", "first")[0] == 0
    (folder / "recordings/rest/p0_1.csv").rename(folder / "recordings/shake/p0_2.csv")
    code, out, _ = data(capsys, "version", folder)
    assert "relabelled   recordings/shake/p0_2.csv: rest → shake" in out
    assert out.splitlines()[-1] == "since first: 1 relabelled, 1 renamed"
    facts = json.loads(data(capsys, "version", folder, "--compare", "first", "--json")[1])
    assert facts["digest"] == Dataset.load(folder).digest != facts["versions"]["first"]["digest"]
    assert facts["since"] == "first"
    assert facts["counts"] == {"relabelled": 1, "renamed": 1}
    assert data(capsys, "version", folder, "--compare", "nothing")[0] == 2
    assert data(capsys, "version", folder, "--save", "first")[0] == 2


def test_a_split_says_how_much_is_where(capsys: Any, folder: Path) -> None:
    facts = json.loads(data(capsys, "split", folder, "--json")[1])
    assert facts["written"] is True
    assert facts["unit"] == "s"
    amounts = {side: found["amount"] for side, found in facts["sides"].items()}
    assert amounts == {
        "train": {"rest": 24, "shake": 24},
        "validation": {"rest": 6, "shake": 6},
        "test": {"rest": 6, "shake": 6},
    }
    groups = [group for found in facts["sides"].values() for group in found["groups"]]
    assert sorted(groups) == ["p0", "p1", "p2", "p3", "p4", "p5"]
    assert list(Dataset.load(folder).split(9).test) == facts["sides"]["test"]["groups"]
