"""One release runs and one is to go back to, whatever is cut and whenever."""

import fcntl
import os
import shutil
import sys
import threading

import pytest

from edge_sdk.deploy import layout
from edge_sdk.deploy.manifest import digest_of
from edge_sdk.deploy.slots import Slots, pipelines
from edge_sdk.errors import ConfigError, DeviceError
from tests.unit.edge_sdk.deploy.releases import RUNTIME, content, installed, is_whole, manifest, send


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Here the order of what is done counts; a disk that takes its time would only be waited for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def slots(tmp_path):
    return Slots(tmp_path, "press-7", boot="first")


def after_reboot(slots):
    return Slots(slots.root, slots.name, boot=slots.boot + " and another")


def good(slots, serial):
    """A release that went through its trial and a reboot; the slots as of then."""
    slots.try_out(installed(slots, serial))
    slots.confirm()
    slots = after_reboot(slots)
    assert slots.recover().watch
    slots.confirm()
    assert slots.current.verdict == "good"
    return slots


def test_a_release_is_installed_beside_what_runs(slots):
    slot = installed(slots, 1)
    assert is_whole(slot)
    assert slots.current is None
    assert installed(slots, 1) == slot


def test_a_trial_that_goes_well(slots):
    slots.try_out(installed(slots, 1))
    assert slots.current.verdict == "new"
    slots.confirm()
    assert (slots.current.verdict, slots.trial, slots.highest) == ("proving", None, 1)
    slots = after_reboot(slots)
    assert slots.recover().watch
    slots.confirm()
    assert slots.current.verdict == "good"
    assert not after_reboot(slots).recover().watch


def test_a_trial_that_does_not(slots):
    slots = good(slots, 1)
    slots.try_out(installed(slots, 2))
    back = slots.go_back("the golden vectors fail")
    assert back.manifest.serial == slots.current.manifest.serial == 1
    assert slots.current.verdict == "good"
    assert slots.highest == 1
    refused = slots.all()[1]
    assert (refused.verdict, refused.reason) == ("refused", "the golden vectors fail")


def test_one_that_fails_after_the_next_reboot(slots):
    slots = good(slots, 1)
    slots.try_out(installed(slots, 2))
    slots.confirm()
    slots = after_reboot(slots)
    assert slots.recover().watch
    assert slots.go_back("unhealthy").manifest.serial == 1


def test_a_power_cut_in_a_trial_goes_back_and_says_so(slots):
    slots = good(slots, 1)
    slots.try_out(installed(slots, 2))
    slots = after_reboot(slots)
    recovery = slots.recover()
    assert recovery.went_back
    assert recovery.reason == "1.2 was on trial when the device went down"
    assert slots.current.manifest.serial == 1
    assert not after_reboot(slots).recover().went_back


def test_the_first_release_of_all_stays_rather_than_nothing(slots):
    slots.try_out(installed(slots, 1))
    slots = after_reboot(slots)
    recovery = slots.recover()
    assert (recovery.went_back, recovery.watch) == (False, True)
    assert is_whole(slots.current)
    slots.confirm()
    assert slots.current.verdict == "proving"


def test_a_first_release_that_fails_its_trial_is_off(slots):
    slots.try_out(installed(slots, 1))
    assert slots.go_back("crashes") is None
    assert slots.current is None


def test_going_back_by_hand_is_a_trial_too(slots):
    slots = good(good(slots, 1), 2)
    slots.try_out(slots.previous())
    assert slots.current.manifest.serial == 1
    slots.confirm()
    assert slots.previous().manifest.serial == 2
    assert slots.highest == 2


def test_with_one_release_there_is_nothing_to_go_back_to(slots):
    with pytest.raises(ConfigError, match="nothing to go back to"):
        good(slots, 1).previous()


def test_a_refused_release_may_be_tried_again(slots):
    slots = good(slots, 1)
    slots.try_out(installed(slots, 2))
    slots.go_back("no network")
    slots.try_out(installed(slots, 2))
    assert slots.current.verdict == "new"
    slots.confirm()
    assert slots.current.manifest.serial == 2


def test_old_releases_and_what_only_they_used_are_removed(slots):
    slots = good(good(good(slots, 1), 2), 3)
    assert slots.prune() >= len(content(1)["models/m.tflite"])
    assert [slot.manifest.serial for slot in slots.all()] == [2, 3]
    assert all(map(is_whole, slots.all()))
    release = manifest(1)
    assert {entry.path for entry in slots.needed(release)} == {"edgeml.toml", "models/m.tflite"}
    assert not list(slots.root.rglob("*.part"))


