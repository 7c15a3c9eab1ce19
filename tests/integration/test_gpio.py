"""The sink `gpio:` with the real libgpiod, on a virtual chip that knows what each line was driven to."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from edge_sdk import recordings
from edge_sdk.recordings import Signal
from tests.integration.gpio_board import GpioBoard
from tests.integration.umockdev_board import Driver, virtual_board
from tests.models import write_model

pytestmark = pytest.mark.integration

DONE = {"kind": "done"}


@pytest.fixture(scope="module")
def lasting():
    with virtual_board() as board:
        chip = GpioBoard(board)
        yield chip
        chip.close()


@pytest.fixture
def gpio(lasting):
    """A chip that nobody unplugs, with untouched lines."""
    lasting.forget()
    return lasting


@pytest.fixture
def removable():
    with virtual_board() as board:
        yield GpioBoard(board)


def test_a_prediction_switches_it_on_and_time_switches_it_off(gpio):
    line = gpio.lines[17]
    with Driver(gpio.board, "gpio:gpiochip0/17", hold_s=0.3) as sink:
        assert sink.opened["kind"] == "open"
        assert (line.level, line.consumer) == (0, "edgeml")
        assert sink(write=[0.0]) == DONE
        assert line.level == 1  # acknowledged is switched
        gpio.wait(lambda: line.level == 0)  # nobody calls it again
        on, off = (at_s for at_s, _ in line.history[-2:])
        assert off - on >= 0.3
        assert sink(do="idle") == DONE
        assert sink(do="close") == DONE
        assert sink(do="close") == DONE
        assert sink(write=[0.0])["error"] == "Retry"
    gpio.wait(lambda: line.levels == [None, 0, 1, 0, None])
    assert line.consumer == ""


def test_it_stays_on_while_predictions_come(gpio):
    line = gpio.lines[4]
    with Driver(gpio.board, "gpio:0/GPIO4", hold_s=0.6) as sink:
        started_s = time.monotonic()
        while time.monotonic() < started_s + 0.9:
            assert sink(write=[0.1, 0.0]) == DONE
        last_s = time.monotonic()
        assert line.levels == [None, 0, 1]
        gpio.wait(lambda: line.level == 0)
        assert line.history[-1][0] >= last_s + 0.5


def test_a_pulse_is_not_lengthened(gpio):
    line = gpio.lines[17]
    with Driver(gpio.board, "gpio:pinctrl-bcm2711/GPIO17", pulse_s=0.4) as sink:
        while line.levels[-2:] != [1, 0]:
            assert sink(write=[0.0]) == DONE
        on, off = (at_s for at_s, _ in line.history[2:4])
        assert 0.4 <= off - on < 5.0
        assert sink(write=[0.0]) == DONE
        gpio.wait(lambda: line.levels[2:6] == [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("options", "rest", "active", "safe"),
    [
        ({"active_low": True}, 1, 0, 1),
        ({"safe": "high"}, 0, 1, 1),
        ({"safe": "low"}, 0, 1, 0),
        ({"safe": "input"}, 0, 1, None),
        ({"active_low": True, "safe": "input"}, 1, 0, None),
    ],
)
def test_levels(gpio, options, rest, active, safe):
    line = gpio.lines[2]
    with Driver(gpio.board, "gpio:/dev/gpiochip0/2", hold_s=0.2, **options) as sink:
        assert line.level == safe
        sink(write=[0.0])
        assert line.level == active
        gpio.wait(lambda: line.level == rest)
        sink(write=[0.0])
        assert sink(do="safe") == DONE
        assert line.level == safe
        count = len(line.history)
        assert sink(do="idle") == DONE
        time.sleep(0.4)  # the time that was left is void
        assert len(line.history) == count
        sink(write=[0.0])
        assert line.level == active
        sink(do="close")
    assert [level for level in line.levels if level is not None][-1] == (active if safe is None else safe)
    assert line.level is None


def test_what_is_too_old_is_refused_and_moves_nothing(gpio):
    line = gpio.lines[17]
    with Driver(gpio.board, "gpio:gpiochip0/17", max_age_s=1.0) as sink:
        answer = sink(write=[5.0])
        assert answer["error"] == "Rejected"
        assert "expected at most 1 s, found 5.0 s" in answer["message"]
        assert sink(write=[5.0, 0.0])["error"] == "Rejected"  # all or nothing: the pipeline asks one by one
        assert line.levels == [None, 0]
        assert sink(write=[0.0]) == DONE
        gpio.wait(lambda: line.level == 0)  # max_age_s is the default of hold_s
        assert line.levels == [None, 0, 1, 0]


def test_what_cannot_be_opened_says_why(gpio):
    gpio.lines[3].consumer = "spi0 CS0"
    for url, error, words in (
        ("gpio:gpiochip0/3", "Retry", "Device or resource busy; gpioinfo says which program holds it"),
        ("gpio:gpiochip0/28", "Fatal", "no such line; gpioinfo lists the lines"),
        ("gpio:gpiochip0/VALVE", "Fatal", "no such line"),
        ("gpio:gpiochip7/1", "Retry", "no chip 'gpiochip7': found gpiochip0 (pinctrl-bcm2711)"),
        ("gpio:17", "ConfigError", "expected gpio:CHIP/LINE"),
        ("gpio:0/1?hold_s=1&pulse_s=1", "ConfigError", "expected hold_s or pulse_s, found both"),
        ("gpio:0/1?safe=off", "ConfigError", "option 'safe'"),
        ("gpio:0/1?hold_s=0", "ConfigError", "option 'hold_s'"),
    ):
        with Driver(gpio.board, url) as sink:
            assert sink.opened["error"] == error, url
            assert words in sink.opened["message"], url
    assert all(line.level is None for line in gpio.lines)


def test_a_chip_that_is_unplugged_is_noticed(removable):
    with Driver(removable.board, "gpio:gpiochip0/17") as sink:
        assert sink(do="idle") == DONE
        removable.unplug()
        for command in ({"do": "idle"}, {"write": [0.0]}, {"do": "safe"}):
            answer = sink(**command)
            assert answer["error"] == "Retry"
            assert "the line is lost: found No such device" in answer["message"]
        assert sink(do="close") == DONE


def test_unplugged_while_active_is_noticed_by_the_next_call(removable):
    with Driver(removable.board, "gpio:gpiochip0/17", hold_s=0.1) as sink:
        sink(write=[0.0])
        removable.unplug()
        assert sink(do="idle")["error"] == "Retry"


@pytest.mark.parametrize(("persistent", "left"), [(False, None), (True, 1)])
def test_killed_it_lets_go_and_the_next_one_makes_it_safe(gpio, persistent, left):
    line = gpio.lines[17]
    gpio.persistent = persistent
    with Driver(gpio.board, "gpio:gpiochip0/17", hold_s=60.0) as sink:
        sink(write=[0.0])
        assert line.level == 1
        sink.kill()
        gpio.wait(lambda: line.consumer == "")
        assert line.level is left
    gpio.persistent = False
    with Driver(gpio.board, "gpio:gpiochip0/17") as sink:
        assert sink.opened["kind"] == "open"
        assert line.level == 0


def test_a_pipeline_switches_it_and_leaves_it_safe(gpio, tmp_path):
    write_model(tmp_path / "motion.tflite")
    samples = np.zeros((500, 3), np.float32)
    samples[100:200, 1] = 5.0  # only here the model says y
    recordings.write(tmp_path / "walk.csv", Signal(samples, 50.0, ("ax", "ay", "az")))
    (tmp_path / "edgeml.toml").write_text(
        """
        [model]
        file = "motion.tflite"
        [[source]]
        url = "replay:walk.csv"
        speed = 5
        [[sink]]
        url = "gpio:gpiochip0/17?pulse_s=0.2"
        when = "label == 'y' and score > 0.9"
        """
    )
    line = gpio.lines[17]
    command = [sys.executable, "-m", "edge_sdk", "run", "edgeml.toml", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=gpio.board.env, stdout=subprocess.PIPE, text=True
    ) as run:
        gpio.wait(lambda: 1 in line.levels or run.poll() is not None)
        assert line.levels[:3] == [None, 0, 1]
        run.send_signal(signal.SIGTERM)
        said, _ = run.communicate(timeout=30)
    assert run.returncode == 0
    report = json.loads(said)
    assert report["ledger"]["balanced"]
    assert line.levels[-2:] == [0, None]
