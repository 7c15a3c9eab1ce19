"""Releases side by side on a device: one is current, one is what a failure goes back to.

    ROOT/contents/            contents by digest, see `edge_sdk.deploy.store`
    ROOT/trees/DIGEST/        runtime trees; several slots may share one, see `edge_sdk.deploy.layout`
    ROOT/apps/NAME/
        slots/SERIAL-DIGEST/  manifest.json, manifest.json.sig, app/, runtime -> a tree, verdict.json
        current -> slots/…    what the service runs: this link alone decides
        trial.json            there while a release is on trial, and says what to go back to
        highest               the highest serial that was ever found good

Every step is one rename or one unlink that is on the disk before the next, in this order, so that a power cut
leaves either release whole and `recover` knows which one is to run:

    install   the slot is complete under its name, or is not there
    try_out   verdict.json goes, then trial.json, then current: cut before that, the trial never began
    confirm   verdict.json, then trial.json goes: cut between them, it was confirmed
    go_back   verdict.json (refused), then current: cut between them, it is done again
    end_trial trial.json goes, once what is current runs: until then the service still has to be told

The first release of all has nothing to go back to: it is then left running rather than nothing at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_sdk.deploy import signature
from edge_sdk.deploy.layout import MANIFEST, Layout
from edge_sdk.deploy.manifest import (
    MOST_BYTES,
    NAME,
    NAME_WORDS,
    Entry,
    Manifest,
    digest_of,
)
from edge_sdk.deploy.records import Recovery, Slot, Trial, Verdict
from edge_sdk.deploy.store import require, sync_folder, write_durably
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, GateError, Retry

_VERDICT = "verdict.json"
_SLOT = re.compile(r"[0-9]+-[0-9a-f]{12}")


def pipelines(root: Path) -> list[str]:
    """Names of the pipelines on this device; whatever else lies there is none, nor what never came whole.

    Args:
        root: folder of them all.
    """
    names = (folder.parent.name for folder in (root / "apps").glob("*/slots"))
    return sorted(name for name in names if NAME.fullmatch(name))


class Slots:
    """The releases of one pipeline on this device.

    Args:
        root: folder of all pipelines, ``/var/lib/edgeml``.
        name: of the pipeline.
        boot: id of this boot; default: the kernel's.

    Raises:
        ConfigError: the name is none that a pipeline can have.
    """

    def __init__(self, root: Path, name: str, boot: str | None = None) -> None:
        if not NAME.fullmatch(name):
            raise ConfigError("the pipeline's name", expected=NAME_WORDS, found=repr(name)[:100])
        self.root, self.name = root, name
        self._layout = Layout(root)
        self.store = self._layout.store
        self.folder = root / "apps" / name
        self.boot = _boot_id() if boot is None else boot
        self._slots, self._current = self.folder / "slots", self.folder / "current"
        self._trial, self._highest = self.folder / "trial.json", self.folder / "highest"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other deployment of this pipeline out.

        Raises:
            DeviceError: another one goes on, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DeviceError(f"{self.folder}: cannot be written", found=error.strerror or error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(lock).st_nlink:
                raise DeviceError(f"{self.name}: it was just removed", remedy="deploy again")
            yield
        except BlockingIOError as error:
            raise DeviceError(
                f"{self.name}: another deployment goes on here", remedy="wait until it has ended"
            ) from error
        finally:
            os.close(lock)

    @property
    def current(self) -> Slot | None:
        """What the service runs."""
        try:
            name = os.path.basename(os.readlink(self._current))  # noqa: PTH115, PTH119 - a name, not a place
        except FileNotFoundError:
            return None
        return self.slot(name)

    @property
    def trial(self) -> Trial | None:
        """The trial that goes on, or was cut."""
        facts = _facts(self._trial)
        return Trial(*(str(facts.get(key, "")) for key in ("slot", "back_to", "boot"))) if facts else None

    @property
    def highest(self) -> int:
        """The highest serial that was ever found good; 0 without any."""
        try:
            return int(self._highest.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def all(self) -> list[Slot]:
        """Every slot, the newest last."""
        names = [path.name for path in self._slots.glob("*-*")] if self._slots.is_dir() else []
        found = [slot for slot in map(self.slot, names) if slot is not None]
        return sorted(found, key=lambda slot: (slot.manifest.serial, slot.name))

    def slot(self, name: str) -> Slot | None:
        """The one of that name; None where there is none, or nothing that could be read."""
        if not _SLOT.fullmatch(name):
            return None
        folder = self._slots / name
        try:
            manifest = Manifest.from_bytes((folder / MANIFEST).read_bytes())
        except (OSError, EdgeError):
            return None
        facts = _facts(folder / _VERDICT)
        verdict = facts.get("verdict")
        known: tuple[Verdict, ...] = ("proving", "good", "refused")
        return Slot(
            folder,
            manifest,
            next((each for each in known if each == verdict), "new"),
            *(str(facts.get(key, "")) for key in ("reason", "boot", "back_to")),
        )

    def admit(self, data: bytes, signed: bytes, trusted: Path, *, allow_older: bool = False) -> Manifest:
        """Whether a release may be installed here: who signed it, and whether it is an old one come again.

        Args:
            data: the manifest.
            signed: its signature.
            trusted: the keys that may sign.
            allow_older: take one with a lower serial than what was good here.

        Raises:
            GateError: not signed by a trusted key, of another pipeline, or older.
            ModelError: the manifest is malformed.
        """
        if len(data) > MOST_BYTES:
            raise GateError(
                "release manifest", expected=f"at most {MOST_BYTES:,} bytes", found=f"{len(data):,}"
            )
        signature.verify(data, signed, trusted)
        manifest = Manifest.from_bytes(data)
        if manifest.name != self.name:
            raise GateError("this release is of another pipeline", expected=self.name, found=manifest.name)
        if manifest.serial < self.highest and not allow_older:
            raise GateError(
                f"{self.name} {manifest.version} is older than what ran here",
                expected=f"a serial from {self.highest}",
                found=manifest.serial,
                remedy="--allow-older takes it all the same; to go back to what ran before: edgeml rollback",
            )
        return manifest

    def needed(self, manifest: Manifest) -> list[Entry]:
        """Contents that are not here; those of the runtime are known once its listing is here."""
        return self._layout.needed(manifest)

    def install(self, data: bytes, signed: bytes, manifest: Manifest) -> Slot:
        """Lay a release out in a slot of its own, beside what runs.

        Args:
            data: the manifest, admitted before.
            signed: its signature.
            manifest: what it says.

        Raises:
            DeviceError: the disk is full; what was there is untouched.
            Retry: contents are missing: something was tidied up meanwhile, or a card has lost them.
        """
        name = f"{manifest.serial}-{digest_of(data)[:12]}"
        with self.store.in_use():
            missing = self.needed(manifest)
            if missing:
                raise Retry(f"{self.name}: {len(missing)} contents are missing", remedy="deploy again")
            there = self.slot(name)
            if there is not None and there.verdict != "refused":
                return there
            require(self.root, sum(entry.size for entry in manifest.files))
            self._layout.lay_tree(manifest.runtime)
            self._layout.lay_slot(self._slots / name, data, signed, manifest)
        slot = self.slot(name)
        assert slot is not None, name
        return slot

    def try_out(self, slot: Slot) -> Trial:
        """Make a slot the current one, on trial."""
        trial = Trial(slot.name, self._fallback(slot), self.boot)
        (slot.folder / _VERDICT).unlink(missing_ok=True)  # of another time
        sync_folder(slot.folder)
        _write(self._trial, {"slot": trial.slot, "back_to": trial.back_to, "boot": trial.boot})
        self._switch(slot.name)
        return trial

    def confirm(self) -> None:
        """The trial went well; after the next reboot the release has to show it once more."""
        trial, slot = self.trial, self.current
        if slot is None:
            return
        back_to = trial.back_to if trial is not None else slot.back_to
        again = slot.verdict == "good" or (slot.verdict == "proving" and slot.boot != self.boot)
        self._judge(slot.name, "good" if again else "proving", back_to=back_to)
        if slot.manifest.serial > self.highest:
            write_durably(self._highest, f"{slot.manifest.serial}\n".encode())
        self.end_trial()

    def go_back(self, reason: str) -> Slot | None:
        """The current release does not work: what it took over from becomes the current one.

        The trial goes on until that one was started, which is then said with `end_trial`.

        Args:
            reason: for people.

        Returns:
            What shall run now; None where a first release failed in its trial: the pipeline is then off.
        """
        slot, trial = self.current, self.trial
        if slot is not None:
            back_to = trial.back_to if trial is not None else slot.back_to
            self._judge(slot.name, "refused", reason=reason, back_to=back_to)
            if self.slot(back_to) is not None:
                self._switch(back_to)
            else:
                self._current.unlink()
                sync_folder(self.folder)
        return self.current

    @property
    def owes_start(self) -> bool:
        """Whether the current release, or none, has taken over from one on trial and was not started yet."""
        trial, current = self.trial, self.current
        return trial is not None and (current is None or current.name != trial.slot)

    def end_trial(self) -> None:
        """What is current runs, and nothing is on trial any more."""
        self._trial.unlink(missing_ok=True)
        sync_folder(self.folder)

    @property
    def back_to(self) -> str:
        """Name of the slot that the current release took over from; empty where there was none."""
        current, trial = self.current, self.trial
        if trial is not None and current is not None and trial.slot == current.name:
            return trial.back_to
        return current.back_to if current is not None else ""

    def previous(self) -> Slot:
        """What `edgeml rollback` goes back to.

        Raises:
            ConfigError: there is nothing.
        """
        found = self.slot(self.back_to)
        if found is None or found.verdict == "refused":
            raise ConfigError(f"{self.name}: nothing to go back to", found="no other release that was good")
        return found

    def recover(self) -> Recovery:
        """At boot, before the service starts: settle what a power cut or a crash left.

        Returns:
            What was done, and whether the current release has to be watched.
        """
        for part in self._slots.glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True)
        trial, current = self.trial, self.current
        if current is None or self.owes_start:
            self.end_trial()  # it never began, or had ended
            trial = None
        if current is None:
            return Recovery()
        if trial is not None and current.verdict in ("proving", "good"):
            self.end_trial()
            trial = None
        down = trial is not None and trial.boot != self.boot
        back_to = trial.back_to if trial is not None else current.back_to
        if (down or current.verdict == "refused") and self.slot(back_to) is not None:
            reason = current.reason or f"{current.manifest.version} was on trial when the device went down"
            back = self.go_back(reason)
            self.end_trial()  # the service has not begun yet
            return Recovery(True, back is not None and back.verdict != "good", reason)
        return Recovery(watch=current.verdict != "good")

    def prune(self, *also: str) -> int:
        """Remove every release but the current one and what it would go back to; returns the bytes.

        Args:
            also: names of further slots that stay.
        """
        kept = {*self._in_use(), *also}
        for folder in self._slots.glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder)
        return self._sweep()

    def refuse(self, slot: Slot, reason: str) -> None:
        """Of a release that was not switched to: it stays until the next one comes, and tells why.

        Those that failed before it go, or a pipeline that fails each time would fill the disk.
        """
        if slot.name not in self._in_use():
            self._judge(slot.name, "refused", reason=reason)
        self.prune(slot.name)

    def _in_use(self) -> set[str]:
        current, trial = self.current, self.trial
        used = {current.name, current.back_to} if current is not None else set()
        return used | ({trial.slot, trial.back_to} if trial is not None else set())

    def remove(self) -> int:
        """Remove the pipeline and what only it used; returns the bytes."""
        shutil.rmtree(self.folder, ignore_errors=True)
        return self._sweep()

    def _sweep(self) -> int:
        """Trees and contents that no slot of any pipeline uses."""
        others = (Slots(self.root, name, self.boot) for name in pipelines(self.root))
        return self._layout.sweep(slot.manifest for app in others for slot in app.all())

    def _fallback(self, slot: Slot) -> str:
        """Name of what to go back to when a slot fails; one that is itself on trial is not that."""
        current, trial = self.current, self.trial
        if current is None:
            return ""
        going = trial if trial is not None and trial.slot == current.name else None
        if current.name == slot.name:
            return going.back_to if going is not None else current.back_to
        if going is None or not going.back_to:
            return current.name
        return going.back_to if going.back_to != slot.name else slot.back_to

    def _switch(self, name: str) -> None:
        part = self._current.with_name(".current.part")
        part.unlink(missing_ok=True)
        part.symlink_to(Path("slots") / name)
        part.replace(self._current)
        sync_folder(self.folder)

    def _judge(self, name: str, verdict: Verdict, *, reason: str = "", back_to: str = "") -> None:
        folder = self._slots / name
        if folder.is_dir():
            facts = {"verdict": verdict, "reason": reason, "boot": self.boot, "back_to": back_to}
            _write(folder / _VERDICT, facts)


def _write(file: Path, facts: dict[str, str]) -> None:
    write_durably(file, (json.dumps(facts) + "\n").encode())


def _facts(file: Path) -> dict[str, Any]:
    """What is in one of our own small files; empty where there is none."""
    try:
        facts = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
