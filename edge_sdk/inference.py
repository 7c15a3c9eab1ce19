"""Blocks in, predictions out: windows per device, the model, the decision, and the books of the samples."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault
from edge_sdk.clock import ClockState
from edge_sdk.contract import DecisionSettings
from edge_sdk.decision import Decision
from edge_sdk.errors import SpecError
from edge_sdk.ledger import Samples
from edge_sdk.prediction import Prediction
from edge_sdk.windows import Windows

if TYPE_CHECKING:
    from edge_sdk.model import Model


@dataclass(slots=True)
class _Device:
    """What is kept for one device."""

    windows: Windows
    decision: Decision
    sequence: int = 0


class Inference:
    """One model over the blocks of any number of devices.

    Args:
        model: what to run.
        decision: instead of the contract's.
        device: name for blocks that carry none.
        run_id: of these predictions; random where none is given.
        on_latency: called with each invoke's time, µs.

    Attributes:
        samples: what became of every sample; balances after each call.
        faults: counted by reason.
    """

    def __init__(
        self,
        model: Model,
        decision: DecisionSettings | None = None,
        *,
        device: str = "",
        run_id: str | None = None,
        on_latency: Callable[[float], None] | None = None,
    ) -> None:
        self.model = model
        self.decision = decision or model.decision
        self.device = device
        self.run_id = run_id or os.urandom(8).hex()
        self.on_latency = on_latency
        self.samples = Samples()
        self.faults: Counter[str] = Counter()
        self._devices: dict[str, _Device] = {}
        self._columns: dict[tuple[str, ...], list[int] | None] = {}
        self._clock = ClockState()
        self._channel_count = model.channel_count
        self._rate_hz: float | None = None
        """The rate that was checked last."""

    def push(self, block: Block) -> Iterator[Prediction]:
        """Take a block and yield the predictions of the windows it completes.

        A prediction's arrays are its own; the window behind it is not kept.

        Raises:
            SpecError: the block has other channels or another rate than the model was trained with.
        """
        samples = self._arrange(block)
        self.samples.read += len(samples)
        name = block.device or self.device
        device = self._devices.get(name)
        if device is None:
            device = self._devices[name] = self._new_device()
        if block.gap:
            self._break(device, "gap")
        if np.isfinite(samples).all():
            yield from self._windows(device, name, block, samples, 0)
        else:
            yield from self._around_faults(device, name, block, samples)
        if block.end:
            self._break(device, "tail")

    def fault(self, fault: Fault) -> None:
        """Count what a source could not read; the windows of that device start over."""
        self.faults[fault.reason] += 1
        self.samples.read += fault.samples
        self._drop("fault", fault.samples)
        device = self._devices.get(fault.device or self.device)
        if device is not None and fault.samples:
            self._break(device, "gap")

    def finish(self) -> None:
        """The streams ended: what still waits for a full window is given up as ``tail``."""
        for device in self._devices.values():
            self._break(device, "tail")

    def _windows(
        self, device: _Device, name: str, block: Block, samples: NDArray[np.float32], start: int
    ) -> Iterator[Prediction]:
        windows = device.windows
        pending, skipped = windows.pending, windows.skipped
        for window in windows.push(samples):
            prediction = self.model.run(window)
            last_s = (start + windows.consumed - 1) / block.rate_hz
            prediction.time_s = block.time_s + last_s
            prediction.wall_s = block.wall_s + last_s
            prediction.clock_synced = self._clock.synced()
            prediction.device, prediction.run_id = name, self.run_id
            prediction.sequence = device.sequence
            device.sequence += 1
            if self.on_latency is not None:
                self.on_latency(prediction.latency_us)
            yield device.decision.apply(prediction)
        self.samples.pending += windows.pending - pending
        self.samples.used += len(samples) - (windows.pending - pending) - (windows.skipped - skipped)
        self._drop("hop", windows.skipped - skipped)

    def _around_faults(
        self, device: _Device, name: str, block: Block, samples: NDArray[np.float32]
    ) -> Iterator[Prediction]:
        """Samples that are not numbers are dropped, and no window spans the hole they leave."""
        good: NDArray[np.bool_] = np.all(np.isfinite(samples), axis=1)
        edges = np.flatnonzero(np.diff(good)) + 1
        for start, stop in zip([0, *edges], [*edges, len(good)], strict=True):
            if good[start]:
                yield from self._windows(device, name, block, samples[start:stop], int(start))
            else:
                self.faults["not_a_number"] += 1
                self._drop("fault", int(stop - start))
                self._break(device, "gap")

    def _break(self, device: _Device, reason: str) -> None:
        dropped = device.windows.reset()
        self.samples.pending -= dropped
        self._drop(reason, dropped)
        device.decision.reset()

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.samples.dropped[reason] += count

    def _new_device(self) -> _Device:
        windows = Windows(self.model.window, self.model.hop, self._channel_count)
        return _Device(windows, Decision(self.decision, self.model.labels))

    def _arrange(self, block: Block) -> NDArray[np.float32]:
        """The block's samples with the model's channels in the model's order; checks rate and channels."""
        if block.rate_hz != self._rate_hz:
            self._check_rate(block)
        if block.channels not in self._columns:
            self._columns[block.channels] = self._match(block)
        columns = self._columns[block.channels]
        samples = block.samples if columns is None else block.samples[:, columns]
        if samples.ndim != 2 or samples.shape[1] != self._channel_count:
            raise SpecError(
                f"block of {block.device or self.device or 'the source'}",
                expected=f"[n, {self._channel_count}] samples",
                found=list(samples.shape),
            )
        return samples.astype(np.float32, copy=False)

    def _check_rate(self, block: Block) -> None:
        contract = self.model.contract
        if contract is not None and not contract.input.takes_rate(block.rate_hz):
            raise SpecError(
                f"rate of {block.device or self.device or 'the source'}",
                expected=f"{contract.input.rate_hz:g} Hz ± {contract.input.rate_tolerance:.0%}, "
                f"which {self.model.name} was trained at",
                found=f"{block.rate_hz:g} Hz",
                remedy="set the sensor's rate, or train at this one",
            )
        self._rate_hz = block.rate_hz

    def _match(self, block: Block) -> list[int] | None:
        """Which columns of the block are the model's, or None where they are so already."""
        wanted = self.model.channels
        if not wanted or not block.channels or block.channels == wanted:
            return None
        missing = [name for name in wanted if name not in block.channels]
        if missing:
            raise SpecError(
                f"channels of {block.device or self.device or 'the source'}",
                expected=", ".join(wanted),
                found=", ".join(block.channels),
                remedy="name the source's columns with its option channels=…",
            )
        return [block.channels.index(name) for name in wanted]
