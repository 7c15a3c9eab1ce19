"""``edgeml check``: whether an edgeml.toml would run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json


@click.command(
    epilog="\b\nExample:\n  edgeml check edgeml.toml\n  edgeml check edgeml.toml --json | jq .model.labels"
)
@click.argument("config", type=click.Path(path_type=Path))
@json_option
def command(config: Path, as_json: bool) -> None:
    """Validate an edgeml.toml without opening a device; print what would run.

    The model is verified, every URL, option and `when` is checked, channels and rates are compared with what
    the model was trained with.
    """
    from edge_sdk.pipeline import Pipeline

    preview = Pipeline.from_config(config).preview()
    if as_json:
        print_json({"ok": True, **preview})
    else:
        click.echo(describe(preview))


def describe(preview: dict[str, Any]) -> str:
    """A preview as lines for people."""
    lines = [line for model in preview["models"] for line in _model(model)]
    lines.append(f"device   {preview['device']}")
    lines += [f"source   {part['url']}{_options(part)}" for part in preview["sources"]]
    if preview["fusion"]:
        lines.append(f"         joined on {preview['fusion']['clock'] or preview['sources'][0]['name']}")
    lines += [f"sink     {part['url']}{_options(part)}" for part in preview["sinks"]]
    if (outbox := preview["outbox"]) is not None:
        lines.append(
            f"outbox   {outbox['file']}  up to {outbox['max_bytes'] / 1e6:.0f} MB, {outbox['durability']}"
        )
    return "\n".join(lines)


def _model(model: dict[str, Any]) -> list[str]:
    rate = f" at {model['rate_hz']:g} Hz" if model["rate_hz"] else ""
    lines = [
        f"model    {model['name']}  {model['digest'][:19]}  {model['runtime']}",
        f"         windows of {model['window']} samples, every {model['hop']}{rate}",
    ]
    if model["channels"]:
        lines.append(f"         channels {', '.join(model['channels'])}")
    if model["labels"]:
        lines.append(f"         labels {', '.join(model['labels'])}")
    if model["when"]:
        lines.append(f"         when {model['when']}")
    settings = model["decision"]
    lines.append(
        f"         events from score {settings['threshold']:g}, over {settings['smooth']} windows, "
        f"held {settings['hold_s']:g} s"
    )
    return lines


def _options(part: dict[str, Any]) -> str:
    kind = {"actuator": "actuator", "outbox": "kept in the outbox"}.get(part.get("delivery", ""))
    facts = {**part["options"], "when": part.get("when")}
    shown = ", ".join(f"{name} = {value}" for name, value in facts.items() if value is not None)
    shown = ", ".join(filter(None, (kind, shown)))
    return f"  ({shown})" if shown else ""
