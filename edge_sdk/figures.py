"""Numbers, bars and names as a terminal shows them, in so many cells."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

#: Text with a style of rich's.
Span = tuple[str, str]
Line = list[Span]


def bar(share: float, size: int) -> str:
    """A bar in eighths of a cell."""
    whole, part = divmod(round(min(1.0, max(0.0, share)) * size * 8), 8)
    return ("█" * whole + ("▏▎▍▌▋▊▉"[part - 1] if part else "")).ljust(size, "·")


def pad(text: str, width: int) -> str:
    """Exactly so wide."""
    return set_cell_size(text, max(0, width))


def squeeze(text: str, width: int) -> str:
    """At most so wide: without its middle, for names differ at their ends."""
    if cell_len(text) <= width:
        return text
    if width < 4:
        return pad(text, width)
    tail = width // 2
    end = text[-tail:]
    while cell_len(end) > tail:
        end = end[1:]
    return pad(text, width - cell_len(end) - 1).rstrip() + "…" + end


def crop(line: Line, width: int) -> Line:
    """At most so wide, with an ellipsis where something is missing."""
    kept, left = [], width
    for text, style in line:
        size = cell_len(text)
        if size > left:
            kept.append((pad(text, left - 1) + "…" if left else "", style))
            break
        kept.append((text, style))
        left -= size
    return kept


def count(number: int) -> str:
    """A number in at most five cells or so."""
    if number < 10_000:
        return str(number)
    for unit, scale in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if number < 1000 * scale:
            return f"{number / scale:.3g}{unit}"
    return f"{number:.3g}"


def per_second(rate: float | None) -> str:
    """A rate; a dash where it is not known yet."""
    if rate is None:
        return "–"
    return f"{rate:.1f}" if rate < 1000 else count(round(rate))


def short(us: float) -> str:
    """A duration, µs; a dash for none."""
    if not us:
        return "–"
    if us < 1e3:
        return f"{us:.0f} µs"
    if us < 1e6:
        return f"{us / 1e3:.1f} ms"
    return f"{us / 1e6:.1f} s" if us < 6e7 else age(us / 1e6)


def age(seconds: float) -> str:
    """How long ago, or for how long."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds // 86400:.0f} d {seconds % 86400 // 3600:.0f} h"


def volume(number: int) -> str:
    """Bytes."""
    for unit, scale in (("B", 1), ("kB", 1 << 10), ("MB", 1 << 20)):
        if number < 1000 * scale:
            return f"{number / scale:.3g} {unit}"
    return f"{number / (1 << 30):.3g} GB"
