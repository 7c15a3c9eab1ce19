"""What ``edgeml bench`` is made of: rounds, the machine's state, distributions, answers, ratios, drawings."""

import json
import stat
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import modelfile
from edge_sdk.bench import comparison, machine, plot
from edge_sdk.bench.machine import Conditions
from edge_sdk.bench.parity import parity
from edge_sdk.bench.plan import Plan
from edge_sdk.bench.record import GRID, Record, Tally, fed, said
from edge_sdk.bench.report import Report, lines, micros
from edge_sdk.bench.subject import NOISE, Subject, noise
from edge_sdk.contract import Channel, Reference, Statistics, Tensor
from edge_sdk.errors import ConfigError, GateError, ModelError
from edge_sdk.modelfile import GOLDEN, Golden
from edge_sdk.runtimes import Port
from tests.models import contract, flatbuffer, packed

HOT = 1 << 2 | 1 << 18


@given(st.integers(1, 10_000), st.floats(1e-7, 100))
def test_rounds_hold_as_many_runs_as_were_asked_for(runs, once_s):
    rounds = Plan(runs=runs).rounds(once_s)
    counts = [each.runs for each in rounds]
    assert sum(counts) == runs
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 1


@given(st.floats(0.1, 1000), st.floats(1e-7, 100))
def test_rounds_take_the_time_that_was_asked_for(duration_s, once_s):
    rounds = Plan(duration_s=duration_s).rounds(once_s)
    assert sum(each.seconds for each in rounds) == pytest.approx(duration_s)
    assert 3 <= len(rounds) <= 600
    # A model that is slow for its time is not asked for many rounds of one inference each.
    assert len(rounds) <= max(3, duration_s / once_s)


def tree(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_raspberry_pi_tells_its_temperature_clocks_and_flags(tmp_path):
    root = tree(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/type": "rp1-adc\n",
            "sys/class/thermal/thermal_zone0/temp": "91000\n",
            "sys/class/thermal/thermal_zone1/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone1/temp": "61850\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "600000\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": f"{HOT:x}\n",
            "proc/loadavg": "0.52 0.3 0.1 1/100 1234\n",
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        },
    )
    found = machine.conditions(root)
    assert found.temperature_c == 61.85
    assert found.frequencies_mhz == (1500.0, 600.0)
    assert (found.now, found.since_boot) == (["throttled"], ["throttled"])
    assert found.load == 0.52
    assert Conditions.of(json.loads(json.dumps(found.as_dict()))) == found
    facts = machine.facts(root)
    assert (facts["model"], facts["governor"]) == ("Raspberry Pi 4 Model B Rev 1.4", "ondemand")


