"""For something to come about, of which nobody says when."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], timeout_s: float = 600) -> Found:
    """What a condition gives once it gives something."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Lines that it says until one has the text."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if text in line:
            return
        said.append(line)
    pytest.fail(f"it ended before it said {text!r}: {''.join(said)}")
