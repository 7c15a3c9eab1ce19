"""Sources and sinks for pipelines, and what is asked of each run."""

import threading
import time

import numpy as np
import pytest

from edge_sdk import DecisionSettings, Prediction
from edge_sdk.blocks import Block, ticks
from edge_sdk.errors import Retry

XYZ = ("ax", "ay", "az")
NUMBERS = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)
FUSSY = DecisionSettings(threshold=0.6, smooth=3, hold_s=0.1, release=0.4)


def blocks(n=10, size=8, device="", **more):
    return [Block(NUMBERS[i * size % 392 :][:size], 50.0, XYZ, device, **more) for i in range(n)]


def predictions(said, n=None, device="", **more):
    """What a source yields whose firmware is the model."""
    return [Prediction.of(outputs, device=device, time_s=at_s, **more) for outputs, at_s in said[:n]]


def decided(found):
    """What predictions say, to compare."""
    return [(p.label, round(p.score, 6), p.event, round(p.time_s, 6), p.outputs.tolist()) for p in found]


def checked(report):
    """The report of a run whose books balance."""
    assert report.ledger.balanced, report.ledger.as_dict()
    assert report.predictions == report.ledger.predictions
    return report


def failing(pipeline, error, **more):
    """The error that ends a run, and its report."""
    with pytest.raises(error) as caught:
        pipeline.run(**more)
    return caught.value, checked(caught.value.report)


class Plugin:
    """A sink whose writes do what a list says: None stores, an exception is raised, a number is slept."""

    delivery = "direct"

    def __init__(self, *verdicts):
        self.verdicts, self.got = list(verdicts), []

    def write(self, predictions):
        verdict = self.verdicts.pop(0) if self.verdicts else None
        if isinstance(verdict, Exception):
            raise verdict
        if verdict:
            time.sleep(verdict)
        self.got += [(p.device, p.sequence) for p in predictions]

    def close(self):
        pass


class Sensor:
    """A live source that sends until it is closed."""

    live = True

    def __init__(self, rate_hz=2000.0):
        self.rate_hz, self.closed, self.sent = rate_hz, threading.Event(), 0

    def __iter__(self):
        for _ in ticks(self.rate_hz):
            if self.closed.is_set():
                return
            self.sent += 1
            yield Block(NUMBERS[:1], 50.0, XYZ)

    def close(self):
        self.closed.set()


class Board:
    """A live source that gives what it was given; with a digest, as one that asks its firmware."""

    live = True

    def __init__(self, items, digest=None):
        self.items, self.digest = items, digest

    def __iter__(self):
        return iter(self.items)

    def close(self):
        pass


class Fleet(Board):
    """One of many devices that names them itself."""

    many = True


class Slow:
    """A model that takes its time."""

    def __init__(self, model, seconds):
        self._model, self._seconds = model, seconds

    def __getattr__(self, name):
        return getattr(self._model, name)

    def run(self, window, state=None):
        time.sleep(self._seconds)
        return self._model.run(window)


class Away:
    """A sink behind a network: it is away for the first `fails` writes."""

    delivery = "outbox"

    def __init__(self, fails=0, name="Away"):
        self.fails, self.got, self.name = fails, [], name

    def write(self, predictions):
        if self.fails:
            self.fails -= 1
            raise Retry("it is away")
        self.got += [(p.device, p.run_id, p.sequence) for p in predictions]

    def close(self):
        pass
