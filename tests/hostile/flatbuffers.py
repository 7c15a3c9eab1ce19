"""Crafted .tflite files: one good model with one thing changed."""

from __future__ import annotations

import copy
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from edge_sdk import modelfile
from tests import models
from tests.hostile import Case, Touch

Change = Callable[[Any], None]
_WINDOW, _WEIGHTS, _SHAPE, _FLAT, _LOGITS, _SCORES = range(6)
_RESHAPE, _DENSE, _SOFTMAX = range(3)
#: Not every runtime looks at what these change, and none is harmed.
_HARMLESS = {
    "signature_of_another_graph", "odd_ranges", "scale_of_none", "negative_scale", "long_description",
    "no_options", "other_options", "behind_long_name", "behind_many_members",
    "behind_golden_pickle",  # written anew
}  # fmt: skip
NAMES = {
    "newlines": "a\nb\r\nTraceback (most recent call last):\n",
    "megabyte": "n" * (1 << 20),
    "terminal": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "markup": "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "nul": "a\0b",
    "backwards": "\u202egnp.exe\u2066",
    "path": "../../../escaped",
    "format": "{0.__class__}%s%n",
    "empty": "",
    "patterns": "(((a+)+)+)+$" * 50,
}


def cases(folder: Path, every: int = 1) -> Iterator[Case]:
    """Cycles, sizes, constants, quantization, names, many operators, and archives behind the model.

    Args:
        folder: where the files go.
        every: how many cases on the next one is; some take seconds to make.
    """
    good, packed = models.flatbuffer(), models.packed()
    changes = {**_graphs(), **_sizes(), **_constants(), **_quantization(), **_subgraphs()}
    changes |= {f"name_{name}": _named(text) for name, text in NAMES.items()}
    made: dict[str, Callable[[], bytes]] = {
        name: partial(_changed, good, change) for name, change in changes.items()
    }
    made |= {name: partial(lambda data: data, data) for name, data in _bytes(good).items()}
    made |= {
        f"behind_{name}": partial(lambda members: good + _archive(members), members)
        for name, members in _members(packed, folder).items()
    }
    for name, make in list(made.items())[::every]:
        path = folder / f"{name}.tflite"
        path.write_bytes(make())
        harmless = name in _HARMLESS or name.startswith("name_")
        yield Case(name, path, may_pass=harmless, endless=name == "endless_loop")


def _changed(good: bytes, change: Change) -> bytes:
    model = rewrite.unpack(good)
    change(model)
    return rewrite.repack(model)


def _sets(part: str, index: int, **values: Any) -> Change:
    """Sets attributes of one tensor or operator of the main graph."""

    def change(model: Any) -> None:
        for name, value in values.items():
            setattr(getattr(model.subgraphs[0], part)[index], name, value)

    return change


def _tensor(index: int, **values: Any) -> Change:
    return _sets("tensors", index, **values)


def _op(index: int, **values: Any) -> Change:
    return _sets("operators", index, **values)


def _main(**values: Any) -> Change:
    def change(model: Any) -> None:
        for name, value in values.items():
            setattr(model.subgraphs[0], name, value)

    return change


def _graphs() -> dict[str, Change]:
    def reversed_order(model: Any) -> None:
        model.subgraphs[0].operators.reverse()

    def unwritten(model: Any) -> None:
        model.subgraphs[0].operators.pop()

    def twice(model: Any) -> None:
        model.subgraphs[0].operators.append(copy.deepcopy(model.subgraphs[0].operators[_SOFTMAX]))

    return {
        "cycle": _op(_RESHAPE, inputs=[_LOGITS, _SHAPE]),
        "own_output": _op(_DENSE, inputs=[_LOGITS, _WEIGHTS, -1]),
        "own_output_reshaped": _op(_RESHAPE, inputs=[_FLAT, _SHAPE]),
        "reversed": reversed_order,
        "unwritten_output": unwritten,
        "written_twice": twice,
        "writes_a_constant": _op(_RESHAPE, outputs=[_WEIGHTS]),
        "writes_the_input": _op(_RESHAPE, outputs=[_WINDOW]),
        "no_operators": _main(operators=[]),
        "no_inputs": _main(inputs=[]),
        "no_outputs": _main(outputs=[]),
        "input_twice": _main(inputs=[_WINDOW, _WINDOW]),
        "output_a_constant": _main(outputs=[_WEIGHTS]),
        "input_a_constant": _main(inputs=[_WEIGHTS]),
        "input_elsewhere": _main(inputs=[99]),
        "few_inputs": _op(_DENSE, inputs=[_FLAT]),
        "absent_inputs": _op(_DENSE, inputs=[-1, -1, -1]),
        "no_op_inputs": _op(_SOFTMAX, inputs=[]),
        "no_op_outputs": _op(_SOFTMAX, outputs=[]),
        "no_such_code": _op(_DENSE, opcodeIndex=7),
        "no_options": _op(_DENSE, builtinOptions=None, builtinOptionsType=0),
        "other_options": _op(
            _DENSE,
            builtinOptions=schema.Conv2DOptionsT(),
            builtinOptionsType=schema.BuiltinOptions.Conv2DOptions,
        ),
        "hundred_thousand_operators": _long(100_000),
        "hundred_thousand_outputs": _main(outputs=[_SCORES] * 100_000),
    }


