from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from converters import compare, recipes, report
from converters.commands.convert import command, lines
from converters.result import DropError, Result
from converters.verify import Verdict
from edge_sdk.contract import Lineage, Output
from tests.models import contract, flatbuffer


def result(**changes: object) -> Result:
    truth = np.repeat(np.arange(3), 10)
    before = np.eye(3, dtype=np.float32)[truth]
    after = before.copy()
    after[0] = [0, 1, 0]
    groups = ["anna", "<b>ben</b>"] * 15
    verdict = Verdict(
        compare.evaluate(before, truth, groups),
        compare.evaluate(after, truth, groups),
        compare.difference(before, after),
        "test split",
        None,
    )
    facts = {
        "recipe": recipes.find("int8"),
        "source": Path("model.keras"),
        "output": Path("model.tflite"),
        "report": Path("model.report.html"),
        "size_bytes": 12_345,
        "source_bytes": 54_321,
        "parameters": 72,
        "digest": "sha256:" + "0" * 64,
        "contract": replace(contract(), name="<script>", lineage=Lineage(seed=7, versions={"numpy": "2"})),
        "verdict": verdict,
        "max_drop": 0.05,
        "flatbuffer": flatbuffer(),
        "notes": ("a note & more",),
        "seconds": {},
    }
    return Result(**{**facts, **changes})  # type: ignore[arg-type]


def unlabelled(noise: float, failure: str | None = None) -> Verdict:
    scores = np.ones((4, 3), np.float32)
    return Verdict(None, None, compare.difference(scores, scores + noise), "random inputs", failure)


def test_the_report_shows_what_changed_and_escapes_what_it_was_given() -> None:
    page = report.render(result())
    assert "-10.0 pt" in page
    assert "FULLY_CONNECTED" in page
    assert "float32 [3, 24] constant" in page
    assert "a note &amp; more" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;ben" in page
    assert "http" not in page


def test_a_report_without_labels_leaves_accuracy_out() -> None:
    page = report.render(result(verdict=unlabelled(0.0), contract=None))
    assert "Accuracy" not in page
    assert "outputs equal" in page
    assert "4 windows: random inputs" in page


def test_a_report_without_label_names_counts_classes() -> None:
    page = report.render(result(contract=replace(contract(), output=Output())))
    assert "<th>2</th>" in page


def test_the_table_for_people_is_aligned_and_says_all() -> None:
    shown = lines(result())
    assert "accuracy     1.000 [0.886, 1.000]  original" in shown
    assert any(line.startswith("gate         passed, a drop of at most 5 points") for line in shown)
    assert shown[-1] == "note         a note & more"
    assert len({line.index(line[13:]) for line in shown}) == 1


def test_equal_outputs_are_null_in_json_and_words_for_people() -> None:
    equal = result(verdict=unlabelled(0.0))
    assert equal.as_dict()["sqnr_db"] is None
    assert any("outputs equal" in line for line in lines(equal))
    assert result(verdict=unlabelled(0.1)).as_dict()["sqnr_db"] == pytest.approx(20.0, abs=1e-4)


def test_a_failure_names_no_output() -> None:
    failed = result(verdict=unlabelled(0.5, "too far"))
    error = DropError(failed)
    assert error.result is failed
    assert str(error).startswith(
        "model.keras as int8 is not good enough, nothing was written: expected at least 10 dB"
    )
    assert failed.as_dict()["output"] is None
    assert not any(line.startswith("written") for line in lines(failed))


@pytest.mark.parametrize("text", ["1", "100pt", "-1pt", "a lot", "", "1.5"])
def test_a_drop_that_makes_no_sense_is_refused(text: str) -> None:
    done = CliRunner().invoke(command, ["m.keras", "-o", "m.tflite", "--max-drop", text])
    assert done.exit_code == 2
    assert "expected points such as 1pt" in done.output


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("1pt", 0.01), ("0.5pt", 0.005), ("0.01", 0.01), ("2%", 0.02), ("0", 0.0), (".5 points", 0.005)],
)
def test_a_drop_is_given_in_points_or_as_a_fraction(text: str, fraction: float) -> None:
    option = next(parameter for parameter in command.params if parameter.name == "max_drop")
    assert option.type.convert(text, option, None) == pytest.approx(fraction)


def test_the_help_decodes_the_recipes_and_ends_with_an_example() -> None:
    done = CliRunner().invoke(command, ["--help"])
    assert recipes.find("int8").meaning in done.output
    assert "Example:" in done.output
    assert done.output.strip().splitlines()[-1].strip().startswith("edgeml convert")
