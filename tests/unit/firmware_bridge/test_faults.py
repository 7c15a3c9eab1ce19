"""A port with faults: each kind happens as often as it should, and nothing else does."""

import time

import pytest

from firmware_bridge.faults import Faults, FaultyPort


class Wire:
    """A port whose ends are here."""

    def __init__(self):
        self.written, self.waiting, self.closed = b"", b"", 0

    def read(self, timeout_s):
        data, self.waiting = self.waiting, b""
        return data

    def write(self, data):
        self.written += data

    def close(self):
        self.closed += 1


DATA = bytes(range(1, 101)) * 20


def through(faults, reset=None):
    """What comes of a hundred pieces each way, and the port."""
    wire = Wire()
    with FaultyPort(wire, faults, reset) as port:
        came = b""
        for at in range(0, len(DATA), 20):
            port.write(DATA[at : at + 20])
            wire.waiting = DATA[at : at + 20]
            came += port.read(0)
        until_s = time.monotonic() + 5
        while (len(wire.written), len(came)) < (len(DATA), len(DATA)) and time.monotonic() < until_s:
            came += port.read(0.01)
            if not faults.delay_s:
                break
    assert wire.closed == 1
    return wire.written, came, port.injected


def test_without_faults_nothing_changes():
    went, came, injected = through(Faults())
    assert went == came == DATA
    assert not injected.total()


def test_with_delays_nothing_changes_but_the_time():
    went, came, _ = through(Faults(delay_s=0.001))
    assert went == came == DATA


@pytest.mark.parametrize("name", ["drop", "corrupt", "double"])
def test_bytes_are_damaged_both_ways(name):
    went, came, injected = through(Faults(**{name: 0.02}, seed=1))
    assert set(injected) - {name} <= {"truncate", "repeat", "reset"}
    assert 40 <= injected[name] <= 130  # of 4000 bytes
    change = {"drop": -1, "corrupt": 0, "double": 1}[name] * injected[name]
    assert len(went) + len(came) == 2 * len(DATA) + change
    assert went != DATA
    assert came != DATA


@pytest.mark.parametrize("name", ["truncate", "repeat"])
def test_frames_are_damaged_on_their_way_to_the_board(name):
    went, came, injected = through(Faults(**{name: 0.2}, seed=1))
    assert came == DATA
    assert 5 <= injected[name] <= 40
    assert (len(went) < len(DATA)) == (name == "truncate")
    assert (len(went) == len(DATA) + 20 * injected[name]) == (name == "repeat")


def test_a_board_is_reset_within_a_frame():
    resets = []
    went, _, injected = through(Faults(reset=0.1, seed=1), lambda: resets.append(None))
    assert went == DATA
    assert len(resets) == injected["reset"] > 0


def test_the_same_seed_makes_the_same_faults():
    faults = Faults(drop=0.01, corrupt=0.01, double=0.01, truncate=0.1, repeat=0.1, seed=3)
    assert through(faults) == through(faults)
    assert through(faults) != through(
        Faults(**{**{name: getattr(faults, name) for name in Faults.__slots__}, "seed": 4})
    )
