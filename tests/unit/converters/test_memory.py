import resource

import numpy as np
import pytest

from converters.load import memory
from edge_sdk import child


def take(count: int) -> dict[str, bool]:
    """In a child: whether so many bytes can be had within the limit, and after it."""
    had, before = [], resource.getrlimit(resource.RLIMIT_DATA)
    with memory.limited(256 << 20):
        for size in (1 << 20, count):
            try:
                had.append(bool(np.ones(size, np.uint8).any()))
            except MemoryError:
                had.append(False)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    return {"little": had[0], "much": had[1], "afterwards": bool(np.ones(count, np.uint8).any())}


@pytest.mark.parametrize(("count", "much"), [(64 << 20, True), (512 << 20, False)])
def test_more_than_the_limit_cannot_be_had(count: int, much: bool) -> None:
    found = child.call("tests.unit.converters.test_memory:take", timeout_s=60.0, count=count)
    assert found == {"little": True, "much": much, "afterwards": True}


def test_a_limit_within_a_limit_does_not_widen_it() -> None:
    with (
        child.Worker(memory_bytes=200 << 20) as worker,
        pytest.raises(child.ChildError, match="out of memory"),
    ):
        worker.call("tests.unit.converters.test_memory:take", timeout_s=60.0, count=512 << 20)
