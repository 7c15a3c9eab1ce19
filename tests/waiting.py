"""Waits for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], seconds: float = 10.0, every_s: float = 0.02) -> Found:
    """What a condition gives once it gives something.

    Args:
        condition: asked again and again.
        seconds: after which the test has failed.
        every_s: how often it is asked.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s")
        time.sleep(every_s)
    return found
