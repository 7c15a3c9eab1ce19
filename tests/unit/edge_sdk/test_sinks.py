import csv
import io
import json
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import open_sink
from edge_sdk.errors import ConfigError, DeviceError, Fatal, Retry
from edge_sdk.prediction import Prediction
from edge_sdk.runs import Run

ONE = Prediction(
    'fäll, "hard"\nindeed', 0.91, None, np.array([0.91, 0.09], np.float32), "press-7", "r1", 0, model="m"
)


def some(count, start=0):
    return [replace(ONE, sequence=start + i) for i in range(count)]


def rows_of(path, table="predictions"):
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return database.execute(f"SELECT device, run_id, sequence FROM {table} ORDER BY 3").fetchall()


def sequences(path):
    if path.suffix == ".db":
        return [row[2] for row in rows_of(path)]
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line)["sequence"] for line in text.splitlines()]
    return [int(row["sequence"]) for row in csv.DictReader(io.StringIO(text))]


FILES = pytest.mark.parametrize("name", ["jsonl:p.jsonl", "csv:p.csv", "sqlite:p.db"])
TEXTS = pytest.mark.parametrize("name", ["jsonl:p.jsonl", "csv:p.csv"])


def opened(name, folder, **options):
    scheme, _, file = name.partition(":")
    return open_sink(f"{scheme}:{folder / file}", **options), folder / file


@FILES
def test_what_is_written_is_there_and_appended_across_runs(name, tmp_path):
    for start in (0, 3):
        sink, path = opened(name, tmp_path)
        with sink:
            sink.write(some(3, start))
            assert sequences(path)[start:] == [start, start + 1, start + 2]
    assert sequences(path) == list(range(6))


@FILES
def test_closing_twice_is_harmless(name, tmp_path):
    sink, _ = opened(name, tmp_path)
    sink.close()
    sink.close()


@FILES
def test_a_missing_folder_is_said_before_anything_is_read(name, tmp_path):
    with pytest.raises(Fatal, match="create the folder first: mkdir -p"):
        opened(name, tmp_path / "nowhere")


@FILES
def test_a_file_that_was_deleted_meanwhile_is_noticed(name, tmp_path):
    sink, path = opened(name, tmp_path)
    with sink:
        sink.write(some(1))
        path.unlink()
        with pytest.raises(Retry, match="moved or deleted|is gone"):
            sink.write(some(1, 1))
    sink, path = opened(name, tmp_path)
    with sink:
        sink.write(some(1, 1))
    assert sequences(path) == [1]


@FILES
def test_a_folder_in_place_of_a_file_is_refused(name, tmp_path):
    (tmp_path / name.partition(":")[2]).mkdir()
    with pytest.raises(Fatal, match="cannot be written|unable to open"):
        opened(name, tmp_path)


@FILES
def test_no_file_is_a_mistake_in_the_configuration(name):
    with pytest.raises(ConfigError, match="no file"):
        open_sink(name.partition(":")[0] + ":")


