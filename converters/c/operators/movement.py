"""Operators that move elements as they are, of any dtype, as copies of boxes; and that resize images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters.c import boxes
from converters.c.fold import slices
from converters.c.layers import Copy, Fill, ResizeBilinear, ResizeNearest
from converters.c.operation import Operation, Step, UnsupportedError, scaled
from edge_sdk.graph import Tensor

#: Rows and columns of a RESIZE_NEAREST_NEIGHBOR are numbered in int16.
_MOST_ROWS = 1 << 15


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box lies in a tensor, in elements."""

    steps: Sequence[int]
    start: int = 0


def _dense(tensor: Tensor) -> Place:
    return Place(boxes.steps(tensor.shape))


def reshape(o: Operation) -> list[Step]:
    """Nothing to do: the output lies where the input does, unless that is a constant."""
    o.fit(o.input().bytes == o.output().bytes, o.input(), o.output())
    if not o.input().constant:
        return []
    same(o, o.output())
    return [copy(o, o.input(), o.output(), o.output().shape, _dense(o.output()))]


def concatenation(o: Operation) -> list[Step]:
    """Each input is copied to its place in the output."""
    output = o.output()
    axis, to = o.option("axis") % len(output.shape), boxes.steps(output.shape)
    if o.option("fusedActivationFunction"):
        raise UnsupportedError("has a fused activation", output)
    found, start = [], 0
    for number in range(len(o.op.inputs)):
        part = o.input(number)
        if part.dtype != output.dtype or (part.dtype != "float32" and scaled(part) != scaled(output)):
            raise UnsupportedError("has another scale than the output", part)
        found.append(copy(o, part, output, part.shape, _dense(part), Place(to, start * to[axis])))
        start += part.shape[axis]
    return found


def pad(o: Operation) -> list[Step]:
    """The output is filled, then the input copied into its middle."""
    data, output = o.input(), o.output()
    same(o, output)
    ahead = [int(before) for before, _ in o.constant(1).reshape(-1, 2)]
    to = boxes.steps(output.shape)
    if data.dtype == "int8":
        value = int(o.constant(2).reshape(-1)[0]) if o.has(2) else scaled(output)[1]
    elif o.has(2) and np.any(o.constant(2)):
        raise UnsupportedError("pads with another number than zero", data)
    else:
        value = 0
    start = sum(before * step for before, step in zip(ahead, to, strict=True))
    filled = Step(o.op.index, Fill(output.bytes, value), (), output.index)
    return [filled, copy(o, data, output, data.shape, _dense(data), Place(to, start))]


def mirror_pad(o: Operation) -> list[Step]:
    """Each part of the output is a copy that runs backwards along some of the axes."""
    data, output = o.input(), o.output()
    same(o, output)
    aside = 1 if o.option("mode") == schema.MirrorPadMode.REFLECT else 0
    pads = [(int(before), int(behind)) for before, behind in o.constant(1).reshape(-1, 2)]
    of, to = boxes.steps(data.shape), boxes.steps(output.shape)
    parts = []
    for (before, behind), n in zip(pads, data.shape, strict=True):
        o.fit(max(before, behind) <= n - aside, data, output)
        # where it begins in the output, how many, where it begins in the input, which way
        sides = [(0, before, before - 1 + aside, -1), (before, n, 0, 1)]
        sides.append((before + n, behind, n - 1 - aside, -1))
        parts.append([side for side in sides if side[1]])
    found = []
    for part in itertools.product(*parts):
        size = [count for _, count, _, _ in part]
        source = Place(
            [step * way for step, (_, _, _, way) in zip(of, part, strict=True)],
            sum(step * first for step, (_, _, first, _) in zip(of, part, strict=True)),
        )
        target = sum(step * at for step, (at, _, _, _) in zip(to, part, strict=True))
        found.append(copy(o, data, output, size, source, Place(to, target)))
    return found


def transpose(o: Operation) -> list[Step]:
    """Another order of the axes."""
    same(o, o.output())
    order = [int(axis) for axis in o.constant(1)]
    steps = boxes.steps(o.input().shape)
    return [copy(o, o.input(), o.output(), o.output().shape, Place([steps[axis] for axis in order]))]


def strided_slice(o: Operation) -> list[Step]:
    """A part of the input; axes may be dropped."""
    if o.option("ellipsisMask") or o.option("newAxisMask") or o.option("offset"):
        raise UnsupportedError("has an ellipsis, a new axis or an offset", o.input())
    same(o, o.output())
    shape = o.input().shape
    taken = slices(o, len(shape), [o.constant(number) for number in (1, 2, 3)])
    start, size, steps = 0, [], []
    for extent, step, part in zip(shape, boxes.steps(shape), taken, strict=True):
        places = range(extent)[part]
        if not places:
            raise UnsupportedError("is empty", o.output())
        start += places[0] * step
        size.append(len(places))
        steps.append(step * places.step)
    if math.prod(size) != o.output().elements:
        raise UnsupportedError(f"should have {math.prod(size)} elements", o.output())
    return [copy(o, o.input(), o.output(), size, Place(steps, start))]


