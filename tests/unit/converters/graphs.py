"""Graphs put together by hand, for code that reads a graph."""

from __future__ import annotations

import numpy as np

from edge_sdk.graph import Graph, Op, Tensor


def tensor(
    index: int, name: str, shape: tuple[int, ...], dtype: str = "float32", *, constant: bool = False
) -> Tensor:
    data = np.zeros(shape, dtype) if constant else None
    empty = np.empty(0)
    return Tensor(
        index, name, shape, shape, dtype, empty.astype(np.float32), empty.astype(np.int64), 0, data, constant
    )


class Builder:
    """Adds operators one after the other; every one writes one new tensor."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "float32") -> None:
        self.tensors = [tensor(0, "x", shape, dtype)]
        self.ops: list[Op] = []

    def constant(self, shape: tuple[int, ...], dtype: str = "float32") -> int:
        self.tensors.append(tensor(len(self.tensors), "w", shape, dtype, constant=True))
        return len(self.tensors) - 1

    def op(
        self, name: str, inputs: list[int], shape: tuple[int, ...], dtype: str = "float32", title: str = ""
    ) -> int:
        index = len(self.tensors)
        self.tensors.append(tensor(index, title or f"t{index}", shape, dtype))
        self.ops.append(Op(len(self.ops), name, None, tuple(inputs), (index,)))
        return index

    def graph(self, *outputs: int) -> Graph:
        return Graph(
            version=3, subgraphs=1, tensors=self.tensors, ops=self.ops, inputs=[0], outputs=list(outputs)
        )
