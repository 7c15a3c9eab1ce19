"""``replay:FILE`` plays recordings as if a sensor sent them."""

from __future__ import annotations

import glob
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from edge_sdk import recordings
from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, DatasetError
from edge_sdk.recordings import Signal

#: What one block holds where nothing else is said: a tenth of a second.
_BLOCK_S = 0.1
_KINDS = frozenset(recordings.SUFFIXES) - {".png"}


class Source(Closing):
    """CSV, npz and wav recordings; of several files, each is a stream of its own that no window spans.

    Args:
        location: a file, a folder (a dataset's, or any that holds recordings), or a pattern such as
            ``walks/*.csv``; files are played in the order of their names.
        speed: 1 plays in real time, 10 ten times as fast, ``max`` (or 0) as fast as the model can.
        block: samples a block; default: a tenth of a second.
        rate_hz: samples a second, for files that do not tell; default: the model's rate.
        channels: names of the columns, ``ax,ay,az``, for files that do not tell; default: the model's.
        repeat: how often to play it all; 0 plays for ever.
        device: name of what was recorded; default: the pipeline's device.
    """

    live = False
    location_is_path = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        speed: float | Literal["max"] = 1.0,
        block: int | None = None,
        rate_hz: float | None = None,
        channels: tuple[str, ...] = (),
        repeat: int = 1,
        device: str = "",
    ) -> None:
        self.speed = 0.0 if speed == "max" else float(speed)
        for name, holds, found in (
            ("speed", self.speed >= 0, speed),
            ("block", block is None or block >= 1, block),
            ("rate_hz", rate_hz is None or rate_hz > 0, rate_hz),
            ("repeat", repeat >= 0, repeat),
        ):
            if not holds:
                raise ConfigError(f"replay: option {name!r}", expected="a positive number", found=found)
        self.block, self.rate_hz, self.channels = block, rate_hz, channels
        self.repeat, self.device = repeat, device
        self.files = _files(location)
        #: Blocks that came more than their own length late: the reader did not keep up.
        self.missed = 0
        self._expected: Input | None = None
        self._closing = threading.Event()

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for `rate_hz` and `channels`."""
        self._expected = wanted

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """Read the first recording, as `edgeml check` does.

        Raises:
            EdgeError: there is none, or the model cannot take it.
        """
        source = cls(location, **options)
        if wanted is not None:
            source.expect(wanted)
        signal = source.signal(source.files[0])
        if wanted is not None and signal.channels and not set(wanted.names) <= set(signal.channels):
            raise DatasetError(
                f"{source.files[0]}: channels",
                expected=", ".join(wanted.names),
                found=", ".join(signal.channels),
            )

    def signal(self, file: Path) -> Signal:
        """One recording with its rate and its channels filled in from options and model.

        Raises:
            DatasetError: the file is malformed, an image, or of unknown rate.
        """
        expected = self._expected
        found = recordings.read(file, self.channels or (expected.names if expected else ()))
        if found.is_image:
            raise DatasetError(f"{file}: an image", expected="a recording with a rate")
        rate_hz = self.rate_hz or found.rate_hz or (expected.rate_hz if expected else None)
        if not rate_hz:
            raise DatasetError(
                f"{file}: no sampling rate", expected="a column time_s, or an option", remedy="add ?rate_hz=…"
            )
        names = found.channels or self.channels
        if names and len(names) != found.samples.shape[1]:
            raise DatasetError(
                f"{file}: channels",
                expected=f"{len(names)} columns ({', '.join(names)})",
                found=found.samples.shape[1],
            )
        return Signal(found.samples, _tidy(rate_hz), names)

    def __iter__(self) -> Iterator[Block | Fault]:
        ahead_s = 0.0
        started_s, started_wall_s, started = boottime_s(), time.time(), time.monotonic()
        for nth, file in enumerate(self._playlist()):
            signal = self.signal(file)
            rate_hz = signal.rate_hz or 1.0
            size = self.block or max(1, round(rate_hz * _BLOCK_S))
            total = len(signal.samples)
            for start in range(0, total, size):
                stop = min(start + size, total)
                if self.speed:
                    self._wait(started + (ahead_s + stop / rate_hz) / self.speed, size / rate_hz)
                if self._closing.is_set():
                    return
                yield Block(
                    signal.samples[start:stop],
                    rate_hz,
                    signal.channels,
                    self.device,
                    time_s=started_s + ahead_s + start / rate_hz,
                    wall_s=started_wall_s + ahead_s + start / rate_hz,
                    gap=nth > 0 and start == 0,
                    end=stop == total,
                )
            ahead_s += total / rate_hz

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()

    def _playlist(self) -> Iterator[Path]:
        played = 0
        while not self.repeat or played < self.repeat:
            yield from self.files
            played += 1

    def _wait(self, until: float, block_s: float) -> None:
        """Sleep until a moment of the monotonic clock, or until closed."""
        late_s = time.monotonic() - until
        if late_s * self.speed > block_s:
            self.missed += 1
        if late_s < 0:
            self._closing.wait(-late_s)


def _files(location: str) -> list[Path]:
    """The recordings that a location names, in the order of their names."""
    place = Path(location)
    if place.is_dir():
        inner = place / "recordings"
        found = (inner if inner.is_dir() else place).rglob("*")
        files = sorted(
            path for path in found if path.suffix.lower() in _KINDS and path.name != "manifest.csv"
        )
    elif glob.has_magic(location) and not place.exists():
        files = sorted(Path(name) for name in glob.glob(location, recursive=True))  # noqa: PTH207
    else:
        files = [place]
        if not place.is_file():
            raise DatasetError(f"replay:{location}: no such file or folder", remedy="check the path")
    if not location or not files:
        raise DatasetError(
            f"replay:{location}: no recordings", expected="at least one of " + " ".join(sorted(_KINDS))
        )
    return files


def _tidy(rate_hz: float) -> float:
    """The rate without the rounding of a time column: 50.00000001 Hz is 50 Hz."""
    return round(rate_hz, 6)
