"""Reads a .tflite flatbuffer: tensors, operators, signatures, metadata. Nothing is executed.

The only .tflite reader of edgeml. Every offset is checked against the buffer, so a damaged file raises
`ModelError`; field numbers are those of TensorFlow's schema.fbs, version 3.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ModelError
from edge_sdk.modelfile import sniff
from edge_sdk.operators import NAMES

_IDENTIFIER = b"TFL3"
_CUSTOM = 32
#: TensorType of schema.fbs; None where numpy has no such dtype.
_DTYPES = [
    "float32",
    "float16",
    "int32",
    "uint8",
    "int64",
    "string",
    "bool",
    "int16",
    "complex64",
    "int8",
    "float64",
    "complex128",
    "uint64",
    "resource",
    "variant",
    "uint32",
    "uint16",
    "int4",
    "bfloat16",
    "int2",
    "uint4",
    "float8_e4m3fn",
    "float8_e5m2",
]
#: Types that numpy does not have but that have a size, bits an element.
_BITS = {"int4": 4, "uint4": 4, "int2": 2, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8}
#: How often a byte of a file may be read; its writers let some tensors share a name's or a shape's place.
_MOST_TIMES = 8
#: Tensors, operators or buffers: each takes a hundred times its size in the file to read.
_MOST_TABLES = 1 << 16
_NO_NUMPY = {"string", "resource", "variant", *_BITS}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of the main subgraph.

    Attributes:
        shape: a dynamic axis stands as 1 here and as -1 in `shape_signature`.
        scale: float32 [k], empty where not quantized; k is 1 or the size of `axis`.
        zero_point: int64 [k].
        axis: the axis that `scale` runs along.
        data: the constant's values, or None for an activation (or a type numpy does not have).
        variable: whether it keeps its values from one inference to the next.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int
    data: NDArray[Any] | None
    constant: bool
    variable: bool = False

    @property
    def elements(self) -> int:
        """Number of elements at the shape stored in the file."""
        return math.prod(self.shape)  # not numpy's, which overflows without a word

    @property
    def bytes(self) -> int:
        """Size at the shape stored in the file, bytes; 0 for types without a fixed size."""
        if self.dtype in _BITS:
            return (self.elements * _BITS[self.dtype] + 7) // 8
        return 0 if self.dtype in _NO_NUMPY else self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Op:
    """One operator call; an absent optional input is -1."""

    index: int
    name: str
    custom_code: str | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """A named interface: tensor indices by argument name."""

    name: str
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True, slots=True)
class Graph:
    """The main subgraph of a model, its signatures and its metadata buffers."""

    version: int
    subgraphs: int
    tensors: list[Tensor]
    ops: list[Op]
    inputs: list[int]
    outputs: list[int]
    description: str = ""
    signatures: dict[str, Signature] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)

    @property
    def custom_ops(self) -> list[str]:
        """Names of the custom operators, each once; TensorFlow's own start with ``Flex``."""
        return sorted({op.custom_code or "?" for op in self.ops if op.name == "CUSTOM"})


def read_graph(flatbuffer: bytes) -> Graph:
    """Read the structure of a .tflite flatbuffer.

    Args:
        flatbuffer: the file's bytes; a zip archive behind it does no harm.

    Raises:
        ModelError: not a TFLite flatbuffer, truncated, or an offset or index points outside.
    """
    if flatbuffer[4:8] != _IDENTIFIER:
        raise ModelError(
            "not a TFLite model", expected="the identifier TFL3 at byte 4", found=sniff(flatbuffer)
        )
    try:
        return _read_model(_Table(_File(flatbuffer), _uoffset(flatbuffer, 0)))
    except (struct.error, IndexError, ValueError, OverflowError, UnicodeDecodeError, MemoryError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            "the TFLite flatbuffer is damaged", found=str(error), remedy="copy or convert the model again"
        ) from error


class _File:
    """The bytes of a file, and how many of them may still be copied out of it.

    A vector may name one table a million times: a file of a megabyte would be read as a terabyte.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self._left = data, _MOST_TIMES * len(data)

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ModelError("the TFLite flatbuffer is damaged", found="one part of it in many places")


class _Table:
    """One flatbuffer table: fields by number, each read checked against the buffer."""

    def __init__(self, file: _File, at: int) -> None:
        self.file, self.data, self.at = file, file.data, at
        data = file.data
        vtable = at - struct.unpack_from("<i", data, at)[0]
        if vtable < 0:
            raise ModelError("the TFLite flatbuffer is damaged", found="a table outside the file")
        (size,) = struct.unpack_from("<H", data, vtable)
        self.fields = struct.unpack_from(f"<{max(size - 4, 0) // 2}H", data, vtable + 4)

    def _where(self, number: int) -> int:
        offset = self.fields[number] if number < len(self.fields) else 0
        return self.at + offset if offset else 0

    def scalar(self, number: int, code: str, default: int = 0) -> int:
        where = self._where(number)
        return int(struct.unpack_from("<" + code, self.data, where)[0]) if where else default

    def table(self, number: int) -> _Table | None:
        where = self._where(number)
        return _Table(self.file, where + _uoffset(self.data, where)) if where else None

    def _vector(self, number: int, item_bytes: int) -> tuple[int, int]:
        """Where a vector's items start, and how many there are."""
        where = self._where(number)
        if not where:
            return 0, 0
        start = where + _uoffset(self.data, where)
        (count,) = struct.unpack_from("<I", self.data, start)
        if start + 4 + count * item_bytes > len(self.data):
            raise ModelError("the TFLite flatbuffer is truncated", found=f"a vector of {count} past its end")
        return start + 4, count

    def array(self, number: int, dtype: str) -> NDArray[Any]:
        kind = np.dtype(dtype)
        start, count = self._vector(number, kind.itemsize)
        return np.frombuffer(self.data, kind, count, start)

    def integers(self, number: int) -> tuple[int, ...]:
        items = self.array(number, "<i4")
        self.file.spend(items.nbytes)
        return tuple(items.tolist())

    def text(self, number: int) -> str:
        start, count = self._vector(number, 1)
        self.file.spend(count)
        return self.data[start : start + count].decode()

    def tables(self, number: int) -> list[_Table]:
        start, count = self._vector(number, 4)
        if count > _MOST_TABLES:
            raise ModelError(
                "the TFLite model is too large",
                expected=f"at most {_MOST_TABLES:,} parts",
                found=f"{count:,}",
            )
        spots = range(start, start + 4 * count, 4)
        return [_Table(self.file, spot + _uoffset(self.data, spot)) for spot in spots]


