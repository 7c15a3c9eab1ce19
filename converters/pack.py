"""Puts everything that must travel with a model into its file: contract, golden vectors, labels, metadata."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from converters import metadata
from converters.evidence import Evidence
from converters.recipes import Recipe
from converters.verify import Verdict
from edge_sdk import modelfile
from edge_sdk.contract import Contract, Lineage, Tensor
from edge_sdk.graph import Graph, read_graph
from edge_sdk.model import Model
from edge_sdk.modelfile import CONTRACT, GOLDEN, LABELS, Golden

#: Real windows that travel with a model.
GOLDEN_VECTORS = 8
#: What a model may be judged by, as its lineage tells.
_FIGURES = ("accuracy", "error", "auc")
_PACKAGES = ("edgeml-kit", "numpy", "ai-edge-litert")


def complete(flatbuffer: bytes, contract: Contract) -> tuple[bytes, Contract]:
    """The flatbuffer with TFLite Metadata, and the contract with what is known from the flatbuffer.

    Metadata goes in before the digest is taken, so that the digest names exactly what a runtime loads.
    """
    states = {tensor.name: tensor.state for tensor in contract.tensors if tensor.role == "input"}
    tensors = (
        replace(tensor, state=states.get(tensor.name)) if tensor.role == "input" else tensor
        for tensor in tensors_of(read_graph(flatbuffer))
    )
    contract = replace(contract, tensors=tuple(tensors))
    flatbuffer = metadata.embed(flatbuffer, metadata.describe(contract))
    return flatbuffer, replace(contract, digest=modelfile.digest_of(flatbuffer))


def tensors_of(graph: Graph) -> tuple[Tensor, ...]:
    """A model's inputs and outputs, named as in its first signature; a dynamic axis is written as 1."""
    signature = next(iter(graph.signatures.values()), None)
    key = signature.name if signature else ""
    names = {i: name for s in [signature] if s for name, i in (*s.inputs.items(), *s.outputs.items())}

    def describe(role: Literal["input", "output"], index: int) -> Tensor:
        tensor = graph.tensors[index]
        shape = tuple(1 if n < 0 else n for n in tensor.shape_signature)
        return Tensor(role, names.get(index, tensor.name), tensor.dtype, shape, key)

    return (*(describe("input", i) for i in graph.inputs), *(describe("output", i) for i in graph.outputs))


def lineage(contract: Contract, recipe: Recipe, source: str | None, verdict: Verdict) -> Lineage:
    """What the contract says about where the model comes from.

    Args:
        contract: the one that training wrote.
        recipe: that was used.
        source: digest of what was converted; None for a function.
        verdict: of the comparison.
    """
    judged = verdict.judged
    before, after = (verdict.original, verdict.result) if judged is None else (judged.before, judged.after)
    names = [f"{figure}{which}" for figure in _FIGURES for which in ("", "_original")]
    unknown: dict[str, Any] = dict.fromkeys(names)
    made = replace(contract.lineage or Lineage(), recipe=recipe.name, source=source, **unknown)
    if before is None or after is None:
        return replace(made, interval=None, n=None)
    said: dict[str, Any] = {
        f"{after.figure}_original": round(before.value, 6),
        after.figure: round(after.value, 6),
    }
    low, high = after.interval
    return replace(made, interval=(round(low, 6), round(high, 6)), n=after.n, **said)


def versions(child: Mapping[str, str]) -> dict[str, str]:
    """Versions of what made the file: this process's packages and those of the converter's process."""
    found = {"python": platform.python_version(), **child}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, or another runtime
            continue
    return dict(sorted(found.items()))


def golden(file: Path, evidence: Evidence, recipe: Recipe) -> Golden:
    """A few of the inputs, spread over all of them, and what the converted model says to them.

    Args:
        file: the converted model.
        evidence: its inputs are taken.
        recipe: gives the tolerance, which grows with outputs that are larger than a probability.
    """
    chosen = np.unique(np.linspace(0, len(evidence) - 1, GOLDEN_VECTORS).round().astype(int))
    with Model.load(file) as model:
        runtime = model.runtime
        inputs = tuple(
            port.quantize(array[chosen]) for port, array in zip(runtime.inputs, evidence.inputs, strict=True)
        )
        said = [runtime.invoke([array[i : i + 1] for array in inputs]) for i in range(len(chosen))]
        outputs = tuple(np.concatenate(column) for column in zip(*said, strict=True))
        tolerances = tuple(
            recipe.tolerance
            * max(1.0, float(np.abs(port.dequantize(array)).max(initial=0.0)))
            / (port.scale or 1)
            for port, array in zip(runtime.outputs, outputs, strict=True)
        )
    return Golden(inputs, outputs, tolerances)


def members(contract: Contract | None, vectors: Golden | None) -> dict[str, bytes]:
    """The files behind the flatbuffer; a foreign model without a contract carries its golden vectors only."""
    found = {} if vectors is None else {GOLDEN: vectors.to_bytes()}
    if contract is not None:
        found[CONTRACT] = contract.to_json()
        if contract.output.labels:
            found[LABELS] = "".join(f"{label}\n" for label in contract.output.labels).encode()
    return found
