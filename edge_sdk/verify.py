"""Proves that a model file is safe to load before this process loads it.

LiteRT dies with a segmentation fault on some damaged files, so an unknown file is loaded, invoked and
compared with its golden vectors in a child process first. The verdict is kept, together with the contract; a
file with a verdict is loaded straight away. What only an unknown file needs is imported only for one, which
keeps a device's start short.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_sdk import verdicts
from edge_sdk.contract import Contract
from edge_sdk.engine import open_engine
from edge_sdk.errors import ChildError, ChildTimeoutError, ModelError, first_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from edge_sdk import child
    from edge_sdk.graph import Graph
    from edge_sdk.modelfile import ModelFile
    from edge_sdk.runtimes import Port

#: Custom operators that every TFLite runtime has built in.
_KNOWN_CUSTOM = {"TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "NumericVerify"}
#: Inputs, or outputs, of one model.
_MOST_PORTS = 1000
_RULES = 4  # raised when verification itself changes, so that old verdicts no longer count
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Verified:
    """A model file that may be loaded into this process.

    Attributes:
        flatbuffer: exactly the bytes that were verified.
        digest: of the flatbuffer.
        contract: the one in the file, or None.
        labels: lines of labels.txt, for models without a contract.
        cached: a verdict was found; nothing was run.
        footprint: what it takes to run several windows at once, as `edge_sdk.batching.footprint`; None where
            that gave other outputs or crashed, or the batch axis is not open.
    """

    flatbuffer: bytes
    digest: str
    contract: Contract | None
    labels: tuple[str, ...]
    cached: bool
    footprint: dict[str, int] | None = None


def verify(
    file: str | PathLike[str],
    runtime: str,
    *,
    contract: Contract | None = None,
    worker: child.Worker | None = None,
) -> Verified:
    """Check a model file, running it in a child process unless that was done before.

    Args:
        file: the .tflite.
        runtime: name of the runtime that is going to load it.
        contract: that it will be used with, instead of the one in the file.
        worker: a child process to use again, where many files are checked.

    Raises:
        ModelError: it cannot be read, is damaged, needs operators that are not there, has another digest than
            its contract says, crashes the runtime, or no longer gives its golden outputs.
        ContractError: the contract in it is malformed.
    """
    file = os.fspath(file)
    data = _read(file)
    path = verdicts.place(data, runtime, contract, _RULES)
    known = verdicts.recall(path)
    if known is not None:
        found = Contract.trusted(known["contract"]) if known["contract"] else None
        return Verified(
            data[: known["bytes"]],
            known["digest"],
            found,
            tuple(known["labels"]),
            cached=True,
            footprint=known["footprint"],
        )
    from edge_sdk import modelfile

    parts = modelfile.split(data)
    graph = _check_graph(parts, file)
    found = _check_contract(parts, file)
    footprint = _run_elsewhere(file, runtime, graph, contract or found, worker)
    if _read(file) != data:
        raise ModelError(f"{file} changed while it was being verified", remedy="load it again")
    labels = _labels(parts, found)
    verdict = {
        "file": file,
        "bytes": len(parts.flatbuffer),
        "digest": parts.digest,
        "contract": found.as_dict() if found else None,
        "labels": labels,
        "footprint": footprint,
    }
    verdicts.remember(path, verdict)
    return Verified(parts.flatbuffer, parts.digest, found, labels, cached=False, footprint=footprint)


def _run_elsewhere(
    file: str, runtime: str, graph: Graph, contract: Contract | None, worker: child.Worker | None
) -> dict[str, int] | None:
    """Run a model in a child process.

    Returns:
        The footprint of its batches; None where it does not batch.
    """
    from edge_sdk import child  # not needed, and not paid for, where a verdict is found

    task = {
        "timeout_s": TIMEOUT_S,
        "file": os.path.abspath(file),
        "runtime": runtime,
        "contract": contract.as_dict() if contract else None,
    }
    own = None if worker else child.Worker()
    process: Any = worker or own
    try:
        process.call("edge_sdk.verify:examine", **task)
        if not all(graph.tensors[index].shape_signature[:1] == (-1,) for index in graph.inputs):
            return None
        try:
            footprint: dict[str, int] | None = process.call("edge_sdk.batching:rehearse", **task)
        except (ChildError, ModelError):
            return None  # one by one it runs
        return footprint
    except ChildTimeoutError as error:
        raise ModelError(
            f"{file}: the model does not finish",
            found=error.found,
            expected=error.expected,
            remedy="do not use it",
        ) from error
    except ChildError as error:
        raise ModelError(
            f"{file}: the model crashes the runtime {runtime!r}",
            found=error.found,
            remedy=_remedy(graph, contract),
        ) from error
    except ModelError as error:
        raise error.within(file) from error
    finally:
        if own is not None:
            own.close()


def _remedy(graph: Graph, contract: Contract | None) -> str:
    for index in graph.inputs:
        if contract is None and -1 in graph.tensors[index].shape_signature[1:]:
            return "it leaves a length open: say the window in [contract], see docs/models.md"
    return "convert the model again"


def read_checked(file: str | PathLike[str]) -> Verified:
    """Check a model file as far as that goes without running it.

    Args:
        file: the .tflite.

    Raises:
        ModelError: it cannot be read, is damaged, or has another digest than its contract says.
        ContractError: the contract in it is malformed.
    """
    from edge_sdk import modelfile

    file = os.fspath(file)
    parts = modelfile.split(_read(file))
    found = check_file(parts, file)
    return Verified(parts.flatbuffer, parts.digest, found, _labels(parts, found), cached=False)


def _labels(parts: ModelFile, contract: Contract | None) -> tuple[str, ...]:
    """Lines of labels.txt, of a model without a contract."""
    from edge_sdk import modelfile

    if contract is not None or modelfile.LABELS not in parts.members:
        return ()
    return tuple(parts.members[modelfile.LABELS].decode(errors="replace").splitlines())


def check_file(parts: ModelFile, file: str) -> Contract | None:
    """What can be checked without running anything: structure, operators, contract and digest.

    Raises:
        ModelError: it is not a usable .tflite.
        ContractError: the contract in it is malformed.
    """
    _check_graph(parts, file)
    return _check_contract(parts, file)


def _check_graph(parts: ModelFile, file: str) -> Graph:
    from edge_sdk.graph import read_graph

    try:
        graph = read_graph(parts.flatbuffer)
    except ModelError as error:
        error.remedy = error.remedy or "make a .tflite with: edgeml convert MODEL -o OUT.tflite"
        raise error.within(file) from error
    flex = [name for name in graph.custom_ops if name.startswith("Flex")]
    if flex:
        raise ModelError(
            f"{file} needs TensorFlow's own operators",
            expected="built-in TFLite operators only",
            found=first_of(flex),
            remedy="convert it without SELECT_TF_OPS",
        )
    foreign = sorted(set(graph.custom_ops) - _KNOWN_CUSTOM)
    if foreign:
        raise ModelError(
            f"{file} needs custom operators", expected="built-in TFLite operators", found=first_of(foreign)
        )
    unknown = [op.name for op in graph.ops if op.name.startswith(("UNKNOWN_", "PLACEHOLDER"))]
    if unknown:
        raise ModelError(f"{file} needs operators newer than this edgeml", found=first_of(unknown))
    _check_ports(graph, file)
    _check_order(graph, file)
    return graph


def _check_contract(parts: ModelFile, file: str) -> Contract | None:
    from edge_sdk.modelfile import CONTRACT
    from edge_sdk.schema import parse_contract

    if CONTRACT not in parts.members:
        return None
    contract = parse_contract(parts.members[CONTRACT], where=f"{file}: {CONTRACT}")
    if contract.digest != parts.digest:
        raise ModelError(
            f"{file} is not the model its contract was made for",
            expected=contract.digest or "a digest in the contract",
            found=parts.digest,
            remedy="copy or convert the model again",
        )
    return contract


def _check_ports(graph: Graph, file: str) -> None:
    if not graph.inputs or not graph.outputs:
        raise ModelError(f"{file} has no inputs or no outputs", remedy="convert the model again")
    if max(len(graph.inputs), len(graph.outputs)) > _MOST_PORTS:
        found = f"{len(graph.inputs):,} and {len(graph.outputs):,}"
        raise ModelError(f"{file}: inputs and outputs", expected=f"at most {_MOST_PORTS:,} each", found=found)
    if len(set(graph.inputs)) < len(graph.inputs):
        raise ModelError(f"{file}: the graph is damaged", found="one tensor as two inputs")


def _check_order(graph: Graph, file: str) -> None:
    """Every tensor is written once, before it is read: a runtime would read what lay in the memory before."""

    def check(holds: bool, what: str, tensor: int) -> None:
        if not holds:
            found = f"{what} {graph.tensors[tensor].name!r}"
            raise ModelError(f"{file}: the graph is damaged", found=found, remedy="convert the model again")

    empty = {tensor.index for tensor in graph.tensors if not tensor.elements}
    written = {*graph.inputs, *empty}
    written |= {tensor.index for tensor in graph.tensors if tensor.constant or tensor.variable}
    for op in graph.ops:
        for tensor in op.inputs:
            check(tensor == -1 or tensor in written, f"{op.name} reads before anything writes it:", tensor)
        for tensor in op.outputs:
            check(tensor not in written or tensor in empty, f"{op.name} writes what has its value:", tensor)
        written.update(op.outputs)
    for tensor in graph.outputs:
        check(tensor in written, "nothing writes the output", tensor)


def examine(file: str, runtime: str, contract: dict[str, Any] | None = None) -> dict[str, Any]:
    """In a child process: load the model, invoke it, compare it with its golden vectors.

    Args:
        file: the .tflite.
        runtime: name of the runtime.
        contract: says how long the axes are that the model leaves open.

    Returns:
        ``{"vectors": n, "max_error": e}``; n is 0 for a file without golden vectors, which is invoked once.

    Raises:
        ModelError: the runtime refuses it, or an output is off by more than the tolerance.
    """
    from edge_sdk.modelfile import GOLDEN, Golden, split

    parts = split(_read(file))
    engine = open_engine(runtime, parts.flatbuffer, contract=Contract.trusted(contract) if contract else None)
    if GOLDEN not in parts.members:
        zeros = [np.zeros(port.shape, port.dtype) for port in engine.inputs]
        engine.invoke(zeros)
        return {"vectors": 0, "max_error": 0.0}
    golden = Golden.from_bytes(parts.members[GOLDEN])
    _check_fit("inputs", golden.inputs, engine.inputs)
    _check_fit("outputs", golden.outputs, engine.outputs)
    worst = 0.0
    for i in range(len(golden)):
        outputs = engine.invoke([vectors[i : i + 1] for vectors in golden.inputs])
        for output, promised, tolerance in zip(outputs, golden.outputs, golden.tolerances, strict=True):
            errors = np.abs(output[0].astype(np.float64) - promised[i].astype(np.float64))
            error = float(np.max(np.where(np.isnan(errors), np.inf, errors), initial=0.0))
            if error > tolerance:
                raise ModelError(
                    "the model does not give its golden outputs on this machine",
                    expected=f"within {tolerance:g}",
                    found=f"off by {error:g}",
                    remedy="update the runtime or convert the model again",
                )
            worst = max(worst, error)
    return {"vectors": len(golden), "max_error": worst}


def _check_fit(side: str, vectors: Sequence[NDArray[Any]], ports: Sequence[Port]) -> None:
    expected = [f"{port.dtype} {list(port.shape[1:])}" for port in ports]
    found = [f"{array.dtype} {list(array.shape[1:])}" for array in vectors]
    if found != expected:
        raise ModelError(
            f"the golden {side} do not fit the model", expected=", ".join(expected), found=", ".join(found)
        )


def _read(file: str) -> bytes:
    from edge_sdk.errors import one_line

    try:
        with open(file, "rb") as opened:
            data = opened.read()
    except IsADirectoryError as error:
        raise ModelError(f"{file} is a folder", expected="a .tflite file") from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{file}: cannot be read", found=getattr(error, "strerror", one_line(error))
        ) from error
    if len(data) < 16:
        from edge_sdk.modelfile import sniff

        raise ModelError(
            f"{file}: not a TFLite model", found=sniff(data), remedy="copy or convert the model again"
        )
    return data
