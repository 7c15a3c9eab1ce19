"""A model: a .tflite and its contract."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from edge_sdk.answer import Answer
from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Contract, DecisionSettings, Tensor
from edge_sdk.errors import SpecError, one_line
from edge_sdk.interface import Interface
from edge_sdk.prediction import Prediction
from edge_sdk.targets import open_target
from edge_sdk.tensors import State

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from edge_sdk.batching import Batches
    from edge_sdk.runtimes import Runtime


class Model(Closing):
    """Runs windows through a .tflite; get one with `Model.load`.

    Attributes:
        runtime: the engine; `runtime.name` and `runtime.version` say which.
        digest: ``sha256:…`` of the flatbuffer.
        contract: what travels with the model; None for a foreign file.
        name: from the contract, else the file's name.
        labels: in the order of the scores; of an anomaly detector what is normal and what is not; empty for a
            regression.
        input_shape: of one window, without the batch axis; [T, C] where several inputs share its columns.
        stateful: whether it remembers, in tensors that the contract names, what the last window was.
    """

    def __init__(
        self,
        runtime: Runtime,
        digest: str,
        contract: Contract | None,
        *,
        name: str,
        labels: tuple[str, ...] = (),
        footprint: Mapping[str, int] | None = None,
    ) -> None:
        self.runtime, self.digest, self.contract = runtime, digest, contract
        self.name = contract.name if contract else name
        self._interface = Interface(self.name, runtime, contract)
        self.input_shape = self._interface.shape
        self.stateful = bool(self._interface.memories)
        self._footprint = footprint
        self._opened: Batches | None = None
        self._feed = self._interface.feeds[0]
        self._dtype = self._feed.dtype
        self._invoke = runtime.invoke
        self._answer = Answer(self._interface, contract, labels)
        self.labels, self._primary = self._answer.labels, self._answer.output
        self._predicted = self._answer.prediction
        self._out = runtime.outputs[self._primary]
        self._float_out = self._out.dtype == "float32"
        self._plain = (
            len(runtime.inputs) == 1
            and self._feed.port.has_batch
            and self._out.has_batch
            and len(self._out.shape) > 1
            and not self._answer.pair
        )

    @classmethod
    def load(
        cls, file: str | PathLike[str], *, target: str = "host:", contract: Contract | None = None
    ) -> Self:
        """Load a model file; verified in a child process the first time, then trusted by its digest.

        Args:
            file: a .tflite, with or without a contract inside.
            target: where it shall run: ``host:``, ``host:?threads=2``, ``ssh://pi@raspberrypi``.
            contract: used instead of the one in the file, for foreign models.

        Raises:
            ModelError: the file is damaged, crashes the runtime, or does not do what it promises.
            ContractError: its contract is malformed.
            SpecError: the contract and the model do not fit each other.
            MissingExtraError: the runtime is not installed.
            DeviceError: the device cannot be reached.
            UnknownNameError: no such target or runtime.
        """
        return cast("Self", open_target(target).load(file, contract))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Every input by its name in the model's signature; `state` names the output that feeds it."""
        return self._interface.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Every output by its name in the model's signature."""
        return self._interface.outputs

    @property
    def window(self) -> int:
        """Samples in a window."""
        return self.contract.input.window if self.contract else (self.input_shape or (1,))[0]

    @property
    def hop(self) -> int:
        """Samples between the starts of two windows; a model without a contract gets adjoining windows."""
        return self.contract.input.hop if self.contract else self.window

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names in column order; empty without a contract."""
        return self.contract.input.names if self.contract else ()

    @property
    def channel_count(self) -> int:
        """Columns of a window."""
        return len(self.channels) or math.prod(self.input_shape) // self.window

    @property
    def rate_hz(self) -> float | None:
        """Sampling rate the model was trained at; None where unknown or meaningless."""
        return self.contract.input.rate_hz if self.contract else None

    @property
    def decision(self) -> DecisionSettings:
        """The contract's decision settings, or the defaults."""
        return self.contract.decision if self.contract else DecisionSettings()

    @property
    def batches(self) -> bool:
        """Whether one invoke takes several windows; found out when the file was verified."""
        return self._footprint is not None and self.max_batch > 1

    @property
    def max_batch(self) -> int:
        """Windows that one invoke may take; 1 where they are run one by one."""
        return max(self._batches.sizes, default=1) if self._footprint is not None else 1

    @property
    def batch_bytes(self) -> int:
        """Memory that batches take so far, at most; grows to 16 MiB when every size of batch has come."""
        return 0 if self._opened is None else self._opened.bytes

    def new_state(self) -> State:
        """What a stream that begins remembers: zeros. One for each device; empty for a stateless model."""
        return self._interface.initial_state()

    def run(
        self, window: NDArray[Any] | Mapping[str, NDArray[Any]], state: State | None = None
    ) -> Prediction:
        """One inference, without decision.

        Args:
            window: float32 of `input_shape`, in the units of the contract's channels; or an array for each
                input by its name in the signature.
            state: of the stream that the window is from, changed by it; a streaming model without one takes
                the window for the first of its stream.

        Returns:
            The winner and its score for a classifier, the value otherwise: what the primary output says. That
            is the first that has a score for each label; of a model without labels, the first. An anomaly
            detector gives its score as the value, and with it the label of what is normal or what is not.

        Raises:
            SpecError: another shape, a type that is not a number, or inputs that are not the model's.
        """
        if not self._plain or not isinstance(window, np.ndarray):
            said, latency_us = self._infer(window, state)
            return self._predicted(self._interface.value(self._primary, said[self._primary]), latency_us)
        if window.shape != self.input_shape or window.dtype != self._dtype:
            window = self._feed.fit(window)
        started = time.perf_counter()
        raw = self._invoke((window[None],))[self._primary]
        latency_us = (time.perf_counter() - started) * 1e6
        return self._predicted(raw[0] if self._float_out else self._out.dequantize(raw[0]), latency_us)

    def run_all(
        self, inputs: NDArray[Any] | Mapping[str, NDArray[Any]], state: State | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """One inference, and all that it says.

        Args:
            inputs: as the window of `run`.
            state: likewise.

        Returns:
            float32 of each output by its name in the signature, without the batch axis; integers without a
            scale as they are.

        Raises:
            SpecError: as `run`.
        """
        said, _ = self._infer(inputs, state)
        return {
            tensor.name: self._interface.value(i, said[i]) for i, tensor in enumerate(self._interface.outputs)
        }

    def run_batch(
        self,
        windows: NDArray[Any] | Mapping[str, NDArray[Any]],
        states: Sequence[State | None] | None = None,
    ) -> list[Prediction]:
        """Many windows, of any devices, as `run` says to each; in few invokes where the model `batches`.

        Args:
            windows: [n, …] of what `run` takes.
            states: of the stream of each window; two windows of one stream are run one after the other.

        Returns:
            One for each window, in their order; `latency_us` is the invoke's time divided by its windows.

        Raises:
            SpecError: as `run`.
        """
        count = self._count(windows)
        if states is not None and len(states) != count:
            raise SpecError(f"{self.name}: states", expected=f"{count}, one a window", found=len(states))
        remembering = states if states is not None and self.stateful else [None] * count
        streams = [id(state) for state in remembering if state is not None]
        if count < 2 or not self.batches or len(set(streams)) < len(streams):
            return [self.run(_row(windows, i), remembering[i]) for i in range(count)]
        predictions: list[Prediction] = []
        for rows, said, latency_us in self._batches.run(
            self._interface.gather(windows, remembering, (count,))
        ):
            self._interface.remember(said, remembering[rows])
            values = self._interface.values(self._primary, said[self._primary])[: rows.stop - rows.start]
            predictions += self._answer.predictions(values, latency_us)
        return predictions

    def interpret(self, outputs: ArrayLike, latency_us: float = 0.0) -> Prediction:
        """What outputs mean that this model gave elsewhere, such as in firmware; without decision.

        Args:
            outputs: float32, the primary output without its batch axis; or every output, one behind the other
                in the order of `outputs`.
            latency_us: what the inference took there, µs.

        Raises:
            SpecError: other outputs than this model has.
        """
        try:
            values = np.asarray(outputs, np.float32).ravel()
        except (TypeError, ValueError) as error:
            raise SpecError(f"{self.name}: outputs", expected="numbers", found=one_line(error)) from error
        sizes = [math.prod(port.window_shape) for port in self.runtime.outputs]
        if len(sizes) > 1 and values.size == sum(sizes):
            start = sum(sizes[: self._primary])
            values = values[start : start + sizes[self._primary]]
        if values.size != sizes[self._primary]:
            raise SpecError(
                f"{self.name}: outputs", expected=f"{sizes[self._primary]} numbers", found=values.size
            )
        return self._predicted(values.reshape(self._out.window_shape), latency_us)

    def above(self, prediction: Prediction, threshold: float | None = None) -> dict[str, float]:
        """The labels whose raw scores reach a threshold, the highest first: of several that may hold, all.

        Args:
            prediction: of this model.
            threshold: instead of the contract's.
        """
        least = self.decision.threshold if threshold is None else threshold
        scores = np.ravel(prediction.outputs).tolist()
        named = dict(zip(self.labels, scores, strict=True)) if len(scores) == len(self.labels) else {}
        return {
            label: named[label] for label in sorted(named, key=lambda k: -named[k]) if named[label] >= least
        }

    def scores(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        """The raw outputs of many windows, run one by one as a device would.

        Args:
            windows: float32 [n, …], each of `input_shape`.

        Returns:
            float32 [n, outputs].
        """
        outputs = [self.run(window).outputs.ravel() for window in windows]
        return np.stack(outputs) if outputs else np.empty((0, len(self.labels)), np.float32)

    def stream(
        self, source: Iterable[Block | Fault | Prediction], decision: DecisionSettings | None = None
    ) -> Iterator[Prediction]:
        """Predictions for a stream of blocks, with decision, in the caller's thread.

        Args:
            source: a source, or any iterable of blocks, or of predictions that this model gave elsewhere;
                windows are kept per device.
            decision: instead of the contract's.

        Raises:
            SpecError: the blocks' channels or rate, or the predictions' outputs, are not the model's.
            ModelError: the predictions are of another model.
        """
        from edge_sdk.inference import Inference
        from edge_sdk.received import home_of

        if self.contract is not None and hasattr(source, "expect"):
            source.expect(self.contract.input)
        if hasattr(source, "expect_shape"):
            source.expect_shape(self.input_shape)
        inference = Inference(self, decision)
        for item in source:
            if isinstance(item, Block):
                yield from inference.push(item)
            elif isinstance(item, Prediction):
                home_of(item, source, "the source", [self])
                yield from inference.receive(item)
            elif isinstance(item, Fault):
                inference.fault(item)
            else:
                raise SpecError("the source", expected="blocks or predictions", found=type(item).__name__)

    def close(self) -> None:
        """Release the runtime."""
        if self._opened is not None:
            self._opened.close()
        self.runtime.close()

    @property
    def _batches(self) -> Batches:
        if self._opened is None:
            from edge_sdk.batching import Batches  # only who batches pays for it

            self._opened = Batches(self.runtime, self._footprint or {})
        return self._opened

    def _infer(
        self, window: NDArray[Any] | Mapping[str, NDArray[Any]], state: State | None
    ) -> tuple[list[NDArray[Any]], float]:
        """What every output says as the runtime holds it, and the invoke's time, µs."""
        given = self._interface.gather(window, (state,))
        started = time.perf_counter()
        said = self._invoke(given)
        latency_us = (time.perf_counter() - started) * 1e6
        self._interface.remember(said, (state,))
        return said, latency_us

    def _count(self, windows: NDArray[Any] | Mapping[str, NDArray[Any]]) -> int:
        arrays = list(windows.values()) if isinstance(windows, Mapping) else [windows]
        counts = {len(array) if np.ndim(array) else -1 for array in arrays}
        if len(counts) != 1 or -1 in counts:
            raise SpecError(
                f"{self.name}: windows", expected="as many for each input", found=sorted(counts) or "none"
            )
        return counts.pop()


def _row(windows: NDArray[Any] | Mapping[str, NDArray[Any]], row: int) -> Any:
    """One of many windows."""
    if isinstance(windows, Mapping):
        return {name: array[row] for name, array in windows.items()}
    return windows[row]