@FILES
def test_a_full_disk_is_worth_another_try_and_leaves_the_file_whole(name, tmp_path):
    """In a child, because the limit on file sizes is the process's."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from tests.unit.edge_sdk.test_sinks import opened, some
from edge_sdk.errors import Retry
sink, path = opened({name!r}, Path({str(tmp_path)!r}))
sink.write(some(2))
sizes = [p.stat().st_size for p in path.parent.iterdir()]
resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) + 300, resource.RLIM_INFINITY))
try:
    sink.write(some(500, 2))
except Retry as error:
    print("retry")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.close()
sink, path = opened({name!r}, Path({str(tmp_path)!r}))
sink.write(some(3, 2))
sink.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "retry", done.stderr
    assert sequences(tmp_path / name.partition(":")[2]) == [0, 1, 2, 3, 4]


@TEXTS
@pytest.mark.parametrize("torn", [b'{"device": "pr', b"\0\0\0\0", b"press-7,r1,\n2"])
def test_a_line_torn_by_a_crash_is_cut_and_counted(name, torn, tmp_path):
    sink, path = opened(name, tmp_path)
    with sink:
        sink.write(some(2))
    if b"\n" in torn:
        torn = torn.replace(b"\n", b"")
    with path.open("ab") as file:
        file.write(torn)
    sink, path = opened(name, tmp_path)
    with sink:
        assert sink.file.torn_bytes == len(torn)
        sink.write(some(1, 2))
    assert sequences(path) == [0, 1, 2]


@TEXTS
def test_two_writers_of_one_file_are_kept_apart(name, tmp_path):
    first, _ = opened(name, tmp_path)
    with first, pytest.raises(Retry, match="another process writes it"):
        opened(name, tmp_path)


@TEXTS
def test_sync_none_leaves_it_to_the_system(name, tmp_path):
    sink, path = opened(name, tmp_path, sync="none")
    with sink:
        sink.write(some(2))
    assert sequences(path) == [0, 1]


def test_a_csv_with_another_header_is_left_alone(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("time,value\n1,2\n")
    with pytest.raises(Fatal, match="has another header.*time,value.*name another file"):
        open_sink(f"csv:{path}")
    assert path.read_text() == "time,value\n1,2\n"


def test_csv_holds_any_label_and_the_outputs(tmp_path):
    sink, path = opened("csv:p.csv", tmp_path)
    with sink:
        sink.write([ONE])
    (row,) = csv.DictReader(io.StringIO(path.read_text()))
    assert row["label"] == 'fäll, "hard" indeed'
    assert json.loads(row["outputs"]) == [0.91, 0.09]


def test_sqlite_ignores_what_it_has_already(tmp_path):
    sink, path = opened("sqlite:p.db", tmp_path)
    with sink:
        sink.write(some(3))
        sink.write(some(4))
    assert sequences(path) == [0, 1, 2, 3]


def test_sqlite_knows_which_model_a_run_had(tmp_path):
    sink, path = opened("sqlite:p.db", tmp_path)
    with sink:
        sink.begin(Run("r1", "press-7", "motion", "sha256:9f2c"))
        sink.begin(Run("r1", "press-7", "motion", "sha256:9f2c"))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT run_id, model, digest FROM runs").fetchall() == [
            ("r1", "motion", "sha256:9f2c")
        ]


def test_sqlite_keeps_its_promise_of_durability(tmp_path):
    sink, _ = opened("sqlite:p.db", tmp_path)
    with sink:
        assert sink._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert sink._database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_locked_database_is_worth_another_try(tmp_path):
    sink, path = opened("sqlite:p.db", tmp_path)
    with sink, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Retry, match="database is locked; another program holds it"):
            sink.write(some(1))
        other.execute("ROLLBACK")
        sink.write(some(1))
    assert sequences(path) == [0]


def test_something_else_than_a_database_is_never_touched(tmp_path):
    path = tmp_path / "p.db"
    path.write_bytes(b"a diary, not a database" * 50)
    with pytest.raises(Fatal, match="not a SQLite database, or corrupt.*move it away"):
        open_sink(f"sqlite:{path}")
    assert path.read_bytes() == b"a diary, not a database" * 50


def test_a_corrupt_database_is_fatal_and_says_what_to_do(tmp_path):
    sink, path = opened("sqlite:p.db", tmp_path)
    with sink:
        sink.write(some(200))
    whole = bytearray(path.read_bytes())
    whole[4096:] = os.urandom(len(whole) - 4096)
    path.write_bytes(bytes(whole))
    with pytest.raises(Fatal, match="corrupt.*move it away"), open_sink(f"sqlite:{path}") as sink:
        sink.write(some(200, 200))


def test_a_table_of_one_s_own_name_and_one_that_is_something_else(tmp_path):
    sink, path = opened("sqlite:p.db", tmp_path, table="falls")
    with sink:
        sink.write(some(1))
    assert len(rows_of(path, "falls")) == 1
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE mine (a, b)")
    with pytest.raises(Fatal, match="table 'mine' is not of this version.*another table"):
        opened("sqlite:p.db", tmp_path, table="mine")
    for table in ("a b", "runs", 'x";drop', "sqlite_x"):
        with pytest.raises(ConfigError, match="letters, digits"):
            opened("sqlite:p.db", tmp_path, table=table)


@FILES
def test_a_read_only_folder_is_said(name, tmp_path):
    """As another user in a child, because root may write everywhere."""
    if os.geteuid() != 0:
        tmp_path.chmod(0o555)
        with pytest.raises(DeviceError, match="this user may write"):
            opened(name, tmp_path)
        return
    code = f"""
import sys
sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from tests.unit.edge_sdk.test_sinks import opened
from edge_sdk.errors import Fatal
import os, sqlite3, edge_sdk.sinks.csv, edge_sdk.sinks.jsonl, edge_sdk.sinks.sqlite
os.setuid(65534)
try:
    opened({name!r}, Path("/etc"))
except Fatal as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "that this user may write" in done.stdout, done.stderr


def test_stdout_prints_a_line_for_people_or_for_programs(capsys):
    with open_sink("stdout:") as sink:
        sink.write(some(2))
    assert capsys.readouterr().out.count("press-7#") == 2
    with open_sink("stdout:?format=jsonl") as sink:
        sink.write(some(1))
    assert json.loads(capsys.readouterr().out)["label"] == ONE.label
    with pytest.raises(ConfigError, match="nothing after the colon"):
        open_sink("stdout:file.txt")
    with pytest.raises(ConfigError, match="Invalid enum value 'xml'"):
        open_sink("stdout:?format=xml")


def test_the_limits_of_this_process_are_as_they_were():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
