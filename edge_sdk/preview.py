"""What a pipeline would do, found out without opening a device: ``edgeml check`` and ``--dry-run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge_sdk.config import From
from edge_sdk.contract import Input
from edge_sdk.edges import EdgeSettings
from edge_sdk.errors import ConfigError
from edge_sdk.pipeline import name_of, wanted_by

if TYPE_CHECKING:
    from edge_sdk.pipeline import Pipeline


def preview(pipeline: Pipeline) -> dict[str, Any]:
    """What would run, as plain values; loads and verifies the model.

    Raises:
        EdgeError: a part cannot work as configured.
    """
    model = pipeline.load()
    wanted = model.contract.input if model.contract else None
    for group, parts in (("sources", pipeline.sources), ("sinks", pipeline.sinks)):
        for part in parts:
            url = part.source if isinstance(part, From) else part.sink
            if isinstance(url, str):
                plugin, location, options = pipeline.placed(group, url, part.options)
                check_promises(url, options, wanted)
                if hasattr(plugin, "preflight"):
                    plugin.preflight(location, wanted, **options)
    return {
        "device": pipeline.device,
        "model": {
            "name": model.name,
            "digest": model.digest,
            "window": model.window,
            "hop": model.hop,
            "rate_hz": model.rate_hz,
            "channels": list(model.channels),
            "labels": list(model.labels),
            "runtime": f"{model.runtime.name} {model.runtime.version}",
        },
        "decision": dataclasses.asdict(pipeline.settings(model)),
        "sources": [
            {"url": name_of(part.source), "options": part.options, **_edge_facts(pipeline.source_edge(part))}
            for part in pipeline.sources
        ],
        "sinks": [
            {
                "url": name_of(part.sink),
                "options": part.options,
                "when": str(wanted_by(part, model) or "") or None,
                **_edge_facts(pipeline.sink_edge(part)),
            }
            for part in pipeline.sinks
        ],
    }


def check_promises(url: str, options: Mapping[str, Any], wanted: Input | None) -> None:
    """See that a source's options agree with what the model was trained with.

    Raises:
        ConfigError: another rate, or channels that the model needs are missing.
    """
    if wanted is None:
        return
    missing = [name for name in wanted.names if name not in (options.get("channels") or wanted.names)]
    if missing:
        raise ConfigError(
            f"{url}: channels", expected=", ".join(wanted.names), found=", ".join(options["channels"])
        )
    rate_hz = options.get("rate_hz")
    if rate_hz and not wanted.takes_rate(rate_hz):
        raise ConfigError(
            f"{url}: rate_hz",
            expected=f"{wanted.rate_hz:g} ± {wanted.rate_tolerance:.0%}",
            found=f"{rate_hz:g}",
            remedy="set the sensor's rate, or train at this one",
        )


def _edge_facts(settings: EdgeSettings) -> dict[str, Any]:
    return {"policy": settings.policy, "queue": settings.capacity, "max_age_s": settings.max_age_s}
