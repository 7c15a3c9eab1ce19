"""A model that runs on a board, as a runtime of edge_sdk: arrays go over the link and come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ModelError, SpecError
from edge_sdk.graph import read_graph
from edge_sdk.modelfile import digest_of
from edge_sdk.runtimes import Port
from firmware_bridge import tensors
from firmware_bridge.link import Hello, Link, TensorSpec

#: Of which inferences an emulated core's instructions are counted.
Count = Literal["first", "all", "none"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one inference cost the board, by its own count.

    Attributes:
        value: instructions, or nanoseconds.
        unit: which of them.
    """

    value: int
    unit: Literal["instructions", "ns"]


class Meter(Protocol):
    """A board that counts instructions only when it is told to, as it is slow with that."""

    counting: bool


class BoardRuntime:
    """One model on one board.

    What the model keeps inside is forgotten before every inference, as in the other runtimes: a window must
    not see the last one.

    Args:
        link: to the board; closed with the runtime.
        flatbuffer: the model that the board should have.
        where: the board's URL, for errors.
        flash_bytes: of the firmware, where that is known.
        meter: the board, where counting has to be asked for; None where it always counts.
        count: for the meter.

    Attributes:
        inputs: named as LiteRT's runtime names them; the batch is 1.
        outputs: likewise.
        steps: of each output, one step of its quantization in its units; 0.0 where it has none.
        version: the core that it runs on.
        hello: what the board says about itself.
        last_cost: of the last inference; None where it was not counted.

    Raises:
        ModelError: the board has another model.
        DeviceError: it does not answer.
    """

    name = "c"

    def __init__(
        self,
        link: Link,
        flatbuffer: bytes,
        where: str,
        *,
        flash_bytes: int | None = None,
        meter: Meter | None = None,
        count: Count = "first",
    ) -> None:
        self._link, self._where, self._flash_bytes = link, where, flash_bytes
        self._meter, self._count, self._is_next = meter, count, count == "first"
        graph = read_graph(flatbuffer)
        self.inputs, self.outputs = tensors.ports(graph, "inputs"), tensors.ports(graph, "outputs")
        self.steps = tensors.steps(graph)
        self.last_cost: Cost | None = None
        self._remembers = tensors.remembers(graph)
        self.hello = link.hello()
        self.version = self.hello.core
        self._check(digest_of(flatbuffer))

    def count_next(self) -> None:
        """Have the instructions of the next inference counted, where only those of the first one are."""
        self._is_next = self._count == "first"

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference on the board: arrays with their batch axis, in the order of `inputs`; copies.

        Raises:
            SpecError: an array of another shape or dtype.
            DeviceError: the board does not answer, or met a fault.
        """
        sent = [_bytes(port, array) for port, array in zip(self.inputs, inputs, strict=True)]
        counts = self._meter is None or self._count == "all" or self._is_next
        if self._meter is not None:
            self._meter.counting = counts
        self.last_cost = None
        if self._remembers:
            self._link.reset_state()
        outcome = self._link.invoke(sent)
        if counts:
            self._is_next = False
            self.last_cost = Cost(round(outcome.cost), self.hello.tick_unit)
        return [
            np.frombuffer(data, _wire(port)).reshape(port.shape).astype(port.dtype)
            for port, data in zip(self.outputs, outcome.outputs, strict=True)
        ]

    def reset_state(self) -> None:
        """Let the model forget, where it remembers anything.

        Raises:
            DeviceError: the board does not answer.
        """
        self._link.reset_state()

    def figures(self) -> dict[str, int]:
        """What it takes of the board's memory, and what happened on the line; what is unknown is left out.

        Returns:
            ``flash_bytes`` of the firmware, ``arena_bytes`` of the model, ``stack_bytes``: the most that was
            ever used; then what this side of the link counted, and ``board_…``: what the board did.

        Raises:
            DeviceError: the board does not answer.
        """
        stats = self._link.stats()
        found = {} if self._flash_bytes is None else {"flash_bytes": self._flash_bytes}
        found["arena_bytes"] = stats.arena_bytes
        if self.hello.measures_stack:
            found["stack_bytes"] = stats.stack_used_bytes
        board = {f"board_{name}": getattr(stats, name) for name in ("frames", "malformed", "torn", "errors")}
        return {**found, **asdict(self._link.counters), **board}

    def close(self) -> None:
        """Hang up; may be called twice."""
        self._link.close()

    def _check(self, digest: str) -> None:
        """See that the board has this model, as this version of edgeml would build it.

        Its HELLO is compared, too: firmware may have been built by other hands.
        """
        hello = self.hello
        remedy = "flash its firmware: edgeml firmware flash MODEL --board NAME"
        if hello.digest != digest:
            raise ModelError(
                f"{self._where}: another model is on the board",
                expected=digest,
                found=f"{hello.name}, {hello.digest}",
                remedy=remedy,
            )
        expected = [_facts(port) for port in (*self.inputs, *self.outputs)]
        found = [_facts(spec) for spec in _specs(hello)]
        sides = [len(self.inputs), len(self.outputs)]
        if found != expected or [len(hello.inputs), len(hello.outputs)] != sides:
            raise ModelError(
                f"{self._where}: the tensors on the board are not the model's",
                expected="; ".join(expected),
                found="; ".join(found),
                remedy=remedy,
            )


def _specs(hello: Hello) -> tuple[TensorSpec, ...]:
    return (*hello.inputs, *hello.outputs)


def _facts(tensor: Port | TensorSpec) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


def _wire(port: Port) -> np.dtype[Any]:
    """As the tensor lies in a board's memory."""
    return np.dtype(port.dtype).newbyteorder("<")


def _bytes(port: Port, array: NDArray[Any]) -> bytes:
    if array.shape != port.shape or array.dtype != port.dtype:
        raise SpecError(
            f"input {port.name!r}",
            expected=f"{port.dtype} {list(port.shape)}",
            found=f"{array.dtype} {list(array.shape)}",
        )
    return array.astype(_wire(port), copy=False).tobytes()
