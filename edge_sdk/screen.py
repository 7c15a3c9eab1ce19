"""The live view's picture: a snapshot as styled lines that fit a terminal."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from rich.cells import cell_len

from edge_sdk.errors import printable
from edge_sdk.figures import Line, Span, age, bar, count, crop, pad, per_second, short, squeeze, volume
from edge_sdk.prediction import Prediction
from edge_sdk.snapshot import SinkState, Snapshot, SourceState

_Part = TypeVar("_Part", SourceState, SinkState)

# Styles are of the 16 colours that every terminal has, in the user's own shades.
_MARKS: Final = {"ok": ("●", "green"), "degraded": ("▲", "bold yellow"), "failing": ("✖", "bold red")}
_EVENTS: Final = {"start": ("▶ start", "bold yellow"), "end": ("■ end", "cyan")}
_DIM, _HEAD, _WRONG = "bright_black", "bold", "bold red"
_BAR = 9
#: A queue's bar is full here; each tenth of that is two cells less, for a queue may hold three or a million.
_FULL = 10**4
#: A column is left out before a name gets fewer cells than this.
_NAME = 26
#: A row longer than this is hard to follow, cells.
_WIDEST = 110
#: Of sources and of sinks; whoever has more wants to see the ones with a problem, which come first.
_MOST_ROWS = 20
_RATE_S = 3.0


class Rates:
    """How fast counters grow, over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def look(self, now: Snapshot, now_s: float) -> None:
        """Remember the counters of a snapshot; those of another run begin anew."""
        counts = {"samples": now.ledger.samples.read}
        counts |= {f"model {model.name}": model.windows for model in now.models}
        counts |= {f"sink {sink.name}": sink.account.delivered for sink in now.sinks}
        if self._seen and counts["samples"] < self._seen[-1][1]["samples"]:
            self._seen.clear()
        self._seen.append((now_s, counts))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= _RATE_S:
            self._seen.popleft()

    def of(self, name: str) -> float | None:
        """A second; None before there is a second look."""
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        if last_s <= first_s or name not in first or name not in last:
            return None
        return max(0, last[name] - first[name]) / (last_s - first_s)


@dataclass
class Section:
    """A part of the screen.

    Attributes:
        head: its first line.
        items: of one or more lines each, the most important first.
        more: further ones, for which nobody has made lines.
        hidden: what stands for those that find no room.
        newest_last: the last items are the important ones, and nothing stands for the others.
    """

    head: Line
    items: list[list[Line]]
    more: int = 0
    hidden: str = "{} more"
    newest_last: bool = False

    @property
    def height(self) -> int:
        """Lines that it would like to have below its head."""
        return sum(len(item) for item in self.items) + bool(self.more)

    def lines(self, room: int) -> Iterator[Line]:
        """What fits into so many lines below the head."""
        if self.newest_last:
            yield from [line for item in self.items for line in item][max(0, self.height - room) :]
            return
        left = room if self.height <= room and not self.more else room - 1
        shown = 0
        for item in self.items:
            if left <= 0:
                break
            yield from item[:left]
            left -= len(item)
            shown += 1
        if hidden := len(self.items) + self.more - shown:
            yield from [[("  … " + self.hidden.format(hidden), _DIM)]] if room > 0 else []


def draw(now: Snapshot, rates: Rates, log: Sequence[str], width: int, height: int) -> list[Line]:
    """The whole screen.

    Args:
        now: what to show.
        rates: has looked at it already.
        log: the newest messages, oldest first.
        width: of the terminal, cells.
        height: of the terminal, lines.

    Returns:
        At most `height` lines of at most `width` cells.
    """
    wide = min(width, _WIDEST)
    sections = [_sources(now, wide), _models(now, rates, wide), _sinks(now, rates, wide)]
    tail = [_recent(now.recent, wide)]
    if log:
        tail.append(
            Section([("LOG", _HEAD)], [[[(f"  {line}", "yellow")]] for line in log], newest_last=True)
        )
    books = [*_outbox(now, wide), *_books(now, rates)]
    fixed = 1 + len(books) + len(sections) + len(tail)
    airy = height >= fixed + 6 + sum(section.height for section in sections) + min(len(log), 4)
    spare = height - fixed - (len(sections) + len(tail) + 1 if airy else 0)
    rooms = iter(_share([section.height for section in (*sections, *tail)], spare))
    gap: list[Line] = [[]] if airy else []
    lines = [_header(now, wide)]
    for section in sections:
        lines += [*gap, section.head, *section.lines(next(rooms))]
    lines += [*gap, *books]
    for section in tail:
        lines += [*gap, section.head, *section.lines(next(rooms))]
    return [crop(line, width) for line in lines[:height]]


