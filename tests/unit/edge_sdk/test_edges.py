import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.edges import Edge, EdgeSettings, Junction


def edge(policy="block", capacity=3, **more):
    return Edge(EdgeSettings(policy, capacity, **more))


def drained(it):
    taken = it.take(100, timeout_s=0.0)
    it.release(len(taken))
    return taken


@pytest.mark.parametrize(
    ("policy", "kept", "dropped"),
    [("drop_oldest", [2, 3, 4], 2), ("drop_newest", [0, 1, 2], 2), ("latest", [4], 4)],
)
def test_a_policy_says_what_is_kept_when_the_reader_is_slow(policy, kept, dropped):
    it = edge(policy)
    assert all(it.put(i) for i in range(5))
    assert it.dropped == {"overflow": dropped}
    assert drained(it) == kept


def test_block_lets_the_writer_wait_and_loses_nothing():
    it = edge("block", capacity=2)
    got = []

    def read():
        while taken := it.take():
            time.sleep(0.001)
            got.extend(taken)
            it.release()

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(50):
        it.put(i)
    it.close()
    reader.join(5)
    assert got == list(range(50))
    assert not it.dropped


def test_block_waits_no_longer_than_its_patience_and_then_only_once():
    it = edge("block", capacity=1, patience_s=0.1)
    it.put(0)
    started = time.monotonic()
    for i in range(1, 100):
        it.put(i)
    assert 0.1 <= time.monotonic() - started < 5
    assert it.dropped == {"stalled": 99}
    assert drained(it) == [99]


def test_what_is_too_old_is_dropped_and_not_read():
    it = edge("block", max_age_s=0.05)
    it.put("old")
    time.sleep(0.06)
    it.put("new")
    assert drained(it) == ["new"]
    assert it.dropped == {"max_age": 1}


def test_a_closed_edge_refuses_and_gives_out_what_it_has():
    it = edge()
    it.put(1)
    it.close()
    it.close()
    assert not it.put(2)
    assert drained(it) == [1]
    assert it.take() == []


def test_closing_wakes_a_writer_that_waits():
    it = edge("block", capacity=1)
    it.put(0)
    answers = []
    writer = threading.Thread(target=lambda: answers.append(it.put(1)))
    writer.start()
    time.sleep(0.05)
    it.close()
    writer.join(5)
    assert answers == [False]


def test_closing_wakes_a_reader_that_waits():
    it = edge()
    answers = []
    reader = threading.Thread(target=lambda: answers.append(it.take()))
    reader.start()
    time.sleep(0.05)
    it.close()
    reader.join(5)
    assert answers == [[]]


def test_take_times_out_and_can_be_called_again():
    it = edge()
    assert it.take(timeout_s=0.01) == []
    it.put(1)
    assert it.take(timeout_s=1.0) == [1]


def test_a_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, found 0"):
        EdgeSettings(capacity=0)


steps = st.lists(st.sampled_from(["put", "take", "release"]), max_size=60)


@given(steps, st.sampled_from(["drop_oldest", "drop_newest", "latest"]), st.integers(1, 4))
def test_every_item_is_in_the_books(actions, policy, capacity):
    it = edge(policy, capacity)
    put, released, held = 0, 0, 0
    for action in actions:
        if action == "put":
            it.put(put)
            put += 1
        elif action == "take":
            held += len(it.poll(2))
        elif held:
            it.release()
            held -= 1
            released += 1
        assert it.offered == put
        assert put == released + len(it.owed()) + sum(it.dropped.values())
        assert len(it) <= capacity


def test_many_threads_lose_nothing():
    junction = Junction()
    edges = [junction.edge(EdgeSettings("block", 5)) for _ in range(3)]

    def write(number):
        for i in range(300):
            edges[number].put((number, i))
        edges[number].close()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for writer in writers:
        writer.start()
    got = []
    while (items := junction.take(7)) is not None:
        got += items
    for writer in writers:
        writer.join(5)
    for number in range(3):
        assert [i for n, i in got if n == number] == list(range(300))


def test_a_junction_reads_its_edges_in_turn():
    junction = Junction()
    fast, slow = (junction.edge(EdgeSettings("block", 100)) for _ in range(2))
    for i in range(10):
        fast.put(("fast", i))
    slow.put(("slow", 0))
    assert ("slow", 0) in junction.take(2)
    junction.discard("stopped")
    junction.close()
    assert junction.take() is None
    assert fast.dropped["stopped"] == 9


def test_a_junction_hands_out_so_much_at_a_time_by_weight():
    junction = Junction()
    edge = junction.edge(EdgeSettings("block", 100))
    for weight in (1, 1, 50, 1, 1, 1, 1):
        edge.put(weight)
    taken = [junction.take(4, weight=lambda item: item) for _ in range(2)]
    assert taken == [[1, 1, 50], [1, 1, 1, 1]]


def test_a_junction_gives_up_waiting_and_goes_on_later():
    junction = Junction()
    edge = junction.edge(EdgeSettings())
    assert junction.take(5, timeout_s=0.01) == []
    edge.put(1)
    assert junction.take(5, timeout_s=1.0) == [1]


def by_device(capacity, policy="drop_oldest"):
    return Edge(EdgeSettings(policy, capacity), key=lambda item: item[0])


def test_a_noisy_device_takes_nothing_from_the_others():
    it = by_device(10)
    for i in range(3):
        it.put(("quiet", i))
    for i in range(1000):
        it.put(("noisy", i))
    taken = drained(it)
    assert [i for device, i in taken if device == "quiet"] == [0, 1, 2]
    assert [i for device, i in taken if device == "noisy"] == list(range(993, 1000))
    assert [device for device, _ in taken[:6]] == ["quiet", "noisy"] * 3
    assert it.dropped == {"overflow": 993}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=120), st.integers(1, 6))
def test_fair_queues_keep_each_devices_order_and_every_item_in_the_books(actions, capacity):
    dropped = []
    it = Edge(EdgeSettings("drop_oldest", capacity), lambda item, _: dropped.append(item), key=lambda i: i[0])
    put, taken = [], []
    for device, takes in actions:
        if takes:
            taken += it.poll()
            it.release()
        else:
            put.append((device, len(put)))
            before = {d: sum(x[0] == d for x in it.owed()) for d in "abcd"}
            it.put(put[-1])
            if dropped and sum(before.values()) == capacity:
                assert before[dropped[-1][0]] == max(before.values())
        assert len(it) <= capacity
    taken += drained(it)
    assert sorted(taken + dropped, key=lambda item: item[1]) == put
    for device in "abcd":
        assert [i for d, i in taken if d == device] == sorted(i for d, i in taken if d == device)
