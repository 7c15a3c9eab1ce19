"""A model: a .tflite and its contract."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Contract, DecisionSettings
from edge_sdk.errors import SpecError
from edge_sdk.prediction import Prediction
from edge_sdk.targets import open_target

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from edge_sdk.runtimes import Runtime


class Model(Closing):
    """Runs windows through a .tflite; get one with `Model.load`.

    Attributes:
        runtime: the engine; `runtime.name` and `runtime.version` say which.
        digest: ``sha256:…`` of the flatbuffer.
        contract: what travels with the model; None for a foreign file.
        name: from the contract, else the file's name.
        labels: in the order of the scores; empty for a regression.
        input_shape: of one window, without the batch axis.
    """

    def __init__(
        self,
        runtime: Runtime,
        digest: str,
        contract: Contract | None,
        *,
        name: str,
        labels: tuple[str, ...] = (),
    ) -> None:
        self.runtime, self.digest, self.contract = runtime, digest, contract
        self.name = contract.name if contract else name
        self.input_shape = runtime.inputs[0].shape[1:]
        self._in, self._out = runtime.inputs[0], runtime.outputs[0]
        self._dtype = np.dtype(self._in.dtype)
        self._invoke = runtime.invoke
        self._float_out = self._out.dtype == "float32"
        scores = int(np.prod(self._out.shape[1:]))
        self._classifies = contract.task == "classification" if contract else scores > 1
        labels = contract.output.labels if contract else labels
        if self._classifies and not labels:
            labels = tuple(str(i) for i in range(scores))
        if self._classifies and len(labels) != scores:
            raise SpecError(
                f"{self.name}: labels", expected=f"{scores}, one for each output", found=len(labels)
            )
        self.labels = labels if self._classifies else ()
        self._window_shape = self.input_shape
        if contract is not None and contract.input.layout == "TC":
            wanted = (contract.input.window, len(contract.input.channels))
            if self.input_shape != wanted and int(np.prod(self.input_shape)) != wanted[0] * wanted[1]:
                raise SpecError(
                    f"{self.name}: the contract does not fit the model",
                    expected=f"an input of {list(wanted)}",
                    found=list(self.input_shape),
                )
            self._window_shape = wanted

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
            MissingExtraError: the runtime is not installed.
            DeviceError: the device cannot be reached.
            UnknownNameError: no such target or runtime.
        """
        return cast("Self", open_target(target).load(file, contract))

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
        return len(self.channels) or int(np.prod(self.input_shape)) // self.window

    @property
    def rate_hz(self) -> float | None:
        """Sampling rate the model was trained at; None where unknown or meaningless."""
        return self.contract.input.rate_hz if self.contract else None

    @property
    def decision(self) -> DecisionSettings:
        """The contract's decision settings, or the defaults."""
        return self.contract.decision if self.contract else DecisionSettings()

    def run(self, window: NDArray[Any]) -> Prediction:
        """One inference, without decision.

        Args:
            window: float32 of `input_shape`, in the units of the contract's channels.

        Returns:
            The winner and its score for a classifier, the value otherwise.

        Raises:
            SpecError: another shape or a type that is not a number.
        """
        if window.shape != self.input_shape or window.dtype != self._dtype:
            window = self._fit(window)
        started = time.perf_counter()
        raw = self._invoke((window[None],))[0]
        latency_us = (time.perf_counter() - started) * 1e6
        outputs = raw[0] if self._float_out else self._out.dequantize(raw[0])
        if self._classifies:
            best = int(outputs.argmax())
            return Prediction(
                self.labels[best],
                outputs.item(best),
                None,
                outputs,
                latency_us=latency_us,
                model=self.name,
            )
        return Prediction(None, None, outputs.item(0), outputs, latency_us=latency_us, model=self.name)

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
        self, source: Iterable[Block | Fault], decision: DecisionSettings | None = None
    ) -> Iterator[Prediction]:
        """Predictions for a stream of blocks, with decision, in the caller's thread.

        Args:
            source: a source, or any iterable of blocks; windows are kept per device.
            decision: instead of the contract's.

        Raises:
            SpecError: the blocks' channels or rate are not the model's.
        """
        from edge_sdk.inference import Inference

        if self.contract is not None and hasattr(source, "expect"):
            source.expect(self.contract.input)
        inference = Inference(self, decision)
        for item in source:
            if isinstance(item, Fault):
                inference.fault(item)
            else:
                yield from inference.push(item)

    def close(self) -> None:
        """Release the runtime."""
        self.runtime.close()

    def _fit(self, window: NDArray[Any]) -> NDArray[Any]:
        """A window made to fit: another number type, [T, C] for [T, C, 1], quantized for int8."""
        if window.shape == self._window_shape and window.dtype == self._dtype:
            return window.reshape(self.input_shape)
        shape = np.shape(window)
        same_elements = int(np.prod(shape)) == int(np.prod(self.input_shape))
        if not same_elements or [n for n in shape if n != 1] != [n for n in self.input_shape if n != 1]:
            raise SpecError(
                f"{self.name}: window", expected=f"{self._dtype} {list(self.input_shape)}", found=list(shape)
            )
        if window.dtype.kind not in "fiub":
            raise SpecError(f"{self.name}: window", expected=str(self._dtype), found=window.dtype)
        window = window.reshape(self.input_shape)
        if window.dtype == self._dtype:
            return window
        return self._in.quantize(window)
