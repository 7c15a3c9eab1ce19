"""One operator while it becomes kernel calls: its tensors, its options, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters.c.layers import Layer
from converters.c.tables import Scaled, round_half_away
from edge_sdk.graph import Graph, Op, Tensor

_ACTIVATION = schema.ActivationFunctionType


class UnsupportedError(Exception):
    """Why one operator cannot become kernel calls; collected, so that all are named at once.

    Args:
        reason: what is wrong.
        at_fault: the tensors that are.
    """

    def __init__(self, reason: str, *at_fault: Tensor) -> None:
        self.reason, self.at_fault = reason, at_fault
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call.

    Attributes:
        op: index of the operator that it belongs to.
        layer: the kernel's constants.
        inputs: tensors that it reads, constants among them.
        output: the tensor that it writes, or a part of it.
        scratch_bytes: memory that the kernel needs while it runs.
        in_place: inputs whose place the output may take without a change of any bit.
        state: variables that it reads and writes.
    """

    op: int
    layer: Layer
    inputs: tuple[int, ...]
    output: int
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    state: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator with the graph around it and its options as the schema has them.

    Attributes:
        variables: the tensor that a handle stands for.
    """

    op: Op
    graph: Graph
    options: Any
    variables: Mapping[int, int] = field(default_factory=dict)

    def input(self, number: int = 0) -> Tensor:
        """One of its inputs."""
        return self.graph.tensors[self.op.inputs[number]]

    def output(self, number: int = 0) -> Tensor:
        """One of its outputs."""
        return self.graph.tensors[self.op.outputs[number]]

    def has(self, number: int) -> bool:
        """Whether that optional input is there."""
        return number < len(self.op.inputs) and self.op.inputs[number] >= 0

    def constant(self, number: int) -> NDArray[Any]:
        """The values of an input that has to be a constant."""
        tensor = self.input(number)
        if tensor.data is None:
            raise UnsupportedError("is no constant", tensor)
        return tensor.data

    def option(self, name: str, default: Any = 0) -> Any:
        """An option by its name in the schema's generated class."""
        return getattr(self.options, name, default)

    def need(self, dtype: str, *tensors: Tensor) -> None:
        """Refuse what is of another dtype, or of int8 without one scale for all."""
        wrong = [t for t in tensors if t.dtype != dtype]
        if wrong:
            raise UnsupportedError(f"is not {dtype}", *wrong)
        unscaled = [t for t in tensors if dtype == "int8" and t.scale.size != 1]
        if unscaled:
            raise UnsupportedError("has no scale of its own", *unscaled)

    def fit(self, holds: bool, *tensors: Tensor) -> None:
        """Refuse shapes that do not belong together: kernels trust them."""
        if not holds:
            raise UnsupportedError("has shapes that do not fit", *tensors)

    def step(self, layer: Layer, *inputs: int, scratch_bytes: int = 0, in_place: bool = False) -> Step:
        """A call that reads some of its inputs, by their number, and writes the first output.

        Args:
            layer: the kernel's constants.
            inputs: numbers of the inputs that it reads.
            scratch_bytes: memory that the kernel needs while it runs.
            in_place: whether the output may take the place of any input of as many elements.
        """
        read = tuple(self.op.inputs[number] for number in inputs)
        output = self.output()
        same = tuple(index for index in read if self.graph.tensors[index].elements == output.elements)
        return Step(self.op.index, layer, read, output.index, scratch_bytes, same if in_place else ())

    def range(self) -> tuple[int, int]:
        """Lowest and highest int8 of the output behind a fused activation.

        Source: CalculateActivationRangeQuantized of tensorflow/lite/kernels/kernel_util.cc.
        """
        scale, zero_point = scaled(self.output())
        six = zero_point + round_half_away(np.float32(6) / scale)
        one = round_half_away(np.float32(1) / scale)
        kind = self.option("fusedActivationFunction")
        if kind == _ACTIVATION.NONE:
            return -128, 127
        if kind == _ACTIVATION.RELU:
            return max(-128, zero_point), 127
        if kind == _ACTIVATION.RELU6:
            return max(-128, zero_point), min(127, six)
        if kind == _ACTIVATION.RELU_N1_TO_1:
            return max(-128, zero_point - one), min(127, zero_point + one)
        raise UnsupportedError(f"has a fused activation of another kind ({kind})", self.output())


def scaled(tensor: Tensor) -> Scaled:
    """Scale and zero point of a tensor that has one of each."""
    return np.float32(tensor.scale[0]), int(tensor.zero_point[0])
