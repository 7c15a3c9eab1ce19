import pytest

from converters.load.shapes import settle
from edge_sdk.errors import ModelError


def test_the_batch_stays_open_unless_it_is_asked_for() -> None:
    found = {"x": (None, 8, 3), "y": (None, 2)}
    assert settle(found, None, None) == {"x": (None, 8, 3), "y": (None, 2)}
    assert settle(found, {"x": [1, 8, 3]}, None) == {"x": (None, 8, 3), "y": (None, 2)}
    assert settle(found, None, 1) == {"x": (1, 8, 3), "y": (1, 2)}
    assert settle({"x": (1, 8), "y": (None, 2)}, None, None) == {"x": (1, 8), "y": (1, 2)}


def test_open_sizes_are_filled_from_what_was_given() -> None:
    assert settle({"x": (None, None, 3)}, {"x": [1, 40, 3]}, None) == {"x": (None, 40, 3)}


def test_every_open_size_is_listed_with_what_to_type() -> None:
    with pytest.raises(ModelError) as caught:
        settle({"x": (None, None, 3), "y": (None, 2), "z": (None, None, None)}, None, None)
    assert caught.value.found == "x [batch, ?, 3], z [batch, ?, ?]"
    assert caught.value.remedy == "give them with --shape x=1,…,3 --shape z=1,…,…"


@pytest.mark.parametrize("given", [[1, 8], [1, 8, 4], [1, 9, 3], [1, 0, 3], [1, -1, 3], []])
def test_a_shape_that_does_not_fit(given: list[int]) -> None:
    with pytest.raises(ModelError, match="does not fit"):
        settle({"x": (None, 8, 3)}, {"x": given}, None)


def test_an_unknown_input_suggests_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'audio'"):
        settle({"audio": (None, 8)}, {"adio": [1, 8]}, None)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((), "a single number"), ((None, 0), "is empty"), ((8, 4), "fixes the batch"), ((0, 4), "is empty")],
)
def test_inputs_that_no_batch_fits(shape: tuple[int | None, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        settle({"x": shape}, None, None)