def _uoffset(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def _read_model(model: _Table) -> Graph:
    subgraphs = model.tables(2)
    if not subgraphs:
        raise ModelError("the TFLite model has no graph", found="0 subgraphs")
    main = subgraphs[0]
    buffers = model.tables(4)
    tensors = [_read_tensor(i, table, buffers) for i, table in enumerate(main.tables(0))]
    codes = [_read_code(table) for table in model.tables(1)]
    graph = Graph(
        version=model.scalar(0, "I"),
        subgraphs=len(subgraphs),
        tensors=tensors,
        ops=[_read_op(i, table, codes) for i, table in enumerate(main.tables(3))],
        inputs=list(main.integers(1)),
        outputs=list(main.integers(2)),
        description=model.text(3),
        signatures=_read_signatures(model),
        metadata=_read_metadata(model, buffers),
    )
    used = [*graph.inputs, *graph.outputs]
    used += [i for op in graph.ops for i in (*op.inputs, *op.outputs) if i != -1]
    used += [i for s in graph.signatures.values() for i in (*s.inputs.values(), *s.outputs.values())]
    if any(not 0 <= i < len(tensors) for i in used):
        raise ModelError(
            "the TFLite flatbuffer is damaged", found="an operator on a tensor that does not exist"
        )
    return graph


def _read_code(table: _Table) -> tuple[str, str | None]:
    # builtin_code outgrew one byte; writers fill both fields and readers take the larger.
    code = max(table.scalar(0, "b"), table.scalar(3, "i"))
    name = NAMES[code] if 0 <= code < len(NAMES) else f"UNKNOWN_{code}"
    return name, table.text(1) if code == _CUSTOM else None


def _read_op(index: int, table: _Table, codes: list[tuple[str, str | None]]) -> Op:
    name, custom = codes[table.scalar(0, "I")]
    return Op(index, name, custom, table.integers(1), table.integers(2))


def _read_tensor(index: int, table: _Table, buffers: list[_Table]) -> Tensor:
    shape = table.integers(0)
    signature = table.integers(7) or shape
    if len(signature) != len(shape) or any(d < 0 for d in shape):
        raise ModelError("the TFLite flatbuffer is damaged", found=f"tensor {index} of shape {shape}")
    number = table.scalar(1, "b")
    if not 0 <= number < len(_DTYPES):
        raise ModelError("the TFLite flatbuffer is damaged", found=f"tensor {index} of type {number}")
    dtype = _DTYPES[number]
    raw = _constant(buffers[table.scalar(2, "I")])
    data = None
    if raw and dtype not in _NO_NUMPY:
        data = np.frombuffer(raw, dtype).reshape(shape)
    quantization = table.table(4)
    scale = quantization.array(2, "<f4") if quantization else np.empty(0, np.float32)
    zero_point = quantization.array(3, "<i8") if quantization else np.empty(0, np.int64)
    axis = quantization.scalar(6, "i") if quantization else 0
    return Tensor(
        index, table.text(3), shape, signature, dtype, scale, zero_point, axis, data, bool(raw),
        bool(table.scalar(5, "b")),
    )  # fmt: skip


def _constant(buffer: _Table) -> memoryview:
    """Its bytes where they lie: many tensors may share one."""
    whole = memoryview(buffer.data)
    start, count = buffer._vector(0, 1)
    if count:
        return whole[start : start + count]
    # Models over 2 GB keep their constants behind the flatbuffer; offset and size stand in fields 1 and 2.
    offset, size = buffer.scalar(1, "Q"), buffer.scalar(2, "Q")
    if offset <= 1 or not size:
        return whole[:0]
    if offset + size > len(whole):
        raise ModelError("the TFLite file is truncated", found="a constant past its end")
    return whole[offset : offset + size]


def _read_metadata(model: _Table, buffers: list[_Table]) -> dict[str, bytes]:
    found = {}
    for table in model.tables(6):
        content = _constant(buffers[table.scalar(1, "I")])
        model.file.spend(len(content))
        found[table.text(0)] = bytes(content)
    return found


def _read_signatures(model: _Table) -> dict[str, Signature]:
    signatures = {}
    for table in model.tables(7):
        if table.scalar(4, "I") != 0:
            continue
        maps = ({t.text(0): t.scalar(1, "I") for t in table.tables(number)} for number in (0, 1))
        signatures[table.text(2)] = Signature(table.text(2), *maps)
    return signatures
