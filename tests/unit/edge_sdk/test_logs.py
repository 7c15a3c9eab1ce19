"""Lines for people and for the journal, and a reader who does not read."""

import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from edge_sdk.logs import LogHandler, configured, is_journal
from edge_sdk.repeats import Repeats

LOG = logging.getLogger("edgeml")


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as read, os.fdopen(writer, "w", encoding="utf-8") as write:
        yield read, write


def lines_of(stream, **options):
    """What is written for what a test says meanwhile."""

    def run(say):
        with configured(stream, **options):
            say()
        return stream.getvalue().splitlines()

    return run


def record(message, *arguments, level=logging.WARNING, **extra):
    made = logging.LogRecord("edgeml", level, __file__, 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def test_people_get_a_line_each():
    assert lines_of(io.StringIO())(lambda: LOG.warning("%s; trying again in %.1f s", "unplugged", 0.5)) == [
        "edgeml: unplugged; trying again in 0.5 s"
    ]


def test_json_has_what_a_machine_asks_for(monkeypatch):
    monkeypatch.setattr(LOG, "propagate", False)  # pytest's own record of it could not be handed on

    def say():
        threading.current_thread().name = "source serial:/dev/ttyACM0"
        try:
            LOG.error("cannot\nwrite \udc80", extra={"part": "sqlite:x.db", "run_id": "a1b2"})
        finally:
            threading.current_thread().name = "MainThread"

    (line,) = lines_of(io.StringIO(), form="json")(say)
    said = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", said.pop("time"))
    assert said == {
        "level": "error",
        "message": "cannot write \\udc80",
        "thread": "source serial:/dev/ttyACM0",
        "part": "sqlite:x.db",
        "run_id": "a1b2",
    }


def test_the_run_of_the_handler_stands_where_no_other_is_named():
    stream = io.StringIO()
    with configured(stream, "json") as handler:
        handler.run_id = "c3d4"
        LOG.info("begun")
    assert json.loads(stream.getvalue())["run_id"] == "c3d4"


def test_under_systemd_lines_are_json_with_a_priority(monkeypatch):
    """The journal's connection is a socket; JOURNAL_STREAM names it by device and inode."""
    ours, journal = socket.socketpair()
    with ours, journal, ours.makefile("w") as stream:
        facts = os.fstat(ours.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{facts.st_dev}:{facts.st_ino}")
        assert is_journal(stream.fileno())
        for form in ("auto", "text"):
            with configured(stream, form):
                LOG.error("lost")
                LOG.info("found")
        journal.settimeout(10)
        said = b""
        while said.count(b"\n") < 4:
            said += journal.recv(65536)
    lines = said.decode().splitlines()
    assert [line[:3] for line in lines] == ["<3>", "<6>", "<3>", "<6>"]
    assert json.loads(lines[0][3:])["message"] == "lost"
    assert lines[2] == "<3>edgeml: lost"


def test_a_stream_of_our_own_is_no_journal(monkeypatch, pipe):
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    assert not is_journal(pipe[1].fileno())
    assert not is_journal(None)


def test_an_exception_is_part_of_its_line():
    def say():
        try:
            raise ValueError("of\ntwo lines")
        except ValueError:
            LOG.exception("closing failed")

    assert lines_of(io.StringIO())(say) == ["edgeml: closing failed: ValueError: of two lines"]


def test_a_record_that_cannot_be_formatted_is_shown_and_raises_nothing():
    stream = io.StringIO()
    with configured(stream) as handler:
        handler.handle(record("%d samples", "many"))  # not LOG.warning: pytest's own handler would raise
    assert stream.getvalue() == "edgeml: '%d samples' ('many',)\n"


def test_what_comes_again_is_said_once_and_summed_up():
    def say():
        for _ in range(38):
            LOG.warning("unplugged")
        LOG.warning("something else")

    assert lines_of(io.StringIO())(say) == [
        "edgeml: unplugged",
        "edgeml: something else",
        "edgeml: unplugged … 37 times more",
    ]


def test_sums_come_less_often_the_longer_it_lasts():
    repeats, said = Repeats(), []
    for second in range(4000):
        if repeats.admits(record("unplugged"), float(second)):
            said.append((second, 0))
        said += [(second, count) for _, count in repeats.due(float(second))]
    times = [second for second, _ in said]
    assert times[:6] == [0, 10, 30, 70, 150, 310]
    assert times[-1] - times[-2] == 600
    assert sum(count or 1 for _, count in said) == times[-1] + 1


def test_what_has_stopped_is_said_at_once_when_it_comes_back():
    repeats = Repeats()
    assert repeats.admits(record("unplugged"), 0.0)
    assert list(repeats.due(200.0)) == []
    assert repeats.admits(record("unplugged"), 201.0)


def test_a_sink_that_is_away_for_a_month_fills_no_disk():
    repeats, said = Repeats(), 0
    for attempt in range(30 * 2880):  # one each half minute
        now_s = 30.0 * attempt
        delay_s = 30.0 + attempt % 70 / 10
        said += repeats.admits(record("%s; trying again in %.1f s", "cannot be reached", delay_s), now_s)
        said += sum(1 for _ in repeats.due(now_s))
    assert said < 150 * 30


def test_what_was_frequent_is_news_again_after_a_pause():
    repeats = Repeats()
    for second in range(300):
        repeats.admits(record("unplugged"), float(second))
        list(repeats.due(float(second)))
    assert not repeats.admits(record("unplugged"), 301.0)
    assert repeats.admits(record("unplugged"), 422.0)


def test_threads_are_told_apart():
    repeats = Repeats()
    for n in range(100):
        repeats.admits(record("%d", n, threadName="sink a"), 0.0)
    assert repeats.admits(record("%d", 1000, threadName="sink b"), 0.0)


def test_messages_that_differ_in_their_numbers_only_are_summed_up_too():
    repeats = Repeats()
    said = sum(repeats.admits(record("line %d is garbage", n), 0.0) for n in range(5000))
    (last, unsaid), *others = repeats.due(10.0)
    summed = unsaid + sum(count for _, count in others)
    assert said < 50
    assert said + summed == 5000
    assert last.getMessage().endswith("is garbage")


def test_parts_and_levels_are_told_apart():
    repeats = Repeats()
    assert repeats.admits(record("lost", part="a"), 0.0)
    assert repeats.admits(record("lost", part="b"), 0.0)
    assert repeats.admits(record("lost", part="a", level=logging.ERROR), 0.0)
    assert not repeats.admits(record("lost", part="a"), 0.0)


def test_memory_is_bounded_whatever_is_said():
    repeats = Repeats()
    for n in range(100_000):
        repeats.admits(record(f"device-{n} \\ {'x' * 100}"), 0.0)
    assert len(repeats._known) <= 257
    assert sum(count for _, count in repeats.due(10.0)) > 99_000


def test_a_reader_who_does_not_read_holds_nobody_up(pipe):
    read, write = pipe
    with configured(write) as handler:
        slowest = 0.0
        for n in range(5000):  # a pipe takes 64 KiB
            one = record(f"{n} {'x' * 200}")
            handler._repeats = Repeats()
            start = time.perf_counter()
            handler.handle(one)
            slowest = max(slowest, time.perf_counter() - start)
        assert slowest < 0.5
        text = ""
        while "were left out" not in text:  # the reader is back
            text += read.readline()
    said = len(re.findall(r"^edgeml: \d+ x", text, re.MULTILINE))
    (left_out,) = map(int, re.findall(r"(\d+) messages were left out", text))
    assert said + left_out == 5000
    assert said >= 1000


def test_a_process_ends_though_nobody_reads(tmp_path):
    code = (
        "import logging, sys\nfrom edge_sdk.logs import configured\n"
        "with configured(sys.stderr):\n"
        "    for n in range(2000): logging.getLogger('edgeml').warning('%s', 'x' * 500 + str(n))\n"
        "    for n in range(500): logging.getLogger('edgeml').warning('y' * 500 + str(n))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert process.wait(timeout=30) == 0
    process.stderr.close()


def test_a_reader_who_has_gone_is_no_error(pipe):
    read, write = pipe
    with configured(write):
        os.close(os.dup(read.fileno()))
        read.close()
        for n in range(100):
            LOG.warning("%d", n)


def test_a_descriptor_that_does_not_block_loses_nothing(pipe):
    read, write = pipe
    os.set_blocking(write.fileno(), False)
    text = []
    reader = threading.Thread(target=lambda: text.extend(read))
    with configured(write) as handler:
        for n in range(900):
            handler._repeats = Repeats()
            LOG.warning("%d %s", n, "x" * 300)
        time.sleep(0.1)
        reader.start()
    write.close()
    reader.join(10)
    assert [int(line.split()[1]) for line in text] == list(range(900))


def test_many_threads_lose_no_line():
    stream = io.StringIO()
    with configured(stream):
        threads = [
            threading.Thread(target=lambda t=t: [LOG.warning(f"{t}-{n}") for n in range(15)])
            for t in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(stream.getvalue().splitlines())) == 8 * 15


def test_the_logger_is_left_as_it_was():
    level, handlers = LOG.level, list(LOG.handlers)
    with configured(io.StringIO()) as handler:
        assert isinstance(handler, LogHandler)
    assert (LOG.level, LOG.handlers) == (level, handlers)
    handler.close()
    assert "log" not in {thread.name for thread in threading.enumerate()}
