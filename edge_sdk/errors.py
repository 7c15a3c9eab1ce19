"""The errors of edgeml.

    EdgeError                      exit  is also a
    ├── SpecError                  2     ValueError        data of another shape, dtype or channels
    ├── ContractError              2     ValueError        a contract is missing, malformed or too new
    ├── ModelError                 2     ValueError        a model file cannot be used
    ├── ConfigError                2     ValueError        an edgeml.toml, URL or option is wrong
    ├── DatasetError               2     ValueError        a dataset folder or recording is wrong
    ├── UnknownNameError           2     LookupError       no plug-in, recipe or board of that name
    ├── MissingExtraError          2     ImportError       an optional part is not installed
    ├── GateError                  1                       a check or an accuracy gate failed
    ├── ChildError                 3     RuntimeError      a child process died
    │   └── ChildTimeoutError      3     TimeoutError      a child process took too long
    └── DeviceError                3     OSError           a device, network or disk failed
        ├── Retry                  3                       failed now, may work later: reopened with backoff
        ├── Rejected               3                       a destination refused these predictions for good
        └── Fatal                  3                       can never work as configured: the pipeline stops

Every message says what is wrong, what was expected, what was found and what to do next, in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

#: Characters of what is wrong, expected, found or to do that are shown.
_LONGEST_PART = 1000


class EdgeError(Exception):
    """Any error that edgeml raises on purpose.

    Args:
        what: what is wrong, naming the file, option or part.
        expected: what would have been right.
        found: what was there instead.
        remedy: what to do next.
    """

    exit_code = 2
    #: Of the run that this error ended, `edge_sdk.pipeline.Report`; None elsewhere.
    report: Any = None

    def __init__(
        self, what: str, *, expected: object = None, found: object = None, remedy: str | None = None
    ) -> None:
        self.what = _shortened(what)
        self.expected = None if expected is None else _shortened(str(expected))
        self.found = None if found is None else _shortened(str(found))
        self.remedy = None if remedy is None else _shortened(remedy)
        facts = []
        if self.expected is not None:
            facts.append(f"expected {printable(self.expected)}")
        if self.found is not None:
            facts.append(f"found {printable(self.found)}")
        message = printable(self.what)
        if facts:
            message += ": " + ", ".join(facts)
        if self.remedy:
            message += f"; {printable(self.remedy)}"
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0])

    def within(self, where: object) -> Self:
        """The same error, named after the file or the part that it happened in."""
        return self.rebuilt({**self.as_dict(), "error": f"{where}: {self.what}"})

    @classmethod
    def rebuilt(cls, facts: Mapping[str, str | None]) -> Self:
        """An error of this class from what `as_dict` gave; one class or another asks for other arguments."""
        layout: Any = cls.__base__  # not always the first base: of one that is an OSError too, that one
        error: Self = layout.__new__(cls)
        EdgeError.__init__(
            error,
            facts["error"] or "",
            expected=facts["expected"],
            found=facts["found"],
            remedy=facts["remedy"],
        )
        return error

    def as_dict(self) -> dict[str, str | None]:
        """The keys that ``--json`` prints for an error."""
        return {"error": self.what, "expected": self.expected, "found": self.found, "remedy": self.remedy}


class SpecError(EdgeError, ValueError):
    """Data does not match its declared shape, dtype or channels."""


class ContractError(EdgeError, ValueError):
    """A contract is missing, malformed, or newer than this version reads."""


class ModelError(EdgeError, ValueError):
    """A model file cannot be used: truncated, not TFLite, unsupported ops, wrong digest, wrong outputs."""


class ConfigError(EdgeError, ValueError):
    """An edgeml.toml, a URL or an option is wrong."""


class DatasetError(EdgeError, ValueError):
    """A dataset folder or a recording is wrong."""


class UnknownNameError(EdgeError, LookupError):
    """There is no plug-in, recipe, board or architecture of that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str], remedy: str | None = None) -> None:
        self.name, self.known = name, sorted(known)
        super().__init__(
            f"unknown {kind} {name!r}",
            expected="one of " + ", ".join(self.known),
            remedy=remedy or suggestion(name, self.known),
        )


class MissingExtraError(EdgeError, ImportError):
    """An optional part is not installed."""

    def __init__(
        self, feature: str, extra: str, missing: str | None = None, *, remedy: str | None = None
    ) -> None:
        self.extra = extra
        super().__init__(
            f"{feature} is not installed",
            found=f"no package {missing!r}" if missing else None,
            remedy=remedy or f"install it with: pip install 'edgeml-kit[{extra}]'",
        )


class GateError(EdgeError):
    """A check or an accuracy gate failed; nothing was replaced."""

    exit_code = 1


class ChildError(EdgeError, RuntimeError):
    """A child process died before it answered."""

    exit_code = 3


class ChildTimeoutError(ChildError, TimeoutError):
    """A child process took longer than it may and was killed."""


class DeviceError(EdgeError, OSError):
    """A device, a network or a disk failed."""

    exit_code = 3


class Retry(DeviceError):  # noqa: N818 - a verdict that a plug-in hands the pipeline, named as one
    """It failed now and may work later: an unplugged port, a locked database. The pipeline reopens it.

    Attributes:
        retry_after_s: for how long the other side asked to be left alone, s; None where it did not.
    """

    retry_after_s: float | None = None


class Rejected(DeviceError):  # noqa: N818
    """The destination refused these predictions for good; trying again would not help."""


class Fatal(DeviceError):  # noqa: N818
    """It can never work as configured; the pipeline drains and stops."""


def printable(text: str) -> str:
    """One line that a terminal shows and does not obey, without its middle where that is long.

    Names in a hostile file may be megabytes, and hold line ends and control sequences.
    """
    line = " ".join(_shortened(text).split())
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_PART else f"{text[: _LONGEST_PART - 203]} … {text[-200:]}"


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """A question after the nearest known name, ``did you mean 'baud'?``, or None where none is near."""
    import difflib  # only errors pay for it

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else None


def unexpected(part: str, error: Exception) -> DeviceError:
    """A bug in somebody's part as an error of edgeml: one line that names the part, with its cause kept."""
    failure = DeviceError(f"{part} failed unexpectedly", found=f"{type(error).__name__}: {one_line(error)}")
    failure.__cause__ = error
    return failure


def one_line(error: BaseException) -> str:
    """Any exception as a single line without a traceback."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def first_of(items: Iterable[Any], n: int = 3) -> str:
    """``a, b, c, … (+4)``: enough of a long list for an error message."""
    names = [str(item) for item in items]
    return ", ".join(names[:n]) + (f", … (+{len(names) - n})" if len(names) > n else "")
