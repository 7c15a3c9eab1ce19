"""Predictions reach a real PostgreSQL once each, whatever happens to it meanwhile."""

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from psycopg import sql

from edge_sdk import Block, ConfigError, Model, Pipeline, Prediction, open_sink
from edge_sdk.errors import Rejected, Retry
from edge_sdk.runs import Run
from tests.integration.postgres import running_server
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

ONE = Prediction("fall", 0.91, None, np.array([0.09, 0.91], np.float32), "press-7", "r1", 0, model="m")


@pytest.fixture(scope="module")
def running():
    with running_server() as started:
        yield started


@pytest.fixture
def server(running):
    """As new, whatever the test before did."""
    running.query("DROP TABLE IF EXISTS predictions, runs; DROP SCHEMA IF EXISTS plant CASCADE")
    running.query("DROP ROLE IF EXISTS secret, tls, guest")
    return running


def some(count, start=0):
    return [replace(ONE, sequence=start + i) for i in range(count)]


def stored(server, table="predictions"):
    return [row[0] for row in server.query(f"SELECT sequence FROM {table} ORDER BY sequence")]


def test_every_field_arrives_with_its_type(server):
    full = Prediction(
        "fäll 転倒", 0.91, -1.5, np.array([0.1, np.nan, np.inf], np.float32), "press-7", "r1", 3,
        12.25, 1.7e9, clock_synced=False, latency_us=88.5, event="start", model="m", fault="stuck",
    )  # fmt: skip
    with open_sink(server.url()) as sink:
        sink.write([full, replace(full, sequence=4, label=None, score=None, value=float("nan"), event=None)])
    rows = server.query("SELECT * FROM predictions ORDER BY sequence")
    assert rows[0] == (
        "press-7", "r1", 3, 12.25, 1.7e9, False, "m", "fäll 転倒", 0.91, -1.5, "start", "stuck", 88.5,
        [pytest.approx(0.1), None, None],
    )  # fmt: skip
    assert rows[1][7:11] == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a\0b", "a␀b"), ("a\ud800b", "a?b"), ("\\u0000'\";--", "\\u0000'\";--"), ("x" * 9**6, None)],
)
def test_any_text_is_stored(server, text, kept):
    with open_sink(server.url()) as sink:
        sink.write([replace(ONE, label=text, model=text)])
    assert server.query("SELECT label, model FROM predictions") == [(kept or text, kept or text)]


def test_a_time_that_is_no_number_is_stored_without_it(server):
    with open_sink(server.url()) as sink:
        sink.write([replace(ONE, wall_s=float("inf"), latency_us=float("nan"))])
    assert server.query("SELECT wall_s, latency_us FROM predictions") == [(None, None)]


def test_what_is_written_twice_is_there_once(server):
    with open_sink(server.url()) as sink:
        sink.write([*some(3), ONE])
        sink.write(some(5))
    assert stored(server) == [0, 1, 2, 3, 4]


def test_every_run_has_its_model(server):
    with open_sink(server.url()) as sink:
        for run in ("r1", "r2", "r1"):
            sink.begin(Run(run, "press-7", f"model of {run}", "sha256:9f2c", started_s=5.0))
    assert server.query("SELECT run_id, model, digest, started_s FROM runs ORDER BY 1") == [
        ("r1", "model of r1", "sha256:9f2c", 5.0),
        ("r2", "model of r2", "sha256:9f2c", 5.0),
    ]


def test_a_fleet_that_starts_at_once_creates_the_tables_once(server):
    def start(number):
        with open_sink(server.url()) as sink:
            sink.begin(Run(f"r{number}", f"d{number}", "m", "sha256:"))
            sink.write([replace(ONE, device=f"d{number}")])

    with ThreadPoolExecutor(16) as fleet:
        list(fleet.map(start, range(16)))
    assert (
        server.query("SELECT count(*) FROM predictions")
        == server.query("SELECT count(*) FROM runs")
        == [(16,)]
    )


