"""``edgeml data version``: which state of a dataset this is, and what changed since another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json

#: Changes that are printed; all of them stand in --json.
_SHOWN = 40


@click.command(
    "version",
    epilog="\b\nExample:\n"
    "  edgeml data version data --save first\n"
    "  edgeml data version data                     what changed since it was saved last\n"
    "  edgeml data version data --compare ../data-of-march",
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--save", "name", help="Remember this state under a name, in versions.json in the folder.")
@click.option("--compare", "other", help="Tell what changed since a saved version, or from another folder.")
@json_option
def command(folder: Path, name: str | None, other: str | None, as_json: bool) -> None:
    """Show the digest of a dataset's content, and what was added, removed, relabelled or changed.

    Models remember the digest of what they were trained on.
    """
    from edge_sdk.dataset import Dataset
    from train_host.data import versioning

    dataset = Dataset.load(folder)
    known = versioning.saved(folder)
    files = len({recording.file for recording in dataset.recordings})
    with click.progressbar(length=files, label="reading", file=sys.stderr) as bar:
        now = versioning.snapshot(dataset, lambda file: bar.update(1))
    since, earlier = (None, None)
    if other is not None:
        since, earlier = versioning.find(folder, other)
    elif known:
        since = next(reversed(known))
        earlier = known[since]
    found = versioning.changes(earlier, now) if earlier else []
    if name is not None:
        versioning.save(folder, name, now)
    same = [key for key, version in known.items() if version.digest == now.digest]
    facts: dict[str, Any] = {
        "dataset": str(folder),
        "digest": now.digest,
        "recordings": len(now.recordings),
        "saved_as": name or (same[-1] if same else None),
        "since": since,
        "changes": [change.as_dict() for change in found],
        "counts": dict(versioning.counted(found)),
        "versions": {
            key: {"digest": version.digest, "saved": version.saved} for key, version in known.items()
        },
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"{now.digest}  {len(now.recordings)} recordings")
    for change in found[:_SHOWN]:
        click.echo(str(change))
    if len(found) > _SHOWN:
        click.echo(f"… and {len(found) - _SHOWN} more; --json has them all")
    if since is not None:
        counts = ", ".join(f"{count} {kind}" for kind, count in facts["counts"].items())
        click.echo(f"since {since}: {counts or 'nothing changed'}")
    if name is not None:
        click.echo(f"saved as {name}")
    elif not known:
        click.echo(f"no version saved yet; save one with: edgeml data version {folder} --save NAME")
