"""``edgeml train --list``: what there is to train, what it costs and where it fits, as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from train_host import architectures
from train_host.architectures.catalogue import EXAMPLES, Costed, Example

_HEAD = ("", "name", "parameters", "MACs", "int8 kB", "RAM kB", "fits")
#: Boards that are told together, by how their names begin.
_FAMILIES = ("rpi", "ethos-u")
_OWN = ("package.module:function", "your own Keras function: build(shape, head, statistics, **options)")


def names() -> Iterator[str]:
    """A line an architecture: what it is for."""
    about = [(name, entry.about) for name, entry in architectures.TABLE.items()]
    width = max(len(name) for name, _ in about)
    yield "architectures"
    yield from (f"  {name:{width}}  {text}" for name, text in about)
    yield f"  {_OWN[0]}  {_OWN[1]}"


def examples(costed: Sequence[Costed]) -> Iterator[str]:
    """A table an example."""
    for example in EXAMPLES:
        yield from ("", *table(example, [each for each in costed if each.example == example.title]))


def table(example: Example, costed: Iterable[Costed]) -> list[str]:
    """What the architectures cost for such windows; a star stands at the default."""
    rows = [_HEAD, *(_row(example, each) for each in costed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [f"for {example}"]
    for row in rows:
        cells = [
            cell.ljust(width) if n in (0, 1, len(row) - 1) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def fits(costed: Costed) -> str:
    """The boards that hold it, or those that do not, whatever is shorter."""
    boards = {name: fit.runs for name, fit in costed.boards.items()}
    runs, fails = ([name for name, runs in boards.items() if runs == wanted] for wanted in (True, False))
    if not fails:
        return "every board"
    fewer = _together(fails if len(fails) <= len(runs) else runs, boards)
    return f"all but {fewer}" if len(fails) <= len(runs) else fewer or "none"


def rounded(count: int) -> str:
    """``221 k``, ``12.5 M``, ``113 M``."""
    value, unit = (count / 1e6, "M") if count >= 1e6 else (count / 1e3, "k")
    return f"{value:.3g} {unit}"


def _together(names: Sequence[str], every: Iterable[str]) -> str:
    """Names with commas; a family that is there as a whole is told in one word."""
    told = list(names)
    for family in _FAMILIES:
        members = [name for name in every if name.startswith(family)]
        if members and set(members) <= set(told):
            at = told.index(members[0])
            told = [name for name in told if name not in members]
            told.insert(at, f"every {family}")
    return ", ".join(told)


def _row(example: Example, costed: Costed) -> tuple[str, ...]:
    star = "*" if costed.name == example.default else ""
    if costed.cost is None:
        return star, costed.name, "", "", "", "", costed.error or ""
    return (
        star,
        costed.name,
        f"{costed.parameters:,}",
        rounded(costed.macs),
        f"{costed.cost.flash_bytes / 1000:.1f}",
        f"{costed.arena_bytes / 1000:.1f}",
        fits(costed),
    )
