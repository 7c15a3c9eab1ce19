"""Blocks in, predictions out: windows per device, the model, the decision, and the books of the samples.

Predictions that were made elsewhere enter at the decision.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault
from edge_sdk.clock import ClockState
from edge_sdk.columns import Columns
from edge_sdk.contract import DecisionSettings
from edge_sdk.decision import Decision
from edge_sdk.errors import SpecError
from edge_sdk.latch import Alarm, EachLabel, decision_of
from edge_sdk.ledger import Samples
from edge_sdk.prediction import Prediction
from edge_sdk.roster import Roster, RosterSettings
from edge_sdk.watch import SensorSettings, SensorWatch, Watched
from edge_sdk.windows import Windows

if TYPE_CHECKING:
    from edge_sdk.model import Model
    from edge_sdk.tensors import State


@dataclass(slots=True)
class _Device:
    """What is kept for one device."""

    name: str
    windows: Windows
    decision: Decision | Alarm | EachLabel
    sequence: int
    watched: Watched = field(default_factory=Watched)
    state: State | None = None
    number: int | None = None
    """Of its last block."""
    received: int | None = None
    """Of its last prediction that a source brought."""


@dataclass(slots=True)
class _Due:
    """A window that waits for its invoke and is kept in the stack, or what must come after such a window.

    That is a break between two windows, or a prediction that was made elsewhere.
    """

    device: _Device
    is_break: bool = False
    time_s: float = 0.0
    wall_s: float = 0.0
    fault: str | None = None
    arrived_s: float = 0.0
    state: State | None = None
    ready: Prediction | None = None

    @property
    def is_window(self) -> bool:
        """Whether it is in the stack."""
        return not self.is_break and self.ready is None


class Inference:
    """One model over the blocks of any number of devices.

    Args:
        model: what to run.
        decision: instead of the contract's.
        device: name for blocks that carry none.
        run_id: of these predictions; random where none is given.
        devices: how many devices, and for how long each is remembered.
        sensor: what the sensors are held to.

    Attributes:
        samples: what became of every sample; balances after each call.
        received: likewise of the predictions that were made elsewhere.
        faults: counted by reason.
        noticed: those of them that no source reported, but the look at its samples showed.
        invokes: how often the model ran; fewer than windows where several went in together.
        arrived_s: given with the block behind the prediction that was yielded last.
        on_latency: called with each invoke's time for one window, µs.
        on_fault: called with each fault that was noticed here.
    """

    def __init__(
        self,
        model: Model,
        decision: DecisionSettings | None = None,
        *,
        device: str = "",
        run_id: str | None = None,
        devices: RosterSettings | None = None,
        sensor: SensorSettings | None = None,
    ) -> None:
        self.model = model
        self.decision = decision or model.decision
        self.device = device
        self.run_id = run_id or os.urandom(8).hex()
        self.samples, self.received = Samples(), Samples()
        self.faults: Counter[str] = Counter()
        self.noticed: Counter[str] = Counter()
        self.invokes = 0
        self.arrived_s = 0.0
        self.on_latency: Callable[[float], None] | None = None
        self.on_fault: Callable[[Fault], None] | None = None
        self._devices = Roster(devices or RosterSettings(), self._begin, self._forget)
        self._watch = SensorWatch(
            sensor or SensorSettings(), model.contract.input if model.contract else None, model.window
        )
        self._columns = Columns(model)
        self._clock = ClockState()
        self._channel_count = model.channel_count
        self._stateful = model.stateful
        self._first_sequence = 0
        """Of a device that is new or was forgotten: no number of a run is given twice."""
        #: Predictions carry a copy of what the model saw.
        self.keep_windows = False
        #: How many windows go through one invoke at most.
        self.batch = model.max_batch
        self._stack: NDArray[Any] | None = None
        self._due: list[_Due] = []
        self._stacked = 0

    @property
    def devices(self) -> int:
        """Device ids that a window is kept for now."""
        return len(self._devices)

    @property
    def troubled(self) -> Mapping[str, str]:
        """What is wrong with a sensor now, by device."""
        return self._watch.troubled

    @property
    def device_bytes(self) -> int:
        """What one device takes, bytes: its ring, and the objects around it."""
        ring = 2 * self.model.window * self._channel_count * 4
        smooth = self.decision.smooth
        recent = _DEQUE_BYTES + smooth * (4 * len(self.model.labels) + 112) if smooth > 1 else 0
        return ring + self.model.new_state().bytes + recent + _OBJECTS_BYTES

    def push(
        self, block: Block, number: int | None = None, *, live: bool = False, arrived_s: float = 0.0
    ) -> Iterator[Prediction]:
        """Take a block and yield the predictions of the windows it completes.

        A prediction's arrays are its own; the window behind it is not kept.

        Args:
            block: consecutive samples of one device.
            number: counts the device's blocks; where one is missing, blocks were lost.
            live: the block's time is that of a clock, and not of a recording.
            arrived_s: when it came; see the attribute.

        Raises:
            SpecError: the block has other channels or another rate than the model was trained with.
        """
        for device, window, at_s in self._windows_of(block, number, live=live):
            prediction = self.model.run(window, device.state)
            prediction.time_s, prediction.wall_s = block.time_s + at_s, block.wall_s + at_s
            prediction.fault = device.watched.fault
            if self.keep_windows:
                prediction.window = window.copy()
            self.invokes += 1
            self.arrived_s = arrived_s
            yield from self._finished(prediction, device)

    def gather(
        self, block: Block, number: int | None = None, *, live: bool = False, arrived_s: float = 0.0
    ) -> Iterator[Prediction]:
        """`push` that lets the windows wait, so that many go through one invoke; `flush` runs the rest."""
        for device, window, at_s in self._windows_of(block, number, live=live):
            if self._stack is None or self._stack.dtype != window.dtype:
                yield from self.flush()
                self._stack = np.empty((self.batch, *window.shape), window.dtype)
            self._stack[self._stacked] = window
            self._stacked += 1
            times = (block.time_s + at_s, block.wall_s + at_s)
            self._due.append(_Due(device, False, *times, device.watched.fault, arrived_s, device.state))
            if self._stacked == self.batch:
                yield from self.flush()

    def flush(self) -> Iterator[Prediction]:
        """The predictions of the windows that wait, in the order in which they came."""
        due, stacked = self._due, self._stacked
        self._due, self._stacked = [], 0
        if self._stack is None or not stacked:
            return
        self.invokes += 1
        states = [each.state for each in due if each.is_window] if self._stateful else None
        predictions = iter(self.model.run_batch(self._stack[:stacked], states))
        windows = iter(self._stack[:stacked].copy() if self.keep_windows else ())
        for each in due:
            if each.is_break:
                each.device.decision.reset()
                continue
            self.arrived_s = each.arrived_s
            if each.ready is not None:
                yield from self._finished(each.ready, each.device)
                continue
            prediction = next(predictions)
            prediction.time_s, prediction.wall_s, prediction.fault = each.time_s, each.wall_s, each.fault
            prediction.window = next(windows, None)
            yield from self._finished(prediction, each.device)

    def receive(
        self, prediction: Prediction, number: int | None = None, *, arrived_s: float = 0.0
    ) -> Iterator[Prediction]:
        """Take what this model said elsewhere, such as in firmware, and yield it as a prediction of this run.

        The one that is given stays as it is. Behind windows that wait for `flush`, it waits, too.

        Args:
            prediction: its outputs, device, times, latency and fault.
            number: counts the device's predictions; where one is missing, predictions were lost.
            arrived_s: as in `push`.

        Raises:
            SpecError: its outputs are not those of the model.
        """
        said = self.model.interpret(prediction.outputs, prediction.latency_us)
        said.time_s, said.wall_s = prediction.time_s, prediction.wall_s
        device = self._devices.get(prediction.device or self.device, time.monotonic())
        if device is None:
            self._note(Fault("too_many_devices", device=prediction.device))
            self.received.drop(1, "fault")
            return
        if number is not None and device.received is not None and number != device.received + 1:
            self._start_over(device)
        device.received = number
        for fault in self._watch.heard(device.watched, device.name):
            self._note(fault)
        if not np.isfinite(said.outputs).all():
            self._note(Fault("not_a_number", device=device.name))
            self.received.drop(1, "fault")
            self._start_over(device)
            return
        said.fault = prediction.fault or device.watched.fault
        self.received.read += 1
        self.received.used += 1
        if self._due:
            self._due.append(_Due(device, arrived_s=arrived_s, ready=said))
        else:
            self.arrived_s = arrived_s
            yield from self._finished(said, device)

    def fault(self, fault: Fault) -> None:
        """Count what a source could not read; the windows of that device start over."""
        self.faults[fault.reason] += 1
        self.samples.read += fault.samples
        self._drop("fault", fault.samples)
        device = self._devices.peek(fault.device or self.device)
        if device is not None and (fault.samples or fault.gap):
            self._break(device, "gap")

    def refuse(self, item: Block | Prediction, error: SpecError) -> None:
        """Count what `push` or `receive` refused as a fault of its device; the others need not suffer."""
        self._note(Fault("spec", detail=str(error), device=item.device))
        if isinstance(item, Block):
            self.samples.drop(len(item.samples), "fault")
        else:
            self.received.drop(1, "fault")
        device = self._devices.peek(item.device or self.device)
        if device is not None:
            self._break(device, "gap")

    def sweep(self, *, each_device: bool = False) -> None:
        """Forget the devices that are idle; notice those that are silent.

        Args:
            each_device: devices fall silent one by one, not with their source.
        """
        now = time.monotonic()
        self._devices.sweep(now)
        silence_s = self._watch.settings.silence_s
        if each_device and silence_s:
            for name, heard_s, device in self._devices.heard_before(now - silence_s):
                for fault in self._watch.silent(device.watched, name, now - heard_s):
                    self._note(fault)

    def finish(self) -> None:
        """The streams ended: what still waits for a full window is given up as ``tail``."""
        for _, device in self._devices:
            self._break(device, "tail")

    def _windows_of(
        self, block: Block, number: int | None, *, live: bool
    ) -> Iterator[tuple[_Device, NDArray[Any], float]]:
        """The windows that a block completes, each with its last sample's time in the block, s."""
        samples = self._columns.of(block, block.device or self.device)
        self.samples.read += len(samples)
        device = self._devices.get(block.device or self.device, time.monotonic())
        if device is None:
            self._note(Fault("too_many_devices", len(samples), device=block.device))
            self._drop("fault", len(samples))
            return
        if block.gap or (number is not None and device.number is not None and number != device.number + 1):
            # Of a camera that is faster than the model pictures are left out all the time, and none needs its
            # neighbours: only the source itself says that it was away.
            if block.gap or self._stateful or not block.has_pictures:
                self._break(device, "gap")
            device.watched.restart()
        device.number = number
        for fault in self._watch.begun(device.watched, block, samples, live=live):
            self._note(fault)
        good = self._watch.good(samples)
        if good is None:
            yield from self._cut(device, block, samples, 0)
        else:
            yield from self._around_faults(device, block, samples, good)
        if block.end:
            self._break(device, "tail")

    def _cut(
        self, device: _Device, block: Block, samples: NDArray[Any], start: int
    ) -> Iterator[tuple[_Device, NDArray[Any], float]]:
        if block.has_pictures:  # each is a window
            for row, picture in enumerate(samples):
                yield device, picture, (start + row) / block.rate_hz
            self.samples.used += len(samples)
            return
        windows = device.windows
        pending, skipped = windows.pending, windows.skipped
        for window in windows.push(samples):
            yield device, window, (start + windows.consumed - 1) / block.rate_hz
        self.samples.pending += windows.pending - pending
        self.samples.used += len(samples) - (windows.pending - pending) - (windows.skipped - skipped)
        self._drop("hop", windows.skipped - skipped)

    def _around_faults(
        self, device: _Device, block: Block, samples: NDArray[Any], good: NDArray[np.bool_]
    ) -> Iterator[tuple[_Device, NDArray[Any], float]]:
        """Samples that are no numbers or out of range are dropped; no window spans the hole they leave."""
        edges = np.flatnonzero(np.diff(good)) + 1
        for start, stop in zip([0, *edges], [*edges, len(good)], strict=True):
            if good[start]:
                yield from self._cut(device, block, samples[start:stop], int(start))
            else:
                bad = samples[start:stop]
                self._note(Fault(self._watch.describe(bad), len(bad), device=device.name))
                self._drop("fault", len(bad))
                self._break(device, "gap")

    def _finished(self, prediction: Prediction, device: _Device) -> Iterator[Prediction]:
        """A prediction with all that is known of it; one more for each further event of its window."""
        prediction.clock_synced = self._clock.synced()
        prediction.device, prediction.run_id, prediction.model = device.name, self.run_id, self.model.name
        if self.on_latency is not None and prediction.latency_us:
            self.on_latency(prediction.latency_us)
        decided = device.decision.apply(prediction)
        for said in (decided, *device.decision.also):
            said.sequence = device.sequence
            device.sequence += 1
            yield said

    def _break(self, device: _Device, reason: str) -> None:
        dropped = device.windows.reset()
        self.samples.pending -= dropped
        self._drop(reason, dropped)
        self._start_over(device)
        if self._stateful:
            device.state = self.model.new_state()

    def _start_over(self, device: _Device) -> None:
        """What comes next is not the neighbour of what was decided on last."""
        if self._due:
            self._due.append(_Due(device, is_break=True))
        else:
            device.decision.reset()

    def _note(self, fault: Fault) -> None:
        self.faults[fault.reason] += 1
        self.noticed[fault.reason] += 1
        if self.on_fault is not None:
            self.on_fault(fault)

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.samples.dropped[reason] += count

    def _begin(self, name: str) -> _Device:
        windows = Windows(self.model.window, self.model.hop, self._channel_count)
        decision = decision_of(self.decision, self.model)
        device = _Device(sys.intern(name), windows, decision, self._first_sequence)
        if self._stateful:
            device.state = self.model.new_state()
        return device

    def _forget(self, name: str, device: _Device) -> None:
        self._break(device, "idle")
        self._watch.forget(name)
        self._first_sequence = max(self._first_sequence, device.sequence)


#: The objects of one device without its ring, and what remembers its scores, bytes; `make bench` measures.
_OBJECTS_BYTES, _DEQUE_BYTES = 1000, 760
