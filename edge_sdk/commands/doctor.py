"""``edgeml doctor``: what this machine can do, what is missing, how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Protocol

import click

from edge_sdk import registry, verdicts
from edge_sdk.cli import json_option, print_json
from edge_sdk.clock import ClockState
from edge_sdk.deploy.console import Device
from edge_sdk.errors import ConfigError, EdgeError, GateError, UnknownNameError, one_line
from edge_sdk.findings import Finding, State, lines
from edge_sdk.ssh import Address
from edge_sdk.targets.host import DEFAULT_RUNTIME

_LEAST_FREE_BYTES = 200 << 20


#: What each extra needs to be importable, and what it is for.
_EXTRAS = {
    "train": (("tensorflow", "keras", "matplotlib"), "edgeml train"),
    "convert": (("tensorflow", "tf_keras", "litert_quantizer", "matplotlib"), "edgeml convert"),
    "ethos": (("ethosu.vela",), "edgeml inspect --board ethos-u55"),
    "demo": (("seglearn",), "edgeml demo"),
    "image": (("PIL",), "PNG recordings"),
    "mqtt": (("paho.mqtt",), "mqtt: sources and sinks"),
    "postgres": (("psycopg",), "postgres: sinks"),
    "notify": (("apprise",), "notify: mail, chat and others"),
    "i2c": (("smbus2",), "i2c: sensors"),
    "gpio": (("gpiod",), "gpio: actuators"),
    "view": (("rich",), "the live view of edgeml run"),
}
#: Where the kernel shows what can be read and driven, and the group that may, by its usual name.
_DEVICES = {
    "serial ports": (("ttyACM*", "ttyUSB*", "ttyAMA*"), "dialout"),
    "i2c buses": (("i2c-*",), "i2c"),
    "gpio chips": (("gpiochip*",), "gpio"),
    "iio devices": (("iio:device*",), "iio"),
    "cameras": (("media*", "dma_heap/*"), "video"),
}


@click.command(
    epilog="\b\nExample:\n  edgeml doctor\n  edgeml doctor --install onnx      what ONNX models need\n"
    "  edgeml doctor --json | jq -r '.findings[].part'\n"
    "  edgeml doctor ssh://pi@raspberrypi\n"
    "  edgeml doctor ssh://pi@raspberrypi --config edgeml.toml    and whether it has what this needs"
)
@click.argument("device", type=Device(), required=False, metavar="[ssh://HOST]")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An edgeml.toml: what it finds on the device and does not bring is looked for, too.",
)
@click.option("--install", metavar="NAME", help="Install the environment of a loader first.")
@json_option
def command(device: Address | None, config: Path | None, install: str | None, as_json: bool) -> None:
    """Tell what this machine can do, what is missing and how to get it; or another one, over ssh.

    Exit status 1 when models cannot run here, or nothing can be deployed there.
    """
    if device is not None:
        if install is not None:
            raise ConfigError("--install", expected="no ssh://HOST beside it: it installs here")
        _examine(device, config, as_json)
        return
    if config is not None:
        raise ConfigError(
            "--config", expected="ssh://HOST beside it", remedy="here: edgeml check edgeml.toml"
        )
    if install is not None:
        _install(install)
    findings = [*_machine(), *_runtimes(), *_extras(), *_environments(), *_surroundings()]
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings], "runtime": _chosen()})
    else:
        click.echo("\n".join(lines(findings)))
    chosen = next(finding for finding in findings if finding.part == f"runtime {_chosen()}")
    if chosen.state != "ok":
        _fail(GateError("models cannot run here", found=chosen.found, remedy=chosen.remedy), as_json)


def _examine(device: Address, config: Path | None, as_json: bool) -> None:
    from edge_sdk.deploy.examination import examine
    from edge_sdk.deploy.push import Remote
    from edge_sdk.deploy.surroundings import surroundings
    from edge_sdk.pipeline import Pipeline

    wanted = surroundings(Pipeline.from_config(config)) if config is not None else None
    with Remote(device) as remote:
        findings = examine(remote.facts, wanted)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings], "device": str(device)})
    else:
        click.echo("\n".join(lines(findings)))
    lacking = next((finding for finding in findings if finding.state == "missing"), None)
    if lacking is not None:
        what = f"nothing can be deployed to {device}: {lacking.part}"
        _fail(GateError(what, found=lacking.found, remedy=lacking.remedy), as_json)


def _fail(error: GateError, as_json: bool) -> None:
    """End with its status; the object on standard output has been printed already."""
    if not as_json:
        raise error
    click.echo(f"edgeml: {error}", err=True)
    click.get_current_context().exit(error.exit_code)


def _chosen() -> str:
    return os.environ.get("EDGEML_RUNTIME") or DEFAULT_RUNTIME


def _machine() -> list[Finding]:
    bits = 64 if sys.maxsize > 2**32 else 32
    kernel = platform.machine()
    mixed = bits == 32 and kernel in ("aarch64", "x86_64")
    supported = (3, 11) <= sys.version_info[:2] <= (3, 14)
    return [
        Finding(
            "machine",
            "ok",
            f"{platform.system()} {kernel}, {os.cpu_count()} cores"
            + (", 32-bit user space" if mixed else ""),
        ),
        Finding(
            "python",
            "ok" if supported else "warning",
            f"{platform.python_version()} ({bits}-bit)",
            None if supported else "edgeml is tested on Python 3.11 to 3.14",
        ),
        Finding("edgeml-kit", "ok", metadata.version("edgeml-kit")),
        Finding("numpy", "ok", metadata.version("numpy")),
    ]


def _runtimes() -> list[Finding]:
    """Each runtime; a device's are imported, because an installed package may still not work here."""
    findings = []
    for name in registry.names("runtimes"):
        chosen = " (the default here)" if name == _chosen() else ""
        try:
            kind = registry.find("runtimes", name)
            found = f"{kind.package} {metadata.version(kind.package)}{chosen}"
            if name in registry.builtin_names("runtimes"):
                kind.probe()
            findings.append(Finding(f"runtime {name}", "ok", found))
        except metadata.PackageNotFoundError as error:
            findings.append(
                Finding(f"runtime {name}", "missing", f"no package {error.name}{chosen}", _how(name))
            )
        except EdgeError as error:
            findings.append(
                Finding(f"runtime {name}", "missing", f"{error.found or error.what}{chosen}", error.remedy)
            )
        except (ImportError, OSError, AttributeError) as error:
            findings.append(
                Finding(f"runtime {name}", "missing", f"{one_line(error)[:200]}{chosen}", _how(name))
            )
    return findings


