"""How figures and names are put into words."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: A minus that is as wide as a plus.
MINUS = "\u2212"
NOTHING = "–"


def size(count: float | None) -> str:
    """``62.9 kB``; decimal units, as flash sizes are given by their makers."""
    if count is None:
        return NOTHING
    for limit, unit in ((1e3, "B"), (1e6, "kB"), (1e9, "MB")):
        if count < 0.99995 * limit:
            value = count / (limit / 1e3)
            return f"{value:,.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
    return f"{count / 1e9:,.1f} GB"


def duration(latency_us: float | None) -> str:
    """``44.7 µs``."""
    if latency_us is None:
        return NOTHING
    for limit, unit in ((1e3, "µs"), (1e6, "ms")):
        if latency_us < limit:
            return f"{significant(latency_us / (limit / 1e3))} {unit}"
    return f"{significant(latency_us / 1e6)} s"


def share(value: float | None, n: int = 10_000) -> str:
    """``0.871``: three decimals, four where n inputs allow to tell them apart."""
    return NOTHING if value is None else f"{value:.{4 if n > 10_000 else 3}f}"


def interval(pair: tuple[float, float] | None) -> str:
    """``[0.850, 0.884]``."""
    return "" if pair is None else f"[{pair[0]:.3f}, {pair[1]:.3f}]"


def points(fraction: float | None, *, sign: bool = True) -> str:
    """A difference of shares in points: ``+0.3``, without `sign` ``0.3``; a minus is always there."""
    if fraction is None:
        return NOTHING
    value = f"{100 * fraction:{'+' if sign else ''}.1f}".replace("-", MINUS)
    return "0.0" if value[1:] == "0.0" else value


def points_interval(pair: tuple[float, float] | None) -> str:
    """``[−0.2, 0.8]``."""
    return "" if pair is None else f"[{points(pair[0], sign=False)}, {points(pair[1], sign=False)}]"


def decibels(value: float) -> str:
    """``47.7 dB``, or what it means where it is no number."""
    if math.isfinite(value):
        return f"{value:.1f} dB".replace("-", MINUS)
    return {math.inf: "equal", -math.inf: "noise on silence"}.get(value, "not a number")


def significant(value: float, digits: int = 3) -> str:
    """A number to that many significant digits, without an exponent where that is readable."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "not a number"
    if 1e-4 <= abs(value) < 1e6:
        decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
        return f"{value:,.{decimals}f}".replace("-", MINUS)
    return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e").replace("-", MINUS)


def counted(count: int, noun: str) -> str:
    """``1 input``, ``12 inputs``."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"


def label(labels: Sequence[str], index: int) -> str:
    """The name of a class, or its number where it has none."""
    return labels[index] if index < len(labels) else str(index)


def clipped(name: str, length: int = 36) -> str:
    """A name of at most `length` characters; what is cut out of its middle is an ellipsis."""
    if len(name) <= length:
        return name
    tail = length * 2 // 3
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def short_names(names: Sequence[str]) -> list[str]:
    """Names of tensors for people: of fused ones the last, without what all have in common.

    TensorFlow calls a layer's output ``net/conv1/Relu;net/conv1/BiasAdd``: scopes that all names share go,
    and the operator at the end goes where the names still differ without it.
    """
    parts = [name.split(";")[-1].strip("/").split("/") for name in names]
    scoped = [part for part in parts if len(part) > 1]
    while scoped and len({part[0] for part in scoped}) == 1 and all(len(part) > 1 for part in scoped):
        for part in scoped:
            del part[0]
    heads = [part[:-1] if len(part) > 1 else part for part in parts]
    if len({tuple(head) for head in heads}) == len(names):
        parts = heads
    return [clipped("/".join(part), 44) for part in parts]
