"""Takes a .tflite flatbuffer apart into objects that can be changed, and puts it together again."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def unpack(flatbuffer: bytes) -> Any:
    """The model as the schema's generated object tree (`schema_py_generated.ModelT`).

    Constants of a large model may lie behind the flatbuffer; here they are with the others.
    """
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for buffer in model.buffers:
        if buffer.offset > 1 and buffer.size:
            buffer.data = np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def code_of(model: Any, op: Any) -> int:
    """An operator's number in `schema.BuiltinOperator`: writers fill two fields, the larger one counts."""
    code = model.operatorCodes[op.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def repack(model: Any) -> bytes:
    """The flatbuffer of such a tree; the same tree gives the same bytes."""
    model.buffers = [_Buffer(buffer) for buffer in model.buffers]
    builder = flatbuffers.Builder(1024 + sum(0 if b.data is None else len(b.data) for b in model.buffers))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A constant that starts at a multiple of 16 bytes.

    The schema asks for that (``force_align: 16``) and the generated Python writer forgets it; a
    microcontroller that reads weights straight from flash may fault without.
    """

    def __init__(self, buffer: Any) -> None:
        super().__init__()
        self.data, self.offset, self.size = buffer.data, buffer.offset, buffer.size

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated name
        data = None
        if self.data is not None and len(self.data):
            payload = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(payload), 16)
            builder.head -= len(payload)
            builder.Bytes[builder.head : builder.head + len(payload)] = payload
            builder.vectorNumElems = len(payload)
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return int(schema.BufferEnd(builder))
