"""``edgeml deploy``: a pipeline onto a device, with a way back."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.deploy.console import Device, ProgressLine, watching
from edge_sdk.errors import ConfigError, GateError, printable

if TYPE_CHECKING:
    from edge_sdk.deploy.push import Remote
    from edge_sdk.deploy.release import Release, Wish
    from edge_sdk.ssh import Address


@click.command(
    epilog="\b\nExample:\n  edgeml deploy edgeml.toml --to ssh://pi@raspberrypi\n"
    "  edgeml deploy edgeml.toml --to ssh://pi@raspberrypi --dry-run      the plan, and nothing else\n"
    "  edgeml deploy edgeml.toml --bundle app.edgeml --for bookworm-arm64    onto a USB stick"
)
@click.argument("config", metavar="EDGEML.TOML", type=click.Path(path_type=Path))
@click.option("--to", "device", type=Device(), help="Where it shall run.")
@click.option("--bundle", type=click.Path(path_type=Path), metavar="FILE", help="Write it to a file instead.")
@click.option("--for", "system", metavar="SYSTEM", help="What a bundle is for, such as bookworm-arm64.")
@click.option("--name", metavar="NAME", help="Of the pipeline there. Default: after the file.")
@click.option("--version", metavar="TEXT", help="Of the release. Default: the time.")
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE", help="That signs it. Default: edgeml's own."
)
@click.option(
    "--window",
    "window_s",
    type=click.IntRange(1, 86400),
    default=90,
    show_default=True,
    metavar="S",
    help="How long it must work before it is trusted.",
)
@click.option("--allow-older", is_flag=True, help="Take a release that is older than what ran there.")
@click.option(
    "--service",
    type=click.Choice(["systemd", "none"]),
    default="systemd",
    show_default=True,
    help="Who runs it there; none: it is installed, and you are told how to run it.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing of it.")
@json_option
def command(
    config: Path,
    device: Address | None,
    bundle: Path | None,
    system: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Put a pipeline on a device as a service, prove that it works there, and go back if it does not.

    What it needs to run is made here and sent along: the device needs no internet, no pip and no compiler.
    The release is signed, installed beside what runs, tried out, switched to, and watched. Exit status 1 when
    the device went back to the release before.
    """
    from edge_sdk.deploy import release
    from edge_sdk.deploy.release import Wish

    if (device is None) == (bundle is None):
        raise ConfigError("edgeml deploy", expected="--to ssh://HOST, or --bundle FILE")
    if bundle is None and system is not None:
        raise ConfigError(
            "--for", expected="--bundle beside it", remedy="a device that is reached says what it is"
        )
    if bundle is not None and (options["allow_older"] or options["service"] != "systemd"):
        remedy = "say it where the file is installed"
        raise ConfigError("--allow-older and --service", expected="--to beside them", remedy=remedy)
    wish = Wish(config, options["name"], options["version"], options["window_s"])
    progress = ProgressLine()
    try:
        release.check(wish)
        _check_key(options["key"])
        if bundle is not None:
            told = _bundle(wish, bundle, system, options, progress)
        else:
            assert device is not None
            told = _deploy(wish, device, options, progress)
    finally:
        progress.end()
    if as_json:
        print_json(told)
    else:
        shown = [(name, value) for name, value in told.items() if value not in (None, [], {})]
        click.echo("\n".join(f"{name:<10}{printable(str(value))}" for name, value in shown))


def _deploy(wish: Wish, device: Address, options: dict[str, Any], progress: ProgressLine) -> dict[str, Any]:
    from edge_sdk.deploy import release
    from edge_sdk.deploy.push import Remote

    progress.say(f"connecting to {device}")
    with Remote(device) as remote:
        _examine(remote, wish, options["service"], progress)
        store = release.host_store()
        seen = remote.facts["highest"].get(wish.name or release.name_of(wish.config), 0)
        made = release.make(wish, remote.platform, store, progress.say, newer_than=seen)
        if options["dry_run"]:
            return _plan(remote, made)
        key = _key(options["key"])
        made = release.sign(made, key)
        _trust(remote, key)
        told = {
            "name": made.manifest.name,
            "device": str(device),
            "version": made.manifest.version,
        }
        with watching(device, progress):
            given = {"allow_older": options["allow_older"], "service": options["service"]}
            sent, installed = remote.deliver(made, store, progress.sent, progress.step, **given)
            told["sent"] = f"{sent:,} bytes of {made.bytes:,}"
            if options["service"] == "none":
                return {**told, "run": installed["run"], "notes": installed["notes"]}
            for note in installed["notes"]:  # what it does not get may be why it fails
                progress.end()
                click.echo(f"edgeml: {device}: {printable(note)}", err=True)
            ended = remote.call("follow", made.manifest.name, progress.step, slot=installed["slot"])
    if ended["verdict"] == "refused":
        running = ended["running"]
        raise GateError(
            f"{device}: {made.manifest.name} {made.manifest.version} does not work there",
            found=ended["reason"],
            remedy=f"{running['version']} runs again" if running else "nothing ran there before",
        )
    return {**told, "state": "it works", "notes": installed["notes"]}