def _long(count: int) -> Change:
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        code, empty = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
        code.version = 1
        model.operatorCodes.append(code)
        last = _SCORES
        for i in range(count):
            tensor, op = copy.copy(graph.tensors[_SCORES]), copy.copy(empty)
            tensor.name = f"t{i}"
            graph.tensors.append(tensor)
            op.opcodeIndex, op.inputs, op.outputs = 3, [last], [len(graph.tensors) - 1]
            graph.operators.append(op)
            last = op.outputs[0]
        graph.outputs = [last]
        model.signatureDefs = []

    return change


def _sizes() -> dict[str, Change]:
    most = (1 << 31) - 1

    def shaped(index: int, *shape: int) -> Change:
        return _tensor(index, shape=list(shape), shapeSignature=None)

    def target(*shape: int) -> Change:
        """Of the reshape, in its constant."""

        def change(model: Any) -> None:
            model.buffers[model.subgraphs[0].tensors[_SHAPE].buffer].data = np.array(shape, "<i4").view(
                np.uint8
            )

        return change

    return {
        "huge_input": shaped(_WINDOW, 1, most, most),
        "large_input": shaped(_WINDOW, 1, 1 << 20, 3000),
        "overflowing_input": shaped(_WINDOW, 1, *[1 << 16] * 4),
        "negative_input": shaped(_WINDOW, 1, -8, 3),
        "empty_input": shaped(_WINDOW, 1, 0, 3),
        "scalar_input": shaped(_WINDOW),
        "many_axes": shaped(_WINDOW, *[1] * 10_000),
        "unknown_shape": _tensor(_WINDOW, shape=None, shapeSignature=None),
        "negative_signature": _tensor(_WINDOW, shapeSignature=[-1, -8, -3]),
        "short_signature": _tensor(_WINDOW, shapeSignature=[-1]),
        "huge_weights": shaped(_WEIGHTS, most, most),
        "overflowing_weights": shaped(_WEIGHTS, *[1 << 16] * 4),
        "empty_weights": shaped(_WEIGHTS, 0, 24),
        "other_weights": shaped(_WEIGHTS, 24, 3),
        "huge_logits": shaped(_LOGITS, most, most),
        "overflowing_logits": shaped(_LOGITS, *[1 << 16] * 4),
        "huge_reshape": target(most, most),
        "negative_reshape": target(-1, -1),
        "empty_reshape": target(-1, 0),
        "large_fill": _filling(1 << 28),
        "huge_fill": _filling(most),
        "hidden_fill": _filling(1 << 30, told=1),
    }


