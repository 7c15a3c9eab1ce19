"""Crafted .onnx and .pt2 files; the former are built in the environment that has the onnx package."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.child import Worker
from tests.hostile import Case, archives
from tests.hostile.flatbuffers import NAMES

_HARMLESS = {"extra_weight", "many_nodes"}


def onnx(worker: Worker, folder: Path) -> Iterator[Case]:
    """Graphs that ask for any memory, have cycles, or names of another kind."""
    names = worker.call("tests.hostile.elsewhere:write_onnx", timeout_s=120.0, folder=str(folder))
    for name in names:
        harmless = name.startswith("name_") or name in _HARMLESS
        yield Case(f"onnx {name}", folder / f"{name}.onnx", may_pass=harmless, endless=name == "endless_loop")


def programs(good: Path, folder: Path) -> Iterator[Case]:
    """A good .pt2 as an archive that holds more than it should."""
    with zipfile.ZipFile(good) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(members)).split("/")[0]
    for name, change in archives.additions(folder, root).items():
        path = archives.pack(folder / f"{name}.pt2", members, change, zipfile.ZIP_STORED)
        yield Case(f"pt2 {name}", path, may_pass=True)


def write_onnx(folder: str) -> list[str]:
    """In the environment: write each as NAME.onnx."""
    import onnx

    made = _graphs()
    for name, (nodes, weights, shape) in made.items():
        x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
        y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
        graph = onnx.helper.make_graph(nodes, "g", [x], [y], weights)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        (Path(folder) / f"{name}.onnx").write_bytes(model.SerializeToString())
    return list(made)


def _graphs() -> dict[str, tuple[list[Any], list[Any], list[Any]]]:
    """Nodes, weights, and the shape of the input ``x``; the output is ``y``."""
    import onnx

    node, of = onnx.helper.make_node, onnx.numpy_helper.from_array
    open_batch: list[Any] = ["N", 4]
    relu = [node("Relu", ["x"], ["y"])]

    def constant(name: str, *values: int) -> Any:
        return of(np.array(values, np.int64), name)

    def filled(count: int) -> tuple[list[Any], list[Any], list[Any]]:
        nodes = [
            node("ConstantOfShape", ["count"], ["many"]),
            node("ReduceSum", ["many"], ["sum"], keepdims=0),
            node("Add", ["x", "sum"], ["y"]),
        ]
        return nodes, [constant("count", count)], open_batch

    def tiled(count: int) -> tuple[list[Any], list[Any], list[Any]]:
        nodes = [node("Tile", ["x", "times"], ["y"])]
        return nodes, [constant("times", 1, count)], open_batch

    def declared(*dims: int) -> tuple[list[Any], list[Any], list[Any]]:
        weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=dims, raw_data=bytes(16))
        return [node("Add", ["x", "w"], ["y"])], [weight], open_batch

    made = {
        "filled": filled(1 << 33),
        "filled_less": filled(1 << 29),
        "tiled": tiled(1 << 40),
        "tiled_less": tiled(1 << 28),
        "huge_weight": declared(1 << 40),
        "overflowing_weight": declared(1 << 32, 1 << 32),
        "negative_weight": declared(-4),
        "empty_weight": declared(0, 4),
        "huge_input": (relu, [], ["N", 1 << 40]),
        "large_input": (relu, [], ["N", 1 << 28]),
        "overflowing_input": (relu, [], ["N", 1 << 32, 1 << 32]),
        "negative_input": (relu, [], ["N", -5]),
        "empty_input": (relu, [], ["N", 0]),
        "cycle": (
            [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])],
            [],
            open_batch,
        ),
        "own_output": ([node("Add", ["x", "y"], ["y"])], [], open_batch),
        "unwritten": ([node("Relu", ["z"], ["y"])], [], open_batch),
        "no_output": ([node("Relu", ["x"], ["z"])], [], open_batch),
        "extra_weight": (relu, [constant("unused", 1)], open_batch),
        "many_nodes": (
            [node("Relu", [f"x{i}" if i else "x"], [f"x{i + 1}"]) for i in range(500)]
            + [node("Relu", ["x500"], ["y"])],
            [],
            open_batch,
        ),
        "a_function_of_python": (
            [node("PyOp", ["x"], ["y"], domain="ai.onnx.contrib", func="os.system")],
            [],
            open_batch,
        ),
    }
    for name, text in NAMES.items():
        if text:
            nodes = [node("Relu", ["x"], [text + "a"], name=text), node("Relu", [text + "a"], ["y"])]
            made[f"name_{name}"] = (nodes, [], open_batch)
    return made
