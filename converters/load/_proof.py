"""Proves that the .tflite a loader wrote computes what the original does, and reads its names from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.load import Port
from converters.load.arrays import Runner
from converters.load.ports import TOLERANCE
from converters.load.shapes import Shape
from edge_sdk.errors import ModelError, first_of
from edge_sdk.graph import Graph, Signature, read_graph

Named = Mapping[str, NDArray[Any]]
#: Fake-quantization turns a rounding difference into a whole step: as a share of the outputs' spread.
_COARSE = 0.1


@dataclass(frozen=True, slots=True)
class Names:
    """The original's names of a .tflite's inputs and outputs, in the .tflite's order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def names(flatbuffer: bytes, inputs: Sequence[str], outputs: Mapping[str, str]) -> Names:
    """Who is who, told by the signature in the file.

    Args:
        flatbuffer: the .tflite.
        inputs: names in the original, which the signature has too.
        outputs: names in the original by those in the signature.

    Raises:
        ModelError: an input or output of the original is not in the file, or two became one.
    """
    graph = read_graph(flatbuffer)
    signature = next(iter(graph.signatures.values()), Signature("", {}, {}))
    found = Names(
        _in_order(graph.inputs, signature.inputs, {name: name for name in inputs}),
        _in_order(graph.outputs, signature.outputs, outputs),
    )
    for kind, here, there in (("input", found.inputs, inputs), ("output", found.outputs, outputs.values())):
        lost = sorted(set(there) - set(here))
        if lost or len(here) != len(graph.inputs if kind == "input" else graph.outputs):
            raise ModelError(
                f"an {kind} of the model is lost in conversion",
                expected=first_of(there, 8),
                found=first_of(here, 8) or "none",
                remedy=f"leave out what is not used, and {kind}s that are one and the same",
            )
    return found


def _in_order(
    indices: Sequence[int], signature: Mapping[str, int], named: Mapping[str, str]
) -> tuple[str, ...]:
    by_index = {index: name for name, index in signature.items()}
    known = [by_index[index] for index in indices if index in by_index]
    return tuple(named[name] for name in known if name in named)


def samples(inputs: Mapping[str, tuple[Shape, str]], count: int = 2) -> list[dict[str, NDArray[Any]]]:
    """Random inputs with a batch of 1; integers stay small, so that an embedding's table is not left.

    Args:
        inputs: shape and dtype by name.
        count: how many.
    """
    made = []
    for seed in range(1, count + 1):
        rng = np.random.default_rng(seed)
        sample = {}
        for name, (shape, dtype) in inputs.items():
            sizes = [1 if size is None else size for size in shape]
            floating = dtype.startswith(("float", "bfloat"))
            values = rng.normal(size=sizes) if floating else rng.integers(0, 2, sizes)
            sample[name] = values.astype(dtype)
        made.append(sample)
    return made


def check(
    flatbuffer: bytes,
    found: Names,
    given: Sequence[Named],
    expected: Sequence[Named],
    *,
    coarse: bool = False,
) -> None:
    """Run the file on random inputs against the original.

    Args:
        flatbuffer: the .tflite.
        found: its names.
        given: inputs by name.
        expected: what the original gave for each.
        coarse: whether the model is fake-quantized.

    Raises:
        ModelError: an output is another one than the original's.
    """
    for inputs, outputs in zip(given, expected, strict=True):
        # A new interpreter each time: a fused LSTM would start where the last window left it.
        got = Runner(flatbuffer)([inputs[name] for name in found.inputs])
        for name, ours in zip(found.outputs, got, strict=True):
            _compare(name, np.asarray(outputs[name], np.float64), np.asarray(ours, np.float64), coarse)


