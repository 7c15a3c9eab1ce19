"""Actuators: never late, and safe when nothing comes."""

import threading
import time

from edge_sdk.config import To
from edge_sdk.errors import Retry
from edge_sdk.pipeline import Pipeline
from tests.unit.edge_sdk.pipelines import blocks, checked


class Valve:
    """An actuator that writes down what it is told."""

    delivery = "actuator"

    def __init__(self, *verdicts):
        self.verdicts, self.log = list(verdicts), []

    def write(self, predictions):
        verdict = self.verdicts.pop(0) if self.verdicts else None
        if verdict:
            raise verdict
        self.log += [p.sequence for p in predictions]

    def safe(self):
        self.log.append("safe")

    def close(self):
        self.log.append("closed")


def test_an_actuator_is_made_safe_when_nothing_comes_any_more_and_at_the_end(model):
    def sensor():
        yield from blocks(2)
        time.sleep(0.5)
        yield from blocks(1)

    valve = Valve()
    report = checked(Pipeline(model, [sensor()], [To(valve, max_age_s=0.2)]).run())
    assert report.ledger.delivered == report.predictions
    numbers = [entry for entry in valve.log if entry not in ("safe", "closed")]
    assert numbers == list(range(report.predictions))
    assert valve.log.index("safe") < valve.log.index(report.predictions - 1)
    assert valve.log[-1] == "safe"


def test_what_an_actuator_missed_is_never_done_later(model):
    released = threading.Event()

    class Stuck(Valve):
        def write(self, predictions):
            released.wait(5)
            super().write(predictions)

    def sensor():
        yield from blocks(1)
        time.sleep(0.05)
        yield from blocks(6)
        time.sleep(0.4)
        released.set()
        time.sleep(0.1)
        yield from blocks(1)

    valve = Stuck()
    report = checked(Pipeline(model, [sensor()], [To(valve, max_age_s=0.2)]).run())
    account = next(iter(report.ledger.sinks.values()))
    assert account.dropped["max_age"] >= 10
    assert account.delivered + account.dropped["max_age"] == report.predictions
    assert report.predictions - 1 in valve.log


def test_an_actuator_that_fails_is_made_safe(model):
    valve = Valve(None, Retry("it is stuck"))

    def sensor():
        yield from blocks(1)
        time.sleep(0.3)
        yield from blocks(1)

    checked(Pipeline(model, [sensor()], [To(valve, max_age_s=0.15)]).run())
    assert "safe" in valve.log
