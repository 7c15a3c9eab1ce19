"""Reads the graph of a SavedModel and refuses it if it could do more than compute: nothing is run.

A SavedModel cannot hold Python, but its operators can read, write and send files, and loading one already
runs some of them. So every operator, in every function, must be one that computes, or a variable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.tensorflow import load_tensorflow
from edge_sdk.errors import ModelError, first_of, one_line

#: Operators with a state that is the model's own. Whatever else has one (files, devices, queues) is refused.
_OWN_STATE = re.compile(
    r"(VarHandleOp|_VarHandlesOp|Variable|VariableV2|ReadVariableOp|AssignVariableOp|VarIsInitializedOp"
    r"|IsVariableInitialized|DisableCopyOnRead|Assign|StatefulPartitionedCall|While|If|Case|Assert"
    r"|Random\w+|TruncatedNormal|Multinomial|Stateful\w*Random\w*|Cudnn\w*|TensorArray\w*V3|Stack\w*V2)"
)
#: Operators that TensorFlow calls stateless although they look outside the graph.
_OUTSIDE = re.compile(
    r"(\w*Dataset\w*|_?Xla\w*|Tpu\w*|TPU\w*|Reader\w*|Debug\w*|Copy\w*|PyFunc\w*|\w*Summary\w*|ReadFile|WriteFile"
    r"|MatchingFiles|ImmutableConst|InitializeTableFromTextFile|GenerateVocabRemapping|LoadAndRemapMatrix"
    r"|DecodeProto\w*|EncodeProto|RemoteCall|LookupTable\w*|_Send|_Recv|_HostSend|_HostRecv|Print\w*)"
)
#: What TensorFlow writes into every SavedModel to save and restore its variables.
_SAVER = {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"}
_FAKE_QUANT = "FakeQuant"
_LOOPS = re.compile(
    r"(StatelessWhile|While|TensorList\w*|RFFT\w*|IRFFT\w*|FFT\w*|IFFT\w*|Enter|NextIteration)"
)
_MOST_BYTES = 2 << 30
#: Numbers that constants and variables may have beyond those stored: a few masks and tables of zeros.
_MOST_UNSTORED = 64 << 20


@dataclass(frozen=True, slots=True)
class SavedGraph:
    """What the graph of a SavedModel tells.

    Attributes:
        signatures: names that can be served.
        ranges: whether it has fake-quantization operators.
        loops: whether it has loops or spectrograms, which need a fixed batch.
        version: of the TensorFlow that wrote it.
    """

    signatures: tuple[str, ...]
    ranges: bool
    loops: bool
    version: str


def read(folder: Path) -> SavedGraph:
    """Read and check a SavedModel.

    Raises:
        ModelError: it is damaged, or an operator in it does more than compute.
    """
    _check_files(folder)
    load_tensorflow()
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = folder / "saved_model.pb"
    if file.stat().st_size > _MOST_BYTES:
        raise ModelError(f"{file} is too large", expected=f"at most {_MOST_BYTES >> 30} GB")
    saved = SavedModel()
    try:
        saved.ParseFromString(file.read_bytes())
    except Exception as error:  # protobuf's DecodeError, which has moved between its versions
        raise ModelError(
            f"{folder}: saved_model.pb is damaged", found=one_line(error)[:200], remedy="copy it again"
        ) from error
    graphs = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
    if len(graphs) != 1:
        tags = [", ".join(graph.meta_info_def.tags) or "none" for graph in saved.meta_graphs]
        raise ModelError(
            f"{folder}: no one graph to serve", expected="the tag 'serve'", found=first_of(tags) or "no graph"
        )
    for graph in saved.meta_graphs:
        _check(folder, graph)
        _check_sizes(folder, graph)
    meta = graphs[0]
    ops = {node.op for node in _nodes(meta.graph_def)}
    fused = any("api_implements" in f.attr for f in meta.graph_def.library.function)
    return SavedGraph(
        signatures=tuple(
            sorted(
                name for name, it in meta.signature_def.items() if it.outputs and not name.startswith("__")
            )
        ),
        ranges=any(op.startswith(_FAKE_QUANT) for op in ops),
        loops=fused or any(_LOOPS.fullmatch(op) for op in ops),
        version=str(meta.meta_info_def.tensorflow_version),
    )


def _check_files(folder: Path) -> None:
    """A link could have any file of this machine read; a pipe or a device would never end."""
    inside = folder.resolve()
    for path in sorted(folder.rglob("*")):
        try:
            leads_out = not path.resolve().is_relative_to(inside)
        except (OSError, RuntimeError):  # a link to itself
            leads_out = True
        if leads_out:
            raise ModelError(
                f"{path} leads out of the model's folder",
                expected="a folder that is whole",
                remedy=f"make it so with: cp -RL {folder} COPY",
            )
        if not path.is_dir() and not path.is_file():
            raise ModelError(f"{path} is no plain file", expected="files and folders")


def _check_sizes(folder: Path, meta: Any) -> None:
    """A constant says its shape, and one number for all of it: a small file could fill the memory."""
    weights = sum(each.stat().st_size for each in (folder / "variables").glob("*") if each.is_file())
    declared = {"Const": 0, "VarHandleOp": 0}
    for node in _nodes(meta.graph_def):
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            declared["Const"] += _elements(tensor.tensor_shape) - len(tensor.tensor_content) // 4
        elif node.op == "VarHandleOp":
            declared["VarHandleOp"] += _elements(node.attr["shape"].shape)
    for kind, limit in (("Const", _MOST_UNSTORED), ("VarHandleOp", _MOST_UNSTORED + weights)):
        if declared[kind] > limit:
            raise ModelError(
                f"{folder}: its {kind} operators are larger than what is stored",
                expected=f"at most {limit:,} numbers",
                found=f"{declared[kind]:,}",
                remedy="do not trust it",
            )


def _elements(shape: Any) -> int:
    return math.prod(max(dim.size, 1) for dim in shape.dim)


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _check(folder: Path, meta: Any) -> None:
    refused = sorted({node.op for node in _nodes(meta.graph_def) if not _computes(node.op)})
    if refused:
        raise ModelError(
            f"{folder}: its graph does more than compute",
            expected="operators that need no files, tables or devices",
            found=first_of(refused),
            remedy="export the model's computation alone",
        )
    _check_savers(folder, meta)


def _computes(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    if op in _SAVER or _OWN_STATE.fullmatch(op):
        return True
    known = op_def_registry.get(op)
    return known is not None and not known.is_stateful and not _OUTSIDE.fullmatch(op)


def _check_savers(folder: Path, meta: Any) -> None:
    """Variables may be restored where TensorFlow does that; nothing that runs may save, or read by itself."""
    served = {t.name for s in meta.signature_def.values() for t in s.outputs.values()}
    started = {
        name
        for key in ("saved_model_main_op", "legacy_init_op")
        if key in meta.collection_def
        for name in meta.collection_def[key].node_list.value
    }
    functions = set(meta.object_graph_def.concrete_functions)
    running = _reached(meta.graph_def, served | started, functions) & _SAVER
    restoring = _reached(meta.graph_def, {meta.saver_def.restore_op_name}, set()) & (_SAVER - {"RestoreV2"})
    if running or restoring:
        raise ModelError(
            f"{folder}: its graph reads or writes files by itself",
            expected="variables that TensorFlow restores",
            found=first_of(sorted(running | restoring)),
            remedy="do not trust it",
        )


def _reached(graph: Any, nodes: set[str], functions: set[str]) -> set[str]:
    """Operators that run when these nodes and functions do."""
    by_name = {node.name: node for node in graph.node}
    bodies = {function.signature.name: function.node_def for function in graph.library.function}
    found: set[str] = set()
    seen: set[str] = set()
    pending = [by_name[name] for each in nodes if (name := _node_of(each)) in by_name]
    entered = set(functions)
    pending += [node for name in functions if name in bodies for node in bodies[name]]
    while pending:
        node = pending.pop()
        found.add(node.op)
        for name in map(_node_of, node.input):
            if name in by_name and name not in seen:
                seen.add(name)
                pending.append(by_name[name])
        for name in _calls(node):
            if name in bodies and name not in entered:
                entered.add(name)
                pending.extend(bodies[name])
    return found


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]


def _calls(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)
