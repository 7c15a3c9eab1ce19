"""The loop on the device: sources → windows → models → decision → sinks, in threads, with its books kept.

One thread a source, one a model, one a sink, with an `Edge` between each two. Plug-ins raise and never
retry; only here are they opened again, given up, or allowed to end the run.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from edge_sdk import assembly, plugins
from edge_sdk.assembly import name_of
from edge_sdk.config import HERE, IN_FIRMWARE, Config, From, ModelFile, To, check_model, settings
from edge_sdk.contract import DecisionSettings
from edge_sdk.edges import EdgeSettings
from edge_sdk.errors import ConfigError
from edge_sdk.expression import Expression
from edge_sdk.fusion import FusionSettings
from edge_sdk.model import Model
from edge_sdk.outbox.letters import OutboxSettings
from edge_sdk.plugins import Sink
from edge_sdk.roster import RosterSettings
from edge_sdk.running import Report, Running
from edge_sdk.schema import parse_contract
from edge_sdk.snapshot import Snapshot
from edge_sdk.watch import SensorSettings

__all__ = ["From", "ModelFile", "Pipeline", "Report", "To"]

_Models = Model | ModelFile | str | Path
_Table = TypeVar("_Table", SensorSettings, RosterSettings, FusionSettings)


class Pipeline:
    """Models between sources and sinks.

    Args:
        model: a loaded model, or a file to load at the start of the run; or a list of them.
        sources: URLs, open sources, iterables of blocks or of predictions, or `From` with an edge policy.
        sinks: URLs, open sinks, functions of a prediction, or `To` with a ``when``.
        decision: keys that override the contract's, or all of them.
        device: name for predictions whose source names none; default: the host's name.
        tables: ``outbox`` (``False`` keeps in memory what waits for sinks that are away), ``sensor``,
            ``devices``, ``fusion``: as in an edgeml.toml, or the settings themselves.

    Raises:
        ConfigError: a wrong URL, option or ``when``.
        UnknownNameError: no such source or sink.
    """

    def __init__(
        self,
        model: _Models | Sequence[_Models],
        sources: Iterable[Any],
        sinks: Iterable[Any] = ("stdout:",),
        *,
        decision: DecisionSettings | Mapping[str, Any] | None = None,
        device: str | None = None,
        **tables: Any,
    ) -> None:
        given = [model] if isinstance(model, str) or not isinstance(model, Sequence) else list(model)
        self.models = [_model_file(each) for each in given]
        self._loaded: list[Model | None] = [
            None if isinstance(each, (str, Path, ModelFile)) else each for each in given
        ]
        self.sources = [
            part if isinstance(part, From) else From(part) for part in _several(sources, "sources")
        ]
        self.sinks = [p if isinstance(p, To) else To(p) for p in _several(sinks, "sinks")]
        self._decision = decision
        self._device = device
        self._contract: dict[str, Any] | None = None
        self._folder = Path()
        self._state: Path | None = None
        self._from_file = False
        #: Address of /metrics and /health that the file names.
        self.status: str | None = None
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._running: Running | None = None
        self._tables = _checked_tables(tables)
        for count, name in ((self.sources, "source"), (self.models, "model")):
            if not count:
                raise ConfigError(f"a pipeline without a {name}", expected="at least one")
        self._check_parts()

    @classmethod
    def from_config(cls, config: Config | str | Path, *, state: Path | None = None) -> Self:
        """The pipeline that an ``edgeml.toml`` describes.

        Args:
            config: the file, or what stands in it.
            state: where relative files of sinks and the outbox begin; default: the file's folder.
        """
        config = config if isinstance(config, Config) else Config.load(config)
        tables = {name: getattr(config, name) for name in _TABLES}
        pipeline = cls(
            config.model,
            config.source,
            config.sink,
            decision=config.decision,
            device=config.device,
            **{name: table for name, table in tables.items() if table is not None},
        )
        pipeline._folder, pipeline._contract, pipeline._from_file = config.folder, config.contract, True
        pipeline._state = state
        pipeline.status = config.status
        return pipeline

    @property
    def config(self) -> Config:
        """This pipeline as an ``edgeml.toml``.

        Raises:
            ConfigError: a part is a Python object, which no file can name.
        """
        if any(not file.file and file.target != IN_FIRMWARE for file in self.models):
            raise ConfigError("a loaded model cannot stand in a file", remedy="give the pipeline its path")
        for part in (*(s.source for s in self.sources), *(s.sink for s in self.sinks)):
            if not isinstance(part, str):
                raise ConfigError(f"{name_of(part)} cannot stand in a file", expected="URLs only")
        decision = self._decision or {}
        if isinstance(decision, DecisionSettings):
            decision = dataclasses.asdict(decision)
        return Config(
            model=tuple(self.models),
            source=tuple(self.sources),
            sink=tuple(self.sinks),
            device=self._device,
            decision=dict(decision),
            contract=self._contract,
            status=self.status,
            folder=self._folder,
            **{name: _plain(table) for name, table in self._tables.items()},
        )

    @property
    def device(self) -> str:
        """The name of predictions whose source names none."""
        return self._device or socket.gethostname() or "localhost"

    @property
    def sensor(self) -> SensorSettings:
        """What the sensors are held to."""
        return self._table("sensor", SensorSettings)

    @property
    def devices(self) -> RosterSettings:
        """How many devices there may be."""
        return self._table("devices", RosterSettings)

    @property
    def fusion(self) -> FusionSettings | None:
        """How several sensors are joined; None where each stands alone."""
        return self._table("fusion", FusionSettings) if self._tables.get("fusion") is not None else None

    @property
    def outbox_settings(self) -> OutboxSettings | None:
        """Where what waits for sinks that are away is kept; None keeps it in memory."""
        table = self._tables.get("outbox", {})
        if table is False:
            return None
        if isinstance(table, OutboxSettings):
            return table
        keys = {} if table is True else dict(table)
        folder = self._state or self._folder
        if keys.get("file"):
            keys["file"] = folder / keys["file"]
        else:
            keys["file"] = assembly.outbox_file(folder, self.device, self._from_file)
        return settings(OutboxSettings, keys, "outbox")

    @property
    def keeps_outbox(self) -> bool:
        """Whether the outbox was given a place: one that was not is removed when nothing waits any more."""
        table = self._tables.get("outbox", {})
        return isinstance(table, OutboxSettings) or bool(isinstance(table, Mapping) and table.get("file"))

    def load(self) -> list[Model]:
        """The models, loaded and verified if they are not yet."""
        for nth, file in enumerate(self.models):
            if self._loaded[nth] is None:
                own = file.contract or self._contract
                check_model(file, self._contract, "[model]")
                contract = parse_contract(own, where="[contract]") if own else None
                path = self._folder / file.file if file.file else ""
                model = Model.load(path, target=self._target_of(file), contract=contract)
                model.name = file.name or model.name
                self._loaded[nth] = model
        models = [model for model in self._loaded if model is not None]
        names = [model.name for model in models]
        if len(set(names)) != len(names):
            raise ConfigError(
                "two models of one name",
                found=", ".join(names),
                remedy="give each [[model]] a name of its own",
            )
        return models

    def stop(self) -> None:
        """Drain and return from `run`; from any thread, or from a signal handler."""
        self._requests.put("stop")

    def snapshot(self) -> Snapshot | None:
        """The run at this moment, from any thread; None when none is on."""
        running = self._running
        return None if running is None else running.snapshot()

    def run(self, duration_s: float | None = None, *, once: bool = False) -> Report:
        """Run until the sources end, `stop` is called, or something fails for good.

        Args:
            duration_s: stop reading after so long, s.
            once: stop after the first prediction that a sink wants.

        Returns:
            The report, with a ledger that balances.

        Raises:
            EdgeError: what ended the run; the report is its attribute `report`.
        """
        models = self.load()
        silence_s = self.sensor.silence_s
        running = Running(self.device, once=once, silence_s=silence_s, requests=self._requests)
        try:
            assembly.Assembly(self, models, running).build()
            self._running = running
            running.supervise(duration_s)
        finally:
            report = running.shut_down() if running.feeds else None
            if running.outbox is not None:
                running.outbox.close(discard_empty=not self.keeps_outbox)
            self._running = None
            self._requests = queue.SimpleQueue()
        assert report is not None
        if running.failure is not None:
            running.failure.report = report
            raise running.failure
        return report

    def settings(self, model: Model) -> DecisionSettings:
        """The decision settings of a model: the contract's, under the pipeline's, under its own."""
        if isinstance(self._decision, DecisionSettings):
            decided = self._decision
        else:
            decided = settings(DecisionSettings, self._decision or {}, "decision", model.decision)
        pairs = zip(self.models, self._loaded, strict=True)
        own = next((file.decision for file, loaded in pairs if loaded is model), {})
        return settings(DecisionSettings, own, "decision", decided)

    def preview(self) -> dict[str, Any]:
        """What would run, as plain values; loads and verifies the model, opens no device.

        Raises:
            EdgeError: a part cannot work as configured: what `run` would find out first.
        """
        from edge_sdk.preview import preview  # not needed on the way to the first result

        return preview(self)

    def source_edge(self, part: From) -> EdgeSettings:
        """The edge behind a source, with its defaults filled in."""
        return assembly.source_edge(part, self.is_live(part), getattr(self.plugin(part), "policy", None))

    def sink_edge(self, part: To) -> EdgeSettings:
        """The edge before a sink that waits in memory, with its defaults filled in."""
        live = any(self.is_live(source) for source in self.sources)
        return assembly.sink_edge(part, live, keeps_windows=self.keeps_windows(part))

    def keeps_windows(self, part: To) -> bool:
        """Whether a sink wants what the model saw."""
        return bool(getattr(self.plugin(part), "keeps_windows", False))

    def placed(self, group: str, url: str, options: Mapping[str, Any]) -> tuple[Any, str, dict[str, Any]]:
        """A plug-in's class, its location seen from here, and its options."""
        state = self._state if group == "sinks" else None
        return assembly.placed(group, url, options, self._folder, state)

    def plugin(self, part: From | To) -> Any:
        """The class behind a URL, or the object itself."""
        group, what = ("sources", part.source) if isinstance(part, From) else ("sinks", part.sink)
        return plugins.check_url(group, what, dict(part.options))[0] if isinstance(what, str) else what

    def is_live(self, part: From) -> bool:
        """Whether a source's samples come in real time."""
        return plugins.says(part.source, part.options, "live")

    def has_many(self, part: From) -> bool:
        """Whether a source's devices are named by whoever sends."""
        return plugins.says(part.source, part.options, "many")

    def predicts(self, part: From) -> bool:
        """Whether a source yields predictions and no blocks."""
        return plugins.says(part.source, part.options, "predicts")

    def _target_of(self, file: ModelFile) -> str:
        """Where a model runs: no runtime is loaded where no samples can come."""
        only_predictions = all(self.predicts(part) for part in self.sources)
        return IN_FIRMWARE if file.target == HERE and only_predictions else file.target

    def _table(self, name: str, kind: type[_Table]) -> _Table:
        table = self._tables.get(name) or {}
        return table if isinstance(table, kind) else settings(kind, table, name)

    def _check_parts(self) -> None:
        for model in self.models:
            if model.when:
                Expression(model.when, assembly.ORIGIN_FIELDS)
        for source in self.sources:
            assembly.check_edge(source)
            if isinstance(source.source, str):
                plugins.check_url("sources", source.source, dict(source.options))
            elif not isinstance(source.source, Iterable):
                raise ConfigError(
                    f"source {name_of(source.source)}",
                    expected="a URL, a source or an iterable of blocks or predictions",
                )
        for sink in self.sinks:
            assembly.check_edge(sink)
            if isinstance(sink.sink, str):
                plugins.check_url("sinks", sink.sink, dict(sink.options))
            elif not isinstance(sink.sink, Sink) and not callable(sink.sink):
                raise ConfigError(
                    f"sink {name_of(sink.sink)}", expected="a URL, a sink or a function of a prediction"
                )
            if sink.when:
                Expression(sink.when)


