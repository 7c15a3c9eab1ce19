"""The live view on a pseudo-terminal, and the picture that it shows."""

import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.logs import configured
from edge_sdk.prediction import Prediction
from edge_sdk.view import LiveView, give_back_terminals
from tests.moments import moment
from tests.terminal import Terminal

pytest.importorskip("rich", reason="pip install 'edgeml-kit[view]'")

from rich.cells import cell_len

from edge_sdk.figures import age, bar, count, per_second, short, squeeze, volume
from edge_sdk.screen import Rates, draw
from tests.waiting import wait_for

LOG = logging.getLogger("edgeml")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("edge_sdk.view._PERIOD_S", 0.05)


def picture(now, width=100, height=40, log=(), before=None):
    rates = Rates()
    if before is not None:
        rates.look(before, 0.0)
    rates.look(now, 4.0)
    lines = draw(now, rates, list(log), width, height)
    assert len(lines) <= height
    for line in lines:
        assert cell_len("".join(text for text, _ in line)) <= width
    return lines


def text_of(lines):
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def broken(now):
    """A source is unplugged, a sink is down with a full queue."""
    now.sources[1].connected, now.sources[1].problem = False, "the connection broke"
    now.sinks[1].connected = False
    now.sinks[1].problem = f"{now.sinks[1].name}: found 503"
    now.sinks[1].account.queued = 3120
    return now


def test_a_healthy_run_at_a_glance():
    lines = text_of(picture(moment(predictions=1050), before=moment(predictions=1000)))
    assert lines[0].startswith(" press-7   ● ok")
    assert lines[0].endswith("up 1 min")
    assert "● mqtt://broker/plant/line-0/+/imu" in "\n".join(lines)
    assert any(line.split()[:4] == ["motion", "12.5", "44", "µs"] for line in lines)
    assert "SAMPLES      4254 (50.0/s) = 4200 used + 4 pending + 50 dropped" in lines
    assert "PREDICTIONS  1050 = 1049 delivered + 1 queued + 0 lost" in lines
    assert any(line.endswith("▶ start") for line in lines)
    assert "LOG" not in lines


def test_trouble_comes_first_and_says_why():
    lines = text_of(picture(broken(moment(sources=3, sinks=3)), log=["a line"]))
    assert "▲ degraded" in lines[0]
    sources = lines.index(next(line for line in lines if line.startswith("SOURCES")))
    assert lines[sources + 1].startswith("✖ mqtt://broker/plant/line-1/+/imu")
    assert lines[sources + 2] == "    the connection broke"
    sinks = lines.index(next(line for line in lines if line.startswith("SINKS")))
    assert lines[sinks + 1].startswith("✖ https://host-1.example/hook")
    assert "3120 ███████" in lines[sinks + 1]
    assert lines[sinks + 2] == "    found 503"  # not its name again
    assert lines[-2:] == ["LOG", "  a line"]


def test_each_event_has_its_colour_and_its_mark():
    lines = picture(moment())
    styles = {text: style for line in lines for text, style in line if text in ("▶ start", "■ end")}
    assert styles == {"▶ start": "bold yellow", "■ end": "cyan"}


def test_books_that_do_not_balance_are_shouted():
    now = moment()
    now.ledger.samples.read += 1
    assert "do not add up" in "\n".join(text_of(picture(now)))


@pytest.mark.parametrize("width", [20, 40, 60, 61, 80, 100, 300])
@pytest.mark.parametrize("height", [1, 5, 12, 24, 50])
def test_it_fits_every_terminal(width, height):
    """The asserts are in `picture`."""
    now = broken(moment(sources=50, sinks=10))
    now.sources[0].name = "mqtt://broker/" + "工場" * 30
    now.recent = [*now.recent, Prediction("落下" * 40, 0.5, None, np.ones(1, np.float32), "機" * 99)]
    now.models[0].troubled = {f"device-{n}": "stuck" for n in range(40)}
    picture(now, width, height, [f"message {n} {'x' * 200}" for n in range(20)])


