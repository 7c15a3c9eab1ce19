"""Predictions reach real commands, and no command can hang, flood or haunt the pipeline."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Model, Pipeline, Prediction, open_sink
from edge_sdk.errors import Fatal, Rejected, Retry
from edge_sdk.plugins import check_url
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

ONE = Prediction("fall", 0.91, None, np.array([0.09, 0.91], np.float32), "press-7", "r1", 0, model="m")


def some(count, start=0):
    return [replace(ONE, sequence=start + i) for i in range(count)]


def fails(url, match, prediction=ONE):
    """Write one prediction, which must be worth another try."""
    with open_sink(url) as sink, pytest.raises(Retry, match=match):
        sink.write([prediction])


@pytest.fixture
def script(tmp_path):
    """Writes a shell script; returns its path."""

    def write(text, name="script"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture(autouse=True)
def _no_child_is_left():
    """Of this test; those of others, as a browser that serves a whole run, are their own affair."""
    before = children()
    yield
    wait_for(lambda: children() <= before, 5)


def children() -> set[str]:
    """Processes of ours, zombies too."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sequences(path):
    return [json.loads(line)["sequence"] for line in path.read_text().splitlines()]


def test_a_command_gets_each_prediction_as_json_and_as_variables(script, tmp_path):
    taker = script(
        'cat >> got.jsonl; echo "$EDGEML_DEVICE/$EDGEML_LABEL/$EDGEML_SCORE/$EDGEML_FAULT" >> got.txt'
    )
    with open_sink(f"exec:{taker}") as sink:
        sink.write(some(3))
    assert [json.loads(line) for line in (tmp_path / "got.jsonl").read_text().splitlines()] == [
        prediction.as_dict() for prediction in some(3)
    ]
    assert (tmp_path / "got.txt").read_text() == "press-7/fall/0.91/\n" * 3


def test_words_are_quoted_as_in_a_shell_but_there_is_none(script, tmp_path):
    taker = script('for word; do echo "$word"; done > got.txt')
    with open_sink(f"exec:{taker} 'two words' $HOME;ls", args=("a?b=1,2", "* ")) as sink:
        sink.write([ONE])
    assert (tmp_path / "got.txt").read_text().splitlines() == ["two words", "$HOME;ls", "a?b=1,2", "* "]


@pytest.mark.parametrize("label", ["fäll\n'; rm -rf /", "a\0b", "a\ud800b", "x" * 200_000])
def test_any_label_is_passed_on(label, script, tmp_path):
    taker = script('cat > got.json; printf %s "$EDGEML_LABEL" > got.txt')
    with open_sink(f"exec:{taker}") as sink:
        sink.write([replace(ONE, label=label)])
    assert json.loads((tmp_path / "got.json").read_text())["label"] == label
    shown = label.replace("\0", "␀").replace("\ud800", "?")[:1000]
    assert (tmp_path / "got.txt").read_text() == shown


def test_the_exit_code_is_the_verdict(script):
    taker = script('echo "first" >&2; echo "no \033[31mspace" >&2; exit $EDGEML_SEQUENCE')
    with open_sink(f"exec:{taker}?rejects=65,9") as sink:
        sink.write([ONE])
        for code in (1, 75, 126, 127):
            with pytest.raises(Retry, match=rf"exec:script: exit code {code}: found no \\x1b\[31mspace$"):
                sink.write(some(1, code))
        for code in (9, 65):
            with pytest.raises(Rejected, match=f"refuses a prediction: exit code {code}: found no"):
                sink.write(some(1, code))


def test_a_crash_is_a_retry(script):
    fails(f"exec:{script('kill -SEGV $$')}", "killed by SIGSEGV")


def test_a_command_that_ignores_its_input_takes_even_a_large_one():
    with open_sink("exec:true") as sink:
        sink.write([replace(ONE, outputs=np.zeros(100_000, np.float32))])


def test_a_large_input_is_read_to_its_end(script, tmp_path):
    with open_sink(f"exec:{script('sleep 0.05; wc -c > size')}") as sink:
        large = replace(ONE, outputs=np.zeros(100_000, np.float32))
        sink.write([large])
    assert int((tmp_path / "size").read_text()) == len(json.dumps(large.as_dict())) + 1


def test_a_command_that_hangs_is_killed_with_what_it_started(script, tmp_path):
    taker = script("echo waiting >&2; sleep 300 & echo $! $$ > pids; wait")
    with open_sink(f"exec:{taker}?timeout_s=0.3") as sink:
        started = time.monotonic()
        with pytest.raises(Retry, match=r"took longer than 0.3 s and was killed: found waiting"):
            sink.write([ONE])
        assert time.monotonic() - started < 5
    for pid in (tmp_path / "pids").read_text().split():
        wait_for(lambda pid=pid: not is_alive(pid))