def test_releases_that_fail_do_not_fill_the_disk(slots):
    """Of those that a self-test refused, the last one's reason stays; what a crash half removed goes."""
    slots = good(good(slots, 1), 2)
    for serial in (3, 4, 5):
        slot = installed(slots, serial)
        slots.refuse(slot, f"{serial} is wrong")
    assert [slot.manifest.serial for slot in slots.all()] == [1, 2, 5]
    assert (slots.all()[-1].verdict, slots.all()[-1].reason) == ("refused", "5 is wrong")
    assert len(slots.needed(manifest(4))) == 2
    (slots.all()[-1].folder / "manifest.json").unlink()
    slots.prune()
    assert len(list((slots.folder / "slots").iterdir())) == 2
    assert all(map(is_whole, slots.all()))


def test_what_runs_is_not_refused_because_it_fails_when_it_is_installed_again(slots):
    slots = good(good(slots, 1), 2)
    for serial in (1, 2):
        slots.refuse(installed(slots, serial), "no memory for the self-test")
    assert [slot.verdict for slot in slots.all()] == ["good", "good"]


@pytest.mark.parametrize("path", ["models/m.tflite", "numpy/__init__.py"])
def test_what_a_card_has_lost_is_sent_anew(slots, path):
    """As an old card leaves files: they are there, and something else is in them."""
    release, lost = manifest(1), {**content(1), **RUNTIME}[path]
    send(slots, 1)
    file = slots.store.path(digest_of(lost))
    file.write_bytes(b"")
    assert [entry.digest for entry in slots.needed(release)] == [digest_of(lost)]
    file.write_bytes(b"?" * len(lost))
    with pytest.raises(DeviceError, match="damaged; deploy again: it is sent anew"):
        slots.install(release.to_bytes(), b"signature", release)
    assert [entry.digest for entry in slots.needed(release)] == [digest_of(lost)]
    assert is_whole(installed(slots, 1))


def test_a_listing_that_a_card_has_lost_is_sent_anew(slots):
    release = manifest(1)
    send(slots, 1)
    slots.store.path(release.runtime).write_bytes(b"[]")
    with pytest.raises(DeviceError, match="damaged; deploy again: it is sent anew"):
        slots.needed(release)
    assert [entry.digest for entry in slots.needed(release)] == [release.runtime]
    assert is_whole(installed(slots, 1))


def test_two_pipelines_share_a_runtime(slots, tmp_path):
    slots = good(slots, 1)
    other = Slots(tmp_path, "press-8", boot="first")
    other.store.add_bytes(b"x")
    release = manifest(1, name="press-8")
    other.try_out(other.install(release.to_bytes(), b"", release))
    slots.remove()
    assert is_whole(other.current)
    assert len(list((tmp_path / "trees").iterdir())) == 1
    other.remove()
    assert not list((tmp_path / "trees").iterdir())
    assert not [path for path in (tmp_path / "contents").rglob("*") if path.is_file()]


def test_two_pipelines_that_bring_the_same_runtime_at_the_same_time(slots, monkeypatch):
    """Neither lays it out into the other's hands while that compiles it, which takes a board a minute."""
    other, release = Slots(slots.root, "press-8", boot="first"), manifest(1, name="press-8")
    send(slots, 1)
    second = threading.Thread(target=lambda: other.install(release.to_bytes(), b"", release))

    def compiled(_):
        if not second.ident:
            second.start()
            second.join(0.2)

    monkeypatch.setattr(layout, "compile_tree", compiled)
    first = installed(slots, 1)
    second.join()
    assert is_whole(first)
    assert is_whole(other.all()[0])


def test_only_one_deployment_at_a_time(slots):
    with slots.locked(), pytest.raises(DeviceError, match="another deployment goes on"):  # noqa: SIM117
        with Slots(slots.root, slots.name, boot="first").locked():
            pass
    with slots.locked():
        pass


def test_one_that_is_removed_meanwhile_is_not_deployed_to_where_nobody_looks(slots, monkeypatch):
    installed(slots, 1)

    def removed(*_):
        shutil.rmtree(slots.folder)

    monkeypatch.setattr(fcntl, "flock", removed)
    with pytest.raises(DeviceError, match="it was just removed"), slots.locked():
        pass


def test_without_its_contents_nothing_is_installed(slots):
    send(slots, 1)
    release = manifest(2)
    with pytest.raises(DeviceError, match="2 contents are missing"):
        slots.install(release.to_bytes(), b"", release)


class PowerCutError(BaseException):
    """Nothing that catches errors catches this."""