def _share(wants: Sequence[int], room: int) -> list[int]:
    """Lines for each section: in turns, until all have what they want or none is left."""
    given = [0] * len(wants)
    while room > 0 and (short := [nth for nth, want in enumerate(wants) if given[nth] < want]):
        given[min(short, key=lambda nth: given[nth])] += 1
        room -= 1
    return given


def _header(now: Snapshot, width: int) -> Line:
    mark, style = _MARKS[now.health]
    state = f"{mark} {now.health}" if now.ready else f"{mark} {now.health}, starting"
    right = "" if now.clock_synced else "clock not set   "
    right += f"up {age(now.uptime_s)}"
    device = squeeze(printable(now.device), max(8, width - len(state) - len(right) - 6))
    gap = width - cell_len(device) - len(state) - len(right) - 3
    return [
        (f" {device}  ", "bold reverse"),
        (f" {state}", style),
        (" " * max(1, gap - 1), ""),
        (right, _DIM),
    ]


def _sources(now: Snapshot, width: int) -> Section:
    heads = (("silent", 8), ("faults", 8), ("devices", 8), ("waiting", 8), ("lost", 6))
    rows = []
    for source in _worst_first(now.sources)[:_MOST_ROWS]:
        silent = "–" if source.silent_s is None or source.silent_s < 1 else age(source.silent_s)
        faults = sum(source.faults.values())
        values = (
            (silent, "" if source.connected else "red"),
            (count(faults), "yellow" if faults else _DIM),
            (count(source.devices), ""),
            (count(source.waiting), "" if source.waiting else _DIM),
            (count(source.reopened), "yellow" if source.reopened else _DIM),
        )
        rows.append(_row(source, values, heads, width))
    return Section(_heads("SOURCES", heads, width), rows, len(now.sources) - len(rows), "{} more sources")


def _models(now: Snapshot, rates: Rates, width: int) -> Section:
    heads = (("windows/s", 10), ("p50", 9), ("p99", 9), ("devices", 8), ("batch", 7))
    rows = []
    for model in now.models:
        batch = (model.windows - model.received) / model.batches if model.batches else 0.0
        values = (
            (per_second(rates.of(f"model {model.name}")), ""),
            (short(model.invoke.quantile(0.5)), ""),
            (short(model.invoke.quantile(0.99)), ""),
            (count(model.devices), ""),
            (f"{batch:.1f}", _DIM if batch <= 1 else ""),
        )
        rows.append([_cells(("  ", ""), model.name, values, heads, width)])
        if model.troubled:
            device, what = next(iter(model.troubled.items()))
            more = f" (and {len(model.troubled) - 1} more devices)" if len(model.troubled) > 1 else ""
            rows[-1].append([(f"    {printable(device)}: {printable(what)}{more}", "yellow")])
    return Section(_heads("MODELS", heads, width), rows, hidden="{} more models")


def _sinks(now: Snapshot, rates: Rates, width: int) -> Section:
    heads = (("queued", 8), ("", _BAR), ("sent/s", 8), ("p99", 9), ("dropped", 8), ("retries", 8))
    rows = []
    for sink in _worst_first(now.sinks)[:_MOST_ROWS]:
        queued, dropped = sink.account.queued, sum(sink.account.dropped.values())
        share = math.log10(queued + 1) / math.log10(_FULL)
        values = (
            (count(queued), "" if queued else _DIM),
            (bar(share, _BAR - 1), "yellow" if share >= 0.75 else "cyan"),
            (per_second(rates.of(f"sink {sink.name}")), ""),
            (short(sink.latency.quantile(0.99)), ""),
            (count(dropped), "red" if dropped else _DIM),
            (count(sink.retries), "yellow" if sink.retries else _DIM),
        )
        rows.append(_row(sink, values, heads, width))
    return Section(_heads("SINKS", heads, width), rows, len(now.sinks) - len(rows), "{} more sinks")


