"""Which operators stay float32 in an int8 model, and the proof that they did.

One 8-bit step for all channels ahead of the normalisation destroys a model whose channels have unlike units:
pressure in Pa leaves nothing of acceleration in g. So everything up to the first learned layer stays float32
and QUANTIZE follows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, Op

#: Operators that carry what training found.
LEARNED = frozenset(
    """
    CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED TRANSPOSE_CONV CONV_3D CONV_3D_TRANSPOSE BATCH_MATMUL SVDF
    LSTM RNN UNIDIRECTIONAL_SEQUENCE_LSTM UNIDIRECTIONAL_SEQUENCE_RNN BIDIRECTIONAL_SEQUENCE_LSTM
    BIDIRECTIONAL_SEQUENCE_RNN EMBEDDING_LOOKUP WHILE
    """.split()  # noqa: SIM905 - a table reads better than a column of strings
)
#: What gives numbers their units.
_UNITS = frozenset({"ADD", "SUB", "MUL", "DIV"})
#: Operators that move values, or mix neighbours of one scale: right before a learned one they are as good in
#: int8, and TensorFlow's quantizer puts QUANTIZE ahead of them whatever it is told.
MOVES = frozenset(
    """
    RESHAPE EXPAND_DIMS SQUEEZE TRANSPOSE PAD SPACE_TO_BATCH_ND STRIDED_SLICE SLICE UNPACK SPLIT SHAPE PACK
    REVERSE_V2 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
    """.split()  # noqa: SIM905
)


def float_prefix(graph: Graph, preprocessing: Collection[str] = ()) -> list[Op]:
    """The operators that must stay float32: those that depend on the input but on no learned layer.

    Args:
        graph: the float or calibrated model.
        preprocessing: names of Keras layers that only look learned: a spectrogram computed by convolution.

    Raises:
        ModelError: the model has no learned layer.
    """
    prefix, first = _walk(graph, preprocessing)
    if not first:
        raise ModelError(
            "nothing in this model can be quantized",
            expected="a convolution or dense layer",
            found=", ".join(sorted({op.name for op in graph.ops})) or "no operators",
            remedy="use --recipe float32",
        )
    kept = list(prefix)
    for op in reversed(prefix):
        ahead = {i for other in kept if other is not op for i in other.inputs}
        if op.name in MOVES and not ahead & set(op.outputs):
            kept.remove(op)
    return kept


def float_suffix(graph: Graph, preprocessing: Collection[str] = ()) -> list[Op]:
    """The operators that must stay float32 behind the last learned layer: they give numbers their units.

    101,325 Pa would need a scale from 0 on: one 8-bit step of 400 Pa. So a layer without weights that ends
    the model and only adds and multiplies computes on what is dequantized ahead of it.

    Args:
        graph: the float or calibrated model.
        preprocessing: names of layers without weights, wherever they stand.
    """
    suffix: list[Op] = []
    behind = set(graph.outputs)
    ahead = set(_walk(graph, preprocessing)[0])
    for op in reversed(graph.ops):
        if op in ahead or op.name not in _UNITS or not behind.issuperset(op.outputs):
            continue
        # TensorFlow names the last operator after the output: then what it reads tells where it belongs.
        names = [graph.tensors[i].name for i in (*op.outputs, *op.inputs) if i >= 0]
        if not any(_belongs(name, preprocessing) for name in names):
            continue
        suffix.append(op)
        readers = [other for other in graph.ops if other not in suffix]
        behind.update(i for i in op.inputs if not any(i in other.inputs for other in readers))
    return suffix[::-1]


def check_float_prefix(
    graph: Graph, preprocessing: Collection[str] = (), *, dtype: str = "int8", kept: Collection[str] = ()
) -> None:
    """Prove on a quantized model that its preprocessing is float32 and that QUANTIZE follows it, once.

    Args:
        graph: the quantized model.
        preprocessing: as in `float_prefix`.
        dtype: in which learned layers compute.
        kept: names of the outputs of learned operators that were left in float32 on purpose.

    Raises:
        ModelError: an operator ahead of the first learned layer computes in int8, or that layer does not.
    """
    remedy = "use --recipe dynamic_int8 or float32, and report the model"
    prefix, first = _walk(graph, preprocessing)
    for op in prefix:
        inside = op.name not in MOVES and op.name != "QUANTIZE"
        if op.name == "DEQUANTIZE" or (inside and any(graph.tensors[i].dtype == dtype for i in op.outputs)):
            raise ModelError(
                f"{op.name} ({title(_name(graph, op))}) ahead of the first learned layer lost precision",
                expected="float32 up to that layer, then QUANTIZE",
                found=op.name if op.name == "DEQUANTIZE" else dtype,
                remedy=remedy,
            )
    reached = {i for op in prefix for i in op.outputs} | set(graph.inputs)
    for op in first:
        if _name(graph, op) in kept:
            continue
        dtypes = {graph.tensors[i].dtype for i in op.inputs if i in reached}
        if dtypes != {dtype}:
            found = ", ".join(sorted(dtypes))
            raise ModelError(
                f"{op.name} ({title(_name(graph, op))}) was not quantized",
                expected=dtype,
                found=found,
                remedy=remedy,
            )


def title(tensor: str) -> str:
    """A tensor's name for people: ``seq/conv1/Relu;seq/conv1/BiasAdd`` is ``conv1/Relu``."""
    first = tensor.partition(";")[0]
    return first.partition("/")[2] or first


def _walk(graph: Graph, preprocessing: Collection[str]) -> tuple[list[Op], list[Op]]:
    """The operators ahead of every learned one, and the learned ones that come first on their paths."""
    ahead, behind = set(graph.inputs), set[int]()
    prefix, first = [], []
    for op in graph.ops:
        if behind.intersection(op.inputs):
            behind.update(op.outputs)
        elif ahead.intersection(op.inputs):
            if op.name in LEARNED and not _belongs(_name(graph, op), preprocessing):
                first.append(op)
                behind.update(op.outputs)
            else:
                prefix.append(op)
                ahead.update(op.outputs)
    return prefix, first


def _name(graph: Graph, op: Op) -> str:
    return graph.tensors[op.outputs[0]].name if op.outputs else ""


def _belongs(tensor: str, layers: Collection[str]) -> bool:
    """Whether a tensor such as ``model/stft_1/conv;model/stft_1/Reshape`` lies in one of these layers."""
    return any(_same_layer(part, layer) for part in _parts(tensor) for layer in layers)


def _parts(tensor: str) -> Iterator[str]:
    yield from re.split(r"[/;:]", tensor)


def _same_layer(part: str, layer: str) -> bool:
    # TensorFlow makes scope names unique by a suffix: the layer "stft" becomes "stft_1".
    return re.fullmatch(re.escape(layer) + r"(_\d+)?", part) is not None
