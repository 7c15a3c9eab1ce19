"""``stdout:`` prints predictions."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Literal

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, Fatal, Retry
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction


class Sink(Closing):
    """One line a prediction on standard output: local time, device, number, label and score, event.

    Args:
        location: nothing.
        format: ``text`` for people, ``jsonl`` for programs.
    """

    delivery: Delivery = "direct"

    def __init__(self, location: str = "", *, format: Literal["text", "jsonl"] = "text") -> None:  # noqa: A002
        if location:
            raise ConfigError(f"stdout:{location}", expected="nothing after the colon", found=location)
        self._line = _json if format == "jsonl" else _text
        self._stream = sys.stdout

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Print and flush.

        Raises:
            Fatal: whoever read the output has gone, as `head` does.
        """
        try:
            self._stream.write("".join([self._line(prediction) for prediction in predictions]))
            self._stream.flush()
        except BrokenPipeError as error:
            raise Fatal("stdout: its reader has gone") from error
        except OSError as error:
            raise Retry("stdout: cannot be written", found=error.strerror or error) from error


def _text(prediction: Prediction) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(prediction.wall_s))
    return f"{clock}.{int(prediction.wall_s % 1 * 100):02d}  {prediction}\n"


def _json(prediction: Prediction) -> str:
    return json.dumps(prediction.as_dict(), ensure_ascii=False) + "\n"