def _how(runtime: str) -> str:
    return {
        "litert": "pip install ai-edge-litert; on 32-bit Arm, without a wheel of it, use tflite_runtime",
        "tflite_runtime": "pip install 'edgeml-kit[tflite-runtime]' (Python 3.11, numpy 1) "
        "and set EDGEML_RUNTIME=tflite_runtime, or target host:?runtime=tflite_runtime",
    }.get(runtime, f"pip install 'edgeml-kit[{'convert' if runtime == 'tensorflow' else runtime}]'")


def _extras() -> list[Finding]:
    findings = []
    for extra, (packages, purpose) in _EXTRAS.items():
        absent = [package for package in packages if not _importable(package)]
        findings.append(
            Finding(
                f"extra {extra}",
                "missing" if absent else "ok",
                f"no package {', '.join(absent)}" if absent else f"for {purpose}",
                f"for {purpose}: pip install 'edgeml-kit[{extra}]'" if absent else None,
            )
        )
    return findings


def _importable(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it lies in
        return False


class Environments(Protocol):
    """Modules that are named under the entry point ``edgeml.environments``.

    Some packages cannot live beside others; such a module keeps them in environments of their own.
    """

    ENVIRONMENTS: Mapping[str, object]

    def examine(self, name: str) -> tuple[State, str]:
        """Its state, and in a few words what is there."""

    def remedy(self, name: str) -> str:
        """The command that installs it."""

    def install(self, name: str, on_progress: Callable[[str], None]) -> str:
        """Install it, unless it is there."""


def _keepers() -> list[Environments]:
    return [point.load() for point in metadata.entry_points(group="edgeml.environments")]


def _environments() -> list[Finding]:
    findings = []
    for keeper in _keepers():
        for name in keeper.ENVIRONMENTS:
            state, found = keeper.examine(name)
            remedy = None if state == "ok" else f"only for such models: {keeper.remedy(name)}"
            findings.append(Finding(f"loader {name}", state, found, remedy))
    return findings


def _install(name: str) -> None:
    known: list[str] = []
    for keeper in _keepers():
        if name in keeper.ENVIRONMENTS:
            keeper.install(name, lambda line: click.echo(line, err=True))
            return
        known.extend(keeper.ENVIRONMENTS)
    raise UnknownNameError("environment", name, known)


def _surroundings() -> list[Finding]:
    free = shutil.disk_usage(Path.cwd()).free
    synced = ClockState().synced()
    cache = Path(verdicts.folder())
    writable = os.access(next(p for p in (cache, *cache.parents) if p.exists()), os.W_OK)
    return [
        Finding(
            "disk",
            "ok" if free > _LEAST_FREE_BYTES else "warning",
            f"{free / 1e9:.1f} GB free in this folder",
            None if free > _LEAST_FREE_BYTES else "make room: results are lost on a full disk",
        ),
        Finding(
            "clock",
            "ok" if synced else "warning",
            "synchronized" if synced else "not synchronized",
            None if synced else "wall times carry clock_synced = false until NTP has set the clock",
        ),
        Finding(
            "verdicts",
            "ok" if writable else "warning",
            str(cache),
            None if writable else "not writable: every start verifies the model again; set XDG_CACHE_HOME",
        ),
        *(_device_files(part, *kind) for part, kind in _DEVICES.items()),
    ]


def _device_files(part: str, patterns: tuple[str, ...], group: str) -> Finding:
    files = sorted(str(file) for pattern in patterns for file in Path("/dev").glob(pattern))
    locked = [file for file in files if not os.access(file, os.R_OK | os.W_OK)]
    return Finding(
        part,
        "warning" if locked else "ok",
        ", ".join(files) or "none",
        f"no access to {', '.join(locked)}: sudo usermod -aG {group} $USER, then log in again"
        if locked
        else None,
    )
