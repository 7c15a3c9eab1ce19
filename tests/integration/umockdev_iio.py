"""An IIO device on a virtual board: its files and the kernel's part of its buffer, written from the ABI.

The layout of a scan is worked out here a second time, in plain Python, to be compared with.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.integration.umockdev_board import Board


@dataclass
class Element:
    """One element of a scan, such as ``accel_x`` in ``le:s12/16>>4``; `value` gives raw number i."""

    name: str
    bits: int = 16
    storage: int = 16
    shift: int = 0
    signed: bool = True
    big: bool = False
    repeat: int = 1
    value: Callable[[int], int] = field(default=lambda i: i)

    @property
    def type(self) -> str:
        repeat = f"X{self.repeat}" if self.repeat > 1 else ""
        endian, sign = "be" if self.big else "le", "s" if self.signed else "u"
        return f"{endian}:{sign}{self.bits}/{self.storage}{repeat}>>{self.shift}"

    def packed(self, i: int, dirt: random.Random) -> bytes:
        """The bytes of scan i, with dirt in the bits that do not count."""
        out = b""
        for part in range(self.repeat):
            number = self.value(i) + part
            kept = (number & ((1 << self.bits) - 1)) << self.shift
            around = dirt.getrandbits(self.storage) & ~(((1 << self.bits) - 1) << self.shift)
            out += (kept | around).to_bytes(self.storage // 8, "big" if self.big else "little")
        return out


TIMESTAMP = Element("timestamp", 64, 64)


class IioDevice:
    """``iio:deviceN`` on a board, and a thread that scans while its buffer is enabled."""

    def __init__(
        self,
        board: Board,
        elements: list[Element],
        *,
        number: int = 0,
        name: str = "mpu6050",
        attributes: dict[str, str] | None = None,
        rate_hz: float = 100.0,
        timestamps: bool = True,
    ) -> None:
        self.board, self.elements, self.timestamps = board, elements, timestamps
        self.path = f"/devices/iio:device{number}"
        self.folder = board.root / f"sys{self.path}"
        self.node = board.root / f"dev/iio:device{number}"
        board("add", description=f"P: {self.path}\nE: SUBSYSTEM=iio\n")
        files = {
            "sampling_frequency": f"{rate_hz:f}",
            "buffer/enable": "0",
            "buffer/length": "2",
            "buffer/watermark": "1",
            "current_timestamp_clock": "realtime\n\0",  # as Linux 6.1 says it
            **(attributes or {}),
        }
        for index, element in enumerate([*elements, *([TIMESTAMP] if timestamps else [])]):
            files[f"scan_elements/in_{element.name}_en"] = "0"
            files[f"scan_elements/in_{element.name}_index"] = str(index)
            files[f"scan_elements/in_{element.name}_type"] = element.type
            if element is not TIMESTAMP:
                files[f"in_{element.name}_raw"] = " ".join(
                    str(element.value(0) + p) for p in range(element.repeat)
                )
        for file, value in files.items():
            self.set(file, value)
        self.node.parent.mkdir(exist_ok=True)
        os.mkfifo(self.node)
        self.set("name", name)  # the last: a device of the kernel's is there at once
        self.clock = ""  # where the device has no file that says it
        self.stamp_offset_ns = 0
        self.skip = 0  # scans to lose, as a full buffer does
        self.paused = threading.Event()
        self.fill = threading.Event()  # write as fast as the pipe takes it
        self.sent = 0
        self._unplugged = threading.Event()
        self._seen = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def get(self, file: str) -> str:
        return (self.folder / file).read_text().replace("\0", "").strip()

    def set(self, file: str, value: str) -> None:
        """As the kernel does: in place, so that a reader who holds it open sees it."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "w") as out:
            out.write(f"{value:<12}\n")

    def unplug(self) -> None:
        self._unplugged.set()
        self._thread.join()
        if self.folder.exists():
            self.board("remove", path=f"/sys{self.path}")
            self.node.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._unplugged.is_set():
            with contextlib.suppress(OSError):  # a file that is being written
                stamp = (self.folder / "buffer/enable").stat().st_mtime_ns
                if stamp != self._seen and self.get("buffer/enable") == "1":
                    self._seen = stamp
                    self._scan()
            time.sleep(0.002)

    def _scan(self) -> None:
        """Scan until the buffer is disabled or its reader is gone."""
        order = [*self.elements, *([TIMESTAMP] if self.timestamps else [])]
        order = [e for e in order if self.get(f"scan_elements/in_{e.name}_en") == "1"]
        clock = {"boottime": time.CLOCK_BOOTTIME, "realtime": time.CLOCK_REALTIME}[
            self.clock or self.get("current_timestamp_clock")
        ]
        period_s = 1 / float(self.get("sampling_frequency"))
        dirt = random.Random(7)
        pipe = os.open(self.node, os.O_WRONLY | os.O_NONBLOCK)
        first_ns, i = time.clock_gettime_ns(clock), 0
        try:
            while not self._unplugged.is_set() and self.get("buffer/enable") != "0":
                if self.paused.is_set():
                    time.sleep(0.002)
                    continue
                i, self.skip = i + self.skip, 0
                scan, longest = b"", 1
                for element in order:
                    length = element.storage // 8 * element.repeat
                    longest = max(longest, length)
                    scan += b"\xee" * (-len(scan) % length)
                    if element is TIMESTAMP:
                        stamp_ns = first_ns + self.stamp_offset_ns + round(i * period_s * 1e9)
                        scan += stamp_ns.to_bytes(8, "little", signed=True)
                    else:
                        scan += element.packed(i, dirt)
                scan += b"\xee" * (-len(scan) % longest)
                with contextlib.suppress(BlockingIOError):
                    os.write(pipe, scan)
                i += 1
                self.sent = i
                late_s = (time.clock_gettime_ns(clock) - first_ns) / 1e9 - i * period_s
                if late_s < 0 and not self.fill.is_set():
                    time.sleep(-late_s)
            reader = select.poll()
            reader.register(pipe, 0)
            while not self._unplugged.is_set() and self.get("buffer/enable") == "0" and not reader.poll(2):
                pass  # a kernel's file stays open, and says nothing any more
        except BrokenPipeError:
            pass  # its reader was killed: a kernel fills its buffer and waits
        finally:
            os.close(pipe)
