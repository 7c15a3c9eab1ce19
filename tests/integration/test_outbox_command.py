"""``edgeml outbox``: on real files, in use, left by a crash, damaged."""

import csv
import json
import os
import subprocess
import sys

import pytest

from edge_sdk import cli
from edge_sdk.outbox.salvage import salvage
from tests.integration.outboxes import everything, filled, opened, prediction
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def edgeml(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["outbox", *map(str, arguments)])
    return ended.value.code


def inspected(capsys, file):
    assert edgeml("inspect", file, "--json") == 0
    return json.loads(capsys.readouterr().out)


def sequences(text):
    return [json.loads(line)["sequence"] for line in text.splitlines()]


def test_inspect_says_what_waits_while_it_is_in_use_and_afterwards(tmp_path, capsys):
    file = tmp_path / "o.db"
    outbox = opened(tmp_path, commit_s=0.01)
    for sequence in range(30):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.lanes[0].acknowledge(outbox.lanes[0].take(10))
    outbox.sync()
    report = inspected(capsys, file)
    assert (report["in_use"], report["crashed"], report["problem"], report["rows"]) == (True, False, None, 30)
    assert {name: facts["owed"] for name, facts in report["sinks"].items()} == {"mqtt": 20, "http": 30}
    outbox.close()
    report = inspected(capsys, file)
    assert (report["in_use"], report["crashed"]) == (False, False)
    assert edgeml("inspect", file) == 0
    assert "mqtt: owed 20, the oldest for" in capsys.readouterr().out


def test_inspect_knows_a_crash_and_changes_nothing(tmp_path, capsys):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tests.integration.outboxes import opened, prediction\n"
        "o = opened(Path(sys.argv[1]), commit_s=60); o.put(prediction(0), 0.0, o.lanes); o.sync()\n"
        "[o.put(prediction(n), 0.0, o.lanes) for n in range(1, 5)]; os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")}
    report = inspected(capsys, tmp_path / "o.db")
    assert report["crashed"]
    assert report["sinks"]["mqtt"] | {"oldest_s": 0} == {
        "owed": 1, "oldest_s": 0, "cursor": 0, "in_memory": 4, "in_flight": 0,
    }  # fmt: skip
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")}
    assert before == after


@pytest.mark.parametrize("sizes", [(3,), (3, 2000, 50_000)], ids=["small", "overflowing"])
def test_salvage_finds_every_row_without_sqlite(tmp_path, sizes):
    rows = [(n, sizes[n % len(sizes)]) for n in range(120)]
    outbox = opened(tmp_path)
    for sequence, size in rows:
        outbox.put(prediction(sequence, size), 0.0, outbox.lanes)
    outbox.sync()  # in the log, not in the file
    found = {row.id: row for row in salvage(tmp_path / "o.db")}
    assert sorted(found) == list(range(1, 121))
    outbox.close()
    found = {row.id: row for row in salvage(tmp_path / "o.db")}
    assert sorted(found) == list(range(1, 121))


def header(database):
    with database.open("r+b") as file:
        file.write(os.urandom(1000))


def inner_pages(database):
    content = bytearray(database.read_bytes())
    for at in range(4096, len(content), 4096):
        if content[at] == 5:  # the way to the leaves
            content[at : at + 4096] = os.urandom(4096)
    database.write_bytes(content)


def one_leaf(database):
    content = bytearray(database.read_bytes())
    leaves = [
        at
        for at in range(4096, len(content), 4096)
        if content[at] == 13 and b"walk" in content[at : at + 4096]
    ]
    content[leaves[3] : leaves[3] + 4096] = bytes(4096)
    database.write_bytes(content)


