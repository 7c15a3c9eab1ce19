"""Sources that fail."""

import threading

from edge_sdk.blocks import Block, Fault
from edge_sdk.errors import DeviceError, Fatal, Retry, SpecError
from edge_sdk.pipeline import Pipeline
from tests.unit.edge_sdk.pipelines import NUMBERS, Plugin, blocks, checked, failing


def test_a_generator_that_hangs_does_not_hang_the_shutdown(model):
    release = threading.Event()

    def hangs():
        yield from blocks(3)
        release.wait(60)

    report = checked(Pipeline(model, [hangs()], [Plugin()]).run(duration_s=0.2))
    release.set()
    assert report.duration_s < 4
    assert report.predictions == 5


def test_a_bug_in_a_source_ends_the_run_in_one_line_after_the_drain(model):
    def buggy():
        yield from blocks(3)
        raise KeyError("register 7")

    error, report = failing(Pipeline(model, [buggy()], [Plugin()]), DeviceError)
    assert "buggy failed unexpectedly: found KeyError: 'register 7'" in str(error)
    assert report.ledger.delivered == report.predictions == 5


def test_something_else_than_a_block_is_named(model):
    error, _ = failing(Pipeline(model, [[1, 2]], [Plugin()]), SpecError)
    assert "expected blocks or predictions, found int" in str(error)


def test_blocks_of_other_channels_end_the_run_with_a_balanced_ledger(model):
    wrong = [Block(NUMBERS[:8, :2], 50.0, ("gx", "gy"))]
    error, report = failing(Pipeline(model, [[*blocks(2), *wrong, *blocks(2)]], [Plugin()]), SpecError)
    assert "expected ax, ay, az" in str(error)
    assert report.ledger.samples.dropped["fault"] == 8
    assert report.ledger.samples.read == 40


def test_faults_are_counted_with_their_samples(model):
    report = checked(
        Pipeline(model, [[*blocks(2), Fault("garbage", samples=2), *blocks(2)]], [Plugin()]).run()
    )
    assert report.ledger.faults == {"garbage": 1}
    assert report.ledger.samples.read == 34


def test_a_source_that_breaks_is_opened_again_and_the_break_is_a_gap(model, monkeypatch):
    from edge_sdk.sources import replay

    opened = []

    class Loose(replay.Source):
        def __iter__(self):
            opened.append(self)
            yield from blocks(2, size=6)
            if len(opened) < 3:
                raise Retry("loose contact")

    monkeypatch.setattr(replay, "Source", Loose)
    report = checked(Pipeline(model, ["replay:README.md"], [Plugin()]).run())
    assert len(opened) == 3
    assert report.ledger.faults == {"retry": 2}
    assert report.predictions == 6  # of 12 samples each: windows at 0 and 4
    assert report.ledger.samples.read == 36


def test_an_open_source_that_breaks_cannot_be_opened_again(model):
    def loose():
        yield from blocks(1)
        raise Retry("unplugged")

    error, _ = failing(Pipeline(model, [loose()], [Plugin()]), Fatal)
    assert "cannot be opened again: found unplugged" in str(error)
