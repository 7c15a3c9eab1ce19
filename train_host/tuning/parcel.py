"""A dataset folder on its way to another machine, which unpacks it once for all trials."""

from __future__ import annotations

import fcntl
import io
import tarfile
import tempfile
from pathlib import Path

from edge_sdk.dataset import Dataset


def packed(dataset: Dataset) -> bytes:
    """The folder as a tar; nothing hidden."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(dataset.folder.rglob("*")):
            name = path.relative_to(dataset.folder)
            if not any(part.startswith(".") for part in name.parts):
                tar.add(path, name.as_posix(), recursive=False)
    return out.getvalue()


def unpacked(content: bytes, digest: str) -> Path:
    """Where a folder that was sent lies; one a machine.

    Args:
        content: as `packed` gave it.
        digest: of the dataset.
    """
    place = Path(tempfile.gettempdir()) / f"edgeml-dataset-{digest.removeprefix('sha256:')[:16]}"
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                tar.extractall(building, filter="data")
            building.rename(place)
    return place
