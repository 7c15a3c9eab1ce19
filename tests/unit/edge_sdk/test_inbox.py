"""What waits at a source of many senders: bounded, read in turn, and what is lost is lost by who has most."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.sources._inbox import Inbox, Letter


def samples(lost):
    return Counter({lost.sender: 1})


def letter(sender, mid=0, size=1, qos=1):
    return Letter(sender, f"plant/{sender}", bytes(size), mid, qos, False)


def inbox(letters=1000, size=1000):
    return Inbox(letters, size)


def emptied(it):
    found = []
    while len(it):
        found.append(it.take())
    return found


def test_senders_are_read_in_turn_each_in_its_order():
    it = inbox()
    for sender, mid in (("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)):
        assert it.put(letter(sender, mid), samples) == []
    assert [taken.mid for _, taken in emptied(it)] == [1, 4, 5, 2, 3]
    assert it.take() == (Counter(), None)


def test_a_flood_loses_its_own_oldest_and_hears_of_it_before_its_next():
    it = inbox(size=20)
    gone = [lost.mid for mid in range(15) for lost in it.put(letter("flood", mid, size=2), samples)]
    gone += [lost.mid for sender in "abc" for lost in it.put(letter(sender, 100, size=2), samples)]
    assert gone == [0, 1, 2, 3, 4, 5, 6, 7]
    lost, first = it.take()
    assert (lost, first.mid) == ({"flood": 8}, 8)
    assert [(sum(lost.values()), taken.sender) for lost, taken in emptied(it)][:3] == [(0, s) for s in "abc"]


def test_what_nobody_acknowledges_is_bounded_by_number_and_what_is_acknowledged_is_not():
    it = inbox(letters=2)
    assert [len(it.put(letter("a", mid), samples)) for mid in range(9)] == [0] * 9
    it = inbox(letters=2)
    assert [len(it.put(letter("a", mid, qos=0), samples)) for mid in range(4)] == [0, 0, 1, 1]


def test_a_letter_that_is_too_large_for_all_of_it_is_lost_itself():
    it = inbox(size=10)
    large = letter("a", size=11)
    assert it.put(large, samples) == [large]
    assert emptied(it) == [({"a": 1}, None)]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9), st.booleans()), max_size=60))
def test_every_letter_is_read_or_counted(steps):
    it, put, read, lost = inbox(size=25), Counter(), Counter(), Counter()
    for mid, (sender, size, reads) in enumerate(steps):
        put[sender] += 1
        it.put(letter(sender, mid, size), samples)
        if reads and len(it):
            told, taken = it.take()
            lost += told
            read[taken.sender] += 1
    for told, taken in emptied(it):
        lost += told
        read += Counter([taken.sender] if taken else [])
    assert put == read + lost
