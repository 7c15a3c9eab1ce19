"""Small int8 models of single operators, with the inputs that try them: drawn by Hypothesis."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.kinds import Net, Scaled

#: Models a property is tried on; each holds `TOGETHER` operators.
CASES = int(os.environ.get("EDGEML_C_CASES", "4"))
TOGETHER = 8
tried = settings(
    max_examples=CASES,
    deadline=None,
    derandomize="EDGEML_C_CASES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(repr=False)
class Trial:
    """A model of several operators that have nothing to do with each other, and inputs for it."""

    rng: np.random.Generator
    net: Net = field(default_factory=Net)
    inputs: list[NDArray[Any]] = field(default_factory=list)
    count: int = 6

    def input(self, shape: Sequence[int], scaled: Scaled) -> int:
        """An int8 input of random values, of extremes, and of its zero point."""
        size = (self.count, *shape)
        values = self.rng.integers(-128, 128, size).astype(np.int8)
        values[0], values[1], values[2] = -128, 127, scaled[1]
        self.inputs.append(values)
        return self.net.input(f"x{len(self.inputs)}", shape, "int8", scaled)

    def reals(self, shape: Sequence[int], spread: float) -> int:
        """A float32 input."""
        values = (self.rng.normal(size=(self.count, *shape)) * spread).astype(np.float32)
        values[0] = 0
        self.inputs.append(values)
        return self.net.input(f"x{len(self.inputs)}", shape)

    def output(self, tensor: int) -> None:
        """Compare it."""
        self.net.output(f"y{len(self.net._outputs)}", tensor)

    def weights(self, values: NDArray[Any], scales: NDArray[np.float32], axis: int = 0) -> int:
        """A constant with a scale for each channel along an axis, or one for all."""
        index = self.net.constant(values)
        facts = schema.QuantizationParametersT()
        facts.scale, facts.zeroPoint = scales.tolist(), [0] * len(scales)
        facts.quantizedDimension = axis
        self.net._graph.tensors[index].quantization = facts
        return index

    def constant(self, values: Any) -> int:
        """Axes and sizes, as int32."""
        return self.net.constant(np.array(values, np.int32))

    def op(
        self, name: str, inputs: Sequence[int], shape: Sequence[int], scaled: Scaled, **options: Any
    ) -> int:
        """An int8 operator."""
        return self.net.op(name, inputs, shape, "int8", scaled, **options)

    def more_outputs(self, tensor: int, shapes: Sequence[Sequence[int]], scaled: Scaled) -> list[int]:
        """Further outputs of the operator that wrote a tensor."""
        op = self.net._graph.operators[-1]
        more = [self.net._tensor(shape, "int8", scaled) for shape in shapes]
        op.outputs = [tensor, *more]
        return list(op.outputs)

    def flatbuffer(self) -> bytes:
        return self.net.flatbuffer(signature=None)


Add = Callable[[Trial, Any], None]


@dataclass(frozen=True)
class Drawn:
    """Operators of one kind.

    Attributes:
        add: puts one with the drawn facts into a trial.
        facts: what is drawn of each.
        together: how many a model has.
    """

    add: Add
    facts: st.SearchStrategy[Any]
    together: int = TOGETHER

    def trials(self) -> st.SearchStrategy[Trial]:
        """Models of several such operators."""
        return _trials([self] * self.together)


def each(kinds: Sequence[Drawn]) -> st.SearchStrategy[Trial]:
    """Models of one operator of each kind."""
    return _trials(kinds)


def _trials(kinds: Sequence[Drawn]) -> st.SearchStrategy[Trial]:
    def build(drawn: tuple[int, tuple[Any, ...]]) -> Trial:
        trial = Trial(np.random.default_rng(drawn[0]))
        for kind, facts in zip(kinds, drawn[1], strict=True):
            kind.add(trial, facts)
        return trial

    return st.tuples(st.integers(0, 1 << 32), st.tuples(*(kind.facts for kind in kinds))).map(build)


def scales(lowest: float = 1e-4, highest: float = 2.0) -> st.SearchStrategy[float]:
    """Evenly over orders of magnitude, as float32."""
    return st.floats(np.log(lowest), np.log(highest)).map(lambda power: float(np.float32(np.exp(power))))


zero_points = st.one_of(st.sampled_from([-128, 0, 127]), st.integers(-128, 127))


def scaled(lowest: float = 1e-4, highest: float = 2.0) -> st.SearchStrategy[Scaled]:
    return st.tuples(scales(lowest, highest), zero_points)


#: Fused: none, RELU, RELU6.
ACTIVATIONS = st.sampled_from([0, 0, 1, 3])
small, few = st.integers(1, 9), st.integers(1, 3)
#: Height and width.
SIZE = st.tuples(st.integers(1, 13), st.integers(1, 13))
