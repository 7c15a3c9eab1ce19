"""``csv:FILE`` appends one row a prediction."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, Fatal
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.sinks._appending import AppendedFile, Sync

_COLUMNS = tuple(Prediction(None, None, None, np.empty(0, np.float32)).as_dict())


class Sink(Closing):
    """CSV with a header, appended across runs; ``outputs`` is a JSON list.

    Args:
        location: the file; its folder must be there.
        sync: ``batch`` (default): on the disk before it counts as delivered; ``none``: the system decides.

    Raises:
        Fatal: the file has another header.
    """

    delivery: Delivery = "direct"
    location_is_path = True

    def __init__(self, location: str, *, sync: Sync = "batch") -> None:
        if not location:
            raise ConfigError("csv: no file", expected="csv:FILE, such as csv:events.csv")
        self.file = AppendedFile(Path(location), sync)
        try:
            self._begin(location)
        except BaseException:
            self.file.close()
            raise

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Append them, all or none; raises `Retry` or `Fatal` as `AppendedFile`."""
        self.file.append(_rows(_cells(prediction) for prediction in predictions))

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _begin(self, location: str) -> None:
        header = _rows([_COLUMNS])
        if self.file.empty:
            self.file.append(header)
        elif (found := self.file.first_line()) != header.rstrip(b"\n"):
            raise Fatal(
                f"{location}: has another header",
                expected=header.decode().strip(),
                found=repr(found[:120].decode(errors="replace")),
                remedy="name another file or move this one away",
            )


def _cells(prediction: Prediction) -> list[Any]:
    # one line a row, or a torn row could not be told from a whole one
    return [
        json.dumps(value)
        if isinstance(value, list)
        else " ".join(value.splitlines())
        if isinstance(value, str)
        else value
        for value in prediction.as_dict().values()
    ]


def _rows(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
