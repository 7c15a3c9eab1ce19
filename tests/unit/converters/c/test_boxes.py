import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.c import boxes
from converters.c.operation import UnsupportedError
from converters.c.reference.movement import places

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)


@given(SHAPES, st.data())
def test_broadcasting_is_numpys(shape: tuple[int, ...], data: st.DataObject) -> None:
    a, b = (tuple(n if data.draw(st.booleans()) else 1 for n in shape) for _ in range(2))
    output = np.broadcast_shapes(a, b)
    box = boxes.broadcast(a, b, output)
    for operand, steps in ((a, box.step_a), (b, box.step_b)):
        values = np.arange(np.prod(operand))
        expected = np.broadcast_to(values.reshape(operand), output).reshape(-1)
        np.testing.assert_array_equal(values[places(box.size, steps)], expected)


@given(SHAPES, st.data())
def test_a_transposition_is_a_box(shape: tuple[int, ...], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    steps = boxes.steps(shape)
    size = [shape[axis] for axis in order]
    box = boxes.merged(size, [steps[axis] for axis in order], boxes.steps(size))
    values = np.arange(np.prod(shape))
    expected = values.reshape(shape).transpose(order).reshape(-1)
    np.testing.assert_array_equal(values[places(box.size, box.step_a)], expected)
    np.testing.assert_array_equal(places(box.size, box.step_b), values)


def test_neighbouring_axes_become_one() -> None:
    assert boxes.broadcast((2, 3, 4), (2, 3, 4), (2, 3, 4)).size == (1, 1, 1, 1, 24)
    assert boxes.broadcast((2, 3, 4), (4,), (2, 3, 4)).size == (1, 1, 1, 6, 4)


def test_more_axes_than_loops_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="6 axes that cannot be merged"):
        boxes.merged((2,) * 6, (1, 2, 4, 8, 16, 32), boxes.steps((2,) * 6))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="do not become"):
        boxes.broadcast((2, 3), (4,), (2, 3))
