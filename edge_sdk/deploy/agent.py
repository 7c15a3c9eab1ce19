"""What runs on a device as root: takes releases, lets them show whether they work, and goes back.

It is sent as one file before anything else, needs Python's standard library only, and answers in JSON, a line
for each step and a last one with ``result`` or ``error``.
"""

from __future__ import annotations

import argparse
import base64
import fnmatch
import json
import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from edge_sdk.deploy import confinement, facts, health, proving, signature, systemd, trial
from edge_sdk.deploy.fitness import check_platform, check_service
from edge_sdk.deploy.manifest import MOST_BYTES, Manifest
from edge_sdk.deploy.rehearsal import rehearse
from edge_sdk.deploy.slots import Slots, pipelines
from edge_sdk.deploy.store import Store, require, write_durably
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, GateError, one_line

ROOT = Path("/var/lib/edgeml")
TRUSTED = Path("/etc/edgeml/trusted_signers")
#: Where this program stays on the device.
PLACE = ROOT / "agent.pyz"
_LONGEST_LINE = 1 << 16


class Agent:
    """The commands, each with its arguments as keywords.

    Args:
        say: takes what is told about each step.
        root: folder of releases.
        trusted: file of the keys that may sign.

    Attributes:
        root: likewise.
        trusted: likewise.
    """

    def __init__(self, say: Callable[..., None], root: Path = ROOT, trusted: Path = TRUSTED) -> None:
        self.root, self.trusted, self._say = root, trusted, say
        self._command = f"/usr/bin/env python3 -I {PLACE}"

    def facts(self) -> dict[str, Any]:
        """What the device is, what runs on it, and whom it trusts: null where nobody was ever trusted."""
        keys = [key.line for key in signature.trusted_keys(self.trusted)] if self.trusted.exists() else None
        names = pipelines(self.root)
        highest = {name: Slots(self.root, name).highest for name in names}
        return {**facts.facts(self.root), "pipelines": names, "highest": highest, "trusted": keys}

    def trust(self, key: str) -> dict[str, Any]:
        """Let a key sign releases for this device, beside those that may."""
        new = signature.PublicKey.parse(key)
        keys = signature.trusted_keys(self.trusted)
        if (new.kind, new.data) not in {(known.kind, known.data) for known in keys}:
            keys = (*keys, new)
            write_durably(self.trusted, signature.allowed_signers(keys).encode())
        return {"trusted": [known.line for known in keys]}

    def distrust(self, key: str) -> dict[str, Any]:
        """Let a key sign no more releases for this device.

        Raises:
            ConfigError: it was not trusted.
        """
        old = signature.PublicKey.parse(key)
        keys = signature.trusted_keys(self.trusted)
        left = [known for known in keys if (known.kind, known.data) != (old.kind, old.data)]
        if len(left) == len(keys):
            raise ConfigError("this key was not trusted", expected="one of those that are", found=old.line)
        write_durably(self.trusted, signature.allowed_signers(left).encode())
        return {"trusted": [known.line for known in left]}

    def needed(self, name: str, manifest: str) -> dict[str, Any]:
        """Which contents of a release are not here yet."""
        slots, wanted = Slots(self.root, name), Manifest.from_bytes(base64.b64decode(manifest))
        return {"missing": [entry.digest for entry in slots.needed(wanted)]}

    def receive(self, source: BinaryIO) -> dict[str, Any]:
        """Take contents: for each a line ``DIGEST SIZE`` and its bytes; those that came stay."""
        count = 0
        with Store(self.root / "contents").batch() as batch:
            while line := source.readline(_LONGEST_LINE):
                digest, wanted = _announced(line)
                require(self.root, wanted)
                batch.add(source, digest, wanted)
                count += 1
        return {"received": count}

    def install(
        self, name: str, manifest: str, signed: str, *, allow_older: bool = False, service: str = "systemd"
    ) -> dict[str, Any]:
        """Install a release beside what runs, try it out, switch to it, and have it watched.

        Args:
            name: of the pipeline.
            manifest: base64.
            signed: its signature, base64.
            allow_older: take one that is older than what was good here.
            service: ``systemd``, or ``none``: nothing is started.
        """
        data, slots = base64.b64decode(manifest), Slots(self.root, name)
        check_service(service)
        if service != "systemd" and self._services(slots).are_set_up:
            remedy = f"deploy it without --service, or take it off first: edgeml remove ssh://HOST {name}"
            raise ConfigError(f"{name}: --service none", expected="none", found="a service", remedy=remedy)
        with slots.locked():
            self._step("verifying the signature")
            wanted = slots.admit(data, base64.b64decode(signed), self.trusted, allow_older=allow_older)
            check_platform(wanted, facts.facts(self.root))
            self._step("installing beside what runs")
            slot = slots.install(data, base64.b64decode(signed), wanted)
            self._step("trying it out")
            listen = health.settle(slots, slot) if service == "systemd" else ""
            services = self._services(slots)
            try:
                tested = rehearse(slots, slot, systemd.version() if service == "systemd" else None, listen)
                if service == "systemd":
                    confinement.check(tested["unit"], services.name)
            except GateError as error:
                slots.refuse(slot, str(error))
                raise
            if service == "systemd":
                write_durably(slot.folder / f"{services.name}.service", tested["unit"].encode())
                services.set_up()  # before the switch: what is switched to starts at the next boot, too
            self._step("switching")
            slots.try_out(slot)
            if service != "systemd":
                slots.confirm()
                slots.prune()
                return {**slot.as_dict(), **tested, "run": _by_hand(slots)}
            proving.start(slots, services)
        return {**slot.as_dict(), **tested}

    def follow(self, name: str, slot: str) -> dict[str, Any]:
        """Wait until the trial of a slot has ended, and tell how."""
        slots = Slots(self.root, name)
        return proving.follow(slots, slot, self._services(slots), self._step)

    def watch(self, name: str) -> dict[str, Any]:
        """Watch the release that has to show that it works; systemd runs this."""
        slots = Slots(self.root, name)
        return proving.watch(slots, self._services(slots))

    def recover(self, name: str) -> dict[str, Any]:
        """At boot: settle what a power cut left."""
        slots = Slots(self.root, name)
        return proving.recover(slots, self._services(slots))

    def status(self, name: str | None = None) -> dict[str, Any]:
        """What runs, what it would go back to, and what was refused."""
        apps = pipelines(self.root)
        if name is not None and name not in apps:
            raise ConfigError(f"no pipeline {name!r} here", expected=", ".join(apps) or "none is installed")
        return {"pipelines": [self._told(each) for each in apps if name in (None, each)]}

    def rollback(self, name: str) -> dict[str, Any]:
        """Go back to the release that ran before; it is watched as a new one is."""
        slots = self._there(name)
        with slots.locked():
            slot, services = slots.previous(), self._services(slots)
            slots.try_out(slot)
            if not services.are_set_up:  # nobody runs it here
                slots.confirm()
                return {**slot.as_dict(), "run": _by_hand(slots)}
            proving.start(slots, services)
        return slot.as_dict()

    def stop(self, name: str) -> dict[str, Any]:
        """Stop a pipeline until it is deployed or the device boots again."""
        services = self._services(self._there(name))
        if not services.are_set_up:
            remedy = "end the process that you started"
            raise ConfigError(f"{name}: no service", expected="one that systemd runs", remedy=remedy)
        services.stop()
        return {"stopped": name}

    def files(self, name: str, pattern: str = "*") -> dict[str, Any]:
        """What a pipeline keeps: its results, what it has not delivered, windows that it caught.

        Args:
            name: of the pipeline.
            pattern: of paths in its state folder.
        """
        self._there(name)
        folder = Path(f"/var/lib/edgeml-{name}").resolve()
        found = []
        for path in sorted(folder.rglob("*")):
            within = path.relative_to(folder).as_posix()
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and fnmatch.fnmatchcase(within, pattern):
                found.append([within, status.st_size])
        owner = folder.stat() if folder.is_dir() else None
        ids = {"user": owner.st_uid, "group": owner.st_gid} if owner is not None else {}
        return {"folder": str(folder), "files": found, **ids}

    def remove(self, name: str) -> dict[str, Any]:
        """Stop a pipeline and remove it; what it had not delivered stays in its state folder."""
        slots = self._there(name)
        with slots.locked():
            self._services(slots).remove()
            freed = slots.remove()
        return {"removed": name, "freed_bytes": freed, "state": f"/var/lib/edgeml-{name}"}

    def _services(self, slots: Slots) -> systemd.Services:
        return systemd.Services(slots, self._command)

    def _there(self, name: str) -> Slots:
        self.status(name)
        return Slots(self.root, name)

    def _told(self, name: str) -> dict[str, Any]:
        slots = Slots(self.root, name)
        current, going = slots.current, slots.trial
        told: dict[str, Any] = {
            "name": name,
            "current": current.as_dict() if current is not None else None,
            "on_trial": going is not None,
            "back_to": slots.back_to,
            "releases": [slot.as_dict() for slot in slots.all()],
        }
        services = self._services(slots)
        if systemd.version() is not None and services.are_set_up:
            look = services.look()
            told |= {"state": look.state, "restarts": look.restarts}
            if current is not None and look.state == "active" and (url := health.address(current)):
                told |= {"health": url, "problem": trial.ask(url)}
        return told

    def _step(self, doing: str, **figures: Any) -> None:
        self._say({"step": doing, **figures})


