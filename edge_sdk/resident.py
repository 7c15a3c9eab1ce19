"""What a worker does on a device: takes model files, proves, runs and times them.

Needs numpy and a TFLite runtime there, and nothing else. Its functions are called through `edge_sdk.remote`;
files lie in the worker's own folder, loaded models in its memory, and both end with it.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_sdk import latency, registry
from edge_sdk.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.runtimes import Port, Runtime

#: Of an inference, that waking up could be a good part of.
_SHORT_S = 0.05
#: By the name of the file.
_loaded: dict[str, Runtime] = {}


def loaded(name: str) -> Runtime:
    """The engine of a loaded model, by the name of its file."""
    return _loaded[name]


def probe(runtime: str) -> None:
    """Find out whether a runtime is installed.

    Raises:
        MissingExtraError: it is not.
        UnknownNameError: there is none of that name.
    """
    found = registry.find("runtimes", runtime)
    if hasattr(found, "probe"):
        found.probe()


def receive(name: str, part: str, offset: int) -> None:
    """Write a part of a file, base64, at an offset in bytes."""
    with Path(name).open("r+b" if offset else "wb") as file:
        file.seek(offset)
        file.write(base64.b64decode(part))


def load(
    name: str, sha256: str, runtime: str, threads: int, contract: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Prove a model file with its golden vectors, and load it.

    Args:
        name: of the file, which was received before.
        sha256: of the whole file, in hex.
        runtime: name of the engine.
        threads: that it may use.
        contract: that the model is used with.

    Returns:
        ``{"version": …, "inputs": [port, …], "outputs": [port, …]}``, each port as the arguments of `Port`.

    Raises:
        ModelError: the file is not what was sent, is refused, or does not give its golden outputs.
        MissingExtraError: the runtime is not installed.
    """
    from edge_sdk.contract import Contract
    from edge_sdk.engine import open_engine
    from edge_sdk.modelfile import split
    from edge_sdk.verify import examine

    data = Path(name).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError("the file arrived damaged", remedy="try again")
    examine(name, runtime, contract)
    settled = Contract.trusted(contract) if contract else None
    engine = _loaded[name] = open_engine(runtime, split(data).flatbuffer, threads, settled)
    Path(name).unlink()  # such folders often lie in memory
    return {
        "version": _version(engine),
        "inputs": [_facts(port) for port in engine.inputs],
        "outputs": [_facts(port) for port in engine.outputs],
    }


def invoke(name: str, inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One inference of a loaded model; arrays as `pack` makes them.

    Returns:
        ``outputs``, and ``latency_us``: what it took here. A short one is run once more and timed then: after
        the pause since the last call, the processor would be measured as it wakes up.
    """
    given = [unpack(array) for array in inputs]
    outputs, seconds = _timed(_loaded[name], given)
    if seconds < _SHORT_S:
        _, seconds = _timed(_loaded[name], given)
    return {"outputs": [pack(output) for output in outputs], "latency_us": 1e6 * seconds}


def measure(names: Sequence[str], inputs: Sequence[dict[str, Any]]) -> list[float]:
    """Latency of loaded models, as `edge_sdk.latency.measure`, in the order of their names, µs."""
    runtimes = {i: _loaded[name] for i, name in enumerate(names)}
    found = latency.measure(runtimes, [unpack(array) for array in inputs])
    return [found[i] for i in runtimes]


def _timed(engine: Runtime, inputs: list[NDArray[Any]]) -> tuple[list[NDArray[Any]], float]:
    started = time.perf_counter()
    outputs = engine.invoke(inputs)
    return outputs, time.perf_counter() - started


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array for JSON."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def unpack(packed: dict[str, Any]) -> NDArray[Any]:
    """What `pack` packed; read-only."""
    data = base64.b64decode(packed["data"])
    return np.frombuffer(data, np.dtype(packed["dtype"])).reshape(packed["shape"])


def _facts(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "shape": port.shape,
        "dtype": port.dtype,
        "quantization": [port.scale, port.zero_point],
        "open_axes": port.open,
        "signature": port.signature,
    }


def _version(engine: Runtime) -> str:
    try:
        return engine.version
    except ModuleNotFoundError:  # built by hand, or installed under another name
        return "unknown"