_TABLES = {
    "outbox": OutboxSettings,
    "sensor": SensorSettings,
    "devices": RosterSettings,
    "fusion": FusionSettings,
}


def _checked_tables(tables: dict[str, Any]) -> dict[str, Any]:
    for name, table in tables.items():
        if name not in _TABLES:
            raise ConfigError(f"unknown argument {name!r}", expected="one of " + ", ".join(_TABLES))
        if isinstance(table, Mapping):
            keys = {"file": "", **table} if name == "outbox" else table
            settings(_TABLES[name], keys, name)
        elif not isinstance(table, (_TABLES[name], *((bool,) if name == "outbox" else ()))):
            raise ConfigError(name, expected="a table of keys", found=type(table).__name__)
    return tables


def _plain(table: Any) -> Any:
    if dataclasses.is_dataclass(table) and not isinstance(table, type):
        return {n: os.fspath(v) if isinstance(v, Path) else v for n, v in dataclasses.asdict(table).items()}
    return table


def _model_file(model: Any) -> ModelFile:
    if isinstance(model, ModelFile):
        return model
    return ModelFile(file=str(model) if isinstance(model, (str, Path)) else "")


def _several(parts: Any, name: str) -> list[Any]:
    if isinstance(parts, (str, From, To)) or not isinstance(parts, Iterable):
        raise ConfigError(name, expected="a list", found=name_of(parts), remedy=f"write {name}=[…]")
    return list(parts)
