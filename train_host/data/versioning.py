"""What a dataset folder was like, and what has changed in it since.

A version is a snapshot: the facts of dataset.toml, and of each recording what manifest and place say about
it, with a digest of its file. Saved ones stand in ``versions.json`` in the folder, which no digest takes in.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk.dataset import Dataset, Facts
from edge_sdk.errors import ConfigError, DatasetError, DeviceError, first_of, suggestion

FILE = "versions.json"
_MOST_BYTES = 256 << 20
#: What a recording is known by besides its content; a change of one of these is told by its name.
_SAID = ("label", "group", "split", "fold", "target")
_WORDS = {"label": "relabelled", "group": "regrouped", "split": "moved to another side", "fold": "refolded"}


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recording, or one piece of it."""

    file: str
    content: str
    label: str | None = None
    group: str = ""
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None
    fold: int | None = None
    target: tuple[float, ...] | None = None

    @property
    def piece(self) -> tuple[str, float | None, float | None]:
        """What it is, wherever it lies and whatever is said of it."""
        return self.content, self.start_s, self.end_s

    @property
    def place(self) -> tuple[str, float | None, float | None]:
        """Where it is, whatever it holds."""
        return self.file, self.start_s, self.end_s


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset folder at one time.

    Attributes:
        digest: as `Dataset.digest`.
        saved: when, UTC; empty for the folder as it is.
        facts: of dataset.toml.
        recordings: what was in it.
    """

    digest: str
    saved: str = ""
    facts: dict[str, Any]
    recordings: list[Entry]


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: ``added``, ``removed``, ``renamed``, ``changed`` (other samples), one of ``relabelled``,
            ``regrouped`` and so on, or ``facts``.
        what: the file, or the key of dataset.toml.
        before: as it was; None where it was not.
        after: as it is; None where it is not.
    """

    kind: str
    what: str
    before: Any = None
    after: Any = None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def __str__(self) -> str:
        if self.before is None and self.after is None:
            return f"{self.kind:12} {self.what}"
        return f"{self.kind:12} {self.what}: {_shown(self.before)} → {_shown(self.after)}"


def snapshot(dataset: Dataset, on_file: Callable[[str], None] = lambda file: None) -> Version:
    """A folder as it is.

    Args:
        dataset: whose files are read.
        on_file: called after each.
    """
    contents: dict[str, str] = {}
    entries = []
    for recording in dataset.recordings:
        if recording.file not in contents:
            with (dataset.folder / recording.file).open("rb") as file:
                contents[recording.file] = hashlib.file_digest(file, "sha256").hexdigest()
            on_file(recording.file)
        entries.append(Entry(content=contents[recording.file], **asdict(recording)))
    facts = {key: _plain(getattr(dataset, key)) for key in Facts.__dataclass_fields__}
    return Version(digest=dataset.digest, facts=facts, recordings=entries)


def changes(before: Version, after: Version) -> list[Change]:
    """What differs, the facts first, then file by file.

    A recording that lies elsewhere with the same content is the same one: its label may have changed with the
    folder it is in.
    """
    found = [
        Change("facts", key, before.facts.get(key), after.facts.get(key))
        for key in {**before.facts, **after.facts}
        if before.facts.get(key) != after.facts.get(key)
    ]
    old = {entry.place: entry for entry in before.recordings}
    new = {entry.place: entry for entry in after.recordings}
    told: list[Change] = []
    gone = {place: entry for place, entry in old.items() if place not in new}
    moved = {entry.piece: place for place, entry in gone.items()}
    for place, entry in new.items():
        earlier = old.get(place)
        if earlier is None:
            earlier = gone.pop(moved.pop(entry.piece, ("", None, None)), None)
            if earlier is None:
                told.append(Change("added", entry.file, None, entry.label))
                continue
            told.append(Change("renamed", entry.file, earlier.file, entry.file))
        if earlier.content != entry.content:
            told.append(Change("changed", entry.file))
        told += [
            Change(_WORDS.get(key, f"new {key}"), entry.file, getattr(earlier, key), getattr(entry, key))
            for key in _SAID
            if getattr(earlier, key) != getattr(entry, key)
        ]
    told += [Change("removed", entry.file, entry.label, None) for entry in gone.values()]
    return found + sorted(told, key=lambda change: (change.what, change.kind))


def saved(folder: Path) -> dict[str, Version]:
    """The versions that were saved in a folder, the oldest first.

    Raises:
        DatasetError: versions.json is malformed.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:  # neither a pipe nor a device
            raise OSError(f"no plain file of at most {_MOST_BYTES >> 20} MB")
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Version])
    except (OSError, msgspec.DecodeError) as error:
        remedy = "correct it, or remove it: it holds nothing but the history"
        raise DatasetError(
            f"{path}: cannot be read", expected="versions", found=error, remedy=remedy
        ) from error


def save(folder: Path, name: str, version: Version) -> None:
    """Remember a version; the file is replaced whole.

    Raises:
        ConfigError: there is one of this name, or the name could be a folder's.
        DeviceError: the folder cannot be written.
    """
    known = saved(folder)
    if (
        not name
        or "/" in name
        or not name.isprintable()
        or (name in known and known[name].digest != version.digest)
    ):
        found = f"{name!r}, of {known[name].saved}" if name in known else repr(name)
        raise ConfigError("--save", expected="a new name, without /", found=found)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known[name] = msgspec.structs.replace(version, saved=known[name].saved if name in known else now)
    path = folder / FILE
    beside = folder / f".{FILE}.{os.getpid()}"
    try:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")
        beside.replace(path)
    except OSError as error:
        raise DeviceError(f"cannot write {path}", found=error.strerror or error) from error
    finally:
        beside.unlink(missing_ok=True)


def find(folder: Path, other: str) -> tuple[str, Version]:
    """A saved version by its name, or another dataset folder as it is.

    Raises:
        ConfigError: neither.
        DatasetError: that folder is no dataset.
    """
    known = saved(folder)
    if other in known:
        return other, known[other]
    if Path(other).is_dir():
        return other, snapshot(Dataset.load(other))
    raise ConfigError(
        "--compare",
        expected="a saved version, or a dataset folder",
        found=f"{other!r}; saved: {first_of(known) or 'none'}",
        remedy=suggestion(other, known),
    )


def counted(found: list[Change]) -> Mapping[str, int]:
    """How many changes there are of each kind."""
    counts: dict[str, int] = {}
    for change in found:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    return counts


def _plain(value: Any) -> Any:
    """As JSON would give it back."""
    return json.loads(msgspec.json.encode(value))


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
