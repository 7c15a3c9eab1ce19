"""What to do about a model that an engine or a board does not take: remedies that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable

FIX_THE_BATCH = "fix the batch to 1, so that every size is known before the model runs"
#: What to build instead of an operator that an engine lacks, one line each.
_INSTEAD = {
    "GELU": "use relu or hard_silu in place of gelu",
    "TILE": "TILE comes from UpSampling2D: use Resizing(interpolation='nearest') or Conv2DTranspose",
    "RFFT2D": "compute the spectrogram ahead of the model, or as a convolution",
    "COMPLEX_ABS": "compute the spectrogram ahead of the model, or as a convolution",
    "POW": "use square, sqrt or a product in place of a power",
    "SELECT": "convert with a current converter, which writes SELECT_V2",
    "WHERE": FIX_THE_BATCH,
    "RANGE": FIX_THE_BATCH,
    "PACK": FIX_THE_BATCH,
    "SHAPE": FIX_THE_BATCH,
    "TOPK_V2": "leave post-processing out of the graph",
    "NON_MAX_SUPPRESSION_V4": "leave post-processing out of the graph",
    "NON_MAX_SUPPRESSION_V5": "leave post-processing out of the graph",
    "ONE_HOT": "feed one-hot inputs, or use an Embedding",
    "RANDOM_STANDARD_NORMAL": "leave noise layers out of what is exported",
    "RANDOM_UNIFORM": "leave noise layers out of what is exported",
    "CONV_3D": "use Conv2D or Conv1D with the third axis as channels",
    "CONV_3D_TRANSPOSE": "use Conv2DTranspose with the third axis as channels",
    "LSTM": "use a Keras LSTM, which converts to the fused UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "use an LSTM in one direction",
    "BIDIRECTIONAL_SEQUENCE_RNN": "use an LSTM in one direction",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "use an LSTM",
    "RNN": "use an LSTM",
    "ELU": "use relu or leaky_relu in place of elu",
    "EXP": "use relu in place of softplus, softmax in place of one's own exponentials",
    "BATCH_MATMUL": "use Dense layers, or a board with LiteRT",
    "L2_NORMALIZATION": "normalise ahead of the model",
    "RESIZE_BILINEAR": "use Resizing(interpolation='nearest')",
    "SVDF": "use Conv1D over the window",
    "LOG": "use relu in place of softplus; compute other logarithms ahead of the model",
}
_ELSEWHERE = "leave {} out of the graph, or take a board with LiteRT such as rpi4"


def operators(missing: Iterable[str]) -> list[str]:
    """What to do about operators that an engine lacks."""
    names = sorted(missing)
    known = list(dict.fromkeys(_INSTEAD[name] for name in names if name in _INSTEAD))
    rest = [name for name in names if name not in _INSTEAD]
    return known + ([_ELSEWHERE.format(", ".join(rest))] if rest else [])


def in_float(missing: Iterable[str]) -> list[str]:
    """What to do about operators that an engine has in int8 only."""
    names = ", ".join(sorted(missing))
    return [f"convert with --recipe int8; or replace {names}, which the converter leaves in float32"]


def in_integers(missing: Iterable[str], dtype: str) -> list[str]:
    """What to do about operators that an engine does not have in an integer dtype."""
    if dtype == "int16":
        return ["convert with --recipe int8"]
    return operators(missing)


def dtypes(odd: Iterable[str], taken: Iterable[str]) -> list[str]:
    """What to do about weights of a dtype that an engine does not take."""
    takes = set(taken)
    recipes = [recipe for recipe in ("int8", "float32") if recipe in takes]
    return [f"{', '.join(sorted(odd))} weights: convert with --recipe {' or '.join(recipes or ['int8'])}"]


HYBRID = "int8 weights with float32 activations: convert with --recipe int8"
OLD_RUNTIME = "convert with --recipe int8 or float32, or use a 64-bit system, whose LiteRT takes it"


def memory(peak: str, floats: bool) -> list[str]:
    """What to do about activations that do not fit into RAM.

    Args:
        peak: the operator at which most activations are alive.
        floats: whether learned layers compute in float32.
    """
    shrink = "a smaller input, or a stride or pooling in the first layers"
    where = f"; the peak is at {peak}" if peak else ""
    return ["convert with --recipe int8: a quarter of the activations"] * floats + [f"{shrink}{where}"]


def flash(floats: bool) -> list[str]:
    """What to do about a model that does not fit into flash."""
    smaller = "fewer channels or layers; depthwise separable convolutions in place of full ones"
    return ["convert with --recipe int8: a quarter of the weights"] * floats + [smaller]


def on_the_cpu(left: Iterable[str], floats: bool) -> list[str]:
    """What to do about operators that Vela leaves to the processor."""
    if floats:
        return ["convert with --recipe int8: the NPU computes in int8 and int16 only"]
    return list(dict.fromkeys(_INSTEAD[name] for name in sorted(left) if name in _INSTEAD))


def outside_xnnpack(activations: Iterable[str]) -> list[str]:
    """What to do about learned layers that XNNPACK does not take."""
    if "int16" in activations:
        return ["XNNPACK has no int16: use --recipe int8 or float32 where speed counts"]
    return []
