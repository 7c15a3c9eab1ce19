"""What operators do to sound on its way to a log-mel spectrogram, as rules on what is known of tensors.

How a framework writes framing, transform and filters differs; what it computes does not. So samples are
followed as places in the window, each with a factor, and everything behind the transform as the few numbers
that it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c.fold import slices
from converters.c.layers import LogMel, PowerSpectrum
from converters.c.operation import Operation
from edge_sdk.graph import Tensor

#: The least number that the kernel's logarithm takes.
_LEAST = float(np.finfo(np.float32).tiny)
#: Numbers that are followed at most, sound of a minute, and the longest transform.
_MOST, _LONGEST = 1 << 22, 4096
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples on their way into frames.

    Attributes:
        place: int64, of the tensor's shape: which sample of the window; -1 is none.
        factor: of the tensor's shape.
    """

    place: NDArray[np.int64]
    factor: _Floats


@dataclass(frozen=True, slots=True)
class _Spectrum:
    """The transform of frames, or a part of it.

    Attributes:
        part: ``complex``, ``real``, ``imaginary`` or ``magnitude``; the last three ``squared`` or not.
    """

    frames: LogMel
    part: str
    squared: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """A row a frame: powers while there are no bands, then energies, then features.

    Attributes:
        layer: with what is known so far; its filters are the unit matrix times the power's factor at first.
        kind: ``power``, ``energy``, ``limited`` or ``features``.
    """

    layer: LogMel
    kind: str


Value = Samples | _Spectrum | Rows


class NotSoundError(Exception):
    """What an operator computes is no part of a spectrogram: there the search ends."""


def samples(tensor: Tensor) -> Samples | None:
    """What an input is at first, if it can be a window of sound."""
    one = tensor.shape[:1] in {(1,), (tensor.elements,)}
    if tensor.dtype != "float32" or tensor.elements > _MOST or not one:
        return None
    return Samples(np.arange(tensor.elements).reshape(tensor.shape), np.ones(tensor.shape))


def follow(o: Operation, known: Mapping[int, Value]) -> Value:
    """What an operator gives, by what is known of the tensors that it reads.

    Raises:
        NotSoundError: nothing that belongs to a spectrogram.
        UnsupportedError: a constant is missing; malformed ones raise whatever Python does.
    """
    rule = _RULES.get(o.op.name)
    if rule is None or o.option("fusedActivationFunction"):
        raise NotSoundError
    return rule(o, [known.get(index) for index in o.op.inputs])


def _move(o: Operation, values: Sequence[Value | None]) -> Value:
    """What gives the same values another shape, or only picks some; the latter of samples alone."""
    value, shape = values[0], o.output().shape
    if isinstance(value, Samples):
        return Samples(_moved(o, value.place, -1), _moved(o, value.factor, 0))
    if value is None or o.op.name not in _SAME or o.input().elements != o.output().elements or not shape:
        raise NotSoundError
    return value


def _moved(o: Operation, values: NDArray[Any], padding: int) -> NDArray[Any]:
    name = o.op.name
    if name == "GATHER":
        indices = o.constant(1)
        if o.option("batchDims") or (indices.size and indices.min() < 0):
            raise NotSoundError
        moved = np.take(values, indices, axis=o.option("axis"))
    elif name == "STRIDED_SLICE":
        moved = values[slices(o, values.ndim, [o.constant(n) for n in (1, 2, 3)])]
    elif name == "SLICE":
        starts, sizes = o.constant(1).reshape(-1), o.constant(2).reshape(-1)
        moved = values[tuple(slice(a, None if n < 0 else a + n) for a, n in zip(starts, sizes, strict=True))]
    elif name == "TRANSPOSE":
        moved = values.transpose(o.constant(1).reshape(-1))
    elif name == "PAD":
        moved = np.pad(values, o.constant(1).reshape(-1, 2), constant_values=padding)
    else:
        moved = values
    if moved.size > _MOST:
        raise NotSoundError
    return moved.reshape(o.output().shape)