@pytest.mark.parametrize("table", ["plant.falls", 'plant.we"ird; DROP TABLE x', "plant.Großer Name"])
def test_a_table_of_one_s_own_in_a_schema(server, table):
    with pytest.raises(Retry, match="schema .*does not exist|create the schema"):
        open_sink(server.url(), table=table)
    server.query("CREATE SCHEMA plant")
    with open_sink(server.url(), table=table) as sink:
        sink.begin(Run("r1", "press-7", "m", "sha256:"))
        sink.write(some(2))
    name = sql.Identifier(*table.split("."))
    assert server.query(sql.SQL("SELECT sequence FROM {}").format(name)) == [(0,), (1,)]
    assert server.query("SELECT count(*) FROM plant.runs") == [(1,)]


def test_a_table_of_before_there_were_faults_gets_the_column_when_it_may(server):
    open_sink(server.url()).close()
    server.query("ALTER TABLE predictions DROP COLUMN fault")
    with pytest.raises(
        Retry, match='column "fault" of relation "predictions" does not exist.*add the column'
    ):
        open_sink(server.url(), create=False)
    with open_sink(server.url()) as sink:
        sink.write([replace(ONE, fault="stuck")])
    assert server.query("SELECT fault FROM predictions") == [("stuck",)]


def test_somebody_else_s_table_is_left_alone(server):
    server.query("CREATE TABLE predictions (device text, notes text)")
    with pytest.raises(Retry, match="does not exist; name another table"):
        open_sink(server.url())
    assert (
        len(
            server.query(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'predictions'"
            )
        )
        == 2
    )


def test_a_table_that_would_not_keep_duplicates_out_is_refused(server):
    open_sink(server.url()).close()
    server.query("ALTER TABLE predictions DROP CONSTRAINT predictions_pkey")
    with pytest.raises(Retry, match=r"PRIMARY KEY \(device, run_id, sequence\)"):
        open_sink(server.url())


def test_without_create_the_tables_must_be_there(server):
    with pytest.raises(Retry, match='"predictions" does not exist; create the table'):
        open_sink(server.url(), create=False)
    assert server.query("SELECT to_regclass('predictions')") == [(None,)]


def test_a_row_that_the_database_refuses_is_found_and_the_others_are_stored(server):
    with open_sink(server.url()) as sink:
        server.query("ALTER TABLE predictions ADD CHECK (score < 0.95), ALTER COLUMN label TYPE varchar(4)")
        bad = [replace(ONE, sequence=1, score=0.99), replace(ONE, sequence=2, label="too long")]
        batch = [*some(1), *bad, *some(2, 3)]
        with pytest.raises(Rejected, match="refuses a prediction"):
            sink.write(batch)
        assert stored(server) == []  # all or none
        refused = []
        for prediction in batch:  # what the pipeline does then
            try:
                sink.write([prediction])
            except Rejected as error:
                refused.append((prediction.sequence, str(error)))
    assert stored(server) == [0, 3, 4]
    assert [number for number, _ in refused] == [1, 2]
    assert "violates check constraint" in refused[0][1]
    assert "too long for type character varying(4)" in refused[1][1]


def test_an_index_row_that_is_too_large_is_the_row_s_own_fault(server):
    with open_sink(server.url()) as sink, pytest.raises(Rejected, match="maximum size"):
        sink.write([replace(ONE, device=np.random.default_rng(0).bytes(9000).hex())])


def test_rights_are_asked_for_by_name_and_enough_when_given(server):
    server.query("CREATE ROLE guest LOGIN")
    with pytest.raises(Retry, match="permission denied for schema public; GRANT INSERT, SELECT"):
        open_sink(server.url("guest"))
    open_sink(server.url()).close()
    with pytest.raises(Retry, match="permission denied for table predictions; GRANT INSERT, SELECT"):
        open_sink(server.url("guest"))
    server.query("GRANT INSERT, SELECT ON predictions, runs TO guest")
    with open_sink(server.url("guest")) as sink:
        sink.begin(Run("r1", "press-7", "m", "sha256:"))
        sink.write(some(2))
    assert stored(server) == [0, 1]


