"""Proves that a model file is safe to load before this process loads it.

LiteRT dies with a segmentation fault on some damaged files, so an unknown file is loaded, invoked and compared
with its golden vectors in a child process first. The verdict is kept under the digest of the whole file, the
runtime's version and the processor's features; a file with a verdict is loaded straight away.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk import child, modelfile, registry
from edge_sdk.contract import Contract
from edge_sdk.errors import ChildError, ChildTimeoutError, DeviceError, ModelError, first_of
from edge_sdk.graph import read_graph, sniff
from edge_sdk.modelfile import CONTRACT, GOLDEN, LABELS, Golden, ModelFile

#: Custom operators that every TFLite runtime has built in.
_KNOWN_CUSTOM = {"TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "NumericVerify"}
_RULES = 1  # raised when verification itself changes, so that old verdicts no longer count
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
    """

    flatbuffer: bytes
    digest: str
    contract: Contract | None
    labels: tuple[str, ...]
    cached: bool


def verify(file: Path, runtime: str, *, worker: child.Worker | None = None) -> Verified:
    """Check a model file, running it in a child process unless that was done before.

    Args:
        file: the .tflite.
        runtime: name of the runtime that is going to load it.
        worker: a child process to use again, where many files are checked.

    Raises:
        ModelError: it cannot be read, is damaged, needs operators that are not there, has another digest than
            its contract says, crashes the runtime, or no longer gives its golden outputs.
    """
    data = _read(file)
    parts = modelfile.split(data)
    verdict = _verdict_path(data, runtime)
    if verdict is not None and verdict.exists():
        contract = _trusted_contract(parts)
        return Verified(parts.flatbuffer, parts.digest, contract, _labels(parts.members, contract), cached=True)
    contract = check_file(parts, file)
    request = worker or child
    try:
        request.call("edge_sdk.verify:examine", timeout_s=TIMEOUT_S, file=str(file.absolute()), runtime=runtime)
    except ChildTimeoutError as error:
        raise ModelError(
            f"{file}: the model does not finish", found=error.found, expected=error.expected, remedy="do not use it"
        ) from error
    except ChildError as error:
        raise ModelError(
            f"{file}: the model crashes the runtime {runtime!r}", found=error.found, remedy="convert the model again"
        ) from error
    except ModelError as error:
        raise ModelError(
            f"{file}: {error.what}", expected=error.expected, found=error.found, remedy=error.remedy
        ) from error
    if _read(file) != data:
        raise ModelError(f"{file} changed while it was being verified", remedy="load it again")
    _remember(verdict, file, parts.digest, runtime)
    return Verified(parts.flatbuffer, parts.digest, contract, _labels(parts.members, contract), cached=False)


def check_file(parts: ModelFile, file: Path) -> Contract | None:
    """What can be checked without running anything: structure, operators, contract and digest.

    Raises:
        ModelError: it is not a usable .tflite.
        ContractError: the contract in it is malformed.
    """
    try:
        graph = read_graph(parts.flatbuffer)
    except ModelError as error:
        raise ModelError(
            f"{file}: {error.what}",
            expected=error.expected,
            found=error.found,
            remedy=error.remedy or "make a .tflite with: edgeml convert MODEL -o OUT.tflite",
        ) from error
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
        raise ModelError(f"{file} needs custom operators", expected="built-in TFLite operators", found=first_of(foreign))
    unknown = [op.name for op in graph.ops if op.name.startswith(("UNKNOWN_", "PLACEHOLDER"))]
    if unknown:
        raise ModelError(f"{file} needs operators newer than this edgeml", found=first_of(unknown))
    if not graph.inputs or not graph.outputs:
        raise ModelError(f"{file} has no inputs or no outputs", remedy="convert the model again")
    if CONTRACT not in parts.members:
        return None
    from edge_sdk.schema import parse_contract

    contract = parse_contract(parts.members[CONTRACT], where=f"{file}: {CONTRACT}")
    if contract.digest != parts.digest:
        raise ModelError(
            f"{file} is not the model its contract was made for",
            expected=contract.digest or "a digest in the contract",
            found=parts.digest,
            remedy="copy or convert the model again",
        )
    return contract


