"""A pipeline's parts, made into the threads of one run and joined."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sdk import home, plugins
from edge_sdk.config import From, ModelFile, To, place
from edge_sdk.delivery import Actuation, Call, Delivery
from edge_sdk.edges import EdgeSettings, Policy
from edge_sdk.errors import ConfigError
from edge_sdk.expression import Expression
from edge_sdk.feed import Feed
from edge_sdk.fusion import Fusion
from edge_sdk.inference import Inference
from edge_sdk.outlet import Outlet
from edge_sdk.plugins import Sink
from edge_sdk.running import Running
from edge_sdk.runs import Run
from edge_sdk.thinking import Thinking
from edge_sdk.waiting import MemoryShelf, OutboxShelf, Shelf

if TYPE_CHECKING:
    from edge_sdk.model import Model
    from edge_sdk.outbox import Outbox
    from edge_sdk.pipeline import Pipeline

#: A sink behind a recording may hold it back; one that takes nothing for so long may not, s.
_PATIENCE_S = 10.0
_LIVE_BLOCKS, _RECORDED_BLOCKS, _PREDICTIONS, _WINDOWS = 1024, 64, 4096, 64
#: How old a prediction may be that something is done about, s.
_ACT_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a stream comes from; what a model's ``when`` may name."""

    device: str
    source: str


#: A part of a web hook's path that is so long, who knows it may post there.
_SECRET = r"/[^/]{16,}(?=/|$)"
ORIGIN_FIELDS = ("device", "source")


