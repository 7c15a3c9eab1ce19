"""Where the data is from, under which licence, and which state of it this is."""

from __future__ import annotations

from converters.page import tables, wording
from converters.page.markup import Html, tag
from edge_sdk.errors import DatasetError
from train_host.data import versioning
from train_host.data.report.content import Content

#: Saved versions that are listed.
_VERSIONS = 20


def render(content: Content) -> Html:
    """Facts of dataset.toml, the digest, and the versions that were saved."""
    dataset = content.dataset
    kinds = sorted({recording.file.rpartition(".")[2] for recording in dataset.recordings})
    rows: list[tuple[object, object]] = [
        ("folder", dataset.folder.resolve().name),
        ("task", dataset.task),
        ("files", ", ".join(kinds)),
        ("licence", dataset.licence or "not stated"),
        ("source", dataset.source or "not stated"),
        ("digest", tag("code", dataset.digest)),
    ]
    try:
        versions = versioning.saved(dataset.folder)
    except DatasetError as error:
        versions = {}
        rows.append(("versions", wording.clipped(str(error), 200)))
    for name, version in list(versions.items())[-_VERSIONS:]:
        same = "this state" if version.digest == dataset.digest else tag("code", version.digest[:19])
        rows.append((f"version {wording.clipped(name, 30)}", tables.lines([version.saved, same])))
    return tables.facts(rows)
