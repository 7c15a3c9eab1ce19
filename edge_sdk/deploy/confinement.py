"""What a release may say of the service that runs it: systemd starts that as root, so nobody is believed.

The unit comes out of the self-test, in which code of the release ran and a model from anywhere was loaded.
Whatever took over there may say what it likes; a unit that gives more than `edge_sdk.unit` gives is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge_sdk.errors import GateError

#: Of the devices that sources read; a service that is in none of them reads what everybody may.
_GROUPS = ("dialout", "gpio", "i2c", "spi", "video", "iio", "audio", "render", "input", "plugdev")
_GROUP = "|".join(_GROUPS)
#: By section and key, what a value has to be. ``NAME`` is the service's.
_ALLOWED: Mapping[str, Mapping[str, str]] = {
    "Unit": {"Description": ".*", "After": r"network(-online)?\.target", "StartLimitIntervalSec": "0"},
    "Service": {
        "Type": "notify",
        "NotifyAccess": "main",
        "ExecStart": r'"?/((?!\s;\s).)+',  # a sign before a path would give it rights
        "ExecReload": r"/bin/kill -HUP \$MAINPID",
        "KillMode": "mixed",
        "Restart": "always",
        r"(Restart|Timeout|Watchdog)\w+": r"\w+",
        r"(Limit|Tasks|Memory)\w+": r"[\w%]+",
        "MemoryDenyWriteExecute": "yes",
        "Environment": ".*",
        "EnvironmentFile": r"-/etc/edgeml/NAME\.env",
        "SyslogIdentifier|StateDirectory|CacheDirectory": "NAME",
        "WorkingDirectory": "%S/NAME",
        "DynamicUser": "yes",
        "SupplementaryGroups": f"(({_GROUP})( |$))+",
        "UMask": "0027",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "ProtectHome": "yes|read-only",
        "ProtectKernelTunables": "yes|no",  # of an IIO source
        r"Protect(KernelModules|KernelLogs|ControlGroups|Hostname)": "yes",
        "ProtectProc": "invisible",
        r"Private(Tmp|Devices)|RemoveIPC|LockPersonality": "yes",
        r"Restrict(Namespaces|Realtime|SUIDSGID)": "yes",
        "ReadWritePaths|DevicePolicy|DeviceAllow": ".+",  # where its user may write, and its groups read
        "RestrictAddressFamilies|SystemCallArchitectures|SystemCallFilter|SystemCallErrorNumber": ".+",
    },
    "Install": {"WantedBy": r"multi-user\.target"},
}
#: What makes it the service of nobody.
_NEEDED = frozenset(
    {
        "Type",
        "ExecStart",
        "DynamicUser",
        "NoNewPrivileges",
        "CapabilityBoundingSet",
        "ProtectSystem",
        "ProtectHome",
        "PrivateTmp",
        "RestrictSUIDSGID",
        "RestrictNamespaces",
    }
)


def check(unit: str, name: str) -> None:
    """Make sure that a unit gives its service no more than a pipeline's gets.

    Args:
        unit: its text.
        name: of the service, ``edgeml-NAME``.

    Raises:
        GateError: it says something else, or not all that it has to.
    """
    section, seen = "", set()
    for line in unit.split("\n"):
        if not line or line.startswith("#"):
            continue
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
            continue
        key, mark, value = line.partition("=")
        if not mark or not _is_allowed(section, key, value, name):
            raise _refused(f"{line!r} in [{section}]")
        seen.add(key)
    if lacking := sorted(_NEEDED - seen):
        raise _refused(f"none of {', '.join(lacking)}")


def _is_allowed(section: str, key: str, value: str, name: str) -> bool:
    if not value.isprintable() or value.endswith("\\"):  # which would go on in the next line
        return False
    rules = _ALLOWED.get(section, {}).items()
    patterns = [pattern for keys, pattern in rules if re.fullmatch(keys, key)]
    return any(re.fullmatch(pattern.replace("NAME", re.escape(name)), value) for pattern in patterns)


def _refused(found: str) -> GateError:
    return GateError(
        "the unit that the release wants to run in",
        expected="no more rights than a pipeline gets",
        found=found[:300],
        remedy="deploy with the edgeml that made it; what else a service needs: sudo systemctl edit there",
    )
