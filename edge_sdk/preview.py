"""What a pipeline would do, found out without opening a device: ``edgeml check`` and ``--dry-run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_sdk.assembly import delivery_of, distinct, name_of, wanted_by, wanted_from
from edge_sdk.config import From, To
from edge_sdk.contract import Input
from edge_sdk.edges import EdgeSettings
from edge_sdk.errors import ConfigError

if TYPE_CHECKING:
    from edge_sdk.model import Model
    from edge_sdk.pipeline import Pipeline


def preview(pipeline: Pipeline) -> dict[str, Any]:
    """What would run, as plain values; loads and verifies the model.

    Raises:
        EdgeError: a part cannot work as configured.
    """
    models = pipeline.load()
    wanted = _wanted(pipeline, models)
    parts: list[From | To] = [*pipeline.sources, *pipeline.sinks]
    for part in parts:
        group, url = ("sources", part.source) if isinstance(part, From) else ("sinks", part.sink)
        if isinstance(url, str):
            plugin, location, options = pipeline.placed(group, url, part.options)
            check_promises(url, options, wanted)
            if hasattr(plugin, "preflight"):
                plugin.preflight(location, wanted, **options)
    settings = pipeline.outbox_settings
    sinks = [_sink_facts(pipeline, part, models) for part in pipeline.sinks]
    kept = settings is not None and any(sink["delivery"] == "outbox" for sink in sinks)
    described = [
        {**_model_facts(pipeline, model), "when": file.when}
        for model, file in zip(models, pipeline.models, strict=True)
    ]
    return {
        "device": pipeline.device,
        "model": described[0],
        "models": described,
        "decision": described[0]["decision"],
        "sources": _source_facts(pipeline),
        "sinks": sinks,
        "sensor": dataclasses.asdict(pipeline.sensor),
        "devices": dataclasses.asdict(pipeline.devices),
        "fusion": None if pipeline.fusion is None else dataclasses.asdict(pipeline.fusion),
        "outbox": {**dataclasses.asdict(settings), "file": str(settings.file)} if settings and kept else None,
    }


def _wanted(pipeline: Pipeline, models: Sequence[Model]) -> Input | None:
    """What every source must bring; of sensors that are joined, none brings all."""
    contract = models[0].contract
    return contract.input if contract and pipeline.fusion is None and len(models) == 1 else None


def _model_facts(pipeline: Pipeline, model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "digest": model.digest,
        "window": model.window,
        "hop": model.hop,
        "rate_hz": model.rate_hz,
        "channels": list(model.channels),
        "labels": list(model.labels),
        "runtime": f"{model.runtime.name} {model.runtime.version}".rstrip(),
        "decision": dataclasses.asdict(pipeline.settings(model)),
    }


def _source_facts(pipeline: Pipeline) -> list[dict[str, Any]]:
    names = distinct([part.name or name_of(part.source) for part in pipeline.sources])
    for name in names:
        for model in pipeline.models:
            wanted_from(model, name)
    return [
        {
            "url": name_of(part.source),
            "name": name,
            "options": part.options,
            **_edge_facts(pipeline.source_edge(part)),
        }
        for name, part in zip(names, pipeline.sources, strict=True)
    ]


def _sink_facts(pipeline: Pipeline, part: To, models: Sequence[Model]) -> dict[str, Any]:
    return {
        "url": name_of(part.sink),
        "name": part.name or name_of(part.sink),
        "delivery": delivery_of(pipeline, part),
        "options": part.options,
        "when": str(wanted_by(part, models) or "") or None,
        **_edge_facts(pipeline.sink_edge(part)),
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
