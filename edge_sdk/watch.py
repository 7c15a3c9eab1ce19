"""Holds a sensor to what it promised: range, rate, punctuality, and that it moves at all.

What is no number or outside the contract's range is no sample: it is dropped, and no window spans the hole.
A wrong rate, a stuck value and bad timing do not spoil a single sample but the meaning of a window: they are
counted once each time they begin, and every prediction says so while they last (`Prediction.fault`); a jump
in time lasts as long as there is a window around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault
from edge_sdk.contract import Input

#: A rate is measured over so many samples and so long at least.
_RATE_SAMPLES, _RATE_S = 20, 5.0
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """``[sensor]`` of an edgeml.toml: what a sensor is held to; 0 switches a check off.

    Attributes:
        silence_s: a live source that sends nothing for so long is silent.
        stuck_s: no channel has changed for so long (and for 100 samples): the sensor hangs.
        rate_tolerance: share by which the measured rate may differ; default: the contract's.
        jitter_s: a block that comes so much earlier or later than its samples say; default: half a window,
            and a second at least.
        range_margin: share of a channel's range by which a value may lie outside before it is no sample.
    """

    silence_s: float = 5.0
    stuck_s: float = 10.0
    rate_tolerance: float | None = None
    jitter_s: float | None = None
    range_margin: float = 0.1


@dataclass(slots=True)
class Watched:
    """What is remembered of one device.

    Attributes:
        fault: what is wrong now; None where nothing is.
    """

    fault: str | None = None
    span_s: float = 0.0
    latest: bytes = b""
    unchanged: int = 0
    started_s: float | None = None
    counted: int = 0
    next_s: float = 0.0
    doubtful: int = 0
    """Samples until no window holds a jump in time any more."""
    active: dict[str, str] = field(default_factory=dict)

    def restart(self) -> None:
        """Samples are missing, which is known: time is measured anew."""
        self.started_s, self.doubtful = None, 0


class SensorWatch:
    """Checks the blocks of any number of devices against one contract.

    Args:
        settings: what to look for.
        wanted: what the model was trained with; None where it has no contract.
        window: samples in a window, where that does not tell.
    """

    def __init__(self, settings: SensorSettings, wanted: Input | None, window: int = 1) -> None:
        self.settings = settings
        #: What is wrong now, by device.
        self.troubled: dict[str, str] = {}
        low, high = _limits(wanted, settings.range_margin)
        self._low, self._high = low, high
        self._has_limits = bool((high < _LARGEST).any())
        tolerance = settings.rate_tolerance
        if tolerance is None:
            tolerance = wanted.rate_tolerance if wanted else 0.0
        self._tolerance = tolerance
        self._window = wanted.window if wanted else window
        self._hop_s = wanted.hop / wanted.rate_hz if wanted and wanted.rate_hz else 0.0
        window_s = wanted.window / wanted.rate_hz if wanted and wanted.rate_hz else 2.0
        self._jitter_s = max(1.0, window_s / 2) if settings.jitter_s is None else settings.jitter_s

    def good(self, samples: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which samples are numbers within their range, bool [n]; None where all are, which is cheaper.

        Args:
            samples: float32 [n, channels], in the model's order; or pictures.
        """
        if not self._has_limits and math.isfinite(np.vdot(samples, samples)):
            return None
        inside = (samples >= self._low) & (samples <= self._high)  # false for what is not a number
        return None if inside.all() else np.asarray(inside.reshape(len(inside), -1).all(axis=1))

    def describe(self, samples: NDArray[np.float32]) -> str:
        """Why a run of bad samples is bad: ``not_a_number`` or ``range``."""
        return "range" if np.isfinite(samples).all() else "not_a_number"

    def forget(self, device: str) -> None:
        """Nothing is wrong with a device any more, or it is gone."""
        self.troubled.pop(device, None)

    def begun(self, device: Watched, block: Block, samples: NDArray[Any], *, live: bool) -> Iterator[Fault]:
        """The faults that begin with this block; `device.fault` says which last.

        Args:
            device: what is remembered of it.
            block: as it came.
            samples: float32 [n, channels], its samples in the model's order.
            live: the block's time is that of a clock, and not of a recording.
        """
        count = len(samples)
        if not count:
            return
        settings = self.settings
        device.span_s = count / block.rate_hz
        if "silence" in device.active:
            yield from self._turned(device, "silence", False, "", block.device)
        if block.gap:
            device.restart()
        if settings.stuck_s:
            stuck = self._stuck(device, samples, block.rate_hz)
            if stuck != ("stuck" in device.active):
                detail = f"no change for {settings.stuck_s:g} s"
                yield from self._turned(device, "stuck", stuck, detail, block.device)
        if live:
            yield from self._timing(device, block, count)

    def heard(self, device: Watched, name: str) -> Iterator[Fault]:
        """A prediction came from a device; its samples were nowhere near."""
        device.span_s = self._hop_s
        if "silence" in device.active:
            yield from self._turned(device, "silence", False, "", name)

    def silent(self, device: Watched, name: str, for_s: float) -> Iterator[Fault]:
        """A fault when one of many devices has said nothing for so long, or for three of its blocks."""
        if "silence" not in device.active and for_s > max(self.settings.silence_s, 3 * device.span_s):
            detail = f"no sample for {self.settings.silence_s:g} s"
            yield from self._turned(device, "silence", True, detail, name)

    def _timing(self, device: Watched, block: Block, count: int) -> Iterator[Fault]:
        off_s = 0.0 if device.started_s is None else block.time_s - device.next_s
        late = bool(self._jitter_s) and abs(off_s) > self._jitter_s
        if late:
            device.doubtful = self._window
        doubtful = device.doubtful > 0
        if doubtful != ("jitter" in device.active):
            detail = f"{off_s:+.1f} s off its time"
            yield from self._turned(device, "jitter", doubtful, detail, block.device)
        device.doubtful = max(0, device.doubtful - count)
        device.next_s = block.time_s + count / block.rate_hz
        if device.started_s is None or late:
            device.started_s, device.counted = block.time_s, 0
        span_s = block.time_s - device.started_s
        if self._tolerance and device.counted >= _RATE_SAMPLES and span_s >= _RATE_S:
            rate_hz = device.counted / span_s
            wrong = abs(rate_hz - block.rate_hz) > self._tolerance * block.rate_hz
            if wrong != ("rate" in device.active):
                detail = f"expected {block.rate_hz:g} Hz, measured {rate_hz:.4g} Hz"
                yield from self._turned(device, "rate", wrong, detail, block.device)
            device.started_s, device.counted = block.time_s, 0
        device.counted += count

    def _stuck(self, device: Watched, samples: NDArray[Any], rate_hz: float) -> bool:
        count, content = len(samples), samples.tobytes()  # bytes compare faster than arrays do
        if content == device.latest * count:
            device.unchanged += count
        else:
            device.latest, device.unchanged = content[-len(content) // count :], 0
        return device.unchanged >= max(100, math.ceil(self.settings.stuck_s * rate_hz))

    def _turned(self, device: Watched, reason: str, holds: bool, detail: str, name: str) -> Iterator[Fault]:
        """A fault when something begins; call it only when it begins or ends."""
        if holds:
            device.active[reason] = detail
        else:
            del device.active[reason]
        device.fault = min(device.active, default=None)
        if device.fault is None:
            self.forget(name)
        else:
            self.troubled[name] = f"{device.fault}: {device.active[device.fault]}"
        if holds:
            yield Fault(reason, 0, detail, name)


def _limits(wanted: Input | None, margin: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Per channel, the lowest and the highest number that can be a sample; float32 [channels] or [1]."""
    if wanted is None:
        return np.array([-_LARGEST], np.float32), np.array([_LARGEST], np.float32)
    low, high = [], []
    for channel in wanted.channels:
        if channel.range is None:
            low.append(-_LARGEST)
            high.append(_LARGEST)
        else:
            spare = margin * (channel.range[1] - channel.range[0])
            low.append(channel.range[0] - spare)
            high.append(channel.range[1] + spare)
    return np.array(low, np.float32), np.array(high, np.float32)
