"""``jsonl:FILE`` appends one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.sinks._appending import AppendedFile, Sync


class Sink(Closing):
    """JSON lines, appended across runs.

    Args:
        location: the file; its folder must be there.
        sync: ``batch`` (default): on the disk before it counts as delivered; ``none``: the system decides.
    """

    delivery: Delivery = "direct"
    location_is_path = True

    def __init__(self, location: str, *, sync: Sync = "batch") -> None:
        if not location:
            raise ConfigError("jsonl: no file", expected="jsonl:FILE, such as jsonl:events.jsonl")
        self.file = AppendedFile(Path(location), sync)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Append them, all or none; raises `Retry` or `Fatal` as `AppendedFile`."""
        lines = [json.dumps(prediction.as_dict(), ensure_ascii=False) for prediction in predictions]
        self.file.append("".join([line + "\n" for line in lines]).encode())

    def close(self) -> None:
        """Close the file."""
        self.file.close()
