"""The loop on the device: sources → windows → model → decision → sinks, in threads, with its books kept.

One thread a source, one for the model, one a sink, with an `Edge` between each two. Plug-ins raise and never
retry; only here are they opened again, given up, or allowed to end the run.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from edge_sdk import plugins
from edge_sdk.config import Config, From, ModelFile, To, override, place
from edge_sdk.contract import DecisionSettings
from edge_sdk.delivery import Call, Delivery
from edge_sdk.edges import EdgeSettings
from edge_sdk.errors import ConfigError
from edge_sdk.expression import Expression
from edge_sdk.feed import Feed
from edge_sdk.inference import Inference
from edge_sdk.model import Model
from edge_sdk.plugins import Sink
from edge_sdk.running import Report, Running
from edge_sdk.runs import Run
from edge_sdk.schema import parse_contract

__all__ = ["From", "Pipeline", "Report", "To"]

#: A sink behind a recording may hold it back; one that takes nothing for so long may not, s.
_PATIENCE_S = 10.0
_LIVE_BLOCKS, _RECORDED_BLOCKS, _PREDICTIONS = 1024, 64, 4096


class Pipeline:
    """A model between sources and sinks.

    Args:
        model: a loaded model, or a file to load at the start of the run.
        sources: URLs, open sources, iterables of blocks, or `From` with an edge policy.
        sinks: URLs, open sinks, functions of a prediction, or `To` with a ``when``.
        decision: keys that override the contract's, or all of them.
        device: name for predictions whose source names none; default: the host's name.

    Raises:
        ConfigError: a wrong URL, option or ``when``.
        UnknownNameError: no such source or sink.
    """

    def __init__(
        self,
        model: Model | ModelFile | str | Path,
        sources: Iterable[Any],
        sinks: Iterable[Any] = ("stdout:",),
        *,
        decision: DecisionSettings | Mapping[str, Any] | None = None,
        device: str | None = None,
    ) -> None:
        self._file: ModelFile | None = None
        self._model: Model | None = None
        if isinstance(model, (str, Path)):
            self._file = ModelFile(file=str(model))
        elif isinstance(model, ModelFile):
            self._file = model
        else:
            self._model = model
        self.sources = [
            part if isinstance(part, From) else From(part) for part in _several(sources, "sources")
        ]
        self.sinks = [p if isinstance(p, To) else To(p) for p in _several(sinks, "sinks")]
        self._decision = decision
        self._device = device
        self._contract: dict[str, Any] | None = None
        self._folder = Path()
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        if not self.sources:
            raise ConfigError("a pipeline without a source", expected="at least one")
        self._check_parts()

    @classmethod
    def from_config(cls, config: Config | str | Path) -> Self:
        """The pipeline that an ``edgeml.toml`` describes."""
        config = config if isinstance(config, Config) else Config.load(config)
        pipeline = cls(
            config.model, config.source, config.sink, decision=config.decision, device=config.device
        )
        pipeline._folder, pipeline._contract = config.folder, config.contract
        return pipeline

    @property
    def config(self) -> Config:
        """This pipeline as an ``edgeml.toml``.

        Raises:
            ConfigError: a part is a Python object, which no file can name.
        """
        if self._file is None:
            raise ConfigError("a loaded model cannot stand in a file", remedy="give the pipeline its path")
        for part in (*(s.source for s in self.sources), *(s.sink for s in self.sinks)):
            if not isinstance(part, str):
                raise ConfigError(f"{name_of(part)} cannot stand in a file", expected="URLs only")
        decision = self._decision or {}
        if isinstance(decision, DecisionSettings):
            decision = dataclasses.asdict(decision)
        return Config(
            model=self._file,
            source=tuple(self.sources),
            sink=tuple(self.sinks),
            device=self._device,
            decision=dict(decision),
            contract=self._contract,
            folder=self._folder,
        )

    @property
    def device(self) -> str:
        """The name of predictions whose source names none."""
        return self._device or socket.gethostname() or "localhost"

    def load(self) -> Model:
        """The model, loaded and verified if it is not yet."""
        if self._model is None:
            assert self._file is not None
            contract = parse_contract(self._contract, where="[contract]") if self._contract else None
            path = self._folder / self._file.file
            self._model = Model.load(path, target=self._file.target, contract=contract)
        return self._model

    def stop(self) -> None:
        """Drain and return from `run`; from any thread, or from a signal handler."""
        self._requests.put("stop")

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
        model = self.load()
        run = Run(os.urandom(8).hex(), self.device, model.name, model.digest)
        inference = Inference(model, self.settings(model), device=self.device, run_id=run.run_id)
        running = Running(inference, once=once, requests=self._requests)
        running.feeds = self._feeds(model, running)
        running.deliveries = self._deliveries(model, running, run)
        try:
            running.supervise(duration_s)
        finally:
            report = running.shut_down()
            self._requests = queue.SimpleQueue()
        if running.failure is not None:
            running.failure.report = report
            raise running.failure
        return report

    def settings(self, model: Model) -> DecisionSettings:
        """The decision settings of a run: the contract's, overridden by the pipeline's."""
        if isinstance(self._decision, DecisionSettings):
            return self._decision
        return override(model.decision, self._decision or {})

    def _feeds(self, model: Model, running: Running) -> list[Feed]:
        names = _distinct([name_of(part.source) for part in self.sources])
        feeds = []
        for index, (name, part) in enumerate(zip(names, self.sources, strict=True)):
            opener = self._opener("sources", part.source, part.options)
            feed = Feed(name, opener, self.source_edge(part), running.junction, running.ended)
            feed.reopens = isinstance(part.source, str)
            feed.device = self.device if len(self.sources) == 1 else f"{self.device}-{index + 1}"
            feed.expected = model.contract.input if model.contract else None
            feeds.append(feed)
        return feeds

    def _deliveries(self, model: Model, running: Running, run: Run) -> list[Delivery]:
        names = _distinct([name_of(part.sink) for part in self.sinks])
        deliveries = []
        for name, part in zip(names, self.sinks, strict=True):
            opener = self._opener("sinks", part.sink, part.options, run)
            delivery = Delivery(name, opener, self.sink_edge(part), running.books, running.failed)
            delivery.reopens = isinstance(part.sink, str)
            delivery.when = wanted_by(part, model)
            if not isinstance(part.sink, (str, Sink)):
                delivery.batch = 1
            deliveries.append(delivery)
        return deliveries

    def preview(self) -> dict[str, Any]:
        """What would run, as plain values; loads and verifies the model, opens no device.

        Raises:
            EdgeError: a part cannot work as configured: what `run` would find out first.
        """
        from edge_sdk.preview import preview  # not needed on the way to the first result

        return preview(self)

    def source_edge(self, part: From) -> EdgeSettings:
        """The edge behind a source, with its defaults filled in."""
        live = self._is_live(part)
        policy = part.policy or ("drop_oldest" if live else "block")
        return EdgeSettings(
            policy, part.queue or (_LIVE_BLOCKS if live else _RECORDED_BLOCKS), part.max_age_s
        )

    def sink_edge(self, part: To) -> EdgeSettings:
        """The edge before a sink, with its defaults filled in."""
        live = any(self._is_live(source) for source in self.sources)
        policy = part.policy or ("drop_oldest" if live else "block")
        return EdgeSettings(policy, part.queue or _PREDICTIONS, part.max_age_s, _PATIENCE_S)

    def placed(self, group: str, url: str, options: Mapping[str, Any]) -> tuple[Any, str, dict[str, Any]]:
        """A plug-in's class, its location seen from here, and its options."""
        plugin, _, _ = plugins.check_url(group, url, dict(options))
        return plugins.check_url(group, place(url, plugin, self._folder), dict(options))

    def _opener(
        self, group: str, part: Any, options: Mapping[str, Any], run: Run | None = None
    ) -> Callable[[], Any]:
        if not isinstance(part, str):
            opened = part if group == "sources" or isinstance(part, Sink) else Call(part)
            return lambda: _begun(opened, run)
        plugin, location, checked = self.placed(group, part, options)
        return lambda: _begun(plugin(location, **checked), run)

    def _is_live(self, part: From) -> bool:
        source = (
            plugins.check_url("sources", part.source, dict(part.options))[0]
            if isinstance(part.source, str)
            else part.source
        )
        return bool(getattr(source, "live", False))

    def _check_parts(self) -> None:
        for source in self.sources:
            _check_edge(source)
            if isinstance(source.source, str):
                plugins.check_url("sources", source.source, dict(source.options))
            elif not isinstance(source.source, Iterable):
                raise ConfigError(
                    f"source {name_of(source.source)}", expected="a URL, a source or an iterable of blocks"
                )
        for sink in self.sinks:
            _check_edge(sink)
            if isinstance(sink.sink, str):
                plugins.check_url("sinks", sink.sink, dict(sink.options))
            elif not isinstance(sink.sink, Sink) and not callable(sink.sink):
                raise ConfigError(
                    f"sink {name_of(sink.sink)}", expected="a URL, a sink or a function of a prediction"
                )
            if sink.when:
                Expression(sink.when)


