"""TFLite Metadata: what other tools (MediaPipe, Android Studio) read of a model's inputs, outputs and labels.

A flatbuffer of its own inside the model, under the name TFLITE_METADATA. Field numbers are those of
metadata_schema.fbs of tflite-support, whose own writer cannot be installed beside today's TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from edge_sdk.contract import Contract
from edge_sdk.modelfile import LABELS

NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
#: Every field written here was in the first version of the schema.
_MIN_PARSER_VERSION = "1.0.0"
_TENSOR_AXIS_LABELS = 2
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_NORMALIZATION_OPTIONS = 1
_COLOR_SPACES = {3: 1, 1: 2}  # channels -> RGB, GRAYSCALE


def embed(flatbuffer: bytes, metadata: bytes) -> bytes:
    """The model with a TFLite Metadata buffer, in place of the one it had.

    Args:
        flatbuffer: a .tflite without the zip behind it.
        metadata: what `describe` returned.
    """
    model = rewrite.unpack(flatbuffer)
    entries = model.metadata or []
    entry = next((e for e in entries if e.name in (NAME, NAME.encode())), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = NAME, len(model.buffers)
        model.metadata = [*entries, entry]
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(metadata, np.uint8)
    return rewrite.repack(model)


def describe(contract: Contract) -> bytes:
    """The TFLite Metadata of a model with this contract.

    Normalisation is written as mean 0, standard deviation 1: it lies in the graph, and a tool that applied it
    once more would spoil the input. The channels' physical ranges are the input's statistics.
    """
    builder = flatbuffers.Builder(1024)
    tensors = {role: [t.name for t in contract.tensors if t.role == role] for role in ("input", "output")}
    inputs = [_input(builder, contract, name) for name in tensors["input"] or ["input"]]
    outputs = [_output(builder, contract, name) for name in tensors["output"] or ["output"]]
    name, version = builder.CreateString(contract.name), builder.CreateString(contract.version)
    meaning = builder.CreateString(f"{contract.task} model, made with edgeml")
    graph = _table(builder, 10, {2: _offsets(builder, inputs), 3: _offsets(builder, outputs)})
    parser = builder.CreateString(_MIN_PARSER_VERSION)
    root = _table(builder, 8, {0: name, 1: meaning, 2: version, 3: _offsets(builder, [graph]), 7: parser})
    builder.Finish(root, _IDENTIFIER)
    return bytes(builder.Output())


def _input(builder: flatbuffers.Builder, contract: Contract, name: str) -> int:
    channels = contract.input.channels
    units = ", ".join(f"{c.name} [{c.unit}]" if c.unit else c.name for c in channels)
    image = contract.input.layout == "HWC"
    rate = "" if contract.input.rate_hz is None else f" at {contract.input.rate_hz:g} Hz"
    what = f"an image: {units}" if image else f"{contract.input.window} samples{rate} of {units}"
    title, meaning = builder.CreateString(name), builder.CreateString(what)
    if image:
        space = _COLOR_SPACES.get(len(channels), 0)
        content = _union(builder, _IMAGE_PROPERTIES, _table(builder, 2, {}, {0: space}))
    else:
        content = _union(builder, _FEATURE_PROPERTIES, _table(builder, 0, {}))
    mean, std = _floats(builder, [0.0]), _floats(builder, [1.0])
    unit = _union(builder, _NORMALIZATION_OPTIONS, _table(builder, 2, {0: mean, 1: std}))
    fields = {0: title, 1: meaning, 3: content, 4: _offsets(builder, [unit])}
    ranges = [channel.range for channel in channels if channel.range is not None]
    if len(ranges) == len(channels):
        highs, lows = _floats(builder, [r[1] for r in ranges]), _floats(builder, [r[0] for r in ranges])
        fields[5] = _table(builder, 2, {0: highs, 1: lows})
    return _table(builder, 7, fields)


def _output(builder: flatbuffers.Builder, contract: Contract, name: str) -> int:
    what = f"{contract.output.scores} of {', '.join(contract.output.labels) or 'the value'}"
    title, meaning = builder.CreateString(name), builder.CreateString(what)
    content = _union(builder, _FEATURE_PROPERTIES, _table(builder, 0, {}))
    fields = {0: title, 1: meaning, 3: content}
    if contract.output.labels:
        file, about = builder.CreateString(LABELS), builder.CreateString("Labels in the order of the scores.")
        labels = _table(builder, 5, {0: file, 1: about}, {2: _TENSOR_AXIS_LABELS})
        fields[6] = _offsets(builder, [labels])
    return _table(builder, 7, fields)


def _table(
    builder: flatbuffers.Builder, slots: int, offsets: dict[int, int], enums: dict[int, int] | None = None
) -> int:
    builder.StartObject(slots)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (enums or {}).items():
        builder.PrependUint8Slot(slot, value, 0)
    return int(builder.EndObject())


def _union(builder: flatbuffers.Builder, kind: int, value: int) -> int:
    """A table whose only field is a union: its type in slot 0, its value in slot 1."""
    return _table(builder, 3, {1: value}, {0: kind})


def _offsets(builder: flatbuffers.Builder, items: Sequence[int]) -> int:
    return _vector(builder, items, builder.PrependUOffsetTRelative)


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    return _vector(builder, values, builder.PrependFloat32)


def _vector(builder: flatbuffers.Builder, items: Sequence[Any], prepend: Callable[[Any], Any]) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        prepend(item)
    return int(builder.EndVector())