def _announced(line: bytes) -> tuple[str, int]:
    """Digest and size of the content that follows."""
    match = re.fullmatch(rb"([0-9a-f]{64}) (\d{1,12})\n", line)
    if match is None:
        raise DeviceError("the stream of contents", expected="DIGEST SIZE", found=line[:80])
    return match[1].decode(), int(match[2])


def _by_hand(slots: Slots) -> str:
    """How to run it without a service manager."""
    current, slot = slots.folder / "current", slots.current
    assert slot is not None, slots.name
    manifest, state = slot.manifest, f"/var/lib/edgeml-{slots.name}"
    variables = f"PYTHONPATH={current}/runtime EDGEML_RUNTIME={manifest.platform.engine}"
    command = f"python3 -m edge_sdk run {current}/app/{shlex.quote(manifest.config)} --state {state}"
    return f"mkdir -p {state} && {variables} {command}"


def main(arguments: list[str] | None = None) -> int:
    """``COMMAND [NAME]``; further arguments come as a JSON object on standard input.

    ``take FILE`` is for people: it installs a packed release.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["take"]:
        from edge_sdk.deploy import packed  # which is made of what is here

        return packed.main(words[1:])
    parser = argparse.ArgumentParser(prog="edgeml-agent")
    parser.add_argument("command")
    parser.add_argument("name", nargs="?")
    given = parser.parse_args(words)

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), flush=True)

    os.umask(0o022)  # the service's user has to read what is laid out here
    agent = Agent(say)
    try:
        if given.command == "receive":
            say({"result": agent.receive(sys.stdin.buffer)})
            return 0
        function = getattr(agent, given.command, None) if given.command.isalpha() else None
        if function is None:
            raise ConfigError(f"no command {given.command!r}")
        more = _given(sys.stdin.buffer) if not sys.stdin.isatty() else {}
        own = {"name": given.name} if given.name is not None else {}
        say({"result": function(**own, **more)})
        return 0
    except EdgeError as error:
        say({"error": error.as_dict(), "kind": type(error).__name__})
        return error.exit_code
    except (OSError, TypeError, ValueError, shutil.Error) as error:
        say(
            {"error": DeviceError("the agent failed", found=one_line(error)).as_dict(), "kind": "DeviceError"}
        )
        return 3


def _given(source: BinaryIO) -> dict[str, Any]:
    data = source.read(4 * MOST_BYTES)
    return dict(json.loads(data)) if data.strip() else {}