class Assembly:
    """Builds the threads of one run.

    Args:
        pipeline: the parts.
        models: loaded, in the pipeline's order.
        running: takes the threads.
    """

    def __init__(self, pipeline: Pipeline, models: Sequence[Model], running: Running) -> None:
        self._pipeline, self._models, self._running = pipeline, models, running
        self.runs = [
            Run(os.urandom(8).hex(), pipeline.device, model.name, model.digest, contract=model.contract)
            for model in models
        ]

    def build(self) -> None:
        """All of it."""
        pipeline, running = self._pipeline, self._running
        source_names = distinct([part.name or name_of(part.source) for part in pipeline.sources])
        sink_names = distinct([part.name or name_of(part.sink) for part in pipeline.sinks])
        running.outbox = running.books.outbox = self._outbox(sink_names)
        running.deliveries = self._deliveries(sink_names)
        pairs = zip(self._models, self.runs, strict=True)
        running.models = [self._thinking(model, run, source_names) for model, run in pairs]
        running.feeds = self._feeds(source_names)

    def _thinking(self, model: Model, run: Run, source_names: Sequence[str]) -> Thinking:
        pipeline, running = self._pipeline, self._running
        settings = pipeline.settings(model)
        inference = Inference(
            model,
            settings,
            device=pipeline.device,
            run_id=run.run_id,
            devices=pipeline.devices,
            sensor=pipeline.sensor,
        )
        inference.keep_windows = any(pipeline.keeps_windows(part) for part in pipeline.sinks)
        fusion = None
        if pipeline.fusion is not None:
            fusion = Fusion(
                pipeline.fusion,
                source_names,
                model.channels,
                device=pipeline.device,
                devices=pipeline.devices,
            )
        return Thinking(
            inference,
            running.deliveries,
            running.books,
            fusion=fusion,
            on_prediction=running.predicted,
            on_failure=running.failed,
        )

    def _feeds(self, names: Sequence[str]) -> list[Feed]:
        pipeline, running = self._pipeline, self._running
        feeds = []
        for index, (name, part) in enumerate(zip(names, pipeline.sources, strict=True)):
            feed = Feed(
                name, self._opener("sources", part.source, part.options), pipeline.devices, running.ended
            )
            feed.reopens = isinstance(part.source, str)
            feed.live, feed.many = pipeline.is_live(part), pipeline.has_many(part)
            feed.device = pipeline.device if len(names) == 1 else f"{pipeline.device}-{index + 1}"
            contract = self._models[0].contract
            # Of sensors that are joined, none has all the channels.
            feed.expected = contract.input if contract and pipeline.fusion is None else None
            feed.shape = self._models[0].input_shape
            for file, thinking in zip(pipeline.models, running.models, strict=True):
                wanted = wanted_from(file, name)
                thinking.each_device = thinking.each_device or (feed.many and feed.live)
                outlet = Outlet(feed, thinking.junction, pipeline.source_edge(part), wanted)
                outlet.name, outlet.digest = thinking.name, thinking.inference.model.digest
                feed.outlets.append(outlet)
            feeds.append(feed)
        return feeds

    def _deliveries(self, names: Sequence[str]) -> list[Delivery]:
        pipeline, running = self._pipeline, self._running
        many = any(pipeline.has_many(part) for part in pipeline.sources)
        lanes = {} if running.outbox is None else {lane.name: lane for lane in running.outbox.lanes}
        deliveries = []
        for name, part in zip(names, pipeline.sinks, strict=True):
            opener = self._opener("sinks", part.sink, _sink_options(pipeline, part), self.runs)
            kind = delivery_of(pipeline, part)
            shelf: Shelf = MemoryShelf(pipeline.sink_edge(part), running.books, fair=many)
            if running.outbox is not None and name in lanes:
                max_age_s = part.max_age_s or getattr(pipeline.plugin(part), "max_age_s", None)
                shelf = OutboxShelf(running.outbox, lanes[name], max_age_s)
            delivery = (Actuation if kind == "actuator" else Delivery)(
                name, kind, opener, shelf, running.failed
            )
            if isinstance(delivery, Actuation):
                delivery.max_age_s = part.max_age_s or _ACT_WITHIN_S
            delivery.reopens = isinstance(part.sink, str)
            delivery.keeps_windows = pipeline.keeps_windows(part)
            delivery.when = wanted_by(part, self._models)
            if not isinstance(part.sink, (str, Sink)):
                delivery.batch = 1
            deliveries.append(delivery)
        return deliveries

    def _outbox(self, names: Sequence[str]) -> Outbox | None:
        pipeline = self._pipeline
        kept = [
            name
            for name, part in zip(names, pipeline.sinks, strict=True)
            if delivery_of(pipeline, part) == "outbox"
        ]
        settings = pipeline.outbox_settings
        if not kept or settings is None:
            return None
        from edge_sdk.outbox import Outbox  # sqlite3 costs a start without one 5 ms

        return Outbox(settings, kept, self._running.books.lose)

    def _opener(
        self, group: str, part: Any, options: Mapping[str, Any], runs: Sequence[Run] = ()
    ) -> Callable[[], Any]:
        if not isinstance(part, str):
            opened = part if group == "sources" or isinstance(part, Sink) else Call(part)
            return lambda: _begun(opened, runs)
        plugin, location, checked = self._pipeline.placed(group, part, options)
        return lambda: _begun(plugin(location, **checked), runs)


def source_edge(part: From, live: bool, policy: Policy | None = None) -> EdgeSettings:
    """The edge behind a source, with its defaults filled in.

    Args:
        part: the source.
        live: whether its samples come in real time.
        policy: that it has by itself where nobody says another.
    """
    policy = part.policy or policy or ("drop_oldest" if live else "block")
    return EdgeSettings(policy, part.queue or (_LIVE_BLOCKS if live else _RECORDED_BLOCKS), part.max_age_s)


def sink_edge(part: To, live: bool, *, keeps_windows: bool = False) -> EdgeSettings:
    """The edge before a sink that waits in memory, with its defaults filled in."""
    policy = part.policy or ("drop_oldest" if live else "block")
    return EdgeSettings(
        policy, part.queue or (_WINDOWS if keeps_windows else _PREDICTIONS), part.max_age_s, _PATIENCE_S
    )


def source_opener(part: From, folder: Path) -> Callable[[], Any]:
    """Opens a source; relative paths in its URL begin at a folder."""
    if not isinstance(part.source, str):
        return lambda: part.source
    plugin, location, checked = placed("sources", part.source, part.options, folder)
    return lambda: plugin(location, **checked)


