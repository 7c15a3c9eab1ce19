"""What a model says about one window, and everything needed to deliver it once and find it again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edge_sdk.blocks import boottime_s

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Of a float32; NaN and infinity are not below it.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(slots=True)
class Prediction:
    """One result.

    ``(device, run_id, sequence)`` names it for good: destinations deduplicate on it.

    Attributes:
        label: the winning label; where several may hold that of the highest score, `Model.above` has all; of
            an anomaly detector whether the window is normal; None for a model without labels.
        score: the winner's score, 0..1 for a classifier; None for a regression or an anomaly detector.
        value: the output of a regression (the first, where it says several) or of an anomaly detector; None
            for a classifier.
        outputs: float32, the raw output tensor without its batch axis.
        device: who measured it.
        run_id: random, one for each run of a pipeline and each stream.
        sequence: counts from 0 for each device within a run.
        time_s: boot-clock time of the window's last sample, s.
        wall_s: the same on the wall clock, s since the epoch.
        clock_synced: the wall clock was set by NTP or RTC at that time.
        latency_us: the runtime's invoke, µs.
        event: ``start`` or ``end`` of an event, set by Decision; None otherwise.
        model: the model's name.
        fault: what was wrong with the sensor in this window, such as ``stuck`` or ``rate``; None where
            nothing was noticed.
        window: float32, what the model saw; None unless a sink of the pipeline keeps windows. It goes to no
            other destination.
    """

    label: str | None
    score: float | None
    value: float | None
    outputs: NDArray[np.float32]
    device: str = ""
    run_id: str = ""
    sequence: int = -1
    time_s: float = 0.0
    wall_s: float = 0.0
    clock_synced: bool = True
    latency_us: float = 0.0
    event: str | None = None
    model: str = ""
    fault: str | None = None
    window: NDArray[np.float32] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain Python values, in the order that every text destination writes them.

        A score or output that is not a finite number, which JSON cannot hold, becomes None.
        """
        return {
            "device": self.device,
            "run_id": self.run_id,
            "sequence": self.sequence,
            "time_s": round(self.time_s, 6),
            "wall_s": round(self.wall_s, 6),
            "clock_synced": self.clock_synced,
            "model": self.model,
            "label": self.label,
            "score": _number(self.score),
            "value": _number(self.value),
            "event": self.event,
            "fault": self.fault,
            "latency_us": round(self.latency_us, 1),
            "outputs": [_number(float(output)) for output in np.ravel(self.outputs)],
        }

    @classmethod
    def of(
        cls,
        outputs: ArrayLike,
        *,
        device: str = "",
        time_s: float | None = None,
        wall_s: float | None = None,
        latency_us: float = 0.0,
        model: str = "",
    ) -> Self:
        """What a source yields whose firmware infers by itself; what it means, the run fills in.

        Args:
            outputs: float32, the output that answers, without its batch axis; of a model with several
                outputs also all of them, one behind the other.
            device: who measured it; empty means the pipeline's own device name.
            time_s: boot-clock time of the window's last sample, s; default: now.
            wall_s: the same on the wall clock, s since the epoch; default: now, less the age by `time_s`.
            latency_us: the inference on the device, µs; 0 where it is not known.
            model: the name of the model, where the pipeline has several.
        """
        now_s = boottime_s()
        time_s = now_s if time_s is None else time_s
        wall_s = time.time() - (now_s - time_s) if wall_s is None else wall_s
        values = np.asarray(outputs, np.float32)
        said = cls(None, None, None, values, device, time_s=time_s, wall_s=wall_s, model=model)
        said.latency_us = latency_us
        return said

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The prediction that `as_dict` gave; outputs come back flat, what is unknown is left out."""
        outputs = [np.nan if output is None else output for output in values.get("outputs", ())]
        known = {name: values[name] for name in _PLAIN_FIELDS if name in values}
        return cls(
            **{"label": None, "score": None, "value": None, **known, "outputs": np.array(outputs, np.float32)}
        )

    def __str__(self) -> str:
        what = f"{self.label} {self.score:.2f}" if self.score is not None else f"{self.value:.6g}"
        mark = f"  {self.event}" if self.event else ""
        return f"{self.device}#{self.sequence}  {what}{mark}"


_PLAIN_FIELDS = tuple(
    field.name for field in dataclasses.fields(Prediction) if field.name not in ("outputs", "window")
)


def _number(value: float | None) -> float | None:
    """The shortest number that gives the same float32 back: 0.91, not 0.910000026."""
    return float(str(np.float32(value))) if value is not None and abs(value) <= _LARGEST else None