def test_a_password_comes_from_the_environment_or_a_file_and_is_never_shown(server, tmp_path, monkeypatch):
    server.query(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE secret LOGIN SUPERUSER PASSWORD 'hunter2'"
    )
    url = server.url("secret")
    with pytest.raises(Retry, match="no password supplied; see password_env and password_file"):
        open_sink(url)
    monkeypatch.setenv("EDGEML_PG", "wrong-one")
    with pytest.raises(Retry, match="password authentication failed.*see password_env") as caught:
        open_sink(url, password_env="EDGEML_PG")
    assert "wrong-one" not in str(caught.value)
    monkeypatch.setenv("EDGEML_PG", "hunter2")
    open_sink(url, password_env="EDGEML_PG").close()
    (tmp_path / "password").write_text("hunter2\n")
    open_sink(url, password_file=str(tmp_path / "password")).close()
    with pytest.raises(
        ConfigError, match="a password in the URL; use password_env or password_file"
    ) as caught:
        open_sink(url.replace("secret@", "secret:hunter2@"))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError, match="named twice"):
        open_sink(url, password_env="EDGEML_PG", password_file="x")
    with pytest.raises(ConfigError, match="EDGEML_NONE is not set"):
        open_sink(url, password_env="EDGEML_NONE")


def test_what_the_url_leaves_out_is_in_the_environment(server, monkeypatch):
    for name, value in {
        "HOST": "127.0.0.1",
        "PORT": server.port,
        "USER": "owner",
        "DATABASE": "postgres",
    }.items():
        monkeypatch.setenv(f"PG{name}", str(value))
    for url in ("postgres:", "postgresql://", "postgres:///postgres", "postgres://owner@/postgres"):
        with open_sink(url) as sink:
            sink.write([ONE])
    assert stored(server) == [0]


def test_a_unix_socket_and_of_several_hosts_the_one_that_answers(server):
    folder = quote(str(server.folder), safe="")
    with open_sink(f"postgres://owner@{folder}:{server.port}/postgres") as sink:
        sink.write(some(1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        hosts = f"127.0.0.1:{taken.getsockname()[1]},127.0.0.1:{server.port}"
        with open_sink(f"postgres://owner@{hosts}/postgres") as sink:
            sink.write(some(2))
    assert stored(server) == [0, 1]


def test_tls_verifies_the_server(server, tmp_path):
    authority = server.encrypt()
    server.query("CREATE ROLE tls LOGIN SUPERUSER")
    with open_sink(server.url("tls"), ca=str(authority)) as sink:
        sink.write([ONE])
        assert sink._connection.pgconn.ssl_in_use
    assert stored(server) == [0]
    with pytest.raises(Retry, match="pg_hba.conf rejects connection"):
        open_sink(server.url("tls"), sslmode="disable")
    with pytest.raises(Retry, match="certificate verify failed"):
        open_sink(server.url("tls"), ca="system")
    with pytest.raises(Retry, match="there is no file"):
        open_sink(server.url("tls"), ca=str(tmp_path / "none.crt"))
    with pytest.raises(ConfigError, match="sslmode"):
        open_sink(server.url("tls"), sslmode="yes")


def test_no_such_database_waits_for_somebody_to_create_it(server):
    with pytest.raises(Retry, match='database "nowhere" does not exist'):
        open_sink(server.url(database="nowhere"))


def test_a_restart_is_a_retry_and_the_next_connection_goes_on(server):
    with open_sink(server.url()) as sink:
        sink.write(some(2))
        server.stop()
        server.start()
        with pytest.raises(Retry, match="terminating connection|closed the connection"):
            sink.write(some(2, 2))
    with open_sink(server.url()) as sink:
        sink.write(some(3, 2))
    assert stored(server) == [0, 1, 2, 3, 4]


def test_a_goodbye_is_noticed_while_nothing_is_to_be_written(server):
    with open_sink(server.url()) as sink:
        sink.idle()
        server.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'edgeml'"
        )
        wait_for(sink._has_news)
        with pytest.raises(Retry, match="terminating connection|closed the connection"):
            sink.idle()
        with pytest.raises(Retry):
            sink.idle()


def waiting(server):
    return server.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'edgeml' AND wait_event_type = 'Lock'"
    )