def test_narrow_terminals_keep_what_matters():
    lines = text_of(picture(broken(moment()), 60, 20))
    assert any(line.startswith("✖ mqtt:") and line.split()[1].endswith("e-1/+/imu") for line in lines)
    assert any("3120" in line for line in lines)
    assert any(line.startswith("PREDICTIONS") and line.endswith("lost") for line in lines)


def test_fifty_sources_leave_room_for_the_rest():
    lines = text_of(picture(broken(moment(sources=50, sinks=10)), 80, 24))
    assert any("more sources" in line for line in lines)
    (hidden,) = (int(line.split()[1]) for line in lines if "more sources" in line)
    shown = sum(line[2:].startswith("mqtt://") for line in lines)
    assert shown + hidden == 50
    assert any(line.startswith("RECENT") for line in lines)


def test_hostile_names_do_nothing_to_the_terminal():
    now = moment()
    evil = "\x1b[2J\x1b]0;owned\x07\r\n\u202e"
    now.device = now.sources[0].name = now.sources[0].problem = now.sinks[0].name = evil
    now.models[0].name, now.models[0].labels = evil, Counter({evil: 1})
    now.models[0].troubled = {evil: evil}
    now.recent = [Prediction(evil, 0.5, None, np.ones(1, np.float32), evil, fault=evil)]
    text = "".join(text_of(picture(now)))
    assert text.isprintable()


def test_a_regression_and_a_first_moment_have_no_gaps():
    now = moment(predictions=0)
    now.recent = [Prediction(None, None, 21.375, np.ones(1, np.float32), "press-7")]
    now.ready, now.outbox, now.sources[0].silent_s = False, None, None
    lines = text_of(picture(now))
    assert "starting" in lines[0]
    assert any("21.375" in line for line in lines)
    assert any("(–/s)" in line for line in lines)


def test_rates_begin_anew_with_another_run():
    rates = Rates()
    rates.look(moment(predictions=1000), 0.0)
    rates.look(moment(predictions=10), 1.0)
    assert rates.of("samples") is None
    rates.look(moment(predictions=60), 2.0)
    assert rates.of("samples") == 200.0
    assert rates.of("sink nobody") is None


def test_figures():
    assert [bar(share, 4) for share in (-1, 0, 0.5, 0.53, 1, 9)] == [
        "····",
        "····",
        "██··",
        "██▏·",
        "████",
        "████",
    ]
    assert [count(n) for n in (0, 9999, 12345, 1_234_567, 5 * 10**9)] == ["0", "9999", "12.3k", "1.23M", "5G"]
    assert [age(s) for s in (3, 90, 7300, 93784)] == ["3 s", "1 min", "2 h 1 min", "1 d 2 h"]
    assert [short(us) for us in (0, 44, 1500, 2.5e6, 9e7)] == ["–", "44 µs", "1.5 ms", "2.5 s", "1 min"]
    assert [volume(n) for n in (5, 4096, 45 << 20, 3 << 30)] == ["5 B", "4 kB", "45 MB", "3 GB"]
    assert [per_second(r) for r in (None, 12.5, 20_000)] == ["–", "12.5", "20k"]
    assert squeeze("mqtt://broker/plant/line-1", 12) == "mqtt:…line-1"
    assert [cell_len(squeeze("工場" * 9, width)) <= width for width in range(9)] == [True] * 9


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def stream(terminal):
    with os.fdopen(os.dup(terminal.device), "w", encoding="utf-8") as stream:
        yield stream


def test_a_terminal_shows_it_and_is_given_back(terminal, stream):
    now = moment()
    with LiveView(lambda: now, stream):
        terminal.wait_for("● ok")
        assert terminal.alternate
        assert not terminal.cursor
        assert "\x1b[32m" in terminal.raw
        now.ledger.predictions = 4321
        terminal.wait_for("4321 = ")
        now = broken(moment())
        terminal.wait_for("the connection broke")
    terminal.wait_until(lambda it: not it.alternate and it.cursor)
    assert "view" not in {thread.name for thread in threading.enumerate()}


