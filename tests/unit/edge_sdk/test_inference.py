"""Blocks become predictions, and every sample is accounted for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk import Block, DecisionSettings, Fault, Model, SpecError
from edge_sdk.inference import Inference
from edge_sdk.roster import RosterSettings
from edge_sdk.watch import SensorSettings
from tests import kinds

NAMES = ("ax", "ay", "az")


def samples(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def drain(inference, *items):
    predictions = []
    for item in items:
        if isinstance(item, Fault):
            inference.fault(item)
        else:
            predictions += inference.push(item)
        assert inference.samples.balanced
    inference.finish()
    assert inference.samples.balanced
    assert inference.samples.pending == 0
    return predictions


def test_times_are_those_of_the_last_sample(model):
    block = Block(samples(12), 50.0, NAMES, "wrist", time_s=100.0, wall_s=5000.0)
    first, second = drain(Inference(model), block)
    assert first.time_s == pytest.approx(100 + 7 / 50)
    assert second.time_s == pytest.approx(100 + 11 / 50)
    assert second.wall_s == pytest.approx(5000 + 11 / 50)
    assert (first.device, first.sequence, second.sequence) == ("wrist", 0, 1)
    assert len(first.run_id) == 16


def test_devices_do_not_mix(model):
    a, b = samples(16, 1), samples(16, 2)
    halves = [("a", a[:7]), ("b", b[:5]), ("b", b[5:]), ("a", a[7:])]
    mixed = drain(Inference(model), *(Block(part, 50.0, NAMES, name) for name, part in halves))
    for name, whole in (("a", a), ("b", b)):
        alone = drain(Inference(model), Block(whole, 50.0, NAMES, name))
        of_device = [p for p in mixed if p.device == name]
        assert [p.outputs.tolist() for p in of_device] == [p.outputs.tolist() for p in alone]
        assert [p.sequence for p in of_device] == [0, 1, 2]


def test_columns_are_matched_by_name(model):
    values = samples(8)
    (expected,) = drain(Inference(model), Block(values, 50.0, NAMES))
    shuffled = np.column_stack([values[:, 2], np.zeros(8), values[:, 0], values[:, 1]]).astype(np.float32)
    (found,) = drain(Inference(model), Block(shuffled, 50.0, ("az", "temperature", "ax", "ay")))
    assert found.outputs.tolist() == expected.outputs.tolist()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Block(np.zeros((8, 3), np.float32), 100.0, NAMES), "expected 50 Hz"),
        (
            Block(np.zeros((8, 3), np.float32), 50.0, ("ax", "ay", "wz")),
            "expected ax, ay, az, found ax, ay, wz",
        ),
        (Block(np.zeros((8, 2), np.float32), 50.0), r"expected \[n, 3\] samples"),
        (Block(np.zeros(8, np.float32), 50.0), r"expected \[n, 3\] samples"),
    ],
)
def test_another_rate_or_other_channels_are_an_error_never_a_wrong_answer(model, block, message):
    with pytest.raises(SpecError, match=message):
        list(Inference(model).push(block))


def test_a_rate_within_the_tolerance_is_taken(model):
    assert len(drain(Inference(model), Block(samples(8), 51.5, NAMES))) == 1


def test_no_window_spans_what_is_not_a_number(model):
    values = samples(24)
    values[10, 1] = np.nan
    values[11, 2] = np.inf
    inference = Inference(model)
    predictions = drain(inference, Block(values, 50.0, NAMES, time_s=0.0))
    assert [round(p.time_s * 50) for p in predictions] == [7, 19, 23]
    assert inference.faults == {"not_a_number": 1}
    assert inference.samples.dropped["fault"] == 2
    assert inference.samples.dropped["gap"] == 2


def test_no_window_spans_a_gap(model):
    inference = Inference(model)
    parts = [Block(samples(6), 50.0, NAMES), Block(samples(6), 50.0, NAMES, gap=True)]
    assert drain(inference, *parts) == []
    assert inference.samples.dropped == {"gap": 6, "tail": 6}


def test_the_end_of_a_recording_drops_the_tail(model):
    inference = Inference(model)
    recordings = [Block(samples(10), 50.0, NAMES, end=True), Block(samples(10), 50.0, NAMES, end=True)]
    assert len(drain(inference, *recordings)) == 2
    assert inference.samples.dropped["tail"] == 4


def test_faults_of_a_source_are_counted(model):
    inference = Inference(model)
    drain(
        inference,
        Block(samples(6), 50.0, NAMES),
        Fault("garbage", 3),
        Fault("silence"),
        Block(samples(8), 50.0, NAMES),
    )
    assert inference.faults == {"garbage": 1, "silence": 1}
    assert inference.samples.read == 17
    assert inference.samples.dropped["fault"] == 3


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_books_balance_whatever_arrives(model, data):
    inference = Inference(model)
    for _ in range(data.draw(st.integers(0, 12))):
        device = data.draw(st.sampled_from(["a", "b"]))
        if data.draw(st.booleans()):
            inference.fault(Fault("garbage", data.draw(st.integers(0, 5)), device=device))
        else:
            values = samples(data.draw(st.integers(0, 20)))
            for row in data.draw(st.lists(st.integers(0, 19), max_size=3)):
                values[row : row + 1] = np.nan
            gap, end = data.draw(st.booleans()), data.draw(st.booleans())
            list(inference.push(Block(values, 50.0, NAMES, device, gap=gap, end=end)))
        assert inference.samples.balanced
    inference.finish()
    assert inference.samples.balanced
    assert inference.samples.pending == 0


def told(predictions):
    return [
        (p.device, p.sequence, p.label, p.event, p.fault, round(p.time_s, 6), p.outputs.tolist())
        for p in predictions
    ]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_windows_in_batches_say_what_they_say_one_by_one(model, data):
    one, many = (Inference(model, DecisionSettings(smooth=2, hold_s=0.1), run_id="r") for _ in range(2))
    assert many.batch > 1
    expected, got = [], []
    at_s = 0.0
    for _ in range(data.draw(st.integers(1, 30))):
        device = data.draw(st.sampled_from(["a", "b", "c"]))
        values = samples(data.draw(st.integers(1, 40)))
        if data.draw(st.booleans()):
            values[data.draw(st.integers(0, len(values) - 1))] = np.nan
        facts = {"gap": data.draw(st.booleans()), "end": data.draw(st.booleans()), "time_s": at_s}
        at_s += 1.0
        expected += list(one.push(Block(values, 50.0, NAMES, device, **facts)))
        got += list(many.gather(Block(values.copy(), 50.0, NAMES, device, **facts)))
        assert many.samples.balanced
        if data.draw(st.booleans()):
            got += list(many.flush())
    got += list(many.flush())
    assert told(got) == told(expected)
    assert many.samples == one.samples
    assert many.faults == one.faults
    assert many.invokes <= one.invokes


def test_a_device_that_was_idle_starts_over_and_no_number_comes_twice(model, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("edge_sdk.inference.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("edge_sdk.roster.time.monotonic", lambda: clock[0])
    inference = Inference(model, devices=RosterSettings(limit=10, idle_s=5.0))
    first = list(inference.push(Block(samples(22), 50.0, NAMES, "a")))
    pending = inference.samples.pending
    clock[0] = 6.0
    inference.sweep()
    assert inference.devices == 0
    assert inference.samples.dropped["idle"] == pending > 0
    again = list(inference.push(Block(samples(8), 50.0, NAMES, "a")))
    assert [p.sequence for p in first + again] == list(range(len(first) + 1))
    assert inference.samples.balanced


def test_a_device_too_many_is_a_fault_and_the_others_go_on(model):
    inference = Inference(model, devices=RosterSettings(limit=2))
    for device in "abc":
        list(inference.push(Block(samples(8), 50.0, NAMES, device)))
    assert inference.faults == {"too_many_devices": 1}
    assert inference.samples.used == 16
    assert inference.samples.dropped == {"fault": 8}
    assert inference.samples.balanced


def test_a_missing_number_is_a_gap(model):
    inference = Inference(model)
    for number in (1, 2, 4):
        list(inference.push(Block(samples(3), 50.0, NAMES), number))
    assert inference.samples.dropped == {"gap": 6}


def test_a_window_around_a_silence_says_so_as_long_as_it_holds_it(model):
    """The source of messages of many devices cannot know whether something is missing or only late."""
    inference, faults = Inference(model), []
    for nth in range(10):
        at_s = nth * 2 / 50 + (60.0 if nth >= 3 else 0.0)
        block = Block(samples(2, nth), 50.0, NAMES, "wrist", time_s=at_s)
        faults += [prediction.fault for prediction in inference.push(block, live=True)]
    assert faults == ["jitter", "jitter", None, None]  # the seventh of 20 samples came a minute late
    assert inference.noticed == {"jitter": 1}


@pytest.mark.parametrize("lost", ["a number", "a sample"])
def test_what_is_known_to_be_missing_is_no_jitter_and_no_wrong_rate(model, lost):
    inference = Inference(model)
    for nth in range(400):
        values = samples(5, nth)
        if nth % 100 > 20 and lost == "a sample":
            values[:] = np.nan
        if nth % 100 < 20 or lost == "a sample":
            block = Block(values, 50.0, NAMES, "wrist", time_s=nth / 10)
            list(inference.push(block, nth, live=True))
    assert inference.noticed.keys() <= {"not_a_number"}
    assert (inference.samples.balanced, inference.troubled) == (True, {})


def test_a_prediction_says_what_was_wrong_with_its_sensor(model):
    inference = Inference(model, sensor=SensorSettings(stuck_s=1.0))
    same = np.ones((25, 3), np.float32)
    predictions = [p for _ in range(10) for p in inference.push(Block(same, 50.0, NAMES, "wrist"))]
    assert {p.fault for p in predictions[:10]} == {None}
    assert {p.fault for p in predictions[-10:]} == {"stuck"}
    assert inference.troubled == {"wrist": "stuck: no change for 1 s"}
    assert inference.noticed == {"stuck": 1}


@pytest.mark.parametrize("smooth", [1, 8])
def test_what_memory_a_device_takes_is_about_what_it_says(model, smooth):
    import tracemalloc

    inference = Inference(model, DecisionSettings(smooth=smooth))
    blocks = [Block(samples(100), 50.0, NAMES, f"device-{i:05d}") for i in range(1000)]
    list(inference.push(Block(samples(3), 50.0, NAMES, "first")))
    tracemalloc.start(1)
    for block in blocks:
        for _ in inference.push(block):
            pass
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/edge_sdk/*")])
    tracemalloc.stop()
    each = sum(trace.size for trace in ours.traces) / len(blocks)
    assert 0.5 * inference.device_bytes < each < 1.2 * inference.device_bytes, (each, inference.device_bytes)


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    """The mean of a sample and the three before it, which its stream remembers."""
    kind = kinds.MovingAverage()
    file = tmp_path_factory.mktemp("streaming") / "s.tflite"
    with Model.load(kinds.write(file, kind.flatbuffer(), kind.contract())) as loaded:
        yield loaded


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_each_device_has_a_state_of_its_own_also_in_batches(streaming, data):
    inference, expected, got = Inference(streaming), {}, {}
    since_break: dict[str, list] = {}
    for _ in range(data.draw(st.integers(1, 25))):
        device, gap = data.draw(st.sampled_from("abcd")), data.draw(st.booleans())
        values = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(2, 2)).astype(np.float32)
        if gap:
            since_break[device] = []
        since_break.setdefault(device, []).append(values)
        stream = np.concatenate(since_break[device])
        expected.setdefault(device, []).extend(kinds.MovingAverage().expected(stream)[-2:])
        for prediction in inference.gather(Block(values, 50.0, ("u", "v"), device, gap=gap)):
            got.setdefault(prediction.device, []).append(prediction.outputs)
    for prediction in inference.flush():
        got.setdefault(prediction.device, []).append(prediction.outputs)
    assert set(got) == set(expected)
    for device, outputs in expected.items():
        np.testing.assert_allclose(got[device], outputs, atol=1e-5)


def test_one_of_many_devices_that_falls_silent_is_noticed_once_and_forgiven(model, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("edge_sdk.inference.time.monotonic", lambda: clock[0])
    inference = Inference(model, sensor=SensorSettings(jitter_s=0.0, rate_tolerance=0.0))

    def send(device):
        list(
            inference.push(
                Block(samples(100, int(clock[0])), 50.0, NAMES, device, time_s=clock[0]), live=True
            )
        )

    send("a")
    send("b")
    for second in range(1, 20):
        clock[0] = float(second)
        if second % 2 == 0:
            send("a")
        inference.sweep(each_device=True)
        # b sends two seconds a block, so three of them may pass
        assert inference.troubled == ({"b": "silence: no sample for 5 s"} if second > 6 else {})
    assert inference.noticed == {"silence": 1}
    send("b")
    assert inference.troubled == {}
    inference.sweep(each_device=False)
    clock[0] = 40.0
    inference.sweep()
    assert inference.noticed == {"silence": 1}
