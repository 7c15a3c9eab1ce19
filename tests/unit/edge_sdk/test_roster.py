from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.roster import Roster, RosterSettings


def roster(limit=3, idle_s=10.0, forgotten=None):
    gone = [] if forgotten is None else forgotten
    return Roster(RosterSettings(limit, idle_s), lambda name: [name], lambda name, _: gone.append(name))


def test_a_device_keeps_its_state_until_it_is_idle():
    gone = []
    it = roster(forgotten=gone)
    first = it.get("a", 0.0)
    assert it.get("a", 5.0) is first
    it.sweep(14.0)
    assert it.peek("a") is first
    it.sweep(16.0)
    assert gone == ["a"]
    assert it.get("a", 17.0) is not first


def test_no_more_devices_than_there_may_be_and_room_when_one_is_idle():
    it = roster()
    for nth, name in enumerate("abc"):
        assert it.get(name, float(nth))
    assert it.get("d", 5.0) is None
    assert len(it) == 3
    assert it.get("d", 10.5) == ["d"]  # a, heard of at 0, is idle by now
    assert [name for name, _ in it] == ["b", "c", "d"]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 8)), max_size=60))
def test_exactly_those_that_were_heard_of_are_kept(steps):
    gone = []
    it, heard, now = roster(limit=5, forgotten=gone), {}, 0.0
    for name, wait_s in steps:
        now += wait_s
        it.sweep(now)
        assert set(dict(it)) == {each for each, at in heard.items() if now - at <= 10.0}
        it.get(name, now)
        heard[name] = now
