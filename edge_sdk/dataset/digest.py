"""The digest that names a dataset: over its facts, its listing and the bytes of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edge_sdk.dataset.facts import Facts
from edge_sdk.dataset.manifest import Recording


def digest_of(folder: Path, facts: Facts, recordings: Sequence[Recording]) -> str:
    """``sha256:…``, the same wherever the folder lies."""
    total = hashlib.sha256(json.dumps(_facts(facts), sort_keys=True).encode())
    for recording in sorted(recordings, key=lambda each: (each.file, each.start_s or 0.0)):
        told = asdict(recording)
        if recording.fold is None:  # as it was before there were folds
            del told["fold"]
        total.update(json.dumps(told, sort_keys=True).encode())
    for name in sorted({recording.file for recording in recordings}):
        total.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"


def _facts(facts: Facts) -> dict[str, object]:
    told = {key: _plain(getattr(facts, key)) for key in Facts.__dataclass_fields__}
    if not facts.targets:  # as it was before there were several
        del told["targets"]
    return told


def _plain(value: object) -> object:
    """Channels as JSON has them."""
    if isinstance(value, tuple) and value and not isinstance(value[0], str):
        return [asdict(channel) for channel in value]
    return value
