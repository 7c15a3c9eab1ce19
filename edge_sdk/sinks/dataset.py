"""``dataset:FOLDER`` keeps what the model saw as recordings, to be labelled and trained on.

Beside recordings/ lies captured.jsonl: what the model said about each of them.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.dataset.collection import Collection
from edge_sdk.dataset.facts import Facts
from edge_sdk.dataset.listing import RECORDINGS
from edge_sdk.dataset.naming import as_name, check_name
from edge_sdk.errors import ConfigError, DatasetError, Fatal, Rejected
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.recordings import Signal
from edge_sdk.runs import Run
from edge_sdk.sinks._appending import AppendedFile

#: What the model said, one line a recording.
SAID = "captured.jsonl"
#: A file that this sink wrote: device, run, number.
_OURS = re.compile(r".+_[0-9a-f]{16}-\d+\.(npz|png)")


class Sink(Closing):
    """Windows into a dataset folder.

    Args:
        location: the folder; made where there is none.
        label: of all of them; default: none yet, so that they are kept and never trained on.
        group: who or what is recorded; default: the device.
        every_s: at most one window of a device in so long, s.
        max_mb: of windows without a label; the oldest make room.
    """

    delivery: Delivery = "direct"
    location_is_path = True
    keeps_windows = True

    def __init__(
        self,
        location: str,
        *,
        label: str | None = None,
        group: str | None = None,
        every_s: float = 0.0,
        max_mb: float = 256.0,
    ) -> None:
        if not location:
            raise ConfigError("dataset: no folder", expected="dataset:FOLDER, such as dataset:captured")
        for name in filter(None, (label, group)):
            check_name(name)
        if every_s < 0 or max_mb <= 0:
            raise ConfigError("dataset: every_s, max_mb", expected="0 or more, and more than 0")
        self._folder, self._label, self._group = Path(location), label, group
        self._every_s, self._max_bytes = every_s, int(max_mb * 1e6)
        self._input: Input | None = None
        self._collection: Collection | None = None
        self._said: AppendedFile | None = None
        self._kept: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._latest: dict[str, float] = {}

    def begin(self, run: Run) -> None:
        """Learn from the contract what is in a window.

        Raises:
            Fatal: a model without a contract, or of another input than the one before.
        """
        found = run.contract.input if run.contract else None
        if found is None:
            raise Fatal(
                f"dataset:{self._folder}",
                expected="a model with a contract, which says channels and rate",
                found=f"{run.model} without one",
                remedy="supply what it lacks in [contract]",
            )
        if self._input is not None and (found.names, found.rate_hz) != (
            self._input.names,
            self._input.rate_hz,
        ):
            raise Fatal(
                f"dataset:{self._folder}: models of unlike inputs",
                expected=", ".join(self._input.names),
                found=", ".join(found.names),
                remedy="give each a sink of its own, with when = \"model == '…'\"",
            )
        self._input = found
        if self._collection is None:
            try:
                self._open(found)
            except DatasetError as error:
                raise Fatal(
                    error.what, expected=error.expected, found=error.found, remedy=error.remedy
                ) from error

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Keep their windows; one that is written again replaces itself.

        Raises:
            Retry: the disk is full.
            Fatal: the folder cannot be written.
            Rejected: a prediction of firmware, whose samples never came.
        """
        collection, said = self._collection, self._said
        assert collection is not None
        assert said is not None
        for prediction in predictions:
            if prediction.window is None:
                raise Rejected(
                    "dataset: no window",
                    expected="samples",
                    found="a prediction that was made elsewhere",
                    remedy="take such devices out with the sink's when",
                )
            latest = self._latest.get(prediction.device)
            if self._every_s and latest is not None and 0 <= prediction.time_s - latest < self._every_s:
                continue
            self._latest[prediction.device] = prediction.time_s
            file = self._keep(collection, prediction)
            facts = {"file": file, "kept_s": round(time.time(), 3), **prediction.as_dict()}
            said.append(json.dumps(facts, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Close what is open."""
        if self._said is not None:
            self._said.close()
        if self._collection is not None:
            self._collection.close()

    def _open(self, found: Input) -> None:
        layout_is_image = found.layout == "HWC"
        facts = Facts(
            name=self._folder.resolve().name,
            channels=found.channels,
            rate_hz=None if layout_is_image else found.rate_hz,
            group="device",
        )
        self._collection = Collection(self._folder, facts)
        self._said = AppendedFile(self._folder / SAID, "batch")
        files = [path for path in (self._folder / RECORDINGS).iterdir() if _OURS.fullmatch(path.name)]
        for path in sorted(files, key=lambda path: path.stat().st_mtime):
            self._count(f"{RECORDINGS}/{path.name}", path.stat().st_size)

    def _keep(self, collection: Collection, prediction: Prediction) -> str:
        assert self._input is not None
        assert prediction.window is not None
        window = np.asarray(prediction.window, np.float32)
        is_image = self._input.layout == "HWC"
        signal = Signal(window, None if is_image else self._input.rate_hz, self._input.names)
        name = f"{prediction.run_id}-{prediction.sequence}"
        group = self._group or as_name(prediction.device)
        suffix = ".png" if is_image else ".npz"
        try:
            file = collection.add(signal, self._label, group, name, suffix=suffix, again=True)
        except DatasetError as error:
            raise Fatal(error.what, expected=error.expected, found=error.found) from error
        if self._label is None:
            self._count(file, (self._folder / file).stat().st_size)
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                oldest, size = self._kept.popleft()
                self._bytes -= size
                collection.remove(oldest)
        return file

    def _count(self, file: str, size: int) -> None:
        self._kept.append((file, size))
        self._bytes += size
