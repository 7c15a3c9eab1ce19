"""The systemd unit that runs a pipeline, with as few rights as its sources and sinks need.

Source: systemd.service(5), systemd.exec(5), systemd.resource-control(5); quoting: systemd.syntax(7).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.errors import ConfigError
from edge_sdk.needs import Needs, needs_of

if TYPE_CHECKING:
    from edge_sdk.pipeline import Pipeline

#: The first systemd that waits longer each time before it starts a service again.
_BACKOFF_SINCE = 254
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.-]{0,200}")
#: What no list in a unit can hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_BARE = re.compile(r"[\w/.:=+@%$,-]+")


@dataclass(frozen=True)
class Settings:
    """How a service is to run.

    Attributes:
        name: of the unit, and of its folders in /var/lib and /var/cache.
        user: who runs it; None lets systemd make one up that exists only while it runs.
        systemd: the version that the unit is for.
        packages: folder of edgeml and all that it needs, where Python has them in none of its own.
        keeps_state: relative files of sinks are the service's state, and do not lie beside the edgeml.toml.
        status: where it tells its health; None leaves it to the edgeml.toml.
        runtime: what a model runs in whose target names none; None leaves it to the machine.
    """

    name: str
    user: str | None = None
    systemd: int = 252
    packages: Path | None = None
    keeps_state: bool = False
    status: str | None = None
    runtime: str | None = None

    @property
    def state(self) -> Path:
        """The service's own folder."""
        return Path("/var/lib") / self.name

    def __post_init__(self) -> None:
        for what, name in (("service", self.name), ("user", self.user)):
            if name is not None and not _NAME.fullmatch(name):
                raise ConfigError(f"{what} name {name!r}", expected="letters, digits, - _ . and :")


@dataclass(frozen=True)
class Unit:
    """A unit's file.

    Attributes:
        path: where it belongs.
        text: what stands in it.
        notes: what a person has to see to before it can run.
        variables: of the environment, that the service gets from a file of secrets.
    """

    path: str
    text: str
    notes: tuple[str, ...]
    variables: tuple[str, ...]


