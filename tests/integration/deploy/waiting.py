"""For something to come about, of which nobody says when."""

from __future__ import annotations

import subprocess
from functools import partial

import pytest

from tests import waiting

#: A machine that is emulated takes minutes, and each question is a connection to it.
wait_for = partial(waiting.wait_for, seconds=600.0, every_s=0.1)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Lines that it says until one has the text."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if text in line:
            return
        said.append(line)
    pytest.fail(f"it ended before it said {text!r}: {''.join(said)}")
