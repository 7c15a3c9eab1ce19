"""A strict reader of OpenMetrics 1.0 text: the specification's grammar and its rules, and nothing kinder.

Source: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md, "Text Format" and
"Data Model".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_REAL = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = rf"[+-]?(?:{_REAL}|[Ii]nf(?:inity)?|[Nn]a[Nn])"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)?\}})? ({_NUMBER})")
_META = re.compile(rf"# (TYPE|UNIT|HELP) ({_NAME}) (.*)", re.DOTALL)
_SUFFIXES = {
    "counter": {"_total", "_created"},
    "gauge": {""},
    "info": {"_info"},
    "stateset": {""},
    "histogram": {"_bucket", "_count", "_sum", "_created"},
    "unknown": {""},
}


@dataclass
class Family:
    name: str
    kind: str = "unknown"
    unit: str = ""
    text: str = ""
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)

    def value(self, **labels: str) -> float:
        """The one sample with exactly these labels."""
        (found,) = (value for _, its, value in self.samples if its == labels)
        return found


def parse(text: str) -> dict[str, Family]:
    """Every family by name; AssertionError where the text breaks a rule."""
    assert text.endswith("# EOF\n"), "no # EOF at the end"
    families: dict[str, Family] = {}
    current: Family | None = None
    for line in text.removesuffix("# EOF\n").split("\n")[:-1]:
        if line.startswith("#"):
            match = _META.fullmatch(line)
            assert match, f"not a descriptor: {line!r}"
            what, name, value = match.groups()
            if current is None or current.name != name:
                assert name not in families, f"{name}: its lines are apart"
                current = families[name] = Family(name)
            assert not current.samples, f"{name}: a descriptor behind samples"
            _describe(current, what, value)
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line!r}"
        assert current is not None
        suffix = match[1].removeprefix(current.name)
        assert match[1].startswith(current.name), f"{line!r} in the family {current.name}"
        assert suffix in _SUFFIXES[current.kind], f"{line!r} in a {current.kind}"
        current.samples.append((suffix, _labels(match[2] or ""), float(match[3])))
    for family in families.values():
        _check(family)
    return families


def _describe(family: Family, what: str, value: str) -> None:
    if what == "TYPE":
        assert value in _SUFFIXES
        family.kind = value
    elif what == "UNIT":
        assert family.name.endswith("_" + value), f"{family.name} does not end with its unit {value}"
        family.unit = value
    else:
        assert re.fullmatch(r'(?:[^"\\\n]|\\.)*', value), f"{family.name}: help not escaped"
        family.text = value


def _labels(text: str) -> dict[str, str]:
    pairs = [label.split("=", 1) for label in re.findall(_LABEL, text)]
    assert len({name for name, _ in pairs}) == len(pairs), f"a label twice: {text}"
    unescaped = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
    return {
        name: re.sub(r"\\.", lambda match: unescaped.get(match[0], match[0]), value[1:-1])
        for name, value in pairs
    }


def _check(family: Family) -> None:
    series = [(suffix, tuple(sorted(labels.items()))) for suffix, labels, _ in family.samples]
    assert len(set(series)) == len(series), f"{family.name}: a series twice"
    for suffix, labels, value in family.samples:
        if family.kind == "counter" or suffix in ("_bucket", "_count"):
            assert value >= 0, f"{family.name}: {value}"
            assert math.isfinite(value), f"{family.name}: {value}"
        if family.kind == "info":
            assert value == 1
        if family.kind == "stateset":
            assert value in (0, 1)
            assert family.name in labels
    if family.kind == "histogram":
        _check_histograms(family)


def _check_histograms(family: Family) -> None:
    groups: dict[tuple[tuple[str, str], ...], list[tuple[str, str, float]]] = {}
    last = None
    for suffix, labels, value in family.samples:
        key = tuple(sorted((name, text) for name, text in labels.items() if name != "le"))
        assert key == last or key not in groups, f"{family.name}: a histogram in pieces"
        last = key
        assert ("le" in labels) == (suffix == "_bucket")
        groups.setdefault(key, []).append((suffix, labels.get("le", ""), value))
    for lines in groups.values():
        bounds = [float(le) for suffix, le, _ in lines if suffix == "_bucket"]
        counts = [value for suffix, _, value in lines if suffix == "_bucket"]
        facts = {suffix: value for suffix, _, value in lines if suffix != "_bucket"}
        assert bounds == sorted(set(bounds))
        assert bounds[-1] == math.inf
        assert counts == sorted(counts)
        assert counts[-1] == facts["_count"]
        assert facts["_sum"] >= 0