def wanted_by(part: To, model: Model) -> Expression | None:
    """The sink's ``when``, compared with what this model can say."""
    if not part.when:
        return None
    expression = Expression(part.when)
    expression.check_values("event", ("start", "end"))
    expression.check_values("label", model.labels)
    return expression


def _begun(opened: Any, run: Run | None) -> Any:
    if run is not None and hasattr(opened, "begin"):
        opened.begin(run)
    return opened


def _several(parts: Any, name: str) -> list[Any]:
    if isinstance(parts, (str, From, To)) or not isinstance(parts, Iterable):
        raise ConfigError(name, expected="a list", found=name_of(parts), remedy=f"write {name}=[…]")
    return list(parts)


def name_of(part: Any) -> str:
    """What a part is called in books and messages; a password in a URL is left out."""
    if isinstance(part, str):
        return re.sub(r"^(\w+:(?://)?)[^/@?]*@", r"\1", part.partition("?")[0])
    return str(getattr(part, "__qualname__", None) or getattr(part, "name", None) or type(part).__name__)


def _distinct(names: Sequence[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name}#{names[:at].count(name) + 1}"
        for at, name in enumerate(names)
    ]


def _check_edge(part: From | To) -> None:
    if part.queue is not None and part.queue < 1:
        raise ConfigError("queue", expected="at least 1", found=part.queue)
    if part.max_age_s is not None and part.max_age_s <= 0:
        raise ConfigError("max_age_s", expected="a positive number of seconds", found=part.max_age_s)
