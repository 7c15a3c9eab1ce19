"""Errors read as one sentence, carry their facts, and are the builtins that a caller would expect."""

import inspect

import pytest

from edge_sdk import errors
from edge_sdk.errors import EdgeError, MissingExtraError, SpecError, UnknownNameError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, EdgeError)]


def test_a_message_says_expected_found_and_remedy_in_one_line():
    error = SpecError("window", expected="float32 [8, 3]", found=[9, 3], remedy="cut\nit")
    assert str(error) == "window: expected float32 [8, 3], found [9, 3]; cut it"
    assert error.as_dict() == {
        "error": "window",
        "expected": "float32 [8, 3]",
        "found": "[9, 3]",
        "remedy": "cut\nit",
    }


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_drawn_tree_is_the_real_one(kind):
    if kind is EdgeError:
        return
    (line,) = [line for line in errors.__doc__.splitlines() if f"── {kind.__name__} " in line]
    words = line.split("── ")[1].split()
    assert int(words[1]) == kind.exit_code
    builtin = (
        getattr(__builtins__, words[2], None)
        if not isinstance(__builtins__, dict)
        else __builtins__.get(words[2])
    )
    if builtin is not None:
        assert issubclass(kind, builtin)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_can_be_built_again_from_its_facts(kind):
    error = kind.rebuilt({"error": "odd", "expected": "1", "found": "2", "remedy": "try"}).within("here")
    assert type(error) is kind
    assert str(error) == "here: odd: expected 1, found 2; try"


def test_an_unknown_name_suggests_the_nearest():
    error = UnknownNameError("recipe", "int9", ["int8", "float32"])
    assert str(error) == "unknown recipe 'int9': expected one of float32, int8; did you mean 'int8'?"


def test_a_missing_extra_says_how_to_install_it():
    assert "pip install 'edgeml-kit[convert]'" in str(
        MissingExtraError("conversion", "convert", "tensorflow")
    )


@pytest.mark.parametrize(("error", "text"), [(ValueError("a\n b"), "a b"), (KeyError(), "KeyError")])
def test_any_exception_fits_on_a_line(error, text):
    assert errors.one_line(error) == text


def test_long_lists_are_cut():
    assert errors.first_of("abcde") == "a, b, c, … (+2)"
    assert errors.first_of("ab") == "a, b"


def test_a_message_does_not_obey_a_hostile_name():
    error = SpecError("\x1b[2J\u202ename\udcff", found="x" * 1_000_000)
    assert str(error).startswith(r"\x1b[2J\u202ename\udcff: found xxx")
    assert str(error).isprintable()
    assert len(str(error)) < 1100
    assert str(SpecError.rebuilt(error.as_dict())) == str(error)
    assert errors.printable("µs … 2 °C") == "µs … 2 °C"