def _transform(o: Operation, values: Sequence[Value | None]) -> Value:
    """Frames must be pieces of the window, a fixed way apart, under one and the same window function."""
    value, length = values[0], int(o.constant(1).reshape(-1)[-1])
    if not isinstance(value, Samples) or int(o.constant(1).reshape(-1)[0]) != 1 or o.input().shape[-2] != 1:
        raise NotSoundError
    if not 4 <= length <= _LONGEST or length & (length - 1):
        raise NotSoundError
    width = min(length, o.input().shape[-1])
    place = value.place.reshape(-1, o.input().shape[-1])[:, :width]
    factor = np.where(place < 0, 0, value.factor.reshape(-1, o.input().shape[-1])[:, :width])
    frame = 1 + max((int(n) for n in np.flatnonzero(factor.any(axis=0))), default=0)
    place, window = place[:, :frame], factor[0, :frame]
    hop = int(place[1, 0] - place[0, 0]) if len(place) > 1 else frame
    start = int(place[0, 0])
    expected = start + hop * np.arange(len(place))[:, None] + np.arange(frame)
    if start < 0 or hop < 1 or (place != expected).any() or (factor[:, :frame] != window).any():
        raise NotSoundError
    bins = length // 2 + 1
    none = np.zeros(bins, np.float32)
    spectrum = PowerSpectrum(length, window.astype(np.float32))
    layer = LogMel(
        spectrum, len(place), start, hop, np.eye(bins, dtype=np.float32), none, _LEAST, none + 1, none
    )
    return _Spectrum(layer, "complex")


def _part(part: str) -> Callable[[Operation, Sequence[Value | None]], Value]:
    def rule(o: Operation, values: Sequence[Value | None]) -> Value:
        value = values[0]
        if not isinstance(value, _Spectrum) or value.part != "complex":
            raise NotSoundError
        return replace(value, part=part)

    return rule


def _square(o: Operation, values: Sequence[Value | None]) -> Value:
    value = values[0]
    if not isinstance(value, _Spectrum) or value.part == "complex" or value.squared:
        raise NotSoundError
    return Rows(value.frames, "power") if value.part == "magnitude" else replace(value, squared=True)


def _multiply(o: Operation, values: Sequence[Value | None]) -> Value:
    value, number = _operands(o, values)
    if number is None:
        if o.op.inputs[0] != o.op.inputs[1]:
            raise NotSoundError
        return _square(o, values)
    return _scaled(o, value, number)


def _divide(o: Operation, values: Sequence[Value | None]) -> Value:
    value, number = _operands(o, values)
    if number is None or values[0] is None or not number.all():
        raise NotSoundError
    return _scaled(o, value, 1 / number)


def _scaled(o: Operation, value: Value, number: _Floats) -> Value:
    if isinstance(value, Samples):
        return replace(value, factor=value.factor * np.broadcast_to(number, value.factor.shape))
    if not isinstance(value, Rows):
        raise NotSoundError
    factor, layer = _row(o, number, value.layer.bands), value.layer
    if value.kind == "features":
        return replace(
            value, layer=replace(layer, scale=_f(layer.scale * factor), offset=_f(layer.offset * factor))
        )
    if value.kind == "limited":
        raise NotSoundError
    return replace(
        value, layer=replace(layer, filters=_f(layer.filters * factor), bias=_f(layer.bias * factor))
    )


def _add(o: Operation, values: Sequence[Value | None]) -> Value:
    value, number = _operands(o, values)
    if number is not None:
        return _raised(o, value, number)
    other = values[1]
    if not isinstance(value, _Spectrum) or not isinstance(other, _Spectrum):
        raise NotSoundError
    if {value.part, other.part} != {"real", "imaginary"} or not value.squared or not other.squared:
        raise NotSoundError
    return Rows(value.frames, "power")


def _subtract(o: Operation, values: Sequence[Value | None]) -> Value:
    value, number = _operands(o, values)
    if number is None:
        raise NotSoundError
    if values[0] is None:  # a number less the value
        return _raised(o, _scaled(o, value, np.array(-1.0)), number)
    return _raised(o, value, -number)


