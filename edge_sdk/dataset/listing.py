"""Which recordings a dataset folder has: as its manifest lists them, or else as folders and names say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_sdk import recordings as files
from edge_sdk.dataset import truth
from edge_sdk.dataset.facts import FACTS, Facts
from edge_sdk.dataset.manifest import MANIFEST, Recording, read_manifest
from edge_sdk.errors import DatasetError

RECORDINGS = "recordings"
_PLACE = f"{RECORDINGS}/<label>/<group>_<id>{'|'.join(files.SUFFIXES)}"


def find(folder: Path, targets: Sequence[str]) -> list[Recording]:
    """All there are.

    Args:
        folder: of the dataset.
        targets: as `Facts.target_names` gives them.

    Raises:
        DatasetError: a malformed manifest.csv, a file that does not belong here or has no group in its name,
            or no recordings at all.
    """
    manifest = folder / MANIFEST
    found = read_manifest(manifest, targets) if manifest.exists() else _walk(folder)
    if not found:
        remedy = "add some with: edgeml data import"
        raise DatasetError(f"{folder}: no recordings", expected=_PLACE, remedy=remedy)
    return found


def check(folder: Path, facts: Facts, recordings: Iterable[Recording]) -> None:
    """See that what is listed is there, and that its labels are those of the dataset.

    Raises:
        DatasetError: a missing file, one that is too large, or an unknown label.
    """
    for recording in recordings:
        path = folder / recording.file
        if not path.is_file():
            raise DatasetError(
                f"{folder / MANIFEST}: no such recording", found=recording.file, remedy="remove its line"
            )
        files.check_size(path)
        for label in set(truth.labels_of(facts, recording)) - set(facts.labels):
            raise DatasetError(
                f"{path}: unknown label",
                expected=f"one of {', '.join(facts.labels)}",
                found=repr(label),
                remedy=f"add it to labels in {FACTS}, or rename it",
            )


def _walk(folder: Path) -> list[Recording]:
    found = []
    for path in sorted((folder / RECORDINGS).rglob("*")):
        parts = path.relative_to(folder / RECORDINGS).parts
        if path.is_dir() or any(part.startswith(".") for part in parts):
            continue
        if len(parts) > 2 or path.suffix.lower() not in files.SUFFIXES:
            raise DatasetError(f"{path}: does not belong here", expected=_PLACE)
        group, _, name = path.stem.rpartition("_")
        if not group or not name:
            raise DatasetError(
                f"{path}: no group in the name",
                expected=f"<group>_<id>{path.suffix}",
                remedy=f"rename it, or list it in {MANIFEST}",
            )
        label = parts[0] if len(parts) == 2 else None
        found.append(Recording(path.relative_to(folder).as_posix(), label, group))
    return found