def test_only_what_changed_is_sent(terminal, stream):
    now = moment()
    with LiveView(lambda: now, stream):
        terminal.wait_for("● ok")
        time.sleep(0.2)  # some frames
        before = len(terminal.raw)
        now.ledger.predictions = 4321
        terminal.wait_for("4321 = ")
        assert len(terminal.raw) - before < 300


def test_it_follows_the_terminal_s_size(terminal, stream):
    with LiveView(moment, stream):
        assert max(map(len, terminal.wait_for("● ok"))) > 70
        terminal.resize(60, 20)
        terminal.wait_until(lambda it: 50 < max(map(len, it.lines), default=0) <= 60 and len(it.lines) <= 20)


def test_no_colour_where_none_is_wanted(terminal, stream, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with LiveView(moment, stream):
        terminal.wait_for("● ok")
    assert "\x1b[32m" not in terminal.raw


def test_an_encoding_without_these_signs_gets_others(terminal):
    with os.fdopen(os.dup(terminal.device), "w", encoding="ascii") as stream, LiveView(moment, stream):
        terminal.wait_for("* ok")
    assert terminal.raw.isascii()


def test_the_log_is_below_and_is_said_again_at_the_end(terminal, stream):
    said = io.StringIO()
    with configured(said):
        with LiveView(moment, stream):
            LOG.warning("unplugged \x1b[2J")
            LOG.warning("unplugged \x1b[2J")
            terminal.wait_for("  unplugged \\x1b[2J")
            assert said.getvalue() == ""
            assert sum("unplugged" in line for line in terminal.lines) == 1
        assert len(LOG.handlers) >= 1
    assert said.getvalue().startswith("edgeml: unplugged")


def test_a_bug_in_the_snapshot_is_said_and_passes(terminal, stream):
    now = None

    def take():
        if now is None:
            raise RuntimeError("dictionary changed size")
        return now

    said = io.StringIO()
    with configured(said), LiveView(take, stream):
        time.sleep(0.2)
        now = moment()
        terminal.wait_for("no view: RuntimeError: dictionary changed size")
    assert "no view: RuntimeError" in said.getvalue()


def test_a_terminal_that_goes_away_ends_the_view_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with os.fdopen(os.dup(terminal.device), "w") as stream:
        view = LiveView(moment, stream)
        terminal.wait_for("● ok")
        os.close(terminal._controller)
        view._thread.join(10)
        assert not view._thread.is_alive()
        view.close()
    os.close(terminal.device)


def test_a_process_that_ends_at_once_gives_its_terminal_back(terminal):
    code = (
        "import os, signal, sys, time\nfrom edge_sdk.view import LiveView, give_back_terminals\n"
        "from tests.moments import moment\n"
        "signal.signal(signal.SIGTERM, lambda *_: (give_back_terminals(), os._exit(143)))\n"
        "view = LiveView(moment, sys.stderr)\nwhile True: time.sleep(1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=terminal.device, cwd=Path(__file__).parents[3]
    )
    terminal.wait_for("● ok", 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
    terminal.wait_until(lambda it: not it.alternate and it.cursor)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_lines(terminal, stream, monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    lines(stream, monkeypatch)
    assert "\x1b" not in terminal.raw


def test_without_rich_there_are_lines(terminal, stream, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'edgeml-kit[view]'" in lines(stream, monkeypatch)
    assert "\x1b" not in terminal.raw


def test_a_pipe_gets_lines(monkeypatch):
    lines(io.StringIO(), monkeypatch)


def lines(stream, monkeypatch):
    """What is said while the health changes; the same for every stream that is no terminal."""
    monkeypatch.setattr("edge_sdk.view._FIRST_LINE_S", 0.5)
    now, said = moment(), io.StringIO()
    with configured(said), LiveView(lambda: now, stream):
        wait_for(lambda: "edgeml: ok: 1000 predictions, 1 queued" in said.getvalue())
        now = broken(moment())
        wait_for(
            lambda: "edgeml: degraded: mqtt://broker/plant/line-1/+/imu: the connection" in said.getvalue()
        )
    assert said.getvalue().count("edgeml: ok:") <= 3
    return said.getvalue()


def test_giving_back_twice_is_fine():
    give_back_terminals()
    give_back_terminals()
