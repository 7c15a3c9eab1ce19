"""How much memory a model may take when it is run for the first time, and nobody knows what it asks for.

What a file declares is checked before it runs; an operator that computes the size of its output declares
nothing.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

#: For one inference on one window.
ONCE_BYTES = 1536 << 20


@contextlib.contextmanager
def limited(more_bytes: int = ONCE_BYTES) -> Iterator[None]:
    """Let this process, a child that works for nobody else, allocate only so much more than it has.

    Past it an allocation fails: a framework raises, or the process dies, and either is an error of the model.

    Args:
        more_bytes: on top of what there is now.
    """
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _allocated() + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit if before < 0 else min(limit, before), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def _allocated() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()