def _compare(name: str, theirs: NDArray[np.float64], ours: NDArray[np.float64], coarse: bool) -> None:
    limit = _COARSE if coarse else TOLERANCE
    what = "the converted model does not compute what the original does"
    if ours.shape != theirs.shape:
        raise ModelError(
            what, expected=f"{name} of shape {list(theirs.shape)}", found=f"shape {list(ours.shape)}"
        )
    finite = np.isfinite(theirs)
    if not finite.all():
        raise ModelError(
            f"the original itself puts out NaN or infinity in {name}",
            found="on random normal inputs",
            remedy="guard its logarithms, roots and divisions",
        )
    spread = max(float(np.abs(theirs).max(initial=0.0)), 1e-6)
    worst = float(np.abs(ours - theirs).max(initial=0.0)) / spread
    if not worst <= limit:
        raise ModelError(
            what,
            expected=f"{name} within {limit:g} of its spread",
            found="NaN" if np.isnan(worst) else f"off by {worst:.2g}",
            remedy="export it for inference, without random operations, then try again",
        )


def check_constants(flatbuffer: bytes) -> None:
    """Refuse NaN and infinity among the weights of a file, and sizes of zero.

    Raises:
        ModelError: naming the tensor.
    """
    for tensor in read_graph(flatbuffer).tensors:
        if tensor.elements == 0:
            # An integer tensor of no elements is a scalar's shape; an open size may be stored as 0.
            if tensor.dtype.startswith("float") and -1 not in tensor.shape_signature:
                raise ModelError(f"the tensor {tensor.name!r} is empty", found=f"shape {list(tensor.shape)}")
            continue
        data = tensor.data
        if data is None or data.dtype.kind != "f":
            continue
        # A single infinity is a mask's or a maximum's start; among weights it is damage.
        if np.isnan(data).any() or (data.size > 1 and not np.isfinite(data).all()):
            raise ModelError(
                "NaN or infinity among the weights",
                expected="finite numbers",
                found=tensor.name,
                remedy="train the model again, with a smaller learning rate",
            )


def ports(order: Sequence[str], arrays: Named) -> tuple[Port, ...]:
    """Ports of these names; dtypes as in the arrays."""
    return tuple(Port(name=name, dtype=str(arrays[name].dtype)) for name in order)


def has_ranges(flatbuffer: bytes) -> bool:
    """Whether fake-quantization survived in a float model, as QUANTIZE and DEQUANTIZE."""
    graph = read_graph(flatbuffer)
    return any(op.name in ("QUANTIZE", "FAKE_QUANT") for op in graph.ops)


def check_ranges(floating: bytes, integer: bytes) -> list[str]:
    """Prove that an int8 model has the ranges that its float form was trained with.

    Args:
        floating: the float .tflite, with QUANTIZE and DEQUANTIZE where the original fake-quantizes.
        integer: what the converter made of it.

    Returns:
        Operators with weights or activations that stay float32, each once.

    Raises:
        ModelError: there are no ranges, or one of them is not in the result.
    """
    before, after = read_graph(floating), read_graph(integer)
    wanted = {scale for op in before.ops if op.name == "QUANTIZE" for scale in _scales(before, op.outputs)}
    if not wanted:
        raise ModelError(
            "this model has no ranges of its own",
            expected="fake-quantization from quantization-aware training",
            found="none",
            remedy="use --recipe int8",
        )
    got = {scale for op in after.ops for scale in _scales(after, (*op.inputs, *op.outputs))}
    lost = sorted(scale for scale in wanted if not any(_same(scale, other) for other in got))
    if lost:
        raise ModelError(
            "a range that the model was trained with was not honoured",
            expected="a scale of " + first_of(f"{scale[0]:.6g}" for scale in lost),
            found="other scales",
            remedy="fake-quantize the output of each layer and its weights once",
        )
    return sorted(
        {
            op.name
            for op in after.ops
            if op.name not in ("QUANTIZE", "DEQUANTIZE")
            and any(after.tensors[i].dtype == "float32" for i in op.outputs)
        }
    )


def _scales(graph: Graph, indices: Sequence[int]) -> list[tuple[float, ...]]:
    return [
        tuple(map(float, graph.tensors[i].scale)) for i in indices if i >= 0 and graph.tensors[i].scale.size
    ]


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-5, atol=0)
