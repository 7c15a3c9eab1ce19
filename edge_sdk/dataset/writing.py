"""A new dataset folder: built beside its place, it appears there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path

from edge_sdk import recordings as files
from edge_sdk.dataset import truth
from edge_sdk.dataset.dataset import Dataset
from edge_sdk.dataset.facts import FACTS, Facts
from edge_sdk.dataset.listing import RECORDINGS
from edge_sdk.dataset.manifest import MANIFEST, Recording, manifest_text
from edge_sdk.dataset.naming import check_name
from edge_sdk.errors import DatasetError
from edge_sdk.recordings import Signal


@dataclass(frozen=True, slots=True)
class NewRecording:
    """One recording to write: its content is a signal, or a file to copy as it is.

    Attributes:
        id: what tells this recording from the others of its label and group.
        suffix: the kind of file that a signal is written as.
        target: the values to learn, for a regression.
    """

    content: Signal | Path
    label: str | None
    group: str
    id: str
    split: str | None = None
    suffix: str = ".csv"
    target: tuple[float, ...] | None = None

    @property
    def file(self) -> str:
        """Where it goes, relative to the folder."""
        suffix = self.content.suffix.lower() if isinstance(self.content, Path) else self.suffix
        return "/".join(
            [RECORDINGS, *([self.label] if self.label else []), f"{self.group}_{self.id}{suffix}"]
        )


def write(
    folder: str | Path, facts: Facts, recordings: Iterable[NewRecording], *, replace: bool = False
) -> Dataset:
    """Write a dataset folder; it is built beside its place and appears there whole, or not at all.

    Args:
        folder: where it goes.
        facts: what dataset.toml shall say.
        recordings: what goes into recordings/; consumed one by one.
        replace: an existing dataset folder may be replaced.

    Raises:
        DatasetError: the folder exists, or two recordings have the same label, group and id.
    """
    folder = Path(folder)
    if folder.exists() and not (replace and (folder / FACTS).is_file()):
        remedy = "give another folder" if replace else "give another folder, or --force to replace it"
        found = "a folder that is no dataset" if replace else "one"
        raise DatasetError(f"{folder}: exists", expected="no folder of that name", found=found, remedy=remedy)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        building.chmod(0o755)  # mkdtemp's 0700 is for secrets
        written = [_write_one(building, new) for new in recordings]
        # spelled out, so that their order stays
        facts = replace_fields(facts, labels=truth.labels(facts, written))
        (building / FACTS).write_text(facts.to_toml(), encoding="utf-8")
        if any(recording.split or recording.target for recording in written):
            text = manifest_text(written, facts.target_names)
            (building / MANIFEST).write_text(text, encoding="utf-8")
        Dataset.load(building)
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Dataset.load(folder)


def _write_one(building: Path, new: NewRecording) -> Recording:
    for part in filter(None, (new.label, new.group, new.id)):
        check_name(part, "label, group or id")
    path = building / new.file
    if path.exists():
        raise DatasetError(
            f"{new.file}: twice", expected="unlike ids within a label and group", remedy="rename one"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(new.content, Path):
        shutil.copyfile(new.content, path)
    else:
        files.write(path, new.content)
    return Recording(new.file, new.label, new.group, split=new.split, target=new.target)