def slice_(o: Operation) -> list[Step]:
    """A part of the input: where it begins, and its size."""
    same(o, o.output())
    shape, steps = o.input().shape, boxes.steps(o.input().shape)
    begins, sizes = (o.constant(number).reshape(-1).tolist() for number in (1, 2))
    size = [n - at if wanted < 0 else wanted for n, at, wanted in zip(shape, begins, sizes, strict=True)]
    start = sum(at * step for at, step in zip(begins, steps, strict=True))
    if tuple(size) != o.output().shape or any(a + n > m for a, n, m in zip(begins, size, shape, strict=True)):
        raise UnsupportedError("does not fit its input", o.output())
    return [copy(o, o.input(), o.output(), size, Place(steps, start))]


def split_v(o: Operation) -> list[Step]:
    """Parts of given sizes along an axis, which is the third input."""
    return _parts(o, 0, int(o.constant(2).reshape(-1)[0]) % len(o.input().shape))


def split(o: Operation) -> list[Step]:
    """Equal parts along an axis, which is the first input."""
    axis = int(o.constant(0).reshape(-1)[0]) % len(o.input(1).shape)
    return _parts(o, 1, axis)


def tile(o: Operation) -> list[Step]:
    """Copies beside each other along every axis."""
    same(o, o.output())
    data, output = o.input(), o.output()
    size, source, target = [], [], []
    for times, extent, step, to in zip(
        o.constant(1).reshape(-1), data.shape, boxes.steps(data.shape), boxes.steps(output.shape), strict=True
    ):
        size += [int(times), extent]
        source += [0, step]
        target += [extent * to, to]
    return [copy(o, data, output, size, Place(source), Place(target))]


def reverse_v2(o: Operation) -> list[Step]:
    """Backwards along some axes."""
    same(o, o.output())
    data = o.input()
    turned = {int(axis) % len(data.shape) for axis in o.constant(1).reshape(-1)}
    steps = boxes.steps(data.shape)
    start = sum((data.shape[axis] - 1) * steps[axis] for axis in turned)
    signed = [-step if axis in turned else step for axis, step in enumerate(steps)]
    return [copy(o, data, o.output(), data.shape, Place(signed, start))]


def pack(o: Operation) -> list[Step]:
    """Each input becomes one index along a new axis."""
    output = o.output()
    axis, to = o.option("axis") % len(output.shape), boxes.steps(output.shape)
    rest = [*to[:axis], *to[axis + 1 :]]
    found = []
    for number in range(len(o.op.inputs)):
        same(o, output, number)
        part = o.input(number)
        found.append(copy(o, part, output, part.shape, _dense(part), Place(rest, number * to[axis])))
    return found


def gather(o: Operation) -> list[Step]:
    """One copy for each index that is taken, all of them known."""
    same(o, o.output())
    data, output, indices = o.input(), o.output(), o.constant(1).reshape(-1)
    if o.option("batchDims"):
        raise UnsupportedError("has batch axes", data)
    axis, steps = o.option("axis") % len(data.shape), boxes.steps(data.shape)
    outer, inner = data.shape[:axis], data.shape[axis + 1 :]
    to = boxes.steps((*outer, len(indices), *inner))
    source, target = ([*places[:axis], *places[axis + 1 :]] for places in (steps, to))
    return [
        copy(
            o,
            data,
            output,
            (*outer, *inner),
            Place(source, int(at) * steps[axis]),
            Place(target, n * to[axis]),
        )
        for n, at in enumerate(indices)
    ]


def unpack(o: Operation) -> list[Step]:
    """One part for each index along an axis."""
    return _parts(o, 0, o.option("axis") % len(o.input().shape))


def nothing(_: Operation) -> list[Step]:
    """What names a variable or sets it up once: done when the library is generated."""
    return []


def read_variable(o: Operation) -> list[Step]:
    """A copy, because the variable may be assigned before all have read it."""
    variable = o.graph.tensors[o.variables[o.op.inputs[0]]]
    step = copy(o, variable, o.output(), variable.shape, _dense(variable))
    return [step]


def assign_variable(o: Operation) -> list[Step]:
    """A copy for the next inference."""
    variable = o.graph.tensors[o.variables[o.op.inputs[0]]]
    return [copy(o, o.input(1), variable, variable.shape, _dense(variable))]


