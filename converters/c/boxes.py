"""Boxes of places in tensors: neighbouring axes are merged, so that few loops are left."""

from __future__ import annotations

from collections.abc import Sequence

from converters.c.layers import AXES, Box
from converters.c.operation import UnsupportedError


def steps(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements from one index to the next along each axis of a dense tensor."""
    found = [1]
    for size in reversed(shape[1:]):
        found.insert(0, found[0] * size)
    return tuple(found[: len(shape)])


def merged(size: Sequence[int], step_a: Sequence[int], step_b: Sequence[int]) -> Box:
    """The box with as few axes as describe the same places in the same order, from the right.

    Raises:
        UnsupportedError: more axes than a kernel has loops.
    """
    axes: list[tuple[int, int, int]] = []
    for axis in zip(size, step_a, step_b, strict=True):
        if axis[0] == 1:
            continue
        if axes and axes[-1][1] == axis[0] * axis[1] and axes[-1][2] == axis[0] * axis[2]:
            axes[-1] = (axes[-1][0] * axis[0], *axis[1:])
        else:
            axes.append(axis)
    if len(axes) > AXES:
        raise UnsupportedError(f"has {len(axes)} axes that cannot be merged, more than {AXES}")
    padded = [(1, 0, 0)] * (AXES - len(axes)) + axes
    if not axes:
        padded[-1] = (1, 1, 1)
    columns = list(zip(*padded, strict=True))
    return Box(columns[0], columns[1], columns[2])


def broadcast(a: Sequence[int], b: Sequence[int], output: Sequence[int]) -> Box:
    """Operands of shapes that are broadcast to that of the output.

    Raises:
        UnsupportedError: they do not fit.
    """
    rank = len(output)
    found = []
    for shape in (a, b):
        full = (1,) * (rank - len(shape)) + tuple(shape)
        if len(full) != rank or any(n not in (1, m) for n, m in zip(full, output, strict=True)):
            raise UnsupportedError(f"shapes {list(a)} and {list(b)} do not become {list(output)}")
        found.append(tuple(0 if n == 1 else step for n, step in zip(full, steps(full), strict=True)))
    return merged(output, *found)
