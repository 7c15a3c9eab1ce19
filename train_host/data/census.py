"""Findings about a dataset as a whole: how much there is of which label, of whom, and on which side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_sdk import recordings as files
from edge_sdk.dataset import Dataset, truth
from edge_sdk.errors import first_of
from train_host.data.finding import Finding

#: The most frequent label may have so many times the recorded time of the rarest.
IMBALANCE = 5.0


def findings(dataset: Dataset, amount: dict[str, float]) -> Iterator[Finding]:
    """Everything that no single recording shows.

    Args:
        dataset: that was checked.
        amount: per label, s of signal or number of images.
    """
    groups_of: dict[str, set[str]] = {label: set() for label in dataset.labels}
    for recording in dataset.recordings:
        for label in truth.labels_of(dataset, recording):
            groups_of[label].add(recording.group)
    yield from _unlabelled(dataset)
    yield from _of_labels(dataset, groups_of)
    if dataset.task != "anomaly":  # what is not normal is rare
        yield from _of_amounts(dataset, amount)
    yield from _of_groups(dataset)
    yield from _of_sides(dataset, groups_of)
    yield from _spelled("labels", dataset.labels)
    yield from _spelled(f"{dataset.group}s", {recording.group for recording in dataset.recordings})
    yield from _unlisted(dataset)


def _unlabelled(dataset: Dataset) -> Iterator[Finding]:
    missing, remedy = "no label", "move it to recordings/<label>/: it is not trained on"
    if dataset.task == "regression":
        missing, remedy = "no target", "give it one in manifest.csv: it is not trained on"
    for recording in dataset.recordings:
        if not truth.is_known(dataset, recording):
            yield Finding("warning", recording.file, missing, remedy)


def _of_labels(dataset: Dataset, groups_of: dict[str, set[str]]) -> Iterator[Finding]:
    for label, groups in groups_of.items():
        if not groups:
            remedy = "record it, or remove it from labels in dataset.toml"
            yield Finding("error", "", f"no recordings of label {label!r}", remedy)
        elif len(groups) == 1 and (dataset.task != "anomaly" or label == dataset.labels[0]):
            what = f"label {label!r} was recorded with one {dataset.group} only ({first_of(groups)})"
            yield Finding("warning", "", what, "record it with more: it cannot be trained on and tested")


def _of_amounts(dataset: Dataset, amount: dict[str, float]) -> Iterator[Finding]:
    present = {label: value for label, value in amount.items() if value > 0}
    if len(present) < 2:
        return
    most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    ratio = present[most] / present[least]
    if ratio > IMBALANCE:
        unit = "images" if dataset.layout == "HWC" else "s"
        figures = f"{present[most]:.0f} and {present[least]:.0f} {unit}"
        what = f"{most!r} has {ratio:.0f} times as much as {least!r} ({figures})"
        yield Finding("warning", "", what, f"record more of {least!r}: a model may do well without it")


def _of_groups(dataset: Dataset) -> Iterator[Finding]:
    sides: dict[str, set[str]] = {}
    folds: dict[str, set[int]] = {}
    for recording in dataset.recordings:
        if recording.split:
            sides.setdefault(recording.group, set()).add(recording.split)
        if recording.fold:
            folds.setdefault(recording.group, set()).add(recording.fold)
    remedy = "give it one: figures on what was seen in training are too good"
    for group, on in sorted(sides.items()):
        if len(on) > 1:
            what = f"{dataset.group} {group!r} is on {len(on)} sides of the split ({', '.join(sorted(on))})"
            yield Finding("error", "manifest.csv", what, remedy)
    for group, within in sorted(folds.items()):
        if len(within) > 1:
            named = ", ".join(map(str, sorted(within)))
            what = f"{dataset.group} {group!r} is in {len(within)} folds ({named})"
            yield Finding("error", "manifest.csv", what, remedy)
    if len(dataset.groups) < 3:
        what = f"{len(dataset.groups)} {dataset.group}s with labels"
        yield Finding("warning", "", what, "three at least are needed to train, to stop early and to test")


def _of_sides(dataset: Dataset, groups_of: dict[str, set[str]]) -> Iterator[Finding]:
    """Labels that a split leaves nothing of on a side."""
    if not any(recording.split for recording in dataset.recordings):
        return
    shown: dict[str, set[str]] = {}
    for recording in dataset.recordings:
        shown.setdefault(recording.split or "train", set()).update(truth.labels_of(dataset, recording))
    remedy = "divide anew with: edgeml data split, or record the label with more"
    for label in (label for label, groups in groups_of.items() if groups):
        if label not in shown.get("train", ()) and (dataset.task != "anomaly" or label == dataset.labels[0]):
            what = f"the split leaves nothing of {label!r} to train on"
            yield Finding("error", "manifest.csv", what, remedy)
        if "test" in shown and label not in shown["test"]:
            yield Finding(
                "warning", "manifest.csv", f"the split leaves nothing of {label!r} to test on", remedy
            )


def _spelled(what: str, names: Iterable[str]) -> Iterator[Finding]:
    """Names that are most likely one."""
    alike: dict[str, list[str]] = {}
    for name in sorted(names):
        alike.setdefault("".join(filter(str.isalnum, name.casefold())), []).append(name)
    for key, found in alike.items():
        if key and len(found) > 1 and len({_digits(name) for name in found}) == 1:
            told = f"{what} {' and '.join(map(repr, found))} differ in their spelling only"
            yield Finding("warning", "", told, "give them one name if they are one")


def _digits(name: str) -> str:
    """The numbers in a name: ``p1_2`` and ``p12`` are not one."""
    return " ".join("".join(c if c.isdigit() else " " for c in name).split())


def _unlisted(dataset: Dataset) -> Iterator[Finding]:
    listed = {recording.file for recording in dataset.recordings}
    for path in sorted((dataset.folder / "recordings").rglob("*")):
        file = path.relative_to(dataset.folder).as_posix()
        if path.suffix.lower() in files.SUFFIXES and file not in listed and not path.name.startswith("."):
            yield Finding("warning", file, "not in manifest.csv", "add a line: it is not used")