def _raised(o: Operation, value: Value, number: _Floats) -> Value:
    if not isinstance(value, Rows) or value.kind == "limited":
        raise NotSoundError
    layer, more = value.layer, _row(o, number, value.layer.bands)
    if value.kind == "features":
        return replace(value, layer=replace(layer, offset=_f(layer.offset + more)))
    return replace(value, layer=replace(layer, bias=_f(layer.bias + more)))


def _limit(o: Operation, values: Sequence[Value | None]) -> Value:
    value, number = _operands(o, values)
    if not isinstance(value, Rows) or value.kind not in ("power", "energy") or number is None:
        raise NotSoundError
    lowest = _row(o, number, value.layer.bands)
    if (lowest != lowest[0]).any() or not lowest[0] >= _LEAST:
        raise NotSoundError
    return Rows(replace(value.layer, lowest=float(lowest[0])), "limited")


def _bands(o: Operation, values: Sequence[Value | None]) -> Value:
    """The product with a constant matrix [bins, bands]."""
    value = values[0]
    if not isinstance(value, Rows) or value.kind not in ("power", "energy"):
        raise NotSoundError
    matrix = o.constant(1).astype(np.float64)
    if o.op.name == "FULLY_CONNECTED":
        matrix = matrix.T
    else:
        matrix = matrix.reshape(matrix.shape[-2:])
        matrix = matrix.T if o.option("adjY") else matrix
        if o.option("adjX"):
            raise NotSoundError
    layer = value.layer
    shape = o.input().shape[-1], o.output().shape[-1]
    if o.input(1).dtype != "float32" or matrix.shape != shape or shape[0] != layer.bands:
        raise NotSoundError
    given = o.constant(2) if o.has(2) else np.zeros(matrix.shape[1])
    bias, ones = _f(layer.bias @ matrix + given), np.ones(matrix.shape[1], np.float32)
    filters = _f(layer.filters @ matrix)
    return Rows(replace(layer, filters=filters, bias=bias, scale=ones, offset=0 * ones), "energy")


def _logarithm(o: Operation, values: Sequence[Value | None]) -> Value:
    value = values[0]
    if not isinstance(value, Rows) or value.kind == "features":
        raise NotSoundError
    layer = value.layer
    # Without a floor the graph gives -inf for silence, and the kernel does not.
    floored = value.kind == "limited" or ((layer.bias >= _LEAST).all() and (layer.filters >= 0).all())
    if not floored or len(layer.filters) > np.iinfo(np.int16).max or o.output().shape[-1] != layer.bands:
        raise NotSoundError
    return Rows(layer, "features")


def _operands(o: Operation, values: Sequence[Value | None]) -> tuple[Value, _Floats | None]:
    """The value, and the constant beside it; None where both are values."""
    one, other = values
    if one is not None and other is not None:
        return one, None
    value, at = (one, 1) if one is not None else (other, 0)
    assert value is not None
    return value, o.constant(at).astype(np.float64)


def _row(o: Operation, number: _Floats, bands: int) -> _Floats:
    """A constant that is the same for each frame, as [bands]."""
    rows = np.broadcast_to(number, o.output().shape).reshape(-1, bands)
    if (o.output().shape[-1] != bands and number.size > 1) or (rows != rows[0]).any():
        raise NotSoundError
    return np.array(rows[0])


def _f(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32)


_SAME = frozenset({"RESHAPE", "EXPAND_DIMS", "SQUEEZE"})
_RULES: Mapping[str, Callable[[Operation, Sequence[Value | None]], Value]] = {
    **dict.fromkeys([*_SAME, "GATHER", "STRIDED_SLICE", "SLICE", "TRANSPOSE", "PAD"], _move),
    "RFFT2D": _transform,
    "REAL": _part("real"),
    "IMAG": _part("imaginary"),
    "COMPLEX_ABS": _part("magnitude"),
    "SQUARE": _square,
    "MUL": _multiply,
    "DIV": _divide,
    "ADD": _add,
    "SUB": _subtract,
    "MAXIMUM": _limit,
    "FULLY_CONNECTED": _bands,
    "BATCH_MATMUL": _bands,
    "LOG": _logarithm,
}