@pytest.mark.parametrize("damage", [header, inner_pages, one_leaf], ids=lambda damage: damage.__name__)
def test_repair_brings_back_every_row_that_holds_and_none_twice(tmp_path, capsys, damage):
    outbox = opened(tmp_path)
    for sequence in range(1000):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.lanes[0].acknowledge(outbox.lanes[0].take(100))
    outbox.close()
    damage(tmp_path / "o.db")
    with opened(tmp_path) as outbox:  # a run that finds it, at once or when it reads
        for sequence in range(1000, 1010):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)
        got = {lane.name: everything(lane) for lane in outbox.lanes if damage is not header}
        for sequence in range(1010, 1020):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)
    assert edgeml("repair", tmp_path / "o.db", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    expected_loss = 0 if damage is not one_leaf else report["lost"]["http"]
    assert report["lost"] == dict.fromkeys(report["lost"], expected_loss)
    assert expected_loss < 60, "a page has so many"
    with opened(tmp_path) as outbox:
        for lane in outbox.lanes:
            delivered = got.get(lane.name, []) + everything(lane)
            wanted = list(range(100 if lane.name == "mqtt" else 0, 1020))
            assert sorted(delivered) == sorted(set(delivered)), "none twice"
            assert set(delivered) <= set(wanted)
            assert len(wanted) - len(delivered) == expected_loss
    assert not list(tmp_path.glob("*.corrupt-*"))
    assert edgeml("repair", tmp_path / "o.db") == 0
    assert "nothing is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [header, inner_pages], ids=lambda damage: damage.__name__)
def test_repair_finds_damage_that_no_run_has_met_yet(tmp_path, capsys, damage):
    filled(tmp_path, 500)
    damage(tmp_path / "o.db")
    assert inspected(capsys, tmp_path / "o.db")["file"].endswith("o.db")
    assert edgeml("repair", tmp_path / "o.db") == 0
    assert "mqtt: 500 predictions brought back, 0 lost" in capsys.readouterr().out
    with opened(tmp_path) as outbox:
        assert [everything(lane) for lane in outbox.lanes] == [list(range(500))] * 2


def test_repair_leaves_alone_what_never_was_an_outbox(tmp_path, capsys):
    notes = tmp_path / "notes.txt"
    notes.write_text("milk, bread")
    assert edgeml("repair", notes) == 3
    assert "is no outbox" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_damaged_file_is_inspected_and_not_exported(tmp_path, capsys):
    filled(tmp_path, 10)
    header(tmp_path / "o.db")
    assert "damaged" in inspected(capsys, tmp_path / "o.db")["problem"]
    assert edgeml("export", tmp_path / "o.db") == 3
    assert "edgeml outbox repair" in capsys.readouterr().err


def test_repair_leaves_a_running_pipeline_alone(tmp_path, capsys):
    with opened(tmp_path):
        assert edgeml("repair", tmp_path / "o.db") == 3
    assert "another process uses it" in capsys.readouterr().err


def test_export_copies_what_waits(tmp_path, capsys):
    outbox = opened(tmp_path)
    for sequence in range(5):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.lanes[0].acknowledge(outbox.lanes[0].take(2))
    (letter,) = outbox.lanes[1].take(1)
    outbox.lanes[1].reject(letter, "rejected", "400 Bad Request")
    wait_for(lambda: outbox.state().dead)
    outbox.close()
    file = tmp_path / "o.db"
    assert edgeml("export", file, "--sink", "mqtt") == 0
    assert sequences(capsys.readouterr().out) == [2, 3, 4]
    assert edgeml("export", file) == 0
    assert sequences(capsys.readouterr().out) == [1, 2, 3, 4]
    assert edgeml("export", file, "--dead") == 0
    dead = json.loads(capsys.readouterr().out)
    assert (dead["sequence"], dead["sink"], dead["detail"]) == (0, "http", "400 Bad Request")
    assert edgeml("export", file, "--format", "csv", "-o", tmp_path / "o.csv") == 0
    with (tmp_path / "o.csv").open() as text:
        assert [row["sequence"] for row in csv.DictReader(text)] == ["1", "2", "3", "4"]
    assert edgeml("export", file, "--sink", "ftp") == 2
    assert edgeml("export", tmp_path / "none.db") == 3
    assert not (tmp_path / "none.db").exists()


def test_replay_delivers_by_hand_and_what_was_taken_waits_no_more(tmp_path, capsys):
    filled(tmp_path, 200)
    file, to = tmp_path / "o.db", f"jsonl:{tmp_path / 'rescued.jsonl'}"
    assert edgeml("replay", file, "--to", to) == 2
    assert "--sink" in capsys.readouterr().err
    assert edgeml("replay", file, "--to", to, "--sink", "mqtt") == 0
    assert sequences((tmp_path / "rescued.jsonl").read_text()) == list(range(200))
    capsys.readouterr()
    assert [facts["owed"] for facts in inspected(capsys, file)["sinks"].values()] == [0, 200]
    assert edgeml("replay", file, "--to", to, "--json") == 0  # only http is left
    assert json.loads(capsys.readouterr().out) == {"delivered": 200, "rejected": 0}
    assert edgeml("replay", file, "--to", to) == 0


def test_replay_of_dead_letters_and_never_to_an_actuator(tmp_path, capsys, monkeypatch):
    outbox = opened(tmp_path)
    outbox.put(prediction(7), 0.0, outbox.lanes[:1])
    (letter,) = outbox.lanes[0].take()
    outbox.lanes[0].reject(letter, "rejected", "no such table")
    wait_for(lambda: outbox.state().dead)
    outbox.close()
    file = tmp_path / "o.db"
    from edge_sdk.sinks import jsonl

    monkeypatch.setattr(jsonl.Sink, "delivery", "actuator")
    assert edgeml("replay", file, "--dead", "--to", f"jsonl:{tmp_path / 'a.jsonl'}") == 2
    assert "never replayed" in capsys.readouterr().err
    assert not (tmp_path / "a.jsonl").exists()
    monkeypatch.undo()
    assert edgeml("replay", file, "--dead", "--to", f"jsonl:{tmp_path / 'a.jsonl'}") == 0
    assert sequences((tmp_path / "a.jsonl").read_text()) == [7]
    capsys.readouterr()
    assert inspected(capsys, file)["dead"] == 0


def test_help_has_examples(capsys):
    for words in ([], ["inspect"], ["repair"], ["export"], ["replay"]):
        assert edgeml(*words, "--help") == 0
        assert "Example:" in capsys.readouterr().out
