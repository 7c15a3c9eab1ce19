"""The source `i2c:` with unmodified smbus2, on a virtual bus with an MPU-6050 as its manual describes it."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.integration.umockdev_board import Reader, virtual_board
from tests.models import Linear, write_model

pytestmark = pytest.mark.integration

URL = "i2c:1/0x68"
IMU = {
    "channels": [{"name": name, "unit": "g"} for name in ("ax", "ay", "az")]
    + [{"name": name, "unit": "dps"} for name in ("gx", "gy", "gz")],
    "rate_hz": 100,
}
ASLEEP, RANGE, FILTER = 0x6B, 0x1C, 0x1A


@pytest.fixture(scope="module")
def board():
    with virtual_board() as board:
        board("i2c", bus="i2c-1")
        yield board


@pytest.fixture
def chip(board):
    """An MPU-6050 that has just got its power; a call changes what is true of it."""
    board("i2c", bus="i2c-1")
    return lambda **facts: board("chip", bus="i2c-1", address=0x68, **facts)


def test_samples_are_what_the_chip_measures(board, chip):
    chip()
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        blocks = sensor.blocks(45)
        (end,) = sensor.close()
    samples = np.concatenate([block["samples"] for block in blocks])
    phase = 2 * np.pi * np.arange(len(samples)) / 40
    assert samples[:, 0] == pytest.approx(0.5 * np.sin(phase), abs=1 / 16384)
    assert samples[:, 1:3] == pytest.approx(np.tile([-0.25, 1.0], (len(samples), 1)), abs=1 / 16384)
    assert samples[:, 3] == pytest.approx(90 * np.sin(phase), abs=1 / 131)
    assert samples[:, 4:] == pytest.approx(np.tile([-45.0, 200.0], (len(samples), 1)), abs=1 / 131)
    assert {block["rate_hz"] for block in blocks} == {100}
    assert blocks[0]["channels"] == ["ax", "ay", "az", "gx", "gy", "gz"]
    assert blocks[0]["dtype"] == "float32"
    times_s = np.array([block["time_s"] for block in blocks])
    assert np.ptp(times_s) >= 0.44  # no faster than asked
    assert all(0 <= block["age_s"] < 5 for block in blocks)
    assert end["kind"] == "end"
    assert end["took_s"] < 1.0
    gaps = sum(block["gap"] for block in blocks)
    assert end["missed"] >= gaps  # each gap is a deadline that was missed, and none is hidden


def test_it_wakes_the_chip_and_sets_ranges_and_filter(board, chip):
    wanted = {
        "channels": [
            {"name": "acc_x", "unit": "m/s²", "range": [-30, 30]},
            {"name": "gyro_z", "unit": "rad/s", "range": [-8, 8]},
            {"name": "temperature", "unit": "K"},
        ],
        "rate_hz": 50,
    }
    assert chip()["registers"][ASLEEP] == 0x40
    with Reader(board, URL, wanted, chip="mpu6050") as sensor:
        (x, z, kelvin) = sensor.blocks(1)[0]["samples"][0]
        registers = chip()["registers"]
    assert (registers[ASLEEP], registers[RANGE], registers[0x1B], registers[FILTER]) == (1, 8, 8, 4)
    assert z == pytest.approx(np.radians(200), abs=1e-3)
    assert kelvin == pytest.approx(298.15, abs=0.01)
    assert x == pytest.approx(0, abs=1e-3)


def test_options_choose_range_channels_and_units(board, chip):
    options = {"inputs": "az,temp", "channels": "down,t", "units": "mg,°F", "range": "16g", "rate_hz": 20}
    chip()
    with Reader(board, URL, chip="mpu6050", **options) as sensor:
        block = sensor.blocks(1)[0]
        assert chip()["registers"][RANGE] == 0x18
    assert block["channels"] == ["down", "t"]
    assert block["samples"][0] == pytest.approx([1000, 77], abs=0.1)


def test_a_loss_of_power_is_noticed_before_a_false_sample(board, chip):
    chip()
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        sensor.blocks(5)
        chip(power_cut=True)
        while (item := sensor.next())["kind"] == "block":
            assert any(item["samples"][0])  # a sleeping chip reads as zeros
        assert (item["reason"], item["samples"]) == ("reset", 1)
        assert "register 0x6B is 0x40, not 0x01" in item["detail"]
        item = sensor.next("block")
        assert item["gap"]
        assert item["samples"][0][2] == pytest.approx(1.0, abs=1e-3)
        assert chip()["registers"][ASLEEP] == 0x01


def test_a_setting_that_changed_is_noticed_within_a_second(board, chip):
    chip()
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        sensor.blocks(5)
        registers = chip()["registers"]
        registers[RANGE] = 0x18  # another program on the bus
        chip(registers=registers)
        item = sensor.next("fault", timeout_s=5)
        assert item["reason"] == "reset"
        assert sensor.next("block")["gap"]
        assert chip()["registers"][RANGE] == 0x00


def test_a_frozen_chip_is_asked_whether_it_is_well_and_believed(board, chip):
    chip()
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        sensor.blocks(3)
        chip(frozen=True)
        blocks = sensor.blocks(30)  # its settings are right: whether a value is stuck, the pipeline judges
        assert blocks[-1]["samples"] == blocks[-2]["samples"]


def test_reads_that_fail_are_faults_and_gaps(board, chip):
    chip()
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        sensor.blocks(3)
        chip(nacks=4)
        faults = [sensor.next("fault") for _ in range(4)]
        assert {fault["reason"] for fault in faults} == {"read"}
        assert "Remote I/O error" in faults[0]["detail"]
        assert sensor.next("block")["gap"]


def test_ten_failures_in_a_row_are_for_the_pipeline_to_judge(board, chip):
    chip()
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        sensor.blocks(3)
        chip(present=False)
        error = sensor.next("error")
        assert error["error"] == "Retry"
        assert error["message"] == f"{URL}: 10 reads in a row failed: found No such device or address"


def test_a_slow_bus_misses_deadlines_and_says_so(board, chip):
    chip(delay_s=0.03)  # a read takes three periods
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        blocks = sensor.blocks(6)
        (end,) = [item for item in sensor.close() if item["kind"] == "end"]
    assert all(block["gap"] for block in blocks[1:])
    assert end["missed"] >= 10
    assert end["took_s"] < 1.0


@pytest.mark.parametrize(
    ("facts", "error", "words"),
    [
        ({"present": False}, "Retry", "no chip answers: expected MPU-6050, found No such device or address"),
        ({"nacks": 1}, "Retry", "check its wiring and its address: i2cdetect -y 1"),
        ({"identity": 0x70}, "Fatal", "not a MPU-6050: expected 0x68 in register 0x75, found 0x70"),
        ({"identity": 0xFF}, "Retry", "found 0xFF"),
        ({"write_protected": True}, "Retry", "settings do not hold: found register 0x6B is 0x40, not 0x01"),
    ],
)
def test_what_is_not_there_says_so(board, chip, facts, error, words):
    chip(**facts)
    with Reader(board, URL, IMU, chip="mpu6050") as sensor:
        item = sensor.next()
    assert (item["kind"], item["error"]) == ("error", error)
    assert words in item["message"]


def test_another_bus_and_another_address(board, chip):
    chip()
    for url, words in (("i2c:7/0x68", "/dev/i2c-7: found No such file"), ("i2c:1/0x69", "no chip answers")):
        with Reader(board, url, IMU, chip="mpu6050") as sensor:
            item = sensor.next()
        assert item["error"] == "Retry"
        assert words in item["message"]


def test_ones_own_register_map(board, chip, tmp_path):
    """The same chip, described anew as a thermometer only."""
    (tmp_path / "mine.toml").write_text(
        """
        name = "thermometer"
        identity = { register = 0x75, value = 0x68 }
        data = { register = 0x41, format = ">h" }
        setup = [{ register = 0x6B, value = 0x08, mask = 0x48 }]
        [[sensor]]
        channels = ["temp"]
        at = [0]
        unit = "°C"
        per_unit = 340
        zero = 36.53
        """
    )
    chip()
    with Reader(board, URL, chip=str(tmp_path / "mine.toml"), rate_hz=100) as sensor:
        assert sensor.blocks(1)[0]["samples"][0] == pytest.approx([25.0], abs=0.01)


def test_a_pipeline_survives_that_the_chip_is_away(board, chip, tmp_path):
    write_model(tmp_path / "motion.tflite", Linear())
    (tmp_path / "edgeml.toml").write_text(
        """
        [model]
        file = "motion.tflite"
        [[source]]
        url = "i2c:1/0x68"
        chip = "mpu6050"
        [[sink]]
        url = "jsonl:out.jsonl"
        """
    )
    out = tmp_path / "out.jsonl"
    chip()
    command = [sys.executable, "-m", "edge_sdk", "run", "edgeml.toml", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=board.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        rows = lambda: out.read_text().count("\n") if out.exists() else 0  # noqa: E731
        board.wait(lambda: rows() >= 3 or run.poll() is not None)
        chip(present=False)
        board.wait(lambda: chip()["refused"] > 12 or run.poll() is not None)
        before = rows()
        chip(present=True, power_cut=True)
        board.wait(lambda: rows() >= before + 5 or run.poll() is not None)
        run.send_signal(signal.SIGTERM)
        said, complaints = run.communicate(timeout=30)
    assert run.returncode == 0, complaints
    report = json.loads(said)
    assert report["ledger"]["balanced"]
    assert report["ledger"]["faults"].keys() & {"read", "retry"}
    assert {json.loads(line)["label"] for line in out.read_text().splitlines()} == {"z"}  # 1 g downwards
