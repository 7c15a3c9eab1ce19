"""What a check tells: one thing that is wrong with a dataset, or looks so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "hint"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or looks so.

    Attributes:
        severity: an ``error`` makes training wrong or impossible, a ``warning`` wants a look, a ``hint`` may
            be nothing.
        file: relative to the folder; empty where it concerns the whole dataset.
        what: what was found.
        remedy: what to do about it.
    """

    severity: Severity
    file: str
    what: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        """For ``--json``."""
        return asdict(self)

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""
        return f"{self.severity:8} {where}{self.what}; {self.remedy}"
