"""What was found out about a machine, a line each, with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_sdk.errors import printable

State = Literal["ok", "missing", "outdated", "warning"]


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        part: what was looked at.
        state: how it is.
        found: in a few words.
        remedy: what to do, where something is to be done.
    """

    part: str
    state: State
    found: str
    remedy: str | None = None


def lines(findings: Sequence[Finding]) -> list[str]:
    """For people."""
    width = max((len(finding.part) for finding in findings), default=0)
    found = []
    for finding in findings:
        found.append(f"{finding.state:8}  {finding.part:{width}}  {printable(finding.found)}")
        if finding.remedy:
            found.append(f"{'':{width + 12}}→ {printable(finding.remedy)}")
    return found
