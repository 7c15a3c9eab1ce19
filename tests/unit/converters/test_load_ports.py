"""A wrong layout cannot pass: ports are what makes both compute the same, or there are none."""

from dataclasses import dataclass

import numpy as np
import pytest

from converters.load.arrays import Details, from_original, read, to_original, write
from converters.load.ports import Tensor, match
from edge_sdk.errors import ModelError

FLOAT = np.dtype(np.float32)


@dataclass
class Function:
    """Stands for a .tflite: computes on arrays in its own layout."""

    shapes: list
    compute: object

    @property
    def inputs(self):
        return [Details(i, f"x{i}", shape, FLOAT) for i, shape in enumerate(self.shapes)]

    def __call__(self, arrays):
        return [np.asarray(y, np.float32) for y in self.compute(*arrays)]


def weights(*shape, seed=4):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def channel_mix(x):
    """[n, c, h, w] -> [n, c, h, w], unlike along every axis."""
    c, h, w = x.shape[1:]
    return np.einsum("nchw,cd->ndhw", x, weights(c, c)) * weights(c, h, w, seed=5)


@pytest.mark.parametrize("size", [(3, 4, 5), (4, 4, 4), (1, 6, 6), (6, 1, 6)])
def test_channels_last_is_found_whatever_the_shape_tells(size):
    c, h, w = size
    ours = Function([(1, h, w, c)], lambda x: [channel_mix(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)])
    taken, given = match(
        ours, [Tensor("image", (1, c, h, w), kept=False)], [Tensor("y")], lambda xs: [channel_mix(xs[0])]
    )
    x = weights(1, h, w, c, seed=8)
    theirs = from_original([channel_mix(to_original([x], taken)[0])], given)
    np.testing.assert_allclose(theirs[0], ours([x])[0], rtol=1e-5)


def test_a_layout_that_was_kept_is_tried_first():
    ours = Function([(1, 4, 4)], lambda x: [np.tanh(x)])
    taken, given = match(ours, [Tensor("x", (1, 4, 4))], [Tensor("y")], lambda xs: [np.tanh(xs[0])])
    assert taken[0].permute is None
    assert given[0].permute is None


def test_outputs_of_one_shape_are_told_apart_by_their_values():
    one, two = weights(5, 3), weights(5, 3, seed=6)
    ours = Function([(1, 5)], lambda x: [x @ two, x @ one])
    _, given = match(
        ours, [Tensor("x", (1, 5))], [Tensor("one"), Tensor("two")], lambda xs: [xs[0] @ one, xs[0] @ two]
    )
    assert [port.name for port in given] == ["two", "one"]


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: [x @ weights(5, 3) * 1.01],
        lambda x: [x @ weights(5, 3), x],
        lambda x: [(x @ weights(5, 3))[:, :2]],
        lambda x: [x @ weights(5, 3) * np.nan],
    ],
)
def test_another_model_has_no_ports(compute):
    with pytest.raises(ModelError, match="does not compute what the original does"):
        match(
            Function([(1, 5)], compute),
            [Tensor("x", (1, 5))],
            [Tensor("y")],
            lambda xs: [xs[0] @ weights(5, 3)],
        )


def test_a_small_signal_on_a_large_offset_is_still_compared():
    original = lambda xs: [1000 + xs[0] @ weights(5, 3)]  # noqa: E731
    wrong = Function([(1, 5)], lambda x: [1000 - x @ weights(5, 3)])
    with pytest.raises(ModelError, match="does not compute"):
        match(wrong, [Tensor("x", (1, 5))], [Tensor("y")], original)


def test_an_original_that_puts_out_nan_is_named():
    with pytest.raises(ModelError, match="NaN or infinity in y"):
        match(
            Function([(1, 5)], lambda x: [x]),
            [Tensor("x", (1, 5))],
            [Tensor("y")],
            lambda xs: [xs[0] * np.nan],
        )


def test_an_input_of_another_shape_is_named():
    with pytest.raises(ModelError, match="input x became another"):
        match(Function([(1, 5)], lambda x: [x]), [Tensor("x", (1, 6))], [Tensor("y")], lambda xs: xs)


def test_arrays_keep_their_order_through_a_file(tmp_path):
    arrays = [np.full((2, n + 1), n, np.float32) for n in range(12)]
    write(str(tmp_path / "x.npz"), arrays)
    for one, other in zip(read(str(tmp_path / "x.npz")), arrays, strict=True):
        np.testing.assert_array_equal(one, other)
