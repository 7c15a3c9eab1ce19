"""A dataset folder: the only place that knows its layout, reads it, writes it, and splits it.

    dataset.toml                          channels with units, rate_hz, task, labels, group, licence
    recordings/<label>/<group>_<id>.csv   or .npz .parquet .wav .png
    manifest.csv                          optional: file,label,group,start_s,end_s,split,fold,target

Where there is a manifest, it alone says what the recordings are; otherwise folders and names do. A recording
that lies in recordings/ itself has no label yet: it is kept, and never trained on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edge_sdk.dataset.facts import FACTS, RATE_TOLERANCE, Facts
from edge_sdk.dataset.manifest import MANIFEST, Recording
from edge_sdk.recordings import Signal
from edge_sdk.splits import Split

if TYPE_CHECKING:
    from edge_sdk.dataset.dataset import Dataset
    from edge_sdk.dataset.windowed import Windowed
    from edge_sdk.dataset.writing import NewRecording, write

__all__ = [
    "FACTS",
    "MANIFEST",
    "RATE_TOLERANCE",
    "Dataset",
    "Facts",
    "NewRecording",
    "Recording",
    "Signal",
    "Split",
    "Windowed",
    "write",
]

#: What reads and writes whole folders, and where it lives: a device that adds to one need not pay for it.
_HOME_OF = {"Dataset": "dataset", "NewRecording": "writing", "Windowed": "windowed", "write": "writing"}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
