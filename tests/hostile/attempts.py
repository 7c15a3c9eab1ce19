"""Converts hostile inputs, and looks at what came of it: one line, no file, little time, little memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from converters import convert
from edge_sdk.child import Worker
from edge_sdk.errors import EdgeError
from tests.hostile import Case
from tests.shared_workers import Shared, started

#: For one step of a conversion; ten seconds are for the machine that does nothing else.
TIMEOUT_S = 60.0
_ENDLESS_S = 2.5
_MOST_LINE = 4200
MOST_BYTES = 2 << 30


@dataclass
class Attempts:
    """Conversions into one folder, with shared workers.

    Attributes:
        folder: where the outputs would go.
        failures: one line each.
        count: how many there were.
        seconds: how long each took, by name.
        largest: the one for which a process took most memory, bytes.
        workers: by environment; they serve the next attempts too.
    """

    folder: Path
    workers: dict[str | None, Shared]
    failures: list[str] = field(default_factory=list)
    count: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    largest: tuple[int, str] = (0, "")

    def start(self, environment: str | None, memory_bytes: int | None) -> Worker:
        """Instead of `workshop._start`."""
        if environment not in self.workers:
            self.workers[environment] = started(environment, memory_bytes)
        return self.workers[environment]

    def __str__(self) -> str:
        slowest = sorted(self.seconds.items(), key=lambda item: -item[1])[:5]
        told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in slowest)
        return f"{self.count} cases; {told}; {self.largest[0] >> 20} MB in {self.largest[1]}"

    def run(self, cases: Iterable[Case], recipe: str | None = None) -> None:
        """Attempt them all."""
        for case in cases:
            started = time.perf_counter()
            failure = self._attempt(case, recipe or ("float32" if case.data is None else "int8"))
            self.count += 1
            self.failures += [f"{case.name}: {failure}"] if failure else []
            self.seconds[case.name] = time.perf_counter() - started
            self.largest = max(self.largest, (self._peak(), case.name))

    def _attempt(self, case: Case, recipe: str) -> str | None:
        """What went wrong; None for an error in one line, or a conversion that may pass."""
        output, before = self.folder / "out.tflite", self._listed()
        timeout_s = _ENDLESS_S if case.endless else TIMEOUT_S
        try:
            convert(case.model, output, recipe=recipe, data=case.data, max_drop=0.9, timeout_s=timeout_s)
        except EdgeError as error:
            line = str(error)
            if "\n" in line or "Traceback" in line or len(line) > _MOST_LINE or not line.isprintable():
                return ascii(line)
            if "did not finish" in line and not case.endless:
                return line
        except Exception as error:  # noqa: BLE001 - that is what must not happen
            return f"{type(error).__name__}: {error}"
        else:
            if not case.may_pass:
                return "converted"
            output.unlink()
            output.with_suffix(".report.html").unlink()
        return None if self._listed() == before else f"wrote {self._listed()}"

    def _listed(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def _peak(self) -> int:
        """Most memory of a worker since the last question, bytes."""
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10  # of those that died
        for worker in self.workers.values():
            process = Path(f"/proc/{worker.pid}")
            if process.is_dir():
                (line,) = (x for x in (process / "status").read_text().splitlines() if x.startswith("VmHWM"))
                peak = max(peak, int(line.split()[1]) << 10)
                (process / "clear_refs").write_text("5")
        return peak
