"""What is wrong with a model in one line that stays readable: operators with the same fault are one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edge_sdk.errors import first_of
from edge_sdk.graph import Tensor

#: Characters that an error shows of what was found.
_LONGEST = 1000
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one operator cannot become kernel calls.

    Attributes:
        title: its name.
        number: its index.
        reason: what is wrong.
        at_fault: the tensors that are.
    """

    title: str
    number: int
    reason: str
    at_fault: tuple[Tensor, ...] = ()


def told(refusals: Sequence[Refusal]) -> str:
    """Every refused operator with its fault, and as many tensors as there is room for.

    Of very many faults only the operators are left, with how often each occurs.
    """
    for tensors in (3, 2, 1, 0):
        text = "; ".join(_group(group, tensors) for group in _groups(refusals))
        if len(text) <= _LONGEST:
            return text
    counts = Counter(refusal.title for refusal in refusals)
    return ", ".join(f"{_short(title)} ({count})" for title, count in counts.items())


def _groups(refusals: Sequence[Refusal]) -> list[list[Refusal]]:
    found: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in refusals:
        found.setdefault((refusal.title, refusal.reason), []).append(refusal)
    return list(found.values())


def _group(group: Sequence[Refusal], tensors: int) -> str:
    first = group[0]
    text = f"{_short(first.title)} {first_of([refusal.number for refusal in group])} {first.reason}"
    at_fault = [
        f"{_short(t.name)} ({t.dtype} {list(t.shape)})" for refusal in group for t in refusal.at_fault
    ]
    return f"{text}: {first_of(at_fault, tensors)}" if at_fault and tensors else text


def _short(name: str) -> str:
    """The first of a fused tensor's names; its end tells more."""
    one = name.split(";")[0]
    return one if len(one) <= _LONGEST_NAME else "…" + one[1 - _LONGEST_NAME :]
