"""What sources give, read in another thread."""

import threading
import time

import numpy as np

from edge_sdk.blocks import Block
from edge_sdk.contract import Channel, Input

XYZ = ("ax", "ay", "az")
WANTED = Input(tuple(Channel(name) for name in XYZ), 50.0, 8, 4)


def joined(items):
    """The samples of all blocks."""
    return np.concatenate([item.samples for item in items if isinstance(item, Block)])


def collect(source, until, timeout_s=10.0):
    """Items of a source, read in another thread, until a condition holds."""
    items, errors = [], []

    def read():
        try:
            for item in source:
                items.append(item)  # noqa: PERF402 - seen by the other thread one by one
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + timeout_s
    while not until(items) and not errors and time.monotonic() < deadline:
        time.sleep(0.01)
    source.close()
    reader.join(5)
    assert not reader.is_alive(), "close did not end the iteration"
    if errors:
        raise errors[0]
    return items


def samples_in(items):
    """How many samples there are."""
    return sum(len(item.samples) for item in items if isinstance(item, Block))