def delivery_of(pipeline: Pipeline, part: To) -> str:
    """``direct``, ``outbox`` or ``actuator``: what waits for a sink, and where."""
    plugin = pipeline.plugin(part)
    if isinstance(part.sink, str) and "delivery" in plugins.options_of(plugin):
        _, _, checked = plugins.check_url("sinks", part.sink, dict(part.options))
        if "delivery" in checked:
            return str(checked["delivery"])
    return str(getattr(plugin, "delivery", "direct"))


def _sink_options(pipeline: Pipeline, part: To) -> dict[str, Any]:
    """A sink's own, and the pipeline's ``max_age_s`` where the sink looks at it, too."""
    options = dict(part.options)
    if (
        part.max_age_s
        and isinstance(part.sink, str)
        and "max_age_s" in plugins.options_of(pipeline.plugin(part))
    ):
        options["max_age_s"] = part.max_age_s
    return options


def outbox_file(folder: Path, device: str, from_file: bool) -> Path:
    """Where the outbox lies when nothing else is said: in a service's state, beside the file, or at home."""
    name = re.sub(r"[^\w.-]", "_", device) + ".outbox"
    if "STATE_DIRECTORY" in os.environ:
        return Path(os.environ["STATE_DIRECTORY"].partition(":")[0]) / name
    if from_file:
        return folder / name
    state = Path(home.place("state"))
    state.mkdir(parents=True, exist_ok=True)
    return state / name


def wanted_by(part: To, models: Sequence[Model]) -> Expression | None:
    """The sink's ``when``, compared with what these models can say."""
    if not part.when:
        return None
    expression = Expression(part.when)
    expression.check_values("event", ("start", "end"))
    labels = tuple(dict.fromkeys(label for model in models for label in model.labels))
    expression.check_values("label", labels)
    expression.check_values("model", tuple(model.name for model in models))
    return expression


def wanted_from(model: ModelFile, source: str) -> Callable[[str], bool] | None:
    """Which of a source's devices a model gets; None means all."""
    if not model.when:
        return None
    expression = Expression(model.when, ORIGIN_FIELDS)
    return lambda device: expression(Origin(device, source))


def name_of(part: Any) -> str:
    """What a part is called in books and messages; a password in a URL is left out."""
    if isinstance(part, str):
        if part.startswith("notify:"):  # what follows the service is a secret of most of them
            return ":".join(part.split(":", 2)[:2])
        shown = re.sub(r"^(\w+:(?://)?)[^/@?]*@", r"\1", part.partition("?")[0])
        return re.sub(_SECRET, _veiled, shown) if shown.startswith("http") else shown
    return str(getattr(part, "__qualname__", None) or getattr(part, "name", None) or type(part).__name__)


def _veiled(match: re.Match[str]) -> str:
    """The same for the same secret, so that the outbox knows its sink again."""
    return f"/…{zlib.crc32(match[0].encode()):08x}"


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where one comes twice."""
    return [
        name if names.count(name) == 1 else f"{name}#{names[:at].count(name) + 1}"
        for at, name in enumerate(names)
    ]


def placed(
    group: str, url: str, options: Mapping[str, Any], folder: Path, state: Path | None = None
) -> tuple[Any, str, dict[str, Any]]:
    """A plug-in's class, its location and the files among its options seen from a folder, and its options.

    Args:
        group: ``sources`` or ``sinks``.
        url: of the plug-in.
        options: that stand beside it.
        folder: of the edgeml.toml.
        state: where its location begins; default: there as well.
    """
    plugin, _, _ = plugins.check_url(group, url, dict(options))
    plugin, location, checked = plugins.check_url(group, place(url, plugin, state or folder), dict(options))
    for name in getattr(plugin, "path_options", ()):
        value = checked.get(name)
        if value and (folder / value).exists():
            checked[name] = str(folder / value)
    return plugin, location, checked


def check_edge(part: From | To) -> None:
    """See that the keys of an edge make sense."""
    if part.queue is not None and part.queue < 1:
        raise ConfigError("queue", expected="at least 1", found=part.queue)
    if part.max_age_s is not None and part.max_age_s <= 0:
        raise ConfigError("max_age_s", expected="a positive number of seconds", found=part.max_age_s)


def _begun(opened: Any, runs: Sequence[Run]) -> Any:
    if hasattr(opened, "begin"):
        for run in runs:
            opened.begin(run)
    return opened
