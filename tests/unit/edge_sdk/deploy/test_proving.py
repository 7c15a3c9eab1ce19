"""A release is started, watched and gone back from, whatever systemd says of it."""

import contextlib
import os

import pytest

from edge_sdk.deploy import proving, systemd
from edge_sdk.deploy.slots import Slots
from edge_sdk.deploy.trial import Look
from edge_sdk.errors import ConfigError, DeviceError
from tests.unit.edge_sdk.deploy.releases import installed


class Scripted(systemd.Services):
    """Services of a systemd that says one thing after another, and remembers what it was told."""

    def __init__(self, slots, looks=(), *, refuses=0, watched=True, meanwhile=lambda: None):
        super().__init__(slots, "agent")
        self.looks, self.told = list(looks), []
        self.refuses, self.watched, self.meanwhile = refuses, watched, meanwhile

    def look(self):
        if len(self.looks) == 1:
            self.meanwhile()
            return self.looks[0]
        return self.looks.pop(0)

    def restart(self):
        self.told.append("restart")
        if self.told.count("restart") <= self.refuses:
            raise DeviceError("systemctl daemon-reload failed")

    def stop(self):
        raise AssertionError("it would end who watches, too")

    def end(self):
        self.told.append("end")

    def watch(self):
        self.told.append("watch")

    def is_watched(self):
        return self.watched

    def last_words(self, lines=5):
        return "error: no such port"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(proving.time, "sleep", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def slots(tmp_path):
    """The second release is on trial, the first one is what it goes back to; neither tells its health."""
    slots = Slots(tmp_path, "press-7", boot="first")
    for serial in (1, 2):
        slots.try_out(installed(slots, serial, health=""))
        if serial == 1:
            slots.confirm()
    return slots


def test_one_that_works_is_confirmed(slots):
    services = Scripted(slots, [Look(0, "starting"), *(Look(second, "active") for second in range(1, 80))])
    assert proving.watch(slots, services) == {"verdict": "fine"}
    assert (slots.current.verdict, slots.trial, slots.current.manifest.serial) == ("proving", None, 2)
    assert services.told == []


def test_one_that_ends_is_gone_back_from_with_its_last_words(slots):
    services = Scripted(slots, [Look(0, "active"), Look(1, "ended", result="exit status 3")])
    assert proving.watch(slots, services)["verdict"] == "refused"
    assert services.told == ["restart"]
    assert slots.current.manifest.serial == 1
    assert slots.all()[1].reason == "it ended (exit status 3): error: no such port"


def test_when_systemd_refuses_to_go_back_it_is_asked_again(slots):
    """The watcher ends with an error, and systemd starts it again after some seconds."""
    services = Scripted(slots, [Look(0, "ended")], refuses=2)
    for _ in range(2):
        with pytest.raises(DeviceError, match="daemon-reload failed"):
            proving.watch(slots, services)
        assert slots.current.manifest.serial == 1
        assert slots.owes_start
    assert proving.watch(slots, services) == {}
    assert services.told == ["restart"] * 3
    assert not slots.owes_start


def test_what_was_gone_back_to_and_not_started_yet_starts_with_the_next_boot(slots):
    with pytest.raises(DeviceError, match="daemon-reload failed"):
        proving.watch(slots, Scripted(slots, [Look(0, "ended")], refuses=9))
    later = Slots(slots.root, slots.name, boot="second")
    services = Scripted(later)
    assert not proving.recover(later, services)["went_back"]
    assert (later.current.manifest.serial, later.trial) == (1, None)


def test_whoever_follows_waits_until_what_was_gone_back_to_was_started(slots):
    name, services = slots.current.name, Scripted(slots, [Look(0, "ended")], refuses=3)
    tries = []

    def step(doing, **figures):
        tries.append(doing)
        with contextlib.suppress(DeviceError):
            proving.watch(slots, services)

    assert proving.follow(slots, name, services, step)["running"]["version"] == "1.1"
    assert len(tries) == 4


def test_a_lock_that_is_held_is_waited_for(slots, monkeypatch):
    held = slots.locked()
    held.__enter__()
    waits = []
    monkeypatch.setattr(proving.time, "sleep", lambda _: waits.append(held.__exit__(None, None, None)))
    assert proving.watch(slots, Scripted(slots, [Look(0, "ended")]))["verdict"] == "refused"
    assert len(waits) == 1


def test_the_first_one_of_all_is_stopped(tmp_path):
    slots = Slots(tmp_path, "press-7", boot="first")
    slots.try_out(installed(slots, 1, health=""))
    services = Scripted(slots, [Look(0, "ended")])
    proving.watch(slots, services)
    assert services.told == ["end"]
    assert (slots.current, slots.trial) == (None, None)


def test_what_somebody_else_switched_to_is_not_judged(slots):
    newer = installed(slots, 3, health="")
    services = Scripted(slots, [Look(0, "ended")], meanwhile=lambda: slots.try_out(newer))
    assert proving.watch(slots, services) == {}
    assert (slots.current.manifest.serial, slots.current.verdict) == (3, "new")


def test_what_is_good_is_not_watched(slots):
    slots.confirm()
    later = Slots(slots.root, slots.name, boot="second")
    later.confirm()
    assert later.current.verdict == "good"
    assert proving.watch(later, Scripted(later)) == {}


def test_when_systemd_refuses_what_ran_before_comes_back(slots):
    services = Scripted(slots, refuses=1)
    with pytest.raises(DeviceError, match="daemon-reload failed"):
        proving.start(slots, services)
    assert services.told == ["restart", "restart"]
    assert (slots.current.manifest.serial, slots.trial) == (1, None)
    assert "daemon-reload" in slots.all()[1].reason


def test_when_systemd_refuses_everything_one_is_told_what_the_next_boot_brings(slots):
    with pytest.raises(DeviceError, match="daemon-reload failed; 1.1 runs from the next boot on"):
        proving.start(slots, Scripted(slots, refuses=9))
    assert slots.current.manifest.serial == 1
    assert slots.owes_start


def test_whoever_follows_hears_how_it_ended(slots):
    name, services, told = slots.current.name, Scripted(slots), []

    def step(doing, **figures):
        told.append((doing, figures["window_s"]))
        slots.go_back("it ended")
        slots.end_trial()

    ended = proving.follow(slots, name, services, step)
    assert (ended["verdict"], ended["reason"], ended["running"]["version"]) == ("refused", "it ended", "1.1")
    assert told == [("watching", 60)]
    # Also who begins to follow when all is over.
    assert proving.follow(slots, name, services, step) == ended


def test_a_trial_that_nobody_watches_is_not_waited_for(slots):
    with pytest.raises(DeviceError, match="nobody watches it any more; .* then deploy again"):
        proving.follow(slots, slots.current.name, Scripted(slots, watched=False), lambda _, **__: None)


def test_a_trial_that_another_deployment_ended(slots):
    name, newer = slots.current.name, installed(slots, 3, health="")
    with pytest.raises(DeviceError, match=r"of 1\.2 was ended by somebody else: found 1\.3 runs"):
        proving.follow(slots, name, Scripted(slots), lambda *_, **__: slots.try_out(newer))


def test_a_release_that_is_not_there(slots):
    with pytest.raises(ConfigError, match="no release 'nonsense'"):
        proving.follow(slots, "nonsense", Scripted(slots), lambda _, **__: None)


def test_after_a_power_cut_the_old_one_runs_and_is_watched_until_it_is_good(slots):
    later = Slots(slots.root, slots.name, boot="second")
    services = Scripted(later)
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(systemd, "reload", lambda: services.told.append("reload"))
        told = proving.recover(later, services)
    assert told["went_back"]
    assert "was on trial when the device went down" in told["reason"]
    assert services.told == ["reload", "watch"]
    assert later.current.manifest.serial == 1


def test_at_boot_it_is_watched_even_if_systemd_does_not_read_its_units_again(slots, monkeypatch):
    later = Slots(slots.root, slots.name, boot="second")
    services = Scripted(later)

    def refuse():
        raise DeviceError("systemctl daemon-reload failed")

    monkeypatch.setattr(systemd, "reload", refuse)
    with pytest.raises(DeviceError, match="daemon-reload failed"):
        proving.recover(later, services)
    assert services.told == ["watch"]