def examine(file: str, runtime: str) -> dict[str, Any]:
    """In a child process: load the model, invoke it, compare it with its golden vectors.

    Returns:
        ``{"vectors": n, "max_error": e}``; n is 0 for a file without golden vectors, which is invoked once.

    Raises:
        ModelError: the runtime refuses it, or an output is off by more than the tolerance.
    """
    parts = modelfile.split(Path(file).read_bytes())
    engine = registry.find("runtimes", runtime)(parts.flatbuffer, 1)
    if GOLDEN not in parts.members:
        zeros = [np.zeros(port.shape, port.dtype) for port in engine.inputs]
        engine.invoke(zeros)
        return {"vectors": 0, "max_error": 0.0}
    golden = Golden.from_bytes(parts.members[GOLDEN])
    port = engine.inputs[0]
    if golden.inputs.shape[1:] != port.shape[1:] or str(golden.inputs.dtype) != port.dtype:
        raise ModelError(
            "the golden vectors do not fit the model",
            expected=f"{port.dtype} {list(port.shape[1:])}",
            found=f"{golden.inputs.dtype} {list(golden.inputs.shape[1:])}",
        )
    outputs = np.stack([engine.invoke([vector[None]])[0][0] for vector in golden.inputs])
    if outputs.shape != golden.outputs.shape:
        raise ModelError("the golden outputs do not fit the model", found=f"{golden.outputs.shape}")
    errors = np.abs(outputs.astype(np.float64) - golden.outputs.astype(np.float64))
    worst = float(np.max(np.where(np.isnan(errors), np.inf, errors)))
    if worst > golden.tolerance:
        raise ModelError(
            "the model does not give its golden outputs on this machine",
            expected=f"within {golden.tolerance:g}",
            found=f"off by {worst:g}",
            remedy="update the runtime or convert the model again",
        )
    return {"vectors": len(outputs), "max_error": worst}


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except IsADirectoryError as error:
        raise ModelError(f"{file} is a folder", expected="a .tflite file") from error
    except OSError as error:
        raise ModelError(f"{file}: cannot be read", found=error.strerror) from error
    if len(data) < 16:
        raise ModelError(f"{file}: not a TFLite model", found=sniff(data), remedy="copy or convert the model again")
    return data


def _labels(members: Mapping[str, bytes], contract: Contract | None) -> tuple[str, ...]:
    if contract is not None or LABELS not in members:
        return ()
    return tuple(members[LABELS].decode(errors="replace").split("\n")[:-1])


def _trusted_contract(parts: ModelFile) -> Contract | None:
    if CONTRACT not in parts.members:
        return None
    return Contract.trusted(json.loads(parts.members[CONTRACT]))


def cache_folder() -> Path:
    """Where verdicts are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "edgeml" / "verified"


def _verdict_path(data: bytes, runtime: str) -> Path | None:
    package = registry.find("runtimes", runtime).package
    facts = "\n".join([hashlib.sha256(data).hexdigest(), runtime, _version(package), _cpu(), str(_RULES)])
    try:
        return cache_folder() / hashlib.sha256(facts.encode()).hexdigest()
    except RuntimeError:  # no home folder: a service user on a read-only system verifies at each start
        return None


def _version(package: str) -> str:
    """An installed package's version, from the name of its dist-info folder: importlib.metadata costs 20 ms."""
    import sys

    stem = package.replace("-", "_").lower() + "-"
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - a tenth of the time of Path.iterdir
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info") and name.lower().startswith(stem):
                return name[len(stem) : -len(".dist-info")]
    return "unknown"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(("flags", "Features")):
                    return platform.machine() + " " + " ".join(line.split())
    except OSError:
        pass
    return platform.machine()


def _remember(verdict: Path | None, file: Path, digest: str, runtime: str) -> None:
    if verdict is None:
        return
    note = {"file": str(file), "model": digest, "runtime": runtime}
    try:
        verdict.parent.mkdir(parents=True, exist_ok=True)
        modelfile.write_atomic(verdict, json.dumps(note).encode())
    except (OSError, DeviceError):
        return  # a read-only system verifies at each start
