"""The services of a pipeline on a device: the one that runs it, and the two that see to its releases.

``edgeml-NAME.service`` is a link into the current release, so that the link that switches releases switches
the unit, too. ``edgeml-NAME-recover`` settles at boot, before it starts, what a power cut left;
``edgeml-NAME-trial`` watches a release that has to show that it works. These two are the agent's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

from edge_sdk.deploy.slots import Slots
from edge_sdk.deploy.store import sync_folder, write_durably
from edge_sdk.deploy.trial import Look, State
from edge_sdk.errors import DeviceError

UNITS = Path("/etc/systemd/system")
_TIMEOUT_S = 120
#: So often what watches a release may be started again before nobody is believed to watch.
_MOST_ENDS = 5
_STATES: dict[str, State] = {
    "active": "active",
    "activating": "starting",
    "reloading": "active",
    "deactivating": "starting",
}

_RECOVER = """\
# Written by edgeml: settles what a power cut left of a deployment of {name}, before it starts.
[Unit]
Description=edgeml: which release of {name} runs
Before=edgeml-{name}.service
After=local-fs.target
RequiresMountsFor={root}

[Service]
Type=oneshot
ExecStart={agent} recover {name}

[Install]
WantedBy=multi-user.target
"""
_TRIAL = """\
# Written by edgeml: watches a release of {name} that has to show that it works, and goes back if it does not.
[Unit]
Description=edgeml: whether {name} works
After=edgeml-{name}.service

[Service]
Type=exec
ExecStart={agent} watch {name}
Restart=on-failure
RestartSec=5
"""


class Services:
    """The units of one pipeline.

    Args:
        slots: of the pipeline.
        agent: command that runs this program, for units.
    """

    def __init__(self, slots: Slots, agent: str) -> None:
        self._slots, self._agent = slots, agent
        self.name = f"edgeml-{slots.name}"

    def set_up(self) -> None:
        """Write the units and enable them; those that are there and the same are left alone.

        Raises:
            DeviceError: systemd refuses, or they cannot be written.
        """
        for kind, text in (("recover", _RECOVER), ("trial", _TRIAL)):
            file = UNITS / f"{self.name}-{kind}.service"
            wanted = text.format(name=self._slots.name, agent=self._agent, root=self._slots.root).encode()
            if not file.exists() or file.read_bytes() != wanted:
                write_durably(file, wanted)
        link, target = UNITS / f"{self.name}.service", self._slots.folder / "current" / f"{self.name}.service"
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        for unit in (f"{self.name}-recover.service", f"{self.name}.service"):
            wants = UNITS / "multi-user.target.wants" / unit
            if not wants.is_symlink():
                wants.parent.mkdir(parents=True, exist_ok=True)
                wants.symlink_to(UNITS / unit)
                sync_folder(wants.parent)
        sync_folder(UNITS)

    @property
    def are_set_up(self) -> bool:
        """Whether systemd runs the pipeline here."""
        return (UNITS / f"{self.name}.service").is_symlink()

    def restart(self) -> None:
        """Run the current release from now on; does not wait until it is ready."""
        reload()
        _systemctl("reset-failed", f"{self.name}.service", may_fail=True)
        _systemctl("restart", "--no-block", f"{self.name}.service")

    def stop(self) -> None:
        """Stop it, with what watches it; waits until it has ended."""
        _systemctl("stop", f"{self.name}-trial.service", may_fail=True)
        self.end()

    def end(self) -> None:
        """Stop it, and not what watches it, which may be who says so; waits until it has ended."""
        _systemctl("stop", f"{self.name}.service", may_fail=True)

    def watch(self) -> None:
        """Have the release watched, whoever goes away."""
        _systemctl("reset-failed", f"{self.name}-trial.service", may_fail=True)
        _systemctl("restart", "--no-block", f"{self.name}-trial.service")

    def is_watched(self) -> bool:
        """Whether somebody watches the release, or is about to; one who ends again and again does not."""
        said = _systemctl("show", f"{self.name}-trial.service", "--property=ActiveState,Job,NRestarts")
        facts = dict(line.partition("=")[::2] for line in said.splitlines())
        if int(facts.get("NRestarts") or 0) > _MOST_ENDS:
            return False
        return facts.get("ActiveState") in ("active", "activating") or facts.get("Job", "0") not in ("", "0")

    def remove(self) -> None:
        """Stop everything and remove the units, and what can be found out again."""
        self.stop()
        _systemctl("clean", "--what=cache", f"{self.name}.service", may_fail=True)
        for kind in ("", "-recover", "-trial"):
            for folder in (UNITS / "multi-user.target.wants", UNITS):
                (folder / f"{self.name}{kind}.service").unlink(missing_ok=True)
        reload()

    def look(self) -> Look:
        """What the service does now; its health is not asked."""
        names = "ActiveState,SubState,NRestarts,Result,ExecMainStatus,Job"
        said = _systemctl("show", f"{self.name}.service", f"--property={names}")
        facts = dict(line.partition("=")[::2] for line in said.splitlines())
        result = facts.get("Result", "")
        if result == "exit-code":
            result = f"exit status {facts.get('ExecMainStatus')}"
        state = _STATES.get(facts.get("ActiveState", ""), "ended")
        if facts.get("SubState") == "auto-restart":
            state = "ended"
        elif facts.get("Job", "0") not in ("", "0"):  # it is about to stop the old one, or to start
            state = "starting"
        return Look(time.monotonic(), state, int(facts.get("NRestarts") or 0), result)

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for the reason of a failure."""
        own = f"_SYSTEMD_UNIT={self.name}.service"  # -u would add what systemd says of it
        command = ["journalctl", own, "-o", "cat", "-n", str(lines), "--no-pager"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.SubprocessError):
            return ""
        said = done.stdout.decode(errors="replace").strip().splitlines()
        return " / ".join(map(_message, said))[-500:]


def reload() -> None:
    """Have systemd read the units again."""
    _systemctl("daemon-reload")


def version() -> int | None:
    """Of systemd, where it runs this machine."""
    if not Path("/run/systemd/system").is_dir():
        return None
    found = re.match(r"systemd (\d+)", _systemctl("--version"))
    return int(found[1]) if found else None


def _message(line: str) -> str:
    """Of a line of a log that may be JSON."""
    try:
        facts = json.loads(line)
        return f"{facts['level']}: {facts['message']}"
    except (ValueError, KeyError, TypeError):
        return line.strip()


def _systemctl(*arguments: str, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(
            ["systemctl", *arguments], capture_output=True, timeout=_TIMEOUT_S, check=False, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError("systemd does not answer", found=error) from error
    if done.returncode and not may_fail:
        raise DeviceError(f"systemctl {' '.join(arguments)} failed", found=done.stderr.strip()[:300])
    return done.stdout
