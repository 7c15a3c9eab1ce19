"""Outboxes on a real disk, and what is done with them."""

import numpy as np

from edge_sdk.outbox import Outbox, OutboxSettings
from edge_sdk.prediction import Prediction

NAMES = ("mqtt", "http")


def prediction(sequence, size=3):
    return Prediction("walk", 0.5, None, np.full(size, sequence, np.float32), "d", "run", sequence)


def opened(folder, sinks=NAMES, on_lost=lambda count: None, **options):
    options = {"commit_s": 0.02, **options}
    return Outbox(OutboxSettings(folder / "o.db", **options), sinks, on_lost)


def everything(lane):
    found = []
    while letters := lane.take(64, timeout_s=0.5 if len(lane) else 0.0):
        found += [letter.prediction.sequence for letter in letters]
        lane.acknowledge(letters)
    return found


def filled(folder, count, **options):
    """An outbox that was closed with predictions for both sinks in it."""
    with opened(folder, **options) as outbox:
        for sequence in range(count):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)
