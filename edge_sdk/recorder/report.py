"""What a recorder is asked for, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_sdk.contract import Channel
from edge_sdk.ledger import Samples
from edge_sdk.recorder.timeline import UNLABELLED
from edge_sdk.watch import SensorSettings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to record.

    Attributes:
        folder: the dataset folder; made where there is none.
        device: name of a device whose source names none.
        group: who or what is recorded; None: each device is a group of its own.
        group_is: what a group is, in a new folder.
        licence: of the recordings, in a new folder.
        channels: names, units and ranges in a new folder; empty: as the source says.
        shortest_s: what is shorter is no recording: a key that was hit by accident.
        longest_s: what is longer goes on in another file.
        sensor: what the sensors are held to.
    """

    folder: Path
    device: str
    group: str | None = None
    group_is: str = "group"
    licence: str = ""
    channels: tuple[Channel, ...] = ()
    shortest_s: float = 0.5
    longest_s: float = 600.0
    sensor: SensorSettings = field(default_factory=SensorSettings)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One finished recording.

    Attributes:
        file: relative to the dataset folder.
        label: what it shows; None where nobody has said so.
        device: whose it is.
        samples: how many.
        seconds: how long.
    """

    file: str
    label: str | None
    device: str
    samples: int
    seconds: float


@dataclass
class Report:
    """What came of it.

    Attributes:
        recordings: in the order in which they were finished.
        recovered: files of an earlier recorder that had died.
        samples: the books; *used* are those in recordings, *dropped* also those of ``paused``, ``short`` and
            ``undone`` recordings.
        faults: counted by reason.
    """

    recordings: list[Recorded] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    samples: Samples = field(default_factory=Samples)
    faults: Counter[str] = field(default_factory=Counter)

    def amounts(self) -> dict[str, tuple[int, float]]:
        """Per label, the number of recordings and their seconds."""
        found: dict[str, tuple[int, float]] = {}
        for each in tuple(self.recordings):
            count, seconds = found.get(each.label or UNLABELLED, (0, 0.0))
            found[each.label or UNLABELLED] = (count + 1, seconds + each.seconds)
        return found

    def as_dict(self) -> dict[str, Any]:
        """The keys of ``edgeml record --json``."""
        return {
            "recordings": [
                {"file": each.file, "label": each.label, "device": each.device, "seconds": each.seconds}
                for each in self.recordings
            ],
            "labels": {
                label: {"recordings": count, "seconds": round(seconds, 3)}
                for label, (count, seconds) in self.amounts().items()
            },
            "recovered": self.recovered,
            "samples": self.samples.as_dict(),
            "balanced": self.samples.balanced,
            "faults": dict(self.faults),
        }
