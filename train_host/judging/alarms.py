"""Alarms: how often they may be false, and how often they were."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import compare
from edge_sdk.errors import ConfigError
from train_host.judging import resampling
from train_host.judging.resampling import Figure

_RATE = re.compile(r"(?P<count>[0-9.eE+-]+)\s*/\s*(?P<unit>s|min|h|day|d|week)")
_PER_HOUR = {"s": 3600.0, "min": 60.0, "h": 1.0, "day": 1 / 24, "d": 1 / 24, "week": 1 / 168}


@dataclass(frozen=True, slots=True)
class Allowed:
    """How often an alarm may be false.

    Attributes:
        value: events an hour, or the share of recordings with one.
        hourly: which of both.
        words: as it was written.
    """

    value: float
    hourly: bool
    words: str

    @classmethod
    def parse(cls, words: str) -> Allowed:
        """Read ``1/h``, ``0.5/day``, ``2 %`` or ``0.02``.

        Raises:
            ConfigError: none of these.

        >>> Allowed.parse("12/day").value
        0.5
        >>> Allowed.parse("2 %")
        Allowed(value=0.02, hourly=False, words='2 %')
        """
        text = words.strip()
        rate = _RATE.fullmatch(text)
        try:
            if rate:
                value = float(rate["count"]) * _PER_HOUR[rate["unit"]]
            elif text.endswith("%"):
                value = float(text[:-1]) / 100
            else:
                value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < (1e9 if rate else 1):
            expected = "events in a time, such as 1/h or 2/day, or a share of recordings, such as 0.02 or 2%"
            raise ConfigError("false alarms", expected=expected, found=words or "nothing")
        return cls(value, rate is not None, text)


@dataclass(frozen=True)
class Outcome:
    """What a threshold does to some recordings.

    Attributes:
        threshold: from which events start.
        false: int [recordings], events of other labels than the recording's.
        found: bool [recordings], whether an event of its label started; without meaning where none is due.
        due: bool [recordings], whether one should: its label is no background.
        hours: float [recordings], how long each is.
        group: whom each comes from.
    """

    threshold: float
    false: NDArray[np.int64]
    found: NDArray[np.bool_]
    due: NDArray[np.bool_]
    hours: NDArray[np.float64]
    group: tuple[str, ...]

    @property
    def per_hour(self) -> float | None:
        """False alarms an hour; None of images, which take no time."""
        hours = float(self.hours.sum())
        return float(self.false.sum()) / hours if hours else None

    @property
    def share(self) -> float:
        """Share of recordings with a false alarm."""
        return float((self.false > 0).mean())

    @property
    def detection(self) -> float | None:
        """Share of the events that started; None where none is due."""
        return float(self.found[self.due].mean()) if self.due.any() else None

    def keeps(self, allowed: Allowed) -> bool:
        """Whether there are no more false alarms than may be."""
        return self.measure(allowed) <= allowed.value

    def measure(self, allowed: Allowed) -> float:
        """The rate or the share, whichever is limited."""
        return (self.per_hour or 0.0) if allowed.hourly else self.share

    def as_dict(self) -> dict[str, Any]:
        """With intervals: of rates as for events that are independent, and over groups; the wider counts."""
        rate, share, detection = self.rate_figure(), self.share_figure(), self.detection_figure()
        return {
            "threshold": self.threshold,
            "detection": None if detection is None else detection.as_dict(),
            "false_alarms_per_hour": None if rate is None else rate.as_dict(),
            "recordings_with_false_alarms": share.as_dict(),
            "false_alarms": int(self.false.sum()),
            "hours": round(float(self.hours.sum()), 6),
            "events": int(self.due.sum()),
            "recordings": len(self.false),
        }

    def rate_figure(self) -> Figure | None:
        """False alarms an hour."""
        rate, hours = self.per_hour, float(self.hours.sum())
        if rate is None:
            return None
        low, high = (bound / hours for bound in resampling.poisson(int(self.false.sum())))
        if len(set(self.group)) > 1 and self.false.any():
            parts = np.stack([self.false, self.hours], axis=1)
            drawn = resampling.interval(parts, lambda sums: sums[:, 0] / sums[:, 1], [self.group])
            low, high = min(low, drawn[0]), max(high, drawn[1])
        return Figure(rate, (low, high))

    def share_figure(self) -> Figure:
        """Share of recordings with a false alarm."""
        return Figure(self.share, compare.interval(self.false > 0, self.group))

    def detection_figure(self) -> Figure | None:
        """Share of the events that started."""
        if self.detection is None:
            return None
        groups = [name for name, due in zip(self.group, self.due, strict=True) if due]
        return Figure(self.detection, compare.interval(self.found[self.due], groups))


def short(value: float) -> str:
    """A rate in three digits, without an exponent where it is large.

    >>> short(0.03714), short(1067.4)
    ('0.0371', '1,067')
    """
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