def _outbox(now: Snapshot, width: int) -> Iterator[Line]:
    box = now.outbox
    if box is None:
        return
    share = box.bytes / box.max_bytes if box.max_bytes else 0.0
    oldest = "" if box.oldest_s is None else f", oldest {age(box.oldest_s)}"
    facts = f" {volume(box.bytes)} of {volume(box.max_bytes)}, {count(box.rows)} rows{oldest}"
    line = [
        ("OUTBOX       ", _HEAD),
        (bar(share, min(20, width // 6)), "red" if share > 0.8 else "cyan"),
        (facts, ""),
    ]
    if box.dead:
        line.append((f", {count(box.dead)} dead", "yellow"))
    yield line
    if box.problem:
        yield [(f"    {printable(box.problem)}", _WRONG)]


def _books(now: Snapshot, rates: Rates) -> Iterator[Line]:
    books, samples = now.ledger, now.ledger.samples
    dropped = sum(samples.dropped.values())
    yield [
        ("SAMPLES      ", _HEAD),
        (f"{count(samples.read)} ({per_second(rates.of('samples'))}/s)", ""),
        (f" = {count(samples.used)} used + {count(samples.pending)} pending + ", _DIM),
        (f"{count(dropped)} dropped", "yellow" if dropped else _DIM),
    ]
    if (received := books.received) is not None:
        dropped = sum(received.dropped.values())
        yield [
            ("RECEIVED     ", _HEAD),
            (f"{count(received.read)} predictions of firmware", ""),
            (f" = {count(received.used)} decided + {count(received.pending)} pending + ", _DIM),
            (f"{count(dropped)} dropped", "yellow" if dropped else _DIM),
        ]
    yield [
        ("PREDICTIONS  ", _HEAD),
        (f"{count(books.predictions)}", ""),
        (f" = {count(books.delivered)} delivered + {count(books.queued)} queued + ", _DIM),
        (f"{count(books.lost)} lost", "red" if books.lost else _DIM),
    ]
    if not books.balanced:
        yield [("             these do not add up: please report this", _WRONG)]


def _recent(predictions: Sequence[Prediction], width: int) -> Section:
    devices = [squeeze(printable(one.device), width // 4) for one in predictions]
    labels = [squeeze(printable(_said(one)), width // 4) for one in predictions]
    device_room = max(map(cell_len, devices), default=0)
    label_room = max(map(cell_len, labels), default=0)
    lines = []
    for one, device, label in zip(predictions, devices, labels, strict=True):
        mark, style = _EVENTS.get(one.event or "", ("", ""))
        line = [
            (time.strftime("  %H:%M:%S  ", time.localtime(one.wall_s)), _DIM),
            (f"{pad(device, device_room)}  ", ""),
            (f"{pad(label, label_room)}  ", style),
            ("      " if one.score is None else f"{one.score:.2f}  ", style or _DIM),
            (mark, style),
        ]
        if one.fault:
            line.append((f"  {printable(one.fault)}", "red"))
        lines.append([line])
    return Section([("RECENT", _HEAD)], lines, newest_last=True)


def _said(one: Prediction) -> str:
    if one.label is not None:
        return one.label
    return "" if one.value is None else f"{one.value:.6g}"


def _row(
    part: SourceState | SinkState,
    values: Sequence[Span],
    heads: Sequence[tuple[str, int]],
    width: int,
) -> list[Line]:
    mark, style = _MARKS["failing" if not part.connected else "degraded" if part.problem else "ok"]
    lines = [_cells((f"{mark} ", style), part.name, values, heads, width)]
    if part.problem:
        problem = printable(part.problem).removeprefix(f"{printable(part.name)}: ")
        lines.append([(f"    {problem}", _WRONG if not part.connected else "yellow")])
    return lines


def _worst_first(parts: Sequence[_Part]) -> list[_Part]:
    return sorted(parts, key=lambda part: (part.connected, part.problem is None))


def _cells(
    mark: Span, name: str, values: Sequence[Span], heads: Sequence[tuple[str, int]], width: int
) -> Line:
    kept = _kept(heads, width)
    room = width - 2 - sum(taken for _, taken in kept)
    line = [mark, (pad(squeeze(printable(name), room - 1), room), "")]
    for (text, style), (head, taken) in zip(values, kept, strict=False):
        line.append((text.rjust(taken) if head else f" {text:<{taken - 1}}", style))
    return line


def _heads(title: str, heads: Sequence[tuple[str, int]], width: int) -> Line:
    kept = _kept(heads, width)
    room = width - sum(taken for _, taken in kept)
    return [(pad(title, room), _HEAD), ("".join(head.rjust(taken) for head, taken in kept), _DIM)]


def _kept(heads: Sequence[tuple[str, int]], width: int) -> Sequence[tuple[str, int]]:
    """The columns that there is room for, the first ones first."""
    kept = list(heads)
    while kept and width - 2 - sum(taken for _, taken in kept) < _NAME:
        kept.pop()
    return kept
