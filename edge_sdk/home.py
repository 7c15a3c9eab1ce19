"""Where in a user's home edgeml keeps what is its own.

Source: XDG Base Directory Specification, version 0.8.
"""

from __future__ import annotations

import os
from typing import Literal

_BELOW_HOME = {"cache": ".cache", "config": ".config", "data": ".local/share", "state": ".local/state"}
#: The home of who has none: nothing can be written there, and whoever tries is told so.
_NO_HOME = "/nonexistent"


def place(kind: Literal["cache", "config", "data", "state"], *names: str) -> str:
    """The absolute path of a file or folder of ours, whether it is there or not.

    Args:
        kind: ``cache`` can be made again, ``config`` is what the user chose, ``data`` is installed, ``state``
            is kept from run to run.
        names: below the folder that all of ours of that kind lie in.
    """
    root = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    if not os.path.isabs(root):  # the specification has a relative one ignored
        home = os.path.expanduser("~")
        root = os.path.join(home if os.path.isabs(home) else _NO_HOME, _BELOW_HOME[kind])
    return os.path.join(root, "edgeml", *names)
