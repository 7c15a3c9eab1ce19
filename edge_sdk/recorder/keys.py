"""Labels by key: a terminal that is asked key by key, and given back as it was."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from typing import TextIO

from edge_sdk.blocks import boottime_s
from edge_sdk.closing import Closing
from edge_sdk.dataset.naming import check_name
from edge_sdk.errors import ConfigError
from edge_sdk.recorder.recorder import Recorder

#: Keys that mean something else.
PAUSE, UNDO, QUIT = " ", "u", "q"
_RESERVED = {PAUSE: "pause", UNDO: "undo", QUIT: "quit"}
_LOOK_S = 0.2


def parse_keys(text: str) -> dict[str, str]:
    """``walk,rest,f=fall`` into labels by key; those without one of their own are numbered.

    Raises:
        ConfigError: two labels on one key, a key that means something else, or too many.

    >>> parse_keys("walk,f=fall,rest")
    {'1': 'walk', 'f': 'fall', '2': 'rest'}
    """
    keys: dict[str, str] = {}
    free = iter("123456789")
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        key, equals, label = part.partition("=")
        if not equals:
            key, label = next(free, ""), part
        check_name(label)
        if len(key) != 1 or not key.isprintable() or key in _RESERVED or key in keys:
            expected = "LABEL or KEY=LABEL, commas between; a key is one character, and each has one label"
            found = f"{part!r}" + (f": {key!r} is {_RESERVED[key]}" if key in _RESERVED else "")
            raise ConfigError("--labels", expected=expected, found=found)
        keys[key] = label
    if len(set(keys.values())) != len(keys):
        raise ConfigError("--labels", expected="unlike labels", found=text)
    return keys


class Keyboard(Closing):
    """Listens to a terminal until it is closed.

    Args:
        recorder: whose labels the keys set.
        keys: labels by key; empty where keys only undo and quit.
        stream: the terminal; default: standard input.
    """

    def __init__(self, recorder: Recorder, keys: dict[str, str], stream: TextIO | None = None) -> None:
        self._recorder, self._keys = recorder, keys
        self._file = (stream or sys.stdin).fileno()
        self._before = termios.tcgetattr(self._file)
        tty.setcbreak(self._file, termios.TCSADRAIN)  # Ctrl-C stays what it is
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="keyboard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the terminal back; may be called twice."""
        if not self._ends.is_set():
            self._ends.set()
            with contextlib.suppress(termios.error, OSError):  # it may have gone
                termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

    def press(self, key: str) -> None:
        """What a key does."""
        timeline = self._recorder.timeline
        if key == QUIT:
            self._recorder.stop()
        elif key == UNDO:
            self._recorder.undo()
        elif self._keys and key == PAUSE:
            timeline.set(None, boottime_s())
        elif key in self._keys:
            label = self._keys[key]
            timeline.set(None if timeline.now == label else label, boottime_s())

    def _listen(self) -> None:
        while not self._ends.is_set():
            try:
                ready, _, _ = select.select([self._file], [], [], _LOOK_S)
                pressed = os.read(self._file, 64) if ready else b""
            except (OSError, ValueError):
                return
            if ready and not pressed:  # the terminal has gone
                self._recorder.stop()
                return
            for key in pressed.decode("utf-8", "replace"):
                self.press(key)


def is_terminal(stream: TextIO) -> bool:
    """Whether keys can be read from it one by one."""
    try:
        return stream.isatty() and bool(termios.tcgetattr(stream.fileno()))
    except (OSError, ValueError, termios.error):
        return False
