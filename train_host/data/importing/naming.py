"""Label, group and id of a recording: from options, from the source itself, or from where a file lies."""

from __future__ import annotations

import re

from edge_sdk.errors import ConfigError, DatasetError
from train_host.data.importing.request import Piece, Request


class Names:
    """Names the recordings of one import; no two of them get the same name.

    Args:
        request: with label, group and pattern, which win.

    Raises:
        ConfigError: a pattern that is no regular expression, or has other groups.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._pattern = _pattern(request.pattern)
        self._taken: dict[tuple[str | None, str, str], int] = {}
        self.notes: dict[str, str] = {}

    def of(self, piece: Piece) -> tuple[str | None, str, str]:
        """Label, group and id.

        Raises:
            DatasetError: there is no group, or the pattern does not match.
        """
        matched = self._matched(piece)
        label = self._request.label or matched.get("label")
        if label is None:
            label = piece.label if piece.knows_label else piece.path.resolve().parent.name
        group, name = self._group(piece, matched)
        label = label and self._written(piece, "label", label)
        group = self._written(piece, "group", group)
        # a file's name ends its group at the last underscore
        name = self._written(piece, "id", (matched.get("id") or name).replace("_", "-"))
        key = (label, group, name)
        self._taken[key] = count = self._taken.get(key, 0) + 1
        return label, group, name if count == 1 else f"{name}-{count}"

    def _written(self, piece: Piece, what: str, name: str) -> str:
        """The name as a file can have it; what had to be changed is noted."""
        fit = name.replace("/", "-").replace("\\", "-").strip()
        if not fit or fit.startswith(".") or not fit.isprintable():
            expected = "a name that a file may have"
            raise DatasetError(f"{piece.path}: {what}", expected=expected, found=repr(name))
        if fit != name and what != "id":
            self.notes[name] = f"{what} {name!r} is written as {fit!r}: no file can be called so"
        return fit

    def _group(self, piece: Piece, matched: dict[str, str]) -> tuple[str, str]:
        if chosen := self._request.group or matched.get("group") or piece.group:
            return chosen, piece.id or piece.path.stem
        group, _, name = piece.path.stem.rpartition("_")
        if not group or not name:
            raise DatasetError(
                f"{piece.path}: no group in the name",
                expected=f"<group>_<id>{piece.path.suffix}",
                remedy="rename it, or give --group or --pattern; where no two have their origin in common, "
                "each is a group: --pattern '(?P<group>[^/]+)$'",
            )
        return group, piece.id or name

    def _matched(self, piece: Piece) -> dict[str, str]:
        if self._pattern is None:
            return {}
        where = piece.path.with_suffix("").as_posix()
        match = self._pattern.search(where)
        if match is None:
            raise DatasetError(
                f"{piece.path}: --pattern does not match", expected=self._pattern.pattern, found=where
            )
        return {key: value for key, value in match.groupdict().items() if value}


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(
            "--pattern", expected="a regular expression", found=f"{text!r} ({error})"
        ) from error
    if not pattern.groupindex or not set(pattern.groupindex) <= {"label", "group", "id"}:
        example = r"(?P<group>\w+)/(?P<label>\w+)/(?P<id>\d+)"
        raise ConfigError(
            "--pattern", expected=f"groups named label, group, id, such as {example}", found=text
        )
    return pattern