def resize_nearest_neighbor(o: Operation) -> list[Step]:
    """Which pixel is nearest is known here: no arithmetic is left.

    Source: GetNearestNeighbor of reference/resize_nearest_neighbor.h, in its float32 arithmetic.
    """
    same(o, o.output())
    data, output = o.input().shape, o.output().shape
    o.fit(
        len(data) == len(output) == 4 and (data[0], data[3]) == (output[0], output[3]), o.input(), o.output()
    )
    o.fit(max(data) < _MOST_ROWS, o.input())
    layer = ResizeNearest(
        batches=data[0],
        input_height=data[1],
        input_width=data[2],
        output_height=output[1],
        output_width=output[2],
        bytes=data[3] * (o.input().bytes // o.input().elements),
        rows=_nearest(o, 1),
        columns=_nearest(o, 2),
    )
    return [o.step(layer, 0)]


def _nearest(o: Operation, axis: int) -> NDArray[np.int16]:
    """Which index of the input each of the output is, along an axis."""
    size, wanted = o.input().shape[axis], o.output().shape[axis]
    wide, narrow = np.float32(size), np.float32(wanted)
    align = o.option("alignCorners") and wanted > 1
    scale = (wide - 1) / (narrow - 1) if align else wide / narrow
    half = np.float32(0.5 if o.option("halfPixelCenters") else 0.0)
    places = (np.arange(wanted, dtype=np.float32) + half) * scale
    # C's roundf: halves away from zero, which places never are below
    whole = np.floor(places + np.float32(0.5)) if align else np.floor(places)
    return np.asarray(np.clip(whole, 0, size - 1), np.int16)


def resize_bilinear(o: Operation) -> list[Step]:
    """Which pixels are nearest and how near is known here: products are left."""
    o.need("int8", o.input(), o.output())
    same(o, o.output())
    data, output = o.input().shape, o.output().shape
    o.fit(
        len(data) == len(output) == 4 and (data[0], data[3]) == (output[0], output[3]), o.input(), o.output()
    )
    o.fit(max(data) < _MOST_ROWS, o.input())
    layer = ResizeBilinear(
        batches=data[0],
        input_height=data[1],
        input_width=data[2],
        output_height=output[1],
        output_width=output[2],
        channels=data[3],
        rows=_between(o, 1),
        columns=_between(o, 2),
    )
    return [o.step(layer, 0)]


def _between(o: Operation, axis: int) -> NDArray[np.int16]:
    """int16 [n, 3]: the indices of the input that each of the output lies between, how far behind the first.

    Source: ComputeInterpolationValuesInteger of reference/resize_bilinear.h.
    """
    size, wanted = o.input().shape[axis], o.output().shape[axis]
    if o.option("alignCorners") and wanted > 1:
        scale = (1024 * (size - 1) + (wanted - 1) // 2) // (wanted - 1)
    else:
        scale = (1024 * size + wanted // 2) // wanted
    places = np.arange(wanted, dtype=np.int64) * scale
    if o.option("halfPixelCenters"):
        places += scale // 2 - 512
    first = np.maximum(np.trunc(places / 1024).astype(np.int64), 0)
    second = np.minimum(np.trunc((places + 1023) / 1024).astype(np.int64), size - 1)
    o.fit(int(first.max()) < size and int(second.min()) >= 0, o.input(), o.output())
    return np.stack([first, second, places - 1024 * first], axis=1).astype(np.int16)


def _parts(o: Operation, number: int, axis: int) -> list[Step]:
    data = o.input(number)
    steps = list(boxes.steps(data.shape))
    found, start = [], 0
    for index in o.op.outputs:
        part = o.graph.tensors[index]
        same(o, part, number)
        # UNPACK drops the axis; of SPLIT_V each part has a size of its own.
        along = part.shape[axis] if len(part.shape) == len(data.shape) else 1
        shape = [*data.shape[:axis], along, *data.shape[axis + 1 :]]
        found.append(copy(o, data, part, shape, Place(steps, start * steps[axis])))
        start += along
    return found


def same(o: Operation, output: Tensor, number: int = 0) -> None:
    """Refuse a change of dtype or scale on the way."""
    data = o.input(number)
    if data.dtype not in ("int8", "float32") or data.dtype != output.dtype:
        raise UnsupportedError("is neither int8 nor float32", data, output)
    if data.dtype == "int8" and scaled(data) != scaled(output):
        raise UnsupportedError("has another scale than its input", output)


def _within(size: Sequence[int], place: Place, elements: int) -> bool:
    """Whether a box lies inside a tensor of so many elements."""
    reach = [step * (n - 1) for n, step in zip(size, place.steps, strict=True)]
    first = place.start + sum(min(far, 0) for far in reach)
    last = place.start + sum(max(far, 0) for far in reach)
    return min(size, default=1) > 0 and 0 <= first <= last < elements


def copy(
    o: Operation,
    data: Tensor,
    output: Tensor,
    size: Sequence[int],
    source: Place,
    target: Place | None = None,
) -> Step:
    """The call that copies a box of some size; to the start of a dense output unless a target is given."""
    place = target or Place(boxes.steps(size))
    inside = _within(size, source, data.elements) and _within(size, place, output.elements)
    o.fit(inside and data.dtype == output.dtype, data, output)
    box = boxes.merged(size, source.steps, place.steps)
    layer = Copy(box, source.start, place.start, data.bytes // data.elements)
    return Step(o.op.index, layer, (data.index,), output.index)