def _examine(remote: Remote, wish: Wish, service: str, progress: ProgressLine) -> None:
    from edge_sdk.deploy.examination import examine
    from edge_sdk.deploy.surroundings import surroundings
    from edge_sdk.pipeline import Pipeline

    device = remote.address
    for finding in examine(remote.facts, surroundings(Pipeline.from_config(wish.config))):
        if finding.state == "missing" and not (finding.part == "systemd" and service == "none"):
            what = f"nothing can be deployed to {device}: {finding.part}"
            raise GateError(what, found=finding.found, remedy=finding.remedy)
        if finding.state == "warning":
            progress.end()
            found = printable(f"{finding.part}: {finding.found}; {finding.remedy}")
            click.echo(f"edgeml: {device}: {found}", err=True)


def _trust(remote: Remote, key: Path) -> None:
    """The first key comes with the first deployment: whoever is root there may decide whom it trusts."""
    from edge_sdk.deploy.signature import PublicKey, public_part

    if remote.facts["trusted"] is None:
        remote.call("trust", key=PublicKey.read(public_part(key)).line)
        click.echo(f"edgeml: {remote.address} trusts releases signed with {key} from now on", err=True)


def _plan(remote: Remote, made: Release) -> dict[str, Any]:
    manifest = made.manifest
    there = manifest.name in remote.facts["pipelines"]
    return {
        "name": manifest.name,
        "device": str(remote.address),
        "version": manifest.version,
        "for": str(manifest.platform),
        "runtime": manifest.platform.engine,
        "send": f"{remote.lacks(made):,} bytes of {made.bytes:,}",
        "files": ", ".join(entry.path for entry in manifest.files),
        "then": "installed beside what runs, tried out, switched to, watched for "
        f"{manifest.window_s} s" + ("" if there else "; it is the first there"),
    }


def _bundle(
    wish: Wish, bundle: Path, system: str | None, options: dict[str, Any], progress: ProgressLine
) -> dict[str, Any]:
    from edge_sdk.deploy import bundles, release
    from edge_sdk.deploy.signature import PublicKey, public_part

    platform = bundles.platform(system)
    store = release.host_store()
    made = release.make(wish, platform, store, progress.say)
    told = {"name": made.manifest.name, "version": made.manifest.version, "for": str(platform)}
    if options["dry_run"]:
        files = ", ".join(entry.path for entry in made.manifest.files)
        return {**told, "files": files, "then": f"{made.bytes:,} bytes, signed and packed into {bundle}"}
    key = _key(options["key"])
    made = release.sign(made, key)
    progress.say(f"writing {bundle}")
    size = bundles.write(made, store, PublicKey.read(public_part(key)).line, bundle)
    with bundle.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        **told,
        "written": f"{bundle}, {size:,} bytes",
        "sha256": digest,
        "install": f"on a new device: sudo python3 {bundle.name} --trust; "
        f"from then on: sudo python3 /var/lib/edgeml/agent.pyz take {bundle.name}",
    }


def _check_key(given: Path | None) -> None:
    if given is not None and not given.is_file():
        raise ConfigError(
            f"--key {given}", expected="a file", found="none", remedy="make one: edgeml keys new"
        )


def _key(given: Path | None) -> Path:
    """The one that was named, else edgeml's own, made when it is first needed."""
    from edge_sdk.deploy import signature

    key = given or signature.own_key()
    if not key.exists() and not given:
        signature.new_key(key, f"edgeml {os.environ.get('USER', '')}".strip())
        click.echo(f"edgeml: made a key that signs releases: {key}", err=True)
    return key
