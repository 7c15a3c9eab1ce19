"""How much of a model LiteRT hands to XNNPACK, its fast kernels: asked of the runtime itself, never guessed.

The runtime says how it has cut the graph once its memory is allocated; nothing is invoked. It happens in a
child process, because a damaged file can take the runtime down. What is measured is the runtime on this
machine: which operators XNNPACK takes hardly depends on the processor, but is not proved for another.
"""

from __future__ import annotations

import platform
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.costs import macs_by_op, title
from edge_sdk import child, registry
from edge_sdk.errors import EdgeError, ModelError
from edge_sdk.graph import Graph

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What XNNPACK takes.

    Attributes:
        taken: operators that it takes.
        operators: all there are.
        macs_share: its share of the multiply-accumulates, 0 to 1; 1 where there are none.
        parts: pieces that it takes them in; each border costs a hand-over.
        outside: how often each other operator occurs.
        runtime: name and version of the runtime that was asked.
        machine: processor architecture that it was asked on.
    """

    taken: int
    operators: int
    macs_share: float
    parts: int
    outside: Mapping[str, int]
    runtime: str
    machine: str

    def __str__(self) -> str:
        left = ", ".join(f"{n} {op}" if n > 1 else op for op, n in self.outside.items())
        return (
            f"XNNPACK takes {self.taken} of {self.operators} operators and {self.macs_share:.0%} of the MACs"
            f" in {self.parts} part{'' if self.parts == 1 else 's'}"
            + (f"; outside: {left}" if left else "")
            + f" ({self.runtime} on {self.machine})"
        )


def coverage(flatbuffer: bytes, graph: Graph, runtime: str) -> Coverage:
    """Ask a runtime on this machine what XNNPACK takes of a model.

    Args:
        flatbuffer: the model, without what is packed behind it.
        graph: of the same.
        runtime: ``litert`` or ``tflite_runtime``.

    Raises:
        MissingExtraError: the runtime is not installed here.
        ModelError: the runtime refuses the model.
        ChildError: the model crashes the runtime, or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="edgeml-xnnpack-") as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(flatbuffer)
        found = child.call("converters.xnnpack:ask", timeout_s=_TIMEOUT_S, file=str(file), runtime=runtime)
    taken = behind(graph, found["parts"])
    macs = macs_by_op(graph)
    outside = Counter(title(op) for op in graph.ops if op.index not in taken)
    return Coverage(
        taken=len(taken),
        operators=len(graph.ops),
        macs_share=sum(macs[i] for i in taken) / sum(macs) if sum(macs) else 1.0,
        parts=len(found["parts"]),
        outside=dict(sorted(outside.items(), key=lambda item: (-item[1], item[0]))),
        runtime=f"{runtime} {found['version']}",
        machine=platform.machine(),
    )


def behind(graph: Graph, parts: Iterable[Mapping[str, Collection[int]]]) -> set[int]:
    """Which operators lie in the parts: those between a part's outputs and its inputs.

    Args:
        graph: the whole model.
        parts: one mapping each with tensor indices ``inputs`` and ``outputs``.
    """
    writer = {tensor: op for op in graph.ops for tensor in op.outputs}
    found: set[int] = set()
    for part in parts:
        borders, waiting = set(part["inputs"]), list(part["outputs"])
        while waiting:
            tensor = waiting.pop()
            op = writer.get(tensor)
            if tensor in borders or op is None or op.index in found:
                continue
            found.add(op.index)
            waiting += [i for i in op.inputs if i >= 0]
    return found


def ask(file: str, runtime: str) -> dict[str, Any]:
    """In a child process: allocate the model and list the pieces that were handed to a delegate.

    Raises:
        MissingExtraError: the runtime is not installed.
        ModelError: the runtime refuses the model.
    """
    plugin = registry.find("runtimes", runtime)
    interpreter_class = plugin.probe()
    try:
        interpreter = interpreter_class(model_path=file, num_threads=1)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()
    except EdgeError:
        raise
    except (RuntimeError, ValueError, MemoryError) as error:
        raise ModelError(f"{runtime} refuses the model", found=error) from error
    parts = [
        {side: [int(i) for i in node[side] if i >= 0] for side in ("inputs", "outputs")}
        for node in nodes
        if node["op_name"] == "DELEGATE"
    ]
    return {"parts": parts, "version": _version(plugin.package)}


def _version(package: str) -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