def test_the_firmware_is_asked_where_the_kernel_does_not_tell(tmp_path, monkeypatch):
    program = tmp_path / "vcgencmd"
    program.write_text(
        '#!/bin/sh\ncase $1 in measure_temp) echo "temp=48.3\'C";; *) echo throttled=0x50005;; esac\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = machine.conditions(tmp_path)
    assert found.temperature_c == 48.3
    assert found.now == found.since_boot == ["under-voltage", "throttled"]


def test_a_pc_counts_how_often_it_slowed_down(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    core = "sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"
    root = tree(
        tmp_path, {core.format(0): "2\n", core.format(1): "3\n", "proc/cpuinfo": "cpu MHz : 2596.1\n"}
    )
    found = machine.conditions(root)
    assert found == Conditions(throttle_events=5, frequencies_mhz=(2596.1,))


@pytest.mark.parametrize("text", ["", "nonsense\n", "0x\n", "\0\0"])
def test_what_cannot_be_read_is_unknown(tmp_path, monkeypatch, text):
    monkeypatch.setenv("PATH", str(tmp_path))
    flags = "sys/devices/platform/soc/soc:firmware/get_throttled"
    zone = "sys/class/thermal/thermal_zone0/temp"
    found = machine.conditions(tree(tmp_path, {flags: text, zone: text}))
    assert found == Conditions()
    assert (found.now, found.since_boot) == ([], [])


def test_a_distribution_is_that_of_all_rounds():
    rng = np.random.default_rng(0)
    rounds = [rng.gamma(2.0, 50.0, 10_000) for _ in range(4)]
    rounds[2][77] = 1e6
    exact, thinned = Tally(4), Tally(4, most=2000)
    for tally in (exact, thinned):
        for at, found in enumerate(rounds):
            tally.add(found, float(at), 1.0)
    whole = np.concatenate(rounds)
    assert exact.n == thinned.n == len(whole)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        assert exact.latency_us[name] == pytest.approx(np.quantile(whole, share), rel=1e-5)
        assert thinned.latency_us[name] == pytest.approx(np.quantile(whole, share), rel=0.15)
    assert exact.latency_us["max"] == thinned.latency_us["max"] == thinned.curve_us[-1] == 1e6
    assert thinned.turns[2].latency_us["max"] == 1e6
    assert sum(len(kept) for kept in thinned._kept) <= 2000
    assert np.all(np.diff(exact.curve_us) >= 0)
    assert len(exact.curve_us) == len(GRID)


def test_windows_are_given_as_the_tensor_holds_them():
    ports = [Port("x", (1, 2), "int8", (0.5, 3)), Port("state", (1, 3), "float32")]
    in_units = [np.array([[1.0, -1.0], [100.0, 0.0]], np.float32), np.zeros((2, 3), np.float32)]
    rows = fed(in_units, ports)
    assert [row[0].tolist() for row in rows] == [[[5, 1]], [[127, 3]]]
    assert all(row[0].dtype == np.int8 for row in rows)
    held = [np.array([[5, 1]], np.int8), np.zeros((1, 3), np.float32)]
    assert fed(held, ports)[0][0].tolist() == [[5, 1]]  # golden vectors are not quantized again
    answers = said([[row[0]] for row in rows], ports[:1])
    assert answers[0].shape == (2, 2)


def test_a_subject_is_given_its_golden_inputs_and_sent_without_them(linear_file):
    found = Subject.read(linear_file)
    assert found.basis == "4 golden vectors"
    assert len(found.inputs[0]) == len(found.golden) == 4
    sent = modelfile.split(found.data)
    assert GOLDEN not in sent.members
    assert sent.digest == found.digest == modelfile.split(linear_file.read_bytes()).digest
    assert sent.members[modelfile.CONTRACT]


def test_a_foreign_model_is_given_noise_the_same_every_time(tmp_path):
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(flatbuffer())
    found, again = Subject.read(bare), Subject.read(bare)
    assert found.golden is None
    assert found.inputs[0].shape == (NOISE, 8, 3)
    np.testing.assert_array_equal(found.inputs[0], again.inputs[0])


def test_noise_is_what_the_sensor_gives():
    known = contract()
    channels = (Channel("ax", "g", (-2.0, 2.0)), Channel("p", "Pa"), Channel("gx", "dps", (0.0, 250.0)))
    known = replace(
        known,
        input=replace(known.input, channels=channels),
        reference=Reference(Statistics((0.0, 101_325.0, 0.0), (1.0, 10.0, 1.0))),
        tensors=(
            Tensor("input", "window", "float32", (1, 8, 3)),
            Tensor("input", "memory", "float32", (1, 5), state="memory_out"),
            *known.tensors[1:],
        ),
    )
    ports = [Port("window", (1, 8, 3), "float32"), Port("memory", (1, 5), "float32")]
    window, memory = noise(ports, known)
    assert np.abs(window[..., 0]).max() <= 2.0
    assert window[..., 2].min() >= 0.0
    assert 100 < window[..., 2].max() <= 250.0
    assert abs(window[..., 1].mean() - 101_325.0) < 10
    assert not memory.any()
    assert np.isfinite(window).all()


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_noise_of_a_foreign_quantized_model_fills_its_type(kind):
    (found,) = noise([Port("x", (1, 500), kind, (0.1, 0))], None)
    limits = np.iinfo(kind)
    assert found.dtype == kind
    assert found.min() < limits.min + 5
    assert found.max() > limits.max - 5


def test_indices_of_noise_are_in_every_table():
    (found,) = noise([Port("token", (1, 20), "int32")], None)
    assert set(np.unique(found)) <= {0, 1}


def test_golden_vectors_of_another_model_are_refused(tmp_path):
    parts = modelfile.split(packed())
    other = Golden((np.zeros((2, 8, 4), np.float32),), (np.zeros((2, 3), np.float32),), (0.1,))
    members = {**parts.members, GOLDEN: other.to_bytes()}
    file = tmp_path / "other.tflite"
    file.write_bytes(modelfile.pack(parts.flatbuffer, members))
    with pytest.raises(ModelError, match=r"golden inputs do not fit .*\[8, 3\].*found float32 \[8, 4\]"):
        Subject.read(file)


def test_answers_are_held_against_golden_outputs():
    golden = Golden((np.zeros((3, 1), np.float32),), (np.arange(6, dtype=np.float32).reshape(3, 2),), (0.5,))
    right = golden.outputs[0].copy()
    assert parity(golden, [right + 0.4]).mismatches == 0
    right[1, 0] += 0.6
    found = parity(golden, [right])
    assert (found.cases, found.mismatches, found.tolerance) == (3, 1, 0.5)
    assert found.max_difference == pytest.approx(0.6)
    right[2, 1] = np.nan
    found = parity(golden, [right])
    assert (found.mismatches, found.as_dict()["max_difference"]) == (2, None)


def record(scale=1.0, *, conditions=None, rounds=4, **more):
    tally = Tally(rounds)
    for n in range(rounds):
        tally.add(scale * (100 + np.arange(50.0) + n), 0.1 * n, 0.1, conditions=conditions)
    known = {
        "runtime": "litert",
        "version": "2",
        "threads": 1,
        "outputs": (),
        "n": tally.n,
        "latency_us": tally.latency_us,
        "curve_us": tuple(tally.curve_us),
        "turns": tuple(tally.turns),
        "machine": {"model": "Raspberry Pi 4", "machine": "aarch64", "cores": 4, "governor": None},
    }
    return Record(**{**known, **more})


def report(file, found, **more):
    return Report(Subject.read(file), "host:", found, None, "2026-01-01T00:00:00Z", **more)


def test_ratios_are_of_the_rounds_side_by_side(linear_file, tmp_path):
    mine, other = record(1.0), record(2.0)
    facts = report(linear_file, other).facts()
    found = comparison.side_by_side(mine, other, tmp_path / "o.tflite", facts)
    assert found.ratios["p50"] == pytest.approx(0.5)
    assert found.spread == pytest.approx((0.5, 0.5))
    assert found.as_dict()["side_by_side"] is True


def test_an_earlier_report_is_compared_with_what_has_changed(linear_file, tmp_path):
    file = tmp_path / "before.json"
    earlier = {**report(linear_file, record(4.0)).as_dict(), "threads": 4}
    file.write_text(json.dumps(earlier))
    now = report(linear_file, record())
    found = comparison.with_earlier(now.record, comparison.earlier(file), file, now.facts())
    assert found.ratios["p99"] == pytest.approx(0.25)
    assert found.spread is None
    assert found.notes[1:] == ("threads was 4 and is 1",)
    assert found.as_dict()["side_by_side"] is False


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "{}", '{"latency_us": {}}', '{"latency_us": {"p50": "a"}}', "[" * 100_000]
    + [
        json.dumps({"latency_us": dict.fromkeys(("p50", "p90", "p99", "max"), v), "instructions": None})
        for v in ("x", 0, -1, [2])
    ],
)
def test_what_is_no_report_is_refused(tmp_path, text):
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"report.json is not a report: expected"):
        comparison.earlier(file)


