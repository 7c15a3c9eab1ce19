from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_sdk.cli import main
from tests import trainings
from tests.folders import motion
from train_host import summary
from train_host.page.report import Report


def result(report: Report) -> dict[str, Any]:
    """What the command gets of such a training."""
    assert report.calibrated is not None
    return {
        "calibration": report.calibrated.as_dict(),
        "decision": None if report.operation is None else report.operation.as_dict(),
        **({} if report.verdict is None else {"challenge": report.verdict.as_dict()}),
    }


def test_of_many_groups_the_worst_are_told() -> None:
    few = {"per_group": {"anna": 0.9, "bob": 0.75}}
    assert summary.groups(few) == "anna 0.9, bob 0.75"
    many = {f"p{n}": n / 100 for n in range(50, 90)}
    said = summary.groups({"per_group": many})
    assert said.startswith("worst p50 0.5, p51 0.51, ")
    assert said.endswith("p61 0.61, … (+28)")
    assert summary.groups({"per_group": many, "error": 1.0}).startswith("worst p89 0.89, p88 0.88")


def test_a_plain_training_says_how_far_its_confidence_is_off() -> None:
    plain = result(trainings.report())
    (line,) = summary.lines(plain)
    assert line.startswith("confidence off by 0.")
    assert not summary.failed(plain)
    assert summary.lines({"calibration": None, "decision": None}) == []


def test_a_threshold_and_a_champion_that_was_beaten() -> None:
    won = result(trainings.alarmed())
    assert not summary.failed(won)
    lines = summary.lines(won)
    assert lines[1].startswith("threshold 0.")
    assert "for 200/h: " in lines[1]
    assert "false alarms an hour (95 %: " in lines[1]
    assert lines[-1] == "better"
    won["challenge"] |= {"replaced": "a.keras", "previous": "a.previous.keras"}
    assert summary.lines(won)[-1] == "a.keras is the new champion, a.previous.keras the old"


def test_both_gates_say_why_they_fail() -> None:
    lost = result(trainings.refused())
    assert summary.failed(lost)
    lines = summary.lines(lost)
    assert "no threshold keeps 0/h on the validation side; this is the highest" in lines
    assert any(line.startswith("the champion stays: it is worse: -") for line in lines)
    for key in ("decision", "challenge"):
        assert summary.failed({key: lost[key]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--false-alarms", "often"], "false alarms: expected events in a time, such as 1/h"),
        (["--compare-to", "absent.keras"], "absent.keras: no such file"),
        (["--replace"], "--replace needs --compare-to CHAMPION.keras"),
        (["--max-group-drop", "2"], "max_group_drop: expected 0 to 1, found 2"),
    ],
)
def test_what_is_wrong_is_said_before_tensorflow_starts(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    data = motion(tmp_path / "data", groups=4).folder
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edge_sdk.child.call", None)
    with pytest.raises(SystemExit) as ended:
        main(["train", str(data), "-o", "m.keras", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m.keras").exists()
