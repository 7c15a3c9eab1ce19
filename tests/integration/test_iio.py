"""The source `iio:` on a virtual board: files of sysfs, and a buffer laid out as the kernel's ABI says."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.integration.umockdev_board import Reader, virtual_board
from tests.integration.umockdev_iio import Element, IioDevice
from tests.models import Linear, write_model

pytestmark = pytest.mark.integration

AXES = ("accel_x", "accel_y", "accel_z")
#: 1 g is 16384, in the kernel's m/s².
SCALES = {"in_accel_scale": "0.000598550", "in_anglvel_scale": "0.000133158"}
G = {"channels": [{"name": name, "unit": "g"} for name in ("ax", "ay", "az")], "rate_hz": 50}


@pytest.fixture(scope="module")
def shared():
    with virtual_board() as board:
        yield board


@pytest.fixture
def board(shared):
    """A board without devices; what a test plugs in is unplugged after it."""
    plugged = []

    def plug(elements=None, **facts):
        elements = elements or [
            Element(name, value=lambda i, n=n: 100 * n + i) for n, name in enumerate(AXES)
        ]
        plugged.append(IioDevice(shared, elements, **{"attributes": SCALES, **facts}))
        return plugged[-1]

    shared.plug = plug
    yield shared
    for device in plugged:
        device.unplug()


def samples_of(blocks):
    return np.concatenate([block["samples"] for block in blocks])


def test_scans_of_every_layout(board):
    """Packed, shifted, big-endian, unsigned, wide, repeated; with dirt in other bits and in the padding."""
    board.plug(
        [
            Element("accel_x", 12, 16, 4, value=lambda i: 7 - i),
            Element("voltage0", 8, 8, signed=False, value=lambda i: 255 - i),
            Element("accel_y", 14, 32, 8, big=True, value=lambda i: -8192 + i),
            Element("voltage1", 24, 64, 16, signed=False, big=True, value=lambda i: 0xFFFFFF - i),
            Element("temp", 16, 16, value=lambda i: -i),
            Element("rot_quaternion", 16, 32, repeat=4, value=lambda i: i - 2),
        ],
        attributes={"in_accel_scale": "0.5", "in_temp_scale": "10", "in_temp_offset": "-3"},
    )
    with Reader(board, "iio:device0", rate_hz=100, mode="buffer") as sensor:
        blocks = sensor.blocks(20)
    assert blocks[0]["channels"] == [
        "accel_x", "voltage0", "accel_y", "voltage1", "temp",
        "rot_quaternion.0", "rot_quaternion.1", "rot_quaternion.2", "rot_quaternion.3",
    ]  # fmt: skip
    i = np.arange(len(samples_of(blocks)))
    expected = [
        (7 - i) * 0.5, 255 - i, (-8192 + i) * 0.5, 0xFFFFFF - i, (-i - 3) * 10, i - 2, i - 1, i, i + 1,
    ]  # fmt: skip
    assert (samples_of(blocks) == np.array(expected, np.float32).T).all()


def test_a_few_channels_of_many(board):
    device = board.plug()
    with Reader(board, "iio:mpu6050", inputs="accel_z,accel_x", rate_hz=100) as sensor:
        blocks = sensor.blocks(3)
        enabled = [device.get(f"scan_elements/in_{name}_en") for name in (*AXES, "timestamp")]
    assert enabled == ["1", "0", "1", "1"]
    assert samples_of(blocks)[2] == pytest.approx(np.array([202, 2]) * 0.00059855)


@pytest.mark.parametrize("mode", ["poll", "buffer"])
def test_the_models_units_and_names(board, mode):
    names = [*AXES, "anglvel_z", "temp", "pressure"]
    numbers = [16384, -8192, 0, 7506, 340, 101325]
    board.plug(
        [Element(n, 32, 32, value=lambda i, v=v: v) for n, v in zip(names, numbers, strict=True)],
        attributes={
            **SCALES,
            "in_temp_scale": "2.941176",
            "in_temp_offset": "12420",
            "in_pressure_scale": "0.001",
        },
    )
    wanted = [("gyro_z", "dps"), ("ax", "g"), ("ay", "mg"), ("temperature", "°C"), ("pressure", "hPa")]
    model = {"channels": [{"name": name, "unit": unit} for name, unit in wanted], "rate_hz": 50}
    with Reader(board, "iio:mpu6050", model, mode=mode) as sensor:
        block = sensor.blocks(1)[0]
    assert block["channels"] == [name for name, _ in wanted]
    assert block["samples"][0] == pytest.approx([57.266, 1.0, -500.0, 37.53, 1013.25], rel=1e-4)


@pytest.mark.parametrize(
    ("channels", "options", "words"),
    [
        ([("ax", "dps")], {}, "unit of 'ax': expected dps (angular velocity), found m/s² (acceleration)"),
        ([("ax", "lbs")], {}, "expected 'lbs', found 'm/s²'"),
        ([("left", "g")], {}, "no channel is plainly 'left': expected one of accel_x, accel_y, accel_z"),
        ([("voltage0", "V")], {"inputs": "voltage0"}, "no channel 'voltage0'"),
        ([("ax", "g")], {"units": "m/s²"}, "expected g, the model's, found m/s²"),
        ([("ax", "g")], {"mode": "poll", "length": 8}, "option 'length': expected mode=buffer"),
        ([], {}, "rate_hz is missing"),
    ],
)
def test_what_does_not_fit_is_refused(board, channels, options, words):
    device = board.plug()
    model = {"channels": [{"name": name, "unit": unit} for name, unit in channels], "rate_hz": 50}
    with Reader(board, "iio:mpu6050", model if channels else None, **options) as sensor:
        item = sensor.next()
    assert (item["kind"], item["error"]) == ("error", "ConfigError")
    assert words in item["message"]
    assert device.get("buffer/enable") == "0"


def test_settings_are_as_before_after_it(board):
    device = board.plug()
    files = [
        "sampling_frequency",
        "buffer/length",
        "buffer/watermark",
        "buffer/enable",
        "current_timestamp_clock",
    ]
    files += [f"scan_elements/in_{name}_en" for name in (*AXES, "timestamp")]
    device.set("scan_elements/in_accel_y_en", "1")
    before = [device.get(file) for file in files]
    with Reader(board, "iio:mpu6050", G, inputs="accel_x,accel_x,accel_z", length=32) as sensor:
        sensor.blocks(3)
        during = [device.get(file) for file in files]
        (end,) = [item for item in sensor.close() if item["kind"] != "block"]
    assert during == ["50", "32", "1", "1", "boottime", "1", "0", "1", "1"]
    assert end["took_s"] < 1.0
    assert [device.get(file) for file in files] == before


def test_times_are_the_kernels(board):
    board.plug()
    with Reader(board, "iio:mpu6050", G) as sensor:
        blocks = sensor.blocks(20)
    times_s = [block["time_s"] for block in blocks]
    scans = np.cumsum([0] + [len(block["samples"]) for block in blocks[:-1]])
    assert np.diff(times_s) == pytest.approx(np.diff(scans) / 50, abs=1e-5)  # whenever they were read
    assert all(-0.001 < block["age_s"] < 5 for block in blocks)


def test_a_kernel_that_only_has_wall_time(board):
    device = board.plug()
    (device.folder / "current_timestamp_clock").unlink()
    device.clock = "realtime"
    with Reader(board, "iio:mpu6050", G) as sensor:
        assert all(-0.1 < block["age_s"] < 5 for block in sensor.blocks(5))


def test_timestamps_that_are_none_are_a_fault_and_not_believed(board):
    device = board.plug()
    device.stamp_offset_ns = -(10**15)
    with Reader(board, "iio:mpu6050", G) as sensor:
        assert sensor.next()["reason"] == "clock"
        assert all(-0.1 < block["age_s"] < 5 for block in sensor.blocks(5))


def test_scans_that_the_buffer_lost_are_a_fault_and_a_gap(board):
    device = board.plug()
    with Reader(board, "iio:mpu6050", G) as sensor:
        sensor.blocks(5)
        device.skip = 7
        fault = sensor.next("fault")
        block = sensor.next("block")
        following = sensor.blocks(3)
    assert (fault["reason"], fault["detail"]) == ("overrun", "about 7 scans are lost")
    assert block["gap"]
    assert not any(block["gap"] for block in following)


def test_without_timestamps_a_full_buffer_is_a_fault(board):
    device = board.plug(timestamps=False)
    with Reader(board, "iio:mpu6050", G, length=4) as sensor:
        sensor.blocks(3)
        device.fill.set()
        assert sensor.next("fault")["detail"] == "the buffer was full: scans may be lost"
        assert sensor.next("block")["gap"]


def test_silence_is_a_fault(board):
    device = board.plug()
    with Reader(board, "iio:mpu6050", G, timeout_s=0.3) as sensor:
        sensor.blocks(3)
        device.paused.set()
        for _ in range(2):  # and again, as long as it lasts
            assert sensor.next("fault")["detail"] == "no scan for 0.3 s"
        device.paused.clear()
        assert sensor.next("block")["gap"]


@pytest.mark.parametrize("mode", ["poll", "buffer"])
def test_unplugged_in_mid_read(board, mode):
    device = board.plug()
    with Reader(board, "iio:mpu6050", G, mode=mode) as sensor:
        sensor.blocks(3)
        device.unplug()
        error = sensor.next("error", timeout_s=5)
    assert error["error"] == "Retry"
    assert error["message"].startswith("iio:mpu6050: the device is gone")


def test_a_buffer_that_somebody_ends(board):
    device = board.plug()
    with Reader(board, "iio:mpu6050", G) as sensor:
        sensor.blocks(3)
        device.set("buffer/enable", "0")
        error = sensor.next("error")
    assert error["error"] == "Retry"
    assert "somebody else ended the buffer" in error["message"]


def test_killed_it_leaves_a_running_buffer_that_the_next_one_takes_over(board):
    device = board.plug()
    with Reader(board, "iio:mpu6050", G) as sensor:
        sensor.blocks(3)
        sensor.kill()
    assert device.get("buffer/enable") == "1"
    with Reader(board, "iio:mpu6050", G, inputs="accel_y,accel_y,accel_y") as sensor:
        blocks = sensor.blocks(5)  # with another layout: nothing of the old one is left
    assert (samples_of(blocks)[:, 0] * 9.80665 / 0.00059855).round().tolist()[:3] == [100, 101, 102]


def test_a_rate_that_it_cannot_do(board):
    device = board.plug(attributes={**SCALES, "sampling_frequency_available": "12.5 26 52.1 104"})
    with Reader(board, "iio:mpu6050", {**G, "rate_hz": 40}) as sensor:
        item = sensor.next()
    assert item["error"] == "ConfigError"
    assert "expected 40 Hz ± 5%, found 52.1 Hz; it can do 12.5, 26, 52.1, 104" in item["message"]
    with Reader(board, "iio:mpu6050", G) as sensor:
        assert sensor.blocks(1)[0]["rate_hz"] == 52.1  # as it says, not as was asked
        sensor.close()
    assert float(device.get("sampling_frequency")) == 100


def test_a_trigger(board):
    device = board.plug(attributes={**SCALES, "trigger/current_trigger": ""})
    with Reader(board, "iio:mpu6050", G, trigger="every-20ms") as sensor:
        assert "no trigger 'every-20ms': found none at all" in sensor.next()["message"]
    trigger = board.root / "sys/bus/iio/devices/trigger0"
    trigger.mkdir()
    (trigger / "name").write_text("every-20ms\n")
    (trigger / "sampling_frequency").write_text("100\n")
    try:
        with Reader(board, "iio:mpu6050", G, trigger="every-20ms") as sensor:
            sensor.blocks(2)
            assert device.get("trigger/current_trigger") == "every-20ms"
            assert (trigger / "sampling_frequency").read_text().strip() == "50"
            sensor.close()
        assert device.get("trigger/current_trigger") == ""
        assert (trigger / "sampling_frequency").read_text().strip() == "100"
    finally:
        for file in trigger.iterdir():
            file.unlink()
        trigger.rmdir()
    with Reader(board, "iio:mpu6050", G) as sensor:  # without one, it is polled
        sensor.blocks(2)
        assert device.get("buffer/enable") == "0"


class TestPolling:
    def test_values_as_they_change(self, board):
        device = board.plug()
        with Reader(board, "iio:mpu6050", G, mode="poll") as sensor:
            assert sensor.blocks(1)[0]["samples"][0] == pytest.approx([0, 0.0061037, 0.0122074], rel=1e-4)
            device.set("in_accel_x_raw", "-16384")
            board.wait(lambda: sensor.blocks(1)[0]["samples"][0][0] == pytest.approx(-1.0, rel=1e-4))
            (end,) = [item for item in sensor.close() if item["kind"] != "block"]
        assert end["took_s"] < 1.0
        assert device.get("buffer/enable") == "0"

    def test_a_value_that_a_driver_computed(self, board):
        device = board.plug()
        device.set("in_temp_input", "23500")
        model = {"channels": [{"name": "temperature", "unit": "°C"}], "rate_hz": 20}
        with Reader(board, "iio:mpu6050", model) as sensor:
            assert sensor.blocks(1)[0]["samples"] == [[23.5]]

    def test_no_number_is_a_fault_and_ten_are_for_the_pipeline(self, board):
        device = board.plug()
        with Reader(board, "iio:mpu6050", G, mode="poll") as sensor:
            sensor.blocks(2)
            device.set("in_accel_y_raw", "tilt")
            faults = [sensor.next("fault") for _ in range(9)]
            assert {fault["reason"] for fault in faults} == {"read"}
            error = sensor.next("error")
        assert error["error"] == "Retry"
        assert "10 reads in a row failed" in error["message"]

    def test_a_long_period_does_not_hold_the_end_back(self, board):
        board.plug()
        with Reader(board, "iio:mpu6050", rate_hz=0.05, mode="poll") as sensor:
            sensor.blocks(1)
            (end,) = sensor.close()
        assert end["took_s"] < 1.0

    def test_a_device_that_measures_too_rarely(self, board):
        device = board.plug(rate_hz=10.0)
        with Reader(board, "iio:mpu6050", G, mode="poll") as sensor:
            sensor.blocks(1)
            assert device.get("sampling_frequency") == "50"  # else values would repeat
            sensor.close()
        assert float(device.get("sampling_frequency")) == 10


def test_what_is_not_there_says_so(board):
    with Reader(board, "iio:bmp280", G) as sensor:
        assert "no such device: found no IIO device at all" in sensor.next()["message"]
    board.plug()
    with Reader(board, "iio:bmp280", G) as sensor:
        item = sensor.next()
    assert item["error"] == "Retry"
    assert "found iio:device0 (mpu6050)" in item["message"]
    board.plug(number=1)
    with Reader(board, "iio:mpu6050", G) as sensor:
        item = sensor.next()
    assert item["error"] == "ConfigError"
    assert "several devices are called so: expected one of iio:device0, iio:device1" in item["message"]
    with Reader(board, "iio:device1", G) as sensor:
        sensor.blocks(1)


def test_a_pipeline_goes_on_after_a_replug(board, tmp_path):
    write_model(tmp_path / "motion.tflite", Linear())
    (tmp_path / "edgeml.toml").write_text(
        """
        [model]
        file = "motion.tflite"
        [[source]]
        url = "iio:mpu6050"
        [[sink]]
        url = "jsonl:out.jsonl"
        """
    )
    flat = [Element(name, value=lambda i, v=v: v) for name, v in zip(AXES, (0, 0, 16384), strict=True)]
    out = tmp_path / "out.jsonl"
    device = board.plug(flat)
    command = [sys.executable, "-m", "edge_sdk", "run", "edgeml.toml", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=board.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        rows = lambda: out.read_text().count("\n") if out.exists() else 0  # noqa: E731
        board.wait(lambda: rows() >= 3 or run.poll() is not None)
        device.unplug()
        before = rows()
        board.plug(flat)
        board.wait(lambda: rows() >= before + 5 or run.poll() is not None)
        run.send_signal(signal.SIGTERM)
        said, complaints = run.communicate(timeout=30)
    assert run.returncode == 0, complaints
    report = json.loads(said)
    assert report["ledger"]["balanced"]
    assert report["ledger"]["faults"]["retry"] >= 1
    assert {json.loads(line)["label"] for line in out.read_text().splitlines()} == {"z"}