def test_a_throttled_machine_is_told_and_marked_in_the_drawing(linear_file):
    cool = Conditions(temperature_c=50.0, frequencies_mhz=(1500.0,), throttled=0)
    hot = replace(cool, temperature_c=85.0, frequencies_mhz=(600.0,), throttled=HOT)
    found = report(linear_file, record(conditions=hot, before=cool))
    assert found.throttled == ["throttled"]
    assert found.as_dict()["throttled_since_boot"] == ["throttled"]
    said = "\n".join(lines(found, None))
    assert "50.0 °C before, 85.0 °C after" in said
    assert "1,500 MHz before, 600 MHz after" in said
    assert "throttled     throttled: cooler" in said
    drawn = ElementTree.fromstring(plot.draw([("m", found.record)]))
    bands = [each for each in drawn.iter() if each.get("class") == "hot"]
    assert len(bands) == len(found.record.turns)


def test_a_pc_that_slowed_itself_down_is_told(linear_file):
    found = report(
        linear_file,
        record(conditions=Conditions(throttle_events=9), before=Conditions(throttle_events=7)),
    )
    assert found.throttled == ["a core slowed itself down"]


def test_a_drawing_is_well_formed_whatever_it_is_called():
    drawn = plot.draw([('<a & "b">.tflite', record()), ("other", record(2.0))])
    paths = [each for each in ElementTree.fromstring(drawn).iter() if each.tag.endswith("path")]
    assert len(paths) == 2 + 2 * 2
    assert all("nan" not in each.get("d") for each in paths)


def test_one_inference_can_be_drawn():
    tally = Tally(1)
    tally.add([3.0], 0.0, 0.1)
    single = record(latency_us=tally.latency_us, curve_us=tuple(tally.curve_us), turns=tuple(tally.turns))
    ElementTree.fromstring(plot.draw([("m", single)]))


def test_wrong_answers_fail_the_report(linear_file):
    golden = Subject.read(linear_file).golden
    right, wrong = (parity(golden, [golden.outputs[0] + off]) for off in (0.0, 1.0))
    replace(report(linear_file, record()), parity=right).check()
    found = replace(report(linear_file, record()), parity=wrong)
    assert found.as_dict()["passed"] is False
    with pytest.raises(GateError, match="other answers on host: than where it was converted"):
        found.check()


@pytest.mark.parametrize(
    ("value", "shown"), [(1.234, "1.23 µs"), (12.34, "12.3 µs"), (1234.5, "1,234 µs"), (0.5, "0.50 µs")]
)
def test_latencies_have_the_digits_that_mean_something(value, shown):
    assert micros(value) == shown
