"""The recipe int8_io: a model whose inputs and outputs are the integers that its layers compute in."""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from edge_sdk.errors import ModelError


def strip(flatbuffer: bytes) -> bytes:
    """A quantized model without the QUANTIZE ahead of it and the DEQUANTIZE behind it.

    Args:
        flatbuffer: a fully quantized .tflite with float32 inputs and outputs.

    Raises:
        ModelError: an input does more than be quantized, or an output was not computed in integers.
    """
    model = rewrite.unpack(flatbuffer)
    main = model.subgraphs[0]
    inner = {side: _inner(model, main, side) for side in ("inputs", "outputs")}
    gone = {id(op) for found in inner.values() for op, _ in found.values()}
    main.operators = [op for op in main.operators if id(op) not in gone]
    for side, found in inner.items():
        setattr(main, side, [found[int(i)][1] if int(i) in found else int(i) for i in getattr(main, side)])
        for signature in model.signatureDefs or []:
            for entry in getattr(signature, side):
                if entry.tensorIndex in found:
                    entry.tensorIndex = found[entry.tensorIndex][1]
    return rewrite.repack(model)


def _inner(model: Any, main: Any, side: str) -> dict[int, tuple[Any, int]]:
    """For each float32 input (output) the operator that converts it, and the tensor on its other side."""
    wanted = schema.BuiltinOperator.QUANTIZE if side == "inputs" else schema.BuiltinOperator.DEQUANTIZE
    here, there = ("inputs", "outputs") if side == "inputs" else ("outputs", "inputs")
    found = {}
    for index in map(int, getattr(main, side)):
        if main.tensors[index].type != schema.TensorType.FLOAT32:
            continue
        ops = [op for op in main.operators if index in map(int, getattr(op, here))]
        if len(ops) != 1 or rewrite.code_of(model, ops[0]) != wanted:
            name = main.tensors[index].name.decode(errors="replace")
            raise ModelError(
                f"the {side[:-1]} {name!r} cannot be int8",
                expected="a layer that computes in int8 "
                + ("behind it" if side == "inputs" else "ahead of it"),
                found="operators that stay float32",
                remedy="take --recipe int8, which keeps inputs and outputs float32",
            )
        found[index] = (ops[0], int(getattr(ops[0], there)[0]))
    return found
