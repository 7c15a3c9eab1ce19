"""Who is who among a model's tensors: what a window feeds, what is remembered, what is said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from edge_sdk.contract import Contract, Tensor
from edge_sdk.errors import SpecError, first_of, suggestion
from edge_sdk.tensors import Feed, Memory, Rows, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.runtimes import Port, Runtime


class Interface:
    """The tensors of a model by role.

    Args:
        model: its name, for errors.
        runtime: that it runs in.
        contract: of the model; None for a foreign one.

    Attributes:
        model: its name.
        runtime: that it runs in.
        inputs: every input of the runtime, in its order.
        outputs: likewise.
        feeds: inputs that windows feed, in the order of their columns.
        memories: inputs that outputs feed.
        said: indices of the outputs that are for the reader, in the order of the contract.
        shape: of one window: [T, C] where several inputs share its columns.
        takes_windows: whether an array says which input gets what; else inputs are given by name only.

    Raises:
        SpecError: the contract does not fit the model.
    """

    def __init__(self, model: str, runtime: Runtime, contract: Contract | None) -> None:
        self.model, self.runtime = model, runtime
        inputs, outputs = runtime.inputs, runtime.outputs
        listed = contract.tensors if contract is not None else ()
        if len(inputs) == len(outputs) == 1 and not any(tensor.state for tensor in listed):
            listed = ()  # there is no doubt who is who
        order = {role: self._order(role, listed) for role in ("input", "output")}
        feeding = {tensor.name: tensor.state for tensor in listed if tensor.role == "input" and tensor.state}
        self.memories = tuple(self._memories(feeding))
        self._initial = {memory.name: memory.initial for memory in self.memories}
        fed = [i for i in order["input"] if inputs[i].name not in feeding]
        what = "{}: window" if len(fed) == 1 else "{}: input {!r}"
        self.feeds = tuple(
            Feed(what.format(model, inputs[i].name), i, inputs[i], _remedy(inputs[i], contract)) for i in fed
        )
        remembered = {memory.source for memory in self.memories}
        self.said = tuple(i for i in order["output"] if i not in remembered) or tuple(order["output"])
        self.inputs = tuple(_described("input", port, feeding.get(port.name)) for port in inputs)
        self.outputs = tuple(_described("output", port) for port in outputs)
        if not self.feeds:
            self._refuse("an input that windows feed", "states only")
        self.takes_windows = len(self.feeds) == 1
        self.shape = self.feeds[0].shape
        if contract is not None and contract.input.layout == "TC":
            self._lay_out(contract, {tensor.name for tensor in listed if tensor.role == "input"})

    def initial_state(self) -> State:
        """Of a stream that begins."""
        return State(self._initial)

    def gather(
        self, window: Any, states: Sequence[State | None] = (None,), rows: Rows = ()
    ) -> list[NDArray[Any]]:
        """What the runtime is given, with batch axes, in the order of its inputs.

        Args:
            window: [*rows, …] of `shape`, or one such array for each input by its name.
            states: one for each row; None for one that begins.
            rows: how many windows there are; none where it is one alone.

        Raises:
            SpecError: the window does not fit.
        """
        given: list[Any] = [None] * len(self.inputs)
        for feed, values in self._parts(window, rows):
            fitted = feed.fit(np.asarray(values), rows)
            given[feed.index] = fitted[None] if feed.port.has_batch and not rows else fitted
        for memory in self.memories:
            parts = [memory.initial if state is None else self._recalled(memory, state) for state in states]
            given[memory.index] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return given

    def remember(self, said: Sequence[NDArray[Any]], states: Sequence[State | None]) -> None:
        """Keep what is needed next time, one row for each state."""
        for memory in self.memories:
            array = memory.next(said[memory.source])
            for row, state in enumerate(states):
                if state is not None:
                    state.tensors[memory.name] = array[row : row + 1].copy() if len(states) > 1 else array

    def value(self, output: int, said: NDArray[Any]) -> NDArray[np.float32]:
        """What one output says: float32 in its units, without the batch axis."""
        values = self.values(output, said)
        return values.reshape(values.shape[1:]) if values.ndim and values.shape[0] == 1 else values

    def values(self, output: int, said: NDArray[Any]) -> NDArray[np.float32]:
        """What one output says: float32 in its units, with the batch axis."""
        values: NDArray[np.float32] = np.asarray(said)
        return values if values.dtype == np.float32 else self.runtime.outputs[output].dequantize(values)

    def _order(self, role: str, listed: Sequence[Tensor]) -> list[int]:
        """Indices of the runtime's tensors, first those that the contract lists, in its order."""
        ports = self.runtime.inputs if role == "input" else self.runtime.outputs
        named = {port.name: i for i, port in enumerate(ports)}
        names = [tensor.name for tensor in listed if tensor.role == role]
        for name in names:
            if name not in named:
                raise SpecError(
                    f"{self.model}: the contract lists an {role} that the model has not",
                    expected=f"among {first_of(named, 8)}",
                    found=name,
                    remedy=suggestion(name, named),
                )
        return list(dict.fromkeys([*(named[name] for name in names), *range(len(ports))]))

    def _memories(self, feeding: Mapping[str, str]) -> Iterator[Memory]:
        given = {port.name: (i, port) for i, port in enumerate(self.runtime.outputs)}
        for i, taken in enumerate(self.runtime.inputs):
            if taken.name in feeding:
                index, source = given.get(feeding[taken.name], (-1, None))
                if source is None or source.shape != taken.shape:
                    found = f"{feeding[taken.name]} {list(source.shape) if source else ''}"
                    self._refuse(f"an output of {list(taken.shape)} for the state {taken.name!r}", found)
                yield Memory(i, taken, index, source)

    def _lay_out(self, contract: Contract, listed: set[str]) -> None:
        """Give each input its columns of a window."""
        window, count = contract.input.window, len(contract.input.channels)
        if len(self.feeds) == 1:
            (feed,) = self.feeds
            if feed.shape != (window, count) and math.prod(feed.shape) != window * count:
                self._refuse(f"an input of {[window, count]}", list(feed.shape))
            feed.also = (window, count)
            return
        shapes = ", ".join(f"{feed.port.name} {list(feed.shape)}" for feed in self.feeds)
        if not all(feed.port.name in listed for feed in self.feeds):
            self._refuse("every input among its tensors, in the order of the channels", shapes)
        at = 0
        for feed in self.feeds:
            columns = math.prod(feed.shape) // window
            if _long(feed.shape) not in (_long((window, columns)), _long((window * columns,))):
                break
            feed.columns, feed.also = slice(at, at + columns), (window, columns)
            at += columns
        else:
            if at == count:
                self.takes_windows, self.shape = True, (window, count)
                return
        self._refuse(f"inputs of {window} samples each, of {count} channels together", shapes)

    def _parts(self, window: Any, rows: Rows) -> list[tuple[Feed, Any]]:
        if isinstance(window, Mapping):
            names = [feed.port.name for feed in self.feeds]
            if set(window) != set(names):
                wrong = [str(name) for name in window if name not in names]
                raise SpecError(
                    f"{self.model}: inputs",
                    expected=first_of(names, 8),
                    found=first_of(window, 8) or "none",
                    remedy=suggestion(wrong[0], names) if wrong else None,
                )
            return [(feed, window[feed.port.name]) for feed in self.feeds]
        window = np.asarray(window)
        if len(self.feeds) == 1:
            return [(self.feeds[0], window)]
        if not self.takes_windows:
            raise SpecError(
                f"{self.model}: inputs",
                expected=f"an array for each by name: {first_of((f.port.name for f in self.feeds), 8)}",
                found=f"one array {list(window.shape)}",
                remedy="or a contract that lists them in the order of its channels",
            )
        if window.shape[len(rows) :] != self.shape:
            raise SpecError(
                f"{self.model}: window",
                expected=f"float32 {list(self.shape)}",
                found=list(window.shape[len(rows) :]),
            )
        return [(feed, window[..., feed.columns]) for feed in self.feeds]

    def _recalled(self, memory: Memory, state: State) -> NDArray[Any]:
        array = state.tensors.get(memory.name)
        if array is None or array.shape != memory.initial.shape or array.dtype != memory.initial.dtype:
            raise SpecError(
                f"{self.model}: state",
                expected=f"one that this model's new_state() made, with {memory.name!r}",
                found=first_of(state.tensors) or "an empty one",
            )
        return array

    def _refuse(self, expected: object, found: object) -> NoReturn:
        raise SpecError(f"{self.model}: the contract does not fit the model", expected=expected, found=found)


def _described(role: str, port: Port, state: str | None = None) -> Tensor:
    return Tensor(role, port.name, port.dtype, port.shape, port.signature, state)  # type: ignore[arg-type]


def _remedy(port: Port, contract: Contract | None) -> str | None:
    if contract is not None or not port.unsettled:
        return None
    return "the model leaves a length open: a contract says it, see docs/models.md"


def _long(shape: Sequence[int]) -> list[int]:
    return [n for n in shape if n != 1]