def unit(pipeline: Pipeline, file: Path, settings: Settings) -> Unit:
    """The unit that runs a pipeline.

    Args:
        pipeline: made from the file.
        file: its edgeml.toml.
        settings: as what, and who runs it.

    Raises:
        ConfigError: a path that no unit can hold, or a part that needs a terminal.
    """
    file, name = file.absolute(), settings.name
    place = f"/etc/systemd/system/{name}.service"
    own = ["--state", str(settings.state)] if settings.keeps_state else []
    own += ["--status", settings.status] if settings.status else []
    command = _words([*_program(settings), "run", str(file), *own])
    needs = needs_of(pipeline, file, name, settings.user)
    lines = [
        f"# {place} runs {file}",
        f"# Install: sudo systemctl daemon-reload && sudo systemctl enable --now {name}",
        f"# Look:    systemctl status {name}; journalctl -u {name} -f",
        f"# Change:  sudo systemctl edit {name}; after a change of {file.name}: sudo systemctl reload {name}",
        *(f"# NOTE: {note}" for note in needs.notes),
        "",
        "[Unit]",
        f"Description=edgeml {file.name.replace('%', '%%')}",
        "After=network.target",
        "# Whatever happens, it is tried again: nobody is there to do it by hand.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        *_process(command, needs, settings),
        "",
        *_rights(needs, settings),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return Unit(place, "\n".join(lines), tuple(needs.notes), tuple(needs.variables))


def _process(command: str, needs: Needs, settings: Settings) -> Iterator[str]:
    name = settings.name
    yield "Type=notify"
    yield "NotifyAccess=main"
    yield f"ExecStart={command}"
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield "# The first start verifies the model, for which a small board takes its time."
    yield "TimeoutStartSec=300"
    yield "# Only the loop's progress keeps it quiet. A hang leaves every thread's stack in the journal."
    yield "WatchdogSec=30"
    yield "Environment=PYTHONFAULTHANDLER=1"
    if settings.packages is not None:
        yield f"Environment={_quoted(f'PYTHONPATH={settings.packages}'.replace('%', '%%'))}"
    if settings.runtime is not None:
        yield f"Environment=EDGEML_RUNTIME={settings.runtime}"
    yield "LimitCORE=0"
    yield "Restart=always"
    if settings.systemd >= _BACKOFF_SINCE:
        yield from ("RestartSec=2", "RestartSteps=6", "RestartMaxDelaySec=120")
    else:
        yield "RestartSec=15"
    yield "# What was read is delivered first; children are ended after that."
    yield "KillMode=mixed"
    yield "TimeoutStopSec=30"
    yield f"SyslogIdentifier={name}"
    yield "# The outbox lies in the first, what is known of the model in the second."
    yield f"StateDirectory={name}"
    yield f"CacheDirectory={name}"
    yield f"Environment=XDG_CACHE_HOME=%C/{name}"
    yield f"WorkingDirectory=%S/{name}"
    if needs.variables:
        yield f"EnvironmentFile=-/etc/edgeml/{name}.env"
    yield "# A leak costs a restart and not the machine."
    yield "MemoryMax=75%"
    yield "TasksMax=1024"
    yield "LimitNOFILE=8192"


def _rights(needs: Needs, settings: Settings) -> Iterator[str]:
    yield f"User={settings.user}" if settings.user else "DynamicUser=yes"
    if needs.groups:
        yield f"SupplementaryGroups={' '.join(needs.groups)}"
    yield "UMask=0027"
    yield "NoNewPrivileges=yes"
    yield "CapabilityBoundingSet="
    yield "ProtectSystem=strict"
    yield f"ProtectHome={'read-only' if needs.home else 'yes'}"
    yield from (f"ReadWritePaths={_listed('-' + folder)}" for folder in needs.writes)
    yield "PrivateTmp=yes"
    if needs.devices:
        yield "DevicePolicy=closed"
        yield from (f"DeviceAllow={_listed(device)} rw" for device in needs.devices)
    else:
        yield "PrivateDevices=yes"
    yield f"ProtectKernelTunables={'no' if needs.sysfs else 'yes'}"
    yield from (f"Protect{part}=yes" for part in ("KernelModules", "KernelLogs", "ControlGroups", "Hostname"))
    yield "ProtectProc=invisible"
    yield f"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6{' AF_NETLINK' if needs.netlink else ''}"
    yield from (f"Restrict{part}=yes" for part in ("Namespaces", "Realtime", "SUIDSGID"))
    yield "RemoveIPC=yes"
    yield "LockPersonality=yes"
    if not needs.jit:
        yield "MemoryDenyWriteExecute=yes"
    yield "SystemCallArchitectures=native"
    yield "SystemCallFilter=@system-service"
    yield "SystemCallFilter=~@privileged @resources"
    yield "# Whether the clock is right may be asked, not set; ProtectClock= would forbid the question, too."
    yield "SystemCallFilter=adjtimex clock_adjtime clock_adjtime64"
    yield "SystemCallErrorNumber=EPERM"


def _program(settings: Settings) -> list[str]:
    script = Path(sys.executable).with_name("edgeml")
    has_script = settings.packages is None and script.exists()
    words = [str(script)] if has_script else [sys.executable, "-m", "edge_sdk"]
    # systemd refuses a program whose own path holds any of these, however it is quoted.
    return ["/usr/bin/env", *words] if set(words[0]) & set("\"'\\") else words


def _words(words: list[str]) -> str:
    """A command line, in which neither % nor $ means anything."""
    return " ".join(_quoted(word.replace("%", "%%").replace("$", "$$")) for word in words)


def _listed(text: str) -> str:
    """An item of a list."""
    return _quoted(text.replace("%", "%%"))


def _quoted(text: str) -> str:
    if _CONTROL.search(text):
        raise ConfigError(f"path {text!r}", expected="printable characters, as a unit can hold no others")
    if _BARE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
