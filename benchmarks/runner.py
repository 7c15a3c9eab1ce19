"""What it costs to ask a model in this process, over Edge Impulse's runner, which asks one in another.

The runner is theirs (`edge_impulse_linux`), the model process a stub that answers at once: measured is the
way there and back. With shared memory, as newer model files offer, and with JSON, as older ones want.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from benchmarks.measure import Row
from edge_sdk import Model

CALLS, ROUNDS = 200, 7
_STUB = """#!{python}
import json, socket, sys
from multiprocessing import shared_memory
features, shared = {features}, {shared}
result = {{"success": True, "result": {{"classification": {{"a": 0.1, "b": 0.9}}}}, "timing": {{}}}}
hello = {{"success": True, "model_parameters": {{}}, "project": {{}}}}
if shared:
    memory = shared_memory.SharedMemory(create=True, size=4 * features)
    hello["features_shm"] = {{"name": memory.name, "type": "float32", "elements": features}}
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
client, _ = server.accept()
buffer = b""
try:
    while data := client.recv(1 << 20):
        buffer += data
        try:
            message = json.loads(buffer.rstrip(b"\\0"))
        except ValueError:
            continue
        buffer = b""
        answer = hello if "hello" in message else result
        client.sendall(json.dumps(dict(answer, id=message["id"])).encode() + b"\\0")
except KeyboardInterrupt:
    pass
finally:
    if shared:
        memory.close()
        memory.unlink()
"""


def rows(conv1d: Path) -> list[Row]:
    """One row a way of asking, on the same window of 600 numbers."""
    return [_row(conv1d, shared=True), _row(conv1d, shared=False)]


def _row(path: Path, *, shared: bool) -> Row:
    model = Model.load(path)
    window = np.random.default_rng(0).normal(size=model.input_shape).astype(np.float32)
    features = window.ravel()
    as_list = features.tolist()
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    with _runner(features.size, shared=shared) as runner:
        ask = (lambda: runner.classify(features)) if shared else (lambda: runner.classify(as_list))
        ours: list[float] = []
        theirs: list[float] = []
        for nth in range(ROUNDS + 1):
            added = _median(lambda: model.run(window)) - _median(interpreter.invoke)
            asked = _median(ask)
            if nth:
                ours.append(max(added, 1e-7))
                theirs.append(asked)
    less = statistics.median(theirs) / statistics.median(ours)
    how = "shared memory" if shared else "JSON"
    return Row(
        f"beside the invoke: Model.run over Edge Impulse's runner, {how}, {features.size} numbers",
        f"{statistics.median(ours) * 1e6:.1f} µs",
        f"{statistics.median(theirs) * 1e6:.0f} µs",
        f"{less:.0f}× less",
        "≥ 20× less",
        less >= 20,
    )


def _median(call: Any) -> float:
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


@contextmanager
def _runner(features: int, *, shared: bool) -> Iterator[Any]:
    """Their runner with the stub behind it; their package as a whole imports a sound card's library."""
    found = importlib.util.find_spec("edge_impulse_linux")
    assert found is not None
    assert found.submodule_search_locations
    place = Path(found.submodule_search_locations[0]) / "runner.py"
    spec = importlib.util.spec_from_file_location("edge_impulse_runner", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with tempfile.TemporaryDirectory() as folder:
        stub = Path(folder) / "model.eim"
        stub.write_text(_STUB.format(python=sys.executable, features=features, shared=shared))
        stub.chmod(0o700)
        runner = module.ImpulseRunner(str(stub), allow_shm=shared)
        runner.init()
        try:
            yield runner
        finally:
            process = runner._runner
            runner.stop()
            process.wait(10)