def test_a_connection_killed_in_mid_transaction_stores_nothing_and_loses_nothing(server):
    with open_sink(server.url()) as sink, server.connected() as other, other.transaction():
        other.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as thread:
            writing = thread.submit(sink.write, some(3))
            wait_for(lambda: waiting(server))
            server.query("SELECT pg_terminate_backend(%s)", *waiting(server)[0])
            with pytest.raises(Retry, match="terminating connection"):
                writing.result(10)
    assert stored(server) == []
    with open_sink(server.url()) as sink:
        sink.write(some(3))
    assert stored(server) == [0, 1, 2]


def test_a_locked_table_is_given_up_in_time(server):
    with open_sink(server.url(), timeout_s=0.3) as sink, server.connected() as other:
        with other.transaction():
            other.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Retry, match="statement timeout; is somebody locking the table"):
                sink.write(some(3))
        sink.write(some(3))
    assert stored(server) == [0, 1, 2]


def test_a_frozen_server_is_noticed_though_its_kernel_answers(server):
    with open_sink(server.url(), timeout_s=0.2) as sink:
        sink.write(some(2))
        server.freeze()
        try:
            started = time.monotonic()
            with pytest.raises(Retry, match=r"does not answer: expected within 0.2 s"):
                sink.write(some(2, 2))
            assert time.monotonic() - started < 5
            with pytest.raises(Retry, match="timeout expired"):
                open_sink(server.url(), timeout_s=0.2)
        finally:
            server.thaw()
    with open_sink(server.url()) as sink:
        sink.write(some(2, 2))
    assert stored(server) == [0, 1, 2, 3]


def test_a_batch_larger_than_the_buffers_to_a_frozen_server_does_not_hang(server):
    with open_sink(server.url(), timeout_s=0.2) as sink:
        server.freeze()
        try:
            with pytest.raises(Retry, match="does not answer"):
                sink.write([replace(ONE, label="x" * (32 << 20))])
        finally:
            server.thaw()


def test_a_standby_waits_until_it_may_be_written(server):
    with open_sink(server.url()) as sink:
        server.query("ALTER SYSTEM SET default_transaction_read_only = on")
        server.query("SELECT pg_reload_conf()")
        try:
            wait_for(lambda: server.query("SHOW default_transaction_read_only") == [("on",)])
            wait_for(lambda: sink._connection.execute("SHOW transaction_read_only").fetchone() == ("on",))
            with pytest.raises(Retry, match="read-only transaction; it is a standby"):
                sink.write(some(1))
            with pytest.raises(Retry, match="session is read-only"):
                open_sink(server.url())
        finally:
            server.query("ALTER SYSTEM RESET default_transaction_read_only")
            server.query("SELECT pg_reload_conf()")
            wait_for(lambda: server.query("SHOW default_transaction_read_only") == [("off",)])
    with open_sink(server.url()) as sink:
        sink.write(some(1))
    assert stored(server) == [0]


def test_nothing_of_a_sink_is_left_behind(server):
    before = threading.active_count()
    for _ in range(3):
        sink = open_sink(server.url())
        sink.write(some(1))
        sink.close()
        sink.close()
    wait_for(lambda: threading.active_count() == before)
    wait_for(lambda: not server.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'edgeml'"))


def test_a_pipeline_outlives_crashes_of_the_server(server, linear_file):
    samples = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    open_sink(server.url()).close()

    def sensor():
        for i in range(60):
            if i in {20, 40}:
                wait_for(lambda at=i: len(stored(server)) >= at - 10)
                server.stop(signal.SIGQUIT)
                server.start()
            yield Block(samples, 50.0, device="wrist", end=True)

    report = Pipeline(Model.load(linear_file), [sensor()], [server.url() + "?timeout_s=5"]).run()
    assert report.ledger.balanced
    assert report.ledger.delivered == 60
    assert stored(server) == list(range(60))
    assert server.query("SELECT model FROM runs WHERE run_id = %s", report.run_id) != []