class Power:
    """Goes off before the n-th thing that is done to the disk, and stays off until it is switched on."""

    EVENTS = frozenset(
        (
            "os.rename",
            "os.link",
            "os.symlink",
            "os.remove",
            "os.mkdir",
            "os.rmdir",
            "shutil.rmtree",
            "os.chmod",
        )
    )

    def __init__(self):
        self.left, self.on = 0, False
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if self.on and (event in self.EVENTS or (event == "open" and arguments[2] & os.O_ACCMODE)):
            if not self.left:
                raise PowerCutError
            self.left -= 1

    def run(self, steps, left):
        """Whether the power lasted."""
        self.left, self.on = left, True
        try:
            steps()
            return True
        except PowerCutError:
            return False
        finally:
            self.on = False


@pytest.fixture(scope="session")
def power():
    return Power()


def deploy(slots):
    slots.try_out(installed(slots, 2))
    slots.confirm()
    slots.prune()


def fail(slots):
    slots.try_out(installed(slots, 2))
    slots.go_back("unhealthy")
    slots.prune()


def recover(slots):
    slots.recover()


@pytest.mark.parametrize("story", [deploy, fail, recover])
def test_a_power_cut_at_any_instant_leaves_one_whole_release(slots, tmp_path, power, story):
    slots = good(slots, 1)
    if story is recover:
        slots.try_out(installed(slots, 2))
        slots = after_reboot(slots)
    saved = tmp_path.with_name(f"{tmp_path.name} saved")
    shutil.copytree(tmp_path, saved, symlinks=True)
    seen, cut = set(), 0
    while True:
        shutil.rmtree(tmp_path)
        shutil.copytree(saved, tmp_path, symlinks=True)
        lasted = power.run(lambda: story(Slots(tmp_path, "press-7", boot=slots.boot)), cut)
        booted = after_reboot(slots)
        booted.recover()
        current = booted.current
        assert is_whole(current), cut
        assert booted.trial is None, cut
        assert current.verdict in ("good", "proving"), cut
        assert story is deploy or current.manifest.serial == 1, cut
        # It goes on from there, and the next deployment works.
        seen.add(current.manifest.serial)
        booted.try_out(installed(booted, 3))
        booted.confirm()
        booted.prune()
        assert is_whole(booted.current), cut
        assert not list(tmp_path.rglob("*.part")), cut
        if lasted:
            break
        cut += 1
    assert cut > 5
    assert seen == ({1, 2} if story is deploy else {1})


def test_what_is_on_trial_is_not_what_the_next_one_goes_back_to(slots):
    slots = good(slots, 1)
    slots.try_out(installed(slots, 2))
    slots.try_out(installed(slots, 3))
    assert slots.previous().manifest.serial == 1
    assert slots.go_back("crashes").manifest.serial == 1


def test_the_same_release_once_more_keeps_its_way_back(slots):
    slots = good(good(slots, 1), 2)
    slots.try_out(installed(slots, 2))
    slots.confirm()
    slots.prune()
    assert slots.previous().manifest.serial == 1
    assert is_whole(slots.previous())


def test_going_back_while_a_trial_goes_on(slots):
    slots = good(good(slots, 1), 2)
    slots.try_out(installed(slots, 3))
    slots.try_out(slots.previous())
    assert slots.current.manifest.serial == 2
    slots.confirm()
    assert slots.previous().manifest.serial == 1


def test_nothing_is_swept_away_while_another_is_installed(slots):
    slots = good(good(slots, 1), 2)
    send(slots, 9)
    with slots.store.in_use():
        assert slots.prune() == 0
        assert not slots.needed(manifest(9))
    assert slots.prune() > 0
    assert slots.needed(manifest(9))


@pytest.mark.parametrize("name", ["", ".", "..", "../press-7", "/etc", "a/b", "a\0", "Press", "-x", "x" * 64])
def test_a_name_leads_nowhere_else(tmp_path, name):
    with pytest.raises(ConfigError, match="the pipeline's name: expected small letters"):
        Slots(tmp_path, name, boot="first")


def test_the_name_of_a_slot_leads_nowhere_else(slots):
    slot = installed(slots, 1)
    assert slots.slot(slot.name) == slot
    for name in ("", ".", f"../slots/{slot.name}", f"{slot.name}/.", "1-x"):
        assert slots.slot(name) is None


def test_what_is_no_pipeline_is_left_alone(slots):
    installed(slots, 1)
    for other in ("lost+found", ".hidden", "notes.txt"):
        (slots.root / "apps" / other).mkdir()
    with Slots(slots.root, "press-8", boot="first").locked():  # and nothing was taken
        pass
    assert pipelines(slots.root) == ["press-7"]
    slots.remove()
    assert pipelines(slots.root) == []
