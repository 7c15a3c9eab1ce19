import pytest
from click.testing import CliRunner

from converters import recipes
from converters.commands.convert import command, lines
from converters.report import DropError
from tests import reports


def test_the_table_for_people_is_aligned_and_says_all() -> None:
    shown = lines(reports.report())
    assert "accuracy       0.998 [0.987, 1.000]  original" in shown
    assert any(line.startswith("gate           passed, a drop of at most 1 points") for line in shown)
    assert shown[-1].startswith("note           class 'running' lost 6.1 points")
    assert all(line[14] == " " and line[15] != " " for line in shown)


def test_every_recipe_that_was_tried_is_a_row() -> None:
    shown = "\n".join(lines(reports.several()))
    for trial in reports.several().trials:
        assert trial.recipe.name in shown
    assert shown.count("* ") == 1


def test_equal_outputs_are_null_in_json_and_words_for_people() -> None:
    same = reports.unlabelled()
    equal = reports.unlabelled_as(reports.trial("float32", same.original, same.original, same.evidence))
    assert equal.as_dict()["sqnr_db"] is None
    assert any("outputs equal" in line for line in lines(equal))
    assert same.as_dict()["sqnr_db"] == pytest.approx(36.2, abs=0.1)


def test_a_failure_names_no_output() -> None:
    far = reports.unlabelled()
    outputs = tuple(array + 9 for array in far.original)
    failed = reports.unlabelled_as(reports.trial("int8", far.original, outputs, far.evidence))
    error = DropError(failed)
    assert error.report is failed
    assert str(error).startswith(
        "nets:build as int8 is not good enough, nothing was written: expected at least 10 dB"
    )
    assert failed.as_dict()["output"] is None
    assert failed.as_dict()["report"] is None
    assert not any(line.startswith(("written", "report")) for line in lines(failed))


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


@pytest.mark.parametrize("text", ["image", "image=", "image=1,0", "image=1,x", "=1,2"])
def test_a_shape_that_makes_no_sense_is_refused(text: str) -> None:
    done = CliRunner().invoke(command, ["m.onnx", "-o", "m.tflite", "--shape", text])
    assert done.exit_code == 2
    assert "expected NAME=1,96,96,3" in done.output


def test_the_help_decodes_the_recipes_and_ends_with_an_example() -> None:
    done = CliRunner().invoke(command, ["--help"])
    for recipe in recipes.RECIPES.values():
        assert recipe.meaning in done.output
    assert "Example" in done.output
    assert done.output.strip().splitlines()[-1].strip().startswith("edgeml convert")