def _filling(count: int, told: int | None = None) -> Change:
    """An operator that makes `count` numbers of a constant; the file may have `told` of fewer."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        for values in (np.array([count], "<i4"), np.array(1, "<f4"), np.array([0], "<i4")):
            buffer, tensor = schema.BufferT(), schema.TensorT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.name, tensor.shape, tensor.buffer = "c", list(values.shape), len(model.buffers) - 1
            tensor.type = schema.TensorType.FLOAT32 if values.dtype.kind == "f" else schema.TensorType.INT32
            graph.tensors.append(tensor)
        for shape in ([told or count], [1]):
            tensor = schema.TensorT()
            tensor.name, tensor.shape, tensor.buffer = "filled", shape, 0
            graph.tensors.append(tensor)
        for kind, inputs, output in (("FILL", [6, 7], 9), ("SUM", [9, 8], 10), ("ADD", [_SCORES, 10], 11)):
            code, op = schema.OperatorCodeT(), schema.OperatorT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
            code.version = 1
            model.operatorCodes.append(code)
            op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, inputs, [output]
            graph.operators.append(op)
        graph.tensors.append(copy.deepcopy(graph.tensors[_SCORES]))
        graph.outputs = [11]
        model.signatureDefs = []

    return change


def _constants() -> dict[str, Change]:
    def value(number: float) -> Change:
        def change(model: Any) -> None:
            weights = np.array(models.Linear().weights)
            weights[1, 2] = number
            model.buffers[1].data = np.frombuffer(weights.tobytes(), np.uint8)

        return change

    def cut(model: Any) -> None:
        model.buffers[1].data = model.buffers[1].data[:-3]

    def removed(model: Any) -> None:
        model.buffers[1].data = None

    def elsewhere(offset: int, size: int) -> Change:
        def change(model: Any) -> None:
            model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, offset, size

        return change

    return {
        "nan_weight": value(np.nan),
        "infinite_weight": value(np.inf),
        "cut_weights": cut,
        "no_weights": removed,
        "weights_as_shape": _tensor(_SHAPE, buffer=1),
        "shape_as_weights": _tensor(_WEIGHTS, buffer=2),
        "activation_in_weights": _tensor(_FLAT, buffer=1),
        "input_in_weights": _tensor(_WINDOW, buffer=1),
        "output_in_weights": _tensor(_SCORES, buffer=1),
        "no_such_buffer": _tensor(_WEIGHTS, buffer=1000),
        "no_such_type": _tensor(_WEIGHTS, type=99),
        "text_weights": _tensor(_WEIGHTS, type=schema.TensorType.STRING),
        "text_input": _tensor(_WINDOW, type=schema.TensorType.STRING),
        "resource_input": _tensor(_WINDOW, type=schema.TensorType.RESOURCE),
        "double_weights": _tensor(_WEIGHTS, type=schema.TensorType.FLOAT64),
        "external_past_end": elsewhere(1 << 40, 288),
        "external_overflow": elsewhere((1 << 64) - 8, 288),
        "external_inside": elsewhere(16, 1 << 30),
    }


def _quantization() -> dict[str, Change]:
    def quantized(scale: list[float], zero: list[int], axis: int = 0, **tensor: Any) -> Change:
        def change(model: Any) -> None:
            facts = schema.QuantizationParametersT()
            facts.scale, facts.zeroPoint, facts.quantizedDimension = scale, zero, axis
            _tensor(_WEIGHTS, quantization=facts, **tensor)(model)

        return change

    def ranged(model: Any) -> None:
        facts = schema.QuantizationParametersT()
        facts.min, facts.max = [np.nan, 3.0], [-np.inf]
        _tensor(_LOGITS, quantization=facts)(model)

    def int8(model: Any) -> None:
        model.buffers[1].data = np.ones(72, np.uint8)
        quantized([0.5] * 7, [1], 5, type=schema.TensorType.INT8)(model)

    return {
        "scale_of_two": quantized([1.0, 2.0], [0]),
        "scale_of_none": quantized([], [1, 2, 3]),
        "negative_scale": quantized([-1.0], [1 << 40]),
        "odd_axis": quantized([1.0, 1.0, 1.0], [0, 0, 0], 77),
        "odd_ranges": ranged,
        "int8_with_odd_scales": int8,
    }


def _subgraphs() -> dict[str, Change]:
    def calling(body: int) -> Change:
        """The main graph becomes a loop whose body is a graph that may be itself."""

        def change(model: Any) -> None:
            graph = model.subgraphs[0]
            true, forever, code, op = (
                schema.BufferT(),
                schema.SubGraphT(),
                schema.OperatorCodeT(),
                schema.OperatorT(),
            )
            true.data = np.array([1], np.uint8)
            model.buffers.append(true)
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
            code.version = 1
            model.operatorCodes.append(code)
            loop = schema.WhileOptionsT()
            loop.condSubgraphIndex, loop.bodySubgraphIndex = 1, body
            op.opcodeIndex, op.inputs, op.outputs = 3, [_WINDOW], [len(graph.tensors)]
            op.builtinOptions, op.builtinOptionsType = loop, schema.BuiltinOptions.WhileOptions
            answer = schema.TensorT()
            answer.name, answer.shape, answer.type = "true", [], schema.TensorType.BOOL
            answer.buffer = len(model.buffers) - 1
            forever.name, forever.inputs, forever.outputs, forever.operators = "forever", [0], [1], []
            forever.tensors = [copy.deepcopy(graph.tensors[_WINDOW]), answer]
            same = copy.deepcopy(forever)
            same.name, same.tensors, same.outputs = "same", same.tensors[:1], [0]
            model.subgraphs += [forever, same]
            graph.tensors.append(copy.deepcopy(graph.tensors[_WINDOW]))
            graph.tensors[-1].name = "last"
            graph.operators, graph.outputs = [op], [len(graph.tensors) - 1]
            model.signatureDefs = []

        return change

    def no_graph(model: Any) -> None:
        model.subgraphs = []

    def other_signature(model: Any) -> None:
        model.signatureDefs[0].subgraphIndex = 9

    def signature_elsewhere(model: Any) -> None:
        model.signatureDefs[0].inputs[0].tensorIndex = 999

    def version(model: Any) -> None:
        model.version = 4_000_000

    def described(model: Any) -> None:
        model.description = "d" * (1 << 20)

    return {
        "endless_loop": calling(2),
        "loop_in_itself": calling(0),
        "loop_of_nothing": calling(50),
        "no_graph": no_graph,
        "signature_of_another_graph": other_signature,
        "signature_elsewhere": signature_elsewhere,
        "large_version": version,
        "long_description": described,
    }


def _named(text: str) -> Change:
    """Every tensor and every name of the signature."""

    def change(model: Any) -> None:
        for index, tensor in enumerate(model.subgraphs[0].tensors):
            tensor.name = f"{text}{index}" if text else ""
        for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
            entry.name = text
        model.signatureDefs[0].signatureKey = text
        model.description = model.subgraphs[0].name = text

    return change


def _bytes(good: bytes) -> dict[str, bytes]:
    """What no writer of the schema would write."""
    name = good.index(b"weights")
    return {
        "name_no_text": good[:name] + b"\xff\xfe\xfd" + good[name + 3 :],
        "other_identifier": good[:4] + b"TFL2" + good[8:],
        "root_past_end": struct.pack("<I", 1 << 31) + good[4:],
        "root_in_itself": struct.pack("<I", 0) + good[4:],
        "one_table_many_times": models.amplified(1 << 20, 60_000),
    }


def _archive(members: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return whole.getvalue()


def _members(packed: bytes, folder: Path) -> dict[str, dict[str, bytes]]:
    """Archives behind a good model."""
    contract = json.loads(modelfile.split(packed).members[modelfile.CONTRACT])

    def holding(content: bytes) -> dict[str, bytes]:
        return {modelfile.CONTRACT: content}

    def changed(**values: Any) -> dict[str, bytes]:
        return holding(json.dumps({**contract, **values}).encode())

    def of_input(**values: Any) -> dict[str, bytes]:
        return changed(input={**contract["input"], **values})

    return {
        "other_digest": changed(digest="sha256:" + "0" * 64),
        "no_digest": changed(digest=None),
        "evil_name": changed(name="../../escaped", digest="\x1b[2J\n</script>" * 100),
        "long_name": changed(name="n" * (1 << 20)),
        "huge_window": of_input(window=1 << 62),
        "negative_window": of_input(window=-1),
        "huge_number": holding(b'{"schema": 1, "version": ' + b"9" * 100_000 + b"}"),
        "deep": holding(b"[" * 100_000 + b"]" * 100_000),
        "no_json": holding(b"\xff\xfe"),
        "pickle": holding(pickle.dumps(Touch(folder / "escaped.txt"))),
        "large_contract": holding(b" " * (100 << 20)),
        "many_members": {f"edgeml/{i}": bytes(63 << 20) for i in range(5)},
        "golden_pickle": {**changed(), modelfile.GOLDEN: pickle.dumps(Touch(folder / "escaped.txt"))},
        "run_elsewhere": {**changed(), modelfile.RUN: b'{"dataset": {"path": "/", "digest": ""}}'},
    }
