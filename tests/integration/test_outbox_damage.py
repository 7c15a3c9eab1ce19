"""An outbox whose file is damaged, foreign or locked."""

import os
import sqlite3
import stat

import pytest

from edge_sdk.errors import Fatal
from tests.integration.outboxes import NAMES, everything, filled, opened, prediction
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def cut_to_nothing(database):
    database.write_bytes(b"")


def garbage_header(database):
    with database.open("r+b") as file:
        file.write(os.urandom(200))


def flipped_pages(database):
    content = bytearray(database.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    database.write_bytes(content)


def cut_short(database):
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 2])


def all_garbage(database):
    database.write_bytes(os.urandom(50_000))


def removed(database):
    database.unlink()


DAMAGES = [cut_to_nothing, garbage_header, flipped_pages, cut_short, all_garbage, removed]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_put_aside_and_counted(tmp_path, damage):
    filled(tmp_path, 500)
    damage(tmp_path / "o.db")
    outbox = opened(tmp_path)
    outbox.put(prediction(500), 0.0, outbox.lanes)
    for lane in outbox.lanes:
        found = everything(lane)
        assert found[-1:] == [500]
        assert lane.account.carried == 500
        assert lane.account.dropped["corrupt"] == 501 - len(found)
        assert lane.account.balanced
    outbox.close()
    assert (outbox.owed(), outbox.lost()) == (0, 0)
    if damage not in {cut_to_nothing, removed}:
        assert list(tmp_path.glob("o.db.corrupt-1"))
    with opened(tmp_path) as again:
        assert again.recovered.carried == dict.fromkeys(NAMES, 0)
        assert again.recovered.quarantined is None


@pytest.mark.parametrize("damage", [garbage_header, flipped_pages, cut_to_nothing, removed])
def test_a_file_that_breaks_while_it_is_used_is_begun_anew_from_memory(tmp_path, damage):
    lost = []
    outbox = opened(tmp_path, on_lost=lost.append, memory_rows=50)
    for sequence in range(300):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.sync()
    outbox._writer.store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path / "o.db")
    for sequence in range(300, 400):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    found = [everything(lane) for lane in outbox.lanes]
    wait_for(lambda: outbox.state().problem is None)
    for lane, delivered in zip(outbox.lanes, found, strict=True):
        assert delivered == sorted(set(delivered))
        assert delivered[-50:] == list(range(350, 400))
        assert lane.account.balanced
        assert lane.account.dropped["corrupt"] == 400 - len(delivered)
    assert sum(lost) == outbox.lost() == len(set(range(400)) - (set(found[0]) & set(found[1])))
    assert outbox.owed() == 0
    outbox.close()


def test_a_row_that_does_not_hold_is_never_delivered(tmp_path):
    filled(tmp_path, 100)
    connection = sqlite3.connect(tmp_path / "o.db")
    connection.execute("UPDATE letters SET body = zeroblob(40) WHERE id = 7")
    connection.execute("UPDATE letters SET wanted = 1 WHERE id = 9")
    connection.commit()
    connection.close()
    outbox = opened(tmp_path)
    for lane in outbox.lanes:
        assert everything(lane) == [i for i in range(100) if i not in {6, 8}]
        assert lane.account.dropped == {"corrupt": 2}
        assert lane.account.balanced
    outbox.sync()
    assert outbox.state().rows == 0
    assert outbox.state().dead == 3, "one of them could not be told from one for mqtt alone"
    outbox.close()


def test_a_lost_log_costs_what_was_in_it_and_is_counted(tmp_path):
    outbox = opened(tmp_path)
    for sequence in range(100):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.sync()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("o.db", "o.db.books"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    outbox.close()
    with opened(copy) as again:
        carried, lost = again.recovered.carried["mqtt"], again.recovered.lost_in_crash.get("mqtt", 0)
        assert carried + lost == 100
        assert len(everything(again.lanes[0])) == carried
        assert again.lanes[0].account.balanced


def test_somebody_elses_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "o.db") as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = (tmp_path / "o.db").read_bytes()
    with pytest.raises(Fatal, match="somebody else's database"):
        opened(tmp_path)
    assert (tmp_path / "o.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["o.db"]


def test_no_folder_and_no_permission_say_what_to_do(tmp_path):
    with pytest.raises(Fatal, match="mkdir -p"):
        opened(tmp_path / "nowhere")
    (tmp_path / "o.db").mkdir()
    with pytest.raises(Fatal, match="a folder"):
        opened(tmp_path)
    if os.geteuid() != 0:
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(Fatal, match="cannot be written"):
            opened(tmp_path)


def test_a_locked_database_is_waited_for(tmp_path):
    outbox = opened(tmp_path)
    other = sqlite3.connect(tmp_path / "o.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outbox.put(prediction(0), 0.0, outbox.lanes)
    wait_for(lambda: "another program holds it" in (outbox.state().problem or ""))
    other.execute("ROLLBACK")
    other.close()
    wait_for(lambda: outbox.state().problem is None)
    outbox.close()
