"""A float32 .tflite becomes the .tflite of a recipe. Everything here runs in a child process.

float16                        half          constants narrowed, widened when the model is loaded
weight_int8, dynamic_int8,     litert_quantizer, which needs no data
int4_weights
int8, int8_io, int16x8,        ranges measured by TensorFlow's calibrator (true minimum and maximum of every
mixed                          tensor over all representative windows), then TensorFlow's MLIR quantizer

Both quantizers take any float .tflite, whatever it was made from, so that a recipe means the same for a Keras
model and for one from PyTorch. The MLIR quantizer takes milliseconds, which is what lets `mixed` and `auto`
search by measuring. It is an internal of TensorFlow: hence the pin in pyproject.toml, and this one module.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters import half, int16, integer_io, lstm, prefix, recipes, rewrite
from converters.tensorflow import load_tensorflow
from edge_sdk.errors import MissingExtraError, ModelError, one_line
from edge_sdk.graph import Graph, read_graph

#: Layers with fewer weights than this gain nothing from dynamic quantization and lose speed.
_LEAST_DYNAMIC_WEIGHTS = 1024
#: int4 is for large matrices; a depthwise convolution has few weights, and no kernel takes them in int4.
_NOT_IN_INT4 = ("DEPTHWISE_CONV_2D",)
_BITS = {"weight_int8": 8, "dynamic_int8": 8, "int4_weights": 4}


def calibrate(model: str, windows: str, output: str) -> None:
    """Measure the range of every tensor over representative windows.

    Args:
        model: path of the float32 .tflite.
        windows: path of an .npz with one array [n, …] for each input, named "0", "1", …
        output: path that the model is written to, with the ranges in it.

    Raises:
        ModelError: it has loops, or the calibrator refuses it.
    """
    load_tensorflow()
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    flatbuffer = Path(model).read_bytes()
    graph = read_graph(flatbuffer)
    if any(op.name == "WHILE" for op in graph.ops):
        # The calibrator dies of it with a segmentation fault.
        raise ModelError(
            "a model with a loop cannot be quantized to integers",
            expected="recurrent layers that are fused or unrolled",
            found="WHILE",
            remedy="build its recurrent layers with unroll=True, or use --recipe weight_int8",
        )
    with np.load(windows) as arrays:
        inputs = [arrays[str(i)] for i in range(len(graph.inputs))]
    fused = lstm.is_fused(graph)
    try:
        flatbuffer = lstm.with_intermediates(flatbuffer) if fused else flatbuffer
        kept, outputs = _kept_apart(flatbuffer)
        calibrated = _with_outputs(bytes(Calibrator(kept).calibrate(lambda: _samples(inputs))), outputs)
    except (ValueError, RuntimeError) as error:
        raise ModelError("TensorFlow cannot calibrate this model", found=one_line(error)[:300]) from error
    Path(output).write_bytes(lstm.widen_cells(calibrated) if fused else calibrated)


def apply(
    model: str,
    output: str,
    recipe: str,
    *,
    preprocessing: Sequence[str] = (),
    kept: Sequence[str] = (),
    per_tensor: bool = False,
) -> dict[str, Any]:
    """Write the .tflite of a recipe.

    Args:
        model: path of the float32 .tflite; for a recipe that needs data, of what `calibrate` wrote.
        output: path to write.
        recipe: name of the recipe.
        preprocessing: names of layers that only look learned, as in `prefix.float_prefix`.
        kept: names of the outputs of operators that stay float32 besides the preprocessing.
        per_tensor: one scale a weight tensor instead of one a channel.

    Returns:
        ``float_ops``: names of the operators that compute in float32 behind the preprocessing, each once.

    Raises:
        ModelError: nothing in it can be quantized, the quantizer refuses it, or preprocessing lost precision.
    """
    flatbuffer, chosen = Path(model).read_bytes(), recipes.find(recipe)
    graph = read_graph(flatbuffer)
    whole = recipe in ("float32", "int8_io")
    ahead = [] if whole else prefix.float_prefix(graph, preprocessing)
    ahead += [] if whole else prefix.float_suffix(graph, preprocessing)
    names = [graph.tensors[i].name for op in ahead for i in op.outputs]
    if recipe == "float16":
        flatbuffer = half.narrow(flatbuffer, preprocessing)
    elif recipe in _BITS:
        flatbuffer = _quantize_weights(flatbuffer, recipe, names, per_tensor)
    elif chosen.needs_data:
        if chosen.activations == "int16":
            int16.check(graph, [*names, *kept])
        flatbuffer = _quantize_all(flatbuffer, chosen, [*names, *kept], per_tensor)
        quantized = read_graph(flatbuffer)
        if recipe == "int8_io":
            flatbuffer = integer_io.strip(flatbuffer)
        else:
            prefix.check_float_prefix(quantized, preprocessing, dtype=chosen.activations, kept=kept)
    Path(output).write_bytes(flatbuffer)
    return {"float_ops": _float_ops(read_graph(flatbuffer), {*names, *kept}) if chosen.needs_data else []}


def _kept_apart(flatbuffer: bytes) -> tuple[bytes, list[int]]:
    """The model with every activation among its outputs, and which outputs it had.

    The calibrator looks at an operator's inputs after it has run. By then ADD, MUL and others may have
    written their result over an input that nobody else reads: its range would be that of both. An output is
    never written over.
    """
    model = rewrite.unpack(flatbuffer)
    main = model.subgraphs[0]
    before = [int(index) for index in main.outputs]
    made = {int(index) for op in main.operators for index in op.outputs}
    floats = {index for index in made if main.tensors[index].type == schema.TensorType.FLOAT32}
    main.outputs = [*before, *sorted(floats - set(before))]
    return rewrite.repack(model), before


def _with_outputs(flatbuffer: bytes, outputs: list[int]) -> bytes:
    """The model with these outputs only."""
    model = rewrite.unpack(flatbuffer)
    model.subgraphs[0].outputs = outputs
    return rewrite.repack(model)


def _quantize_all(
    calibrated: bytes, recipe: recipes.Recipe, kept: Collection[str], per_tensor: bool
) -> bytes:
    load_tensorflow()
    from tensorflow.compiler.mlir.lite import types_pb2
    from tensorflow.lite.python.convert import mlir_quantize

    wide = recipe.activations == "int16"
    try:
        quantized = bytes(
            mlir_quantize(
                int16.symmetric(calibrated) if wide else calibrated,
                disable_per_channel=per_tensor,
                inference_type=types_pb2.QUANTIZED_INT16 if wide else types_pb2.QUANTIZED_INT8,
                denylisted_nodes=list(kept),
            )
        )
    except Exception as error:  # the quantizer raises its own types, ValueError, RuntimeError and more
        raise ModelError(
            f"TensorFlow's quantizer gives up on this model as {recipe.name}",
            expected="operators that it has integer rules for",
            found=one_line(error)[:300],
            remedy="take --recipe weight_int8 or float16",
        ) from error
    quantized = int16.fit_kernels(quantized) if wide else quantized
    return lstm.align_states(quantized) if lstm.is_fused(read_graph(quantized)) else quantized


def _quantize_weights(flatbuffer: bytes, recipe: str, kept: Collection[str], per_tensor: bool) -> bytes:
    try:
        from litert_quantizer import qtyping
        from litert_quantizer.quantizer import AlgorithmName, Quantizer
        from litert_quantizer.recipe_manager import RecipeManager
    except ModuleNotFoundError as error:
        raise MissingExtraError("the weight quantizer", "convert", error.name) from error

    granularity = qtyping.QuantGranularity.TENSORWISE if per_tensor else qtyping.QuantGranularity.CHANNELWISE
    manager = RecipeManager()

    def add(operation: str, bits: int) -> None:
        weights = qtyping.TensorQuantizationConfig(num_bits=bits, symmetric=True, granularity=granularity)
        dynamic = recipe == "dynamic_int8"
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=weights,
            compute_precision=qtyping.ComputePrecision.INTEGER if dynamic else qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=not dynamic,
            min_weight_elements=_LEAST_DYNAMIC_WEIGHTS if dynamic else 0,
        )
        manager.add_quantization_config(".*", qtyping.TFLOperationName(operation), config)

    add("*", _BITS[recipe])
    if recipe == "int4_weights":
        for operation in _NOT_IN_INT4:
            add(operation, 8)
    for name in kept:
        manager.add_quantization_config(
            f"(^|;){re.escape(name)}(;|$)",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    try:
        quantizer = Quantizer(bytearray(flatbuffer), manager.get_quantization_recipe())
        quantized = quantizer.quantize().quantized_model
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"the weights of this model cannot be stored as {recipe} does",
            found=one_line(error)[:300],
            remedy="use --recipe float16",
        ) from error
    return rewrite.repack(rewrite.unpack(bytes(quantized or b"")))  # constants at multiples of 16 bytes again


def _samples(inputs: Sequence[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    for sample in zip(*inputs, strict=True):
        yield [array[None] for array in sample]


def _float_ops(graph: Graph, kept: Collection[str]) -> list[str]:
    """Operators that compute in float32 although nobody asked for it: the quantizer has no rule for them."""
    found = set()
    for op in graph.ops:
        outputs = [graph.tensors[i] for i in op.outputs]
        if op.name not in ("DEQUANTIZE", "QUANTIZE") and any(t.dtype == "float32" for t in outputs):
            found |= {op.name} if not any(t.name in kept for t in outputs) else set()
    return sorted(found)