def test_a_command_that_ignores_every_signal_but_one_is_killed(script):
    taker = script("trap : HUP INT TERM PIPE; while :; do sleep 0.05; done")
    fails(f"exec:{taker}?timeout_s=0.2", "was killed")


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_flood_without_end_is_stopped(script, stream):
    fails(f"exec:{script(f'yes edgeml >&{stream}')}?timeout_s=0.3", "was killed")


@pytest.mark.parametrize(("stream", "found"), [("1", "$"), ("2", ": found edgeml")])
def test_a_flood_with_an_end_holds_nobody_up(script, stream, found):
    fails(f"exec:{script(f'yes edgeml | head -c 20000000 >&{stream}; exit 3')}", "exit code 3" + found)


def test_a_daemon_that_keeps_the_pipes_open_is_not_waited_for(script, tmp_path):
    """It holds standard input and standard error, as careless daemons do."""
    taker = script("setsid sleep 300 & echo $! > pid; exit 0")
    try:
        with open_sink(f"exec:{taker}") as sink:
            started = time.monotonic()
            sink.write([ONE])
            assert time.monotonic() - started < 5
        daemon = (tmp_path / "pid").read_text().strip()
        assert is_alive(daemon)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_the_environment_is_small_and_what_is_named_is_in_it(script, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("WANTED", "yes")
    with open_sink(f"exec:{script('env > got.txt')}", env=("WANTED",)) as sink:
        sink.write([ONE])
    seen = dict(line.split("=", 1) for line in (tmp_path / "got.txt").read_text().splitlines())
    assert seen["WANTED"] == "yes"
    assert "SECRET_TOKEN" not in seen
    assert seen["PATH"] == os.environ["PATH"]
    with pytest.raises(ConfigError, match="variable NOT_THERE is not set"):
        open_sink("exec:true", env=("NOT_THERE",))


def test_a_command_of_a_folder(script, tmp_path):
    script('cat > "here.json"', "taker.sh")
    (tmp_path / "taker.sh").write_text("#!/bin/sh\ncat > here.json\n")
    with open_sink("exec:./taker.sh", folder=str(tmp_path)) as sink:
        sink.write([ONE])
    assert sequences(tmp_path / "here.json") == [0]


def test_a_command_that_cannot_be_run_is_said_before_the_run(tmp_path):
    def check(location, **options):
        plugin, place, checked = check_url("sinks", f"exec:{location}", options)
        plugin.preflight(place, None, **checked)

    check("true")
    (tmp_path / "note.txt").write_text("hello")
    for location, error, match in [
        ("", ConfigError, "no command"),
        ("''", ConfigError, "no command"),
        ("'half", ConfigError, "quoted as in a shell"),
        ("no-such-command-here", Fatal, "a program in PATH; for one in a folder"),
        (f"{tmp_path}/none", Fatal, "no command"),
        (f"{tmp_path}", Fatal, "no command"),
        (f"{tmp_path}/note.txt", Fatal, "make it one: chmod [+]x"),
    ]:
        with pytest.raises(error, match=match):
            check(location)
        with pytest.raises(error, match=match):
            open_sink(f"exec:{location}")
    with pytest.raises(Fatal, match="no folder"):
        check("true", folder=f"{tmp_path}/none")
    with pytest.raises(ConfigError, match="mode = 'lines'"):
        open_sink("exec:true?answers=true")


def test_a_command_that_goes_away_or_is_no_program_after_all(script, tmp_path):
    taker = script("exit 0")
    with open_sink(f"exec:{taker}") as sink:
        taker.write_bytes(b"\x7fELF and nothing more")
        with pytest.raises(Retry, match="cannot be started: found.*Exec format"):
            sink.write([ONE])
        taker.unlink()
        with pytest.raises(Retry, match="cannot be started: found.*No such file"):
            sink.write([ONE])


def test_one_command_reads_all_the_lines(script, tmp_path):
    taker = script(
        'echo $$ >> pids; while read -r line; do echo "$line" >> got.jsonl; done; echo end >> pids'
    )
    with open_sink(f"exec:{taker}?mode=lines") as sink:
        sink.write(some(3))
        sink.write(some(2, 3))
    assert sequences(tmp_path / "got.jsonl") == [0, 1, 2, 3, 4]
    pid, last = (tmp_path / "pids").read_text().split()
    assert last == "end"
    assert not is_alive(pid)


def test_lines_that_nobody_reads_are_not_delivered(script):
    taker = script("exec sleep 300")
    fails(f"exec:{taker}?mode=lines&timeout_s=0.2", "did not read within 0.2 s and was killed")


def until_it_raises(action):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        action()


@pytest.mark.parametrize(
    "ending",
    ["echo oh no >&2; exit 3", "exec <&-; echo oh no >&2; exec sleep 300", "read -r line; echo oh no >&2"],
)
def test_a_reader_that_stops_is_a_retry(script, ending):
    with (
        open_sink(f"exec:{script(ending)}?mode=lines&timeout_s=5") as sink,
        pytest.raises(Retry, match="reads no more: found oh no"),
    ):
        until_it_raises(lambda: sink.write([ONE]))


def test_the_end_of_a_reader_is_noticed_while_nothing_is_to_be_written(script):
    with (
        open_sink(f"exec:{script('echo tired >&2; exit 0')}?mode=lines") as sink,
        pytest.raises(Retry, match="reads no more: found tired"),
    ):
        until_it_raises(sink.idle)


def test_a_reader_may_talk_without_end(script, tmp_path):
    taker = script('while read -r line; do echo "$line" >> got.jsonl; head -c 300000 /dev/zero >&2; done')
    with open_sink(f"exec:{taker}?mode=lines") as sink:
        sink.write(some(5))
        while not (tmp_path / "got.jsonl").exists() or len(sequences(tmp_path / "got.jsonl")) < 5:
            sink.idle()


def test_a_reader_that_answers_gives_its_verdict(script, tmp_path):
    taker = script(
        """while read -r line; do
        case "$line" in
        *'"sequence": 1,'*) echo "reject not this one";;
        *'"sequence": 2,'*) echo "retry the printer is out of paper";;
        *'"sequence": 3,'*) echo "what?";;
        *'"sequence": 4,'*) yes | tr -d '\\n';;
        *'"sequence": 5,'*) sleep 300;;
        *) sleep 0.05; echo "$line" >> got.jsonl; echo ok;;
        esac; done"""
    )
    sink = open_sink(f"exec:{taker}?mode=lines&answers=true&timeout_s=2")
    sink.write(some(1))
    assert sequences(tmp_path / "got.jsonl") == [0]  # it had it when it was acknowledged
    with pytest.raises(Rejected, match="refuses a prediction: found not this one"):
        sink.write(some(1, 1))
    with pytest.raises(Retry, match="cannot take it now: found the printer is out of paper"):
        sink.write(some(1, 2))
    with pytest.raises(Retry, match=r"answered: expected ok, reject or retry, found 'what\?'"):
        sink.write(some(1, 3))
    with pytest.raises(Retry, match="answered: expected ok, reject or retry, found 'yyyy"):
        sink.write(some(1, 4))
    sink.close()
    slow = replace(ONE, sequence=5)
    fails(f"exec:{taker}?mode=lines&answers=true&timeout_s=0.2", "did not answer within 0.2 s", slow)


def test_closing_does_not_wait_for_a_reader_that_does_not_end(script, tmp_path):
    taker = script("echo $$ > pid; trap : TERM HUP; while :; do sleep 0.05; done")
    sink = open_sink(f"exec:{taker}?mode=lines")
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    started = time.monotonic()
    sink.close()
    sink.close()
    assert time.monotonic() - started < 5
    assert not is_alive((tmp_path / "pid").read_text().strip())


def test_no_descriptor_is_left_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_sink("exec:true") as sink:
        sink.write(some(20))
    with open_sink("exec:cat?mode=lines") as sink:
        sink.write(some(20))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_waits_is_kept_on_disk_where_that_is_wanted():
    with open_sink("exec:true") as sink:
        assert sink.delivery == "direct"
    with open_sink("exec:true?delivery=outbox") as sink:
        assert sink.delivery == "outbox"


def test_a_pipeline_tries_again_until_the_command_takes_it(script, tmp_path, linear_file):
    taker = script(
        "read -r line; echo $EDGEML_SEQUENCE >> tries\n"
        "[ $(($(wc -l < tries) % 3)) = 2 ] && exit 75; [ $EDGEML_SEQUENCE = 4 ] && exit 65\n"
        'echo "$line" >> got.jsonl'
    )
    samples = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)

    def tried():
        return (tmp_path / "tries").read_text().split() if (tmp_path / "tries").exists() else []

    def sensor():
        for i in range(6):
            wait_for(lambda i=i: not i or str(i - 1) in tried())
            yield Block(samples, 50.0, device="wrist", end=True)

    report = Pipeline(Model.load(linear_file), [sensor()], [f"exec:{taker}"]).run()
    (account,) = report.ledger.sinks.values()
    assert report.ledger.balanced
    assert account.dropped == {"rejected": 1}
    assert sorted(set(sequences(tmp_path / "got.jsonl"))) == [0, 1, 2, 3, 5]
    assert len(tried()) > 6
