"""Opens sources and sinks by URL; the constructor's signature is the schema of the options."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from edge_sdk import registry
from edge_sdk.blocks import Block, Fault
from edge_sdk.errors import ConfigError, suggestion
from edge_sdk.prediction import Prediction
from edge_sdk.registry import Url

Delivery = Literal["direct", "outbox", "actuator"]


@runtime_checkable
class Source(Protocol):
    """Yields blocks, or predictions of firmware that infers by itself, until it is exhausted or closed.

    A plug-in's class takes the URL's location first and its options as keyword arguments with defaults.
    Reads must time out: `close`, from another thread, ends the iteration within a second. It may also have

    - ``expect(input)``: is told what the model was trained with, as some wires tell neither rate nor names;
    - ``expect_shape(shape)``: is told the shape of one window of the model, as a camera can give any size;
    - ``policy = "latest"`` on the class: the policy of its queue, unless the pipeline says another;
    - ``missed``: deadlines that it missed so far, or what was lost on the way to it;
    - ``predicts = True`` on the class: it yields predictions and no blocks: no runtime need be loaded;
    - ``digest``: of the model that the firmware runs, ``sha256:…``, known with the first prediction: they go
      to the model of that digest, and it is an error when there is none;
    - ``resumed``: opened again, it goes on where the one before broke off, and nothing is missing between;
    - ``many = True`` on the class: its devices are named by whoever sends, so that what is wrong with one is
      a fault of that one, and the queue to the model is shared fairly;
    - ``live_with(**options)``, ``many_with(**options)``, ``predicts_with(**options)``, class methods, where
      that is up to its options;
    - ``location_is_path = True`` on the class: its location is seen from the folder of the edgeml.toml;
      ``path_options = ("ca", "cert")``: so are the files that these options name;
    - ``preflight(location, input, **options)``, a class method: raises what `edgeml check` should report.
    """

    live: bool
    """Whether samples come in real time, so that waiting for a slow model would lose them at the sensor."""

    def __iter__(self) -> Iterator[Block | Fault | Prediction]: ...

    def close(self) -> None:
        """End the iteration soon; may be called twice, and from any thread."""


@runtime_checkable
class Sink(Protocol):
    """Takes predictions; returning from `write` is the acknowledgement.

    It may also have

    - ``at_once``: predictions that one `write` may be given; default: 64;
    - ``max_age_s`` on the class: older predictions are dropped, unless the pipeline says otherwise;
    - ``keeps_windows = True`` on the class: its predictions carry what the model saw, `Prediction.window`;
    - ``begin(run)``: is told about each `edge_sdk.runs.Run` after it was opened;
    - ``safe()``, an actuator's: goes to the state in which nothing can happen. It is called when the
      predictions for it stop for longer than ``max_age_s`` (and than its ``holds_s``, where it has one), when
      the run ends, and when writing failed;
    - ``idle()``: is called about once a second while nothing is to be written, so that a lost connection
      is noticed before the next prediction; raises as `write` does;
    - ``location_is_path`` and ``preflight`` as a source may.
    """

    delivery: Delivery
    """What waits for the sink while it is away: ``outbox``, kept on disk, for what is reached over a network;
    ``direct``, kept in memory, for local files, databases, the console and functions; ``actuator``: nothing
    is kept, for what is too old must not happen any more."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Store all of them or raise `Retry`, `Rejected` or `Fatal`; never retries by itself."""

    def close(self) -> None:
        """Release what is held; may be called twice."""


def open_source(url: str, **options: Any) -> Any:
    """The source that a URL names, opened; use it in a ``with`` statement.

    Args:
        url: such as ``serial:///dev/ttyACM0?baud=115200`` or ``replay:walk.csv``.
        options: the same as in the query; an option may stand in one place only.

    Raises:
        ConfigError: unknown or ill-typed option.
        UnknownNameError: no such source.
        DeviceError: it cannot be opened now.
    """
    return _open("sources", url, options)


def open_sink(url: str, **options: Any) -> Any:
    """The sink that a URL names, opened; as `open_source`."""
    return _open("sinks", url, options)


def check_url(group: str, url: str, options: dict[str, Any] | None = None) -> tuple[Any, str, dict[str, Any]]:
    """A plug-in's class, its location and its options, checked but not opened."""
    parsed = Url.parse(url)
    plugin = registry.find(group, parsed.scheme)
    both = sorted(set(parsed.options) & set(options or {}))
    if both:
        raise ConfigError(f"{url}: option {both[0]!r} is given twice", expected="a key or a ?query, not both")
    given = {**parsed.options, **(options or {})}
    schema = options_of(plugin)
    checked = {}
    for name, value in given.items():
        if name not in schema:
            raise ConfigError(
                f"{parsed.scheme}: unknown option {name!r}",
                expected="one of " + ", ".join(sorted(schema)) if schema else "no options",
                remedy=suggestion(name, schema),
            )
        try:
            checked[name] = msgspec.convert(
                _split(value, schema[name].annotation), schema[name].annotation, strict=False
            )
        except msgspec.ValidationError as error:
            raise ConfigError(f"{parsed.scheme}: option {name!r}: {error}", found=repr(value)) from error
    missing = [n for n, p in schema.items() if p.default is inspect.Parameter.empty and n not in checked]
    if missing:
        raise ConfigError(f"{url}: option {missing[0]!r} is missing", remedy=f"add ?{missing[0]}=… or a key")
    return plugin, parsed.location, checked


def says(part: Any, options: Mapping[str, Any], trait: str) -> bool:
    """What a source is: its class says so, or, where that depends on options, a class method.

    Args:
        part: a URL, or an open source.
        options: that stand beside the URL.
        trait: ``live``, ``many`` or ``predicts``.
    """
    if not isinstance(part, str):
        return bool(getattr(part, trait, False))
    plugin, _, checked = check_url("sources", part, dict(options))
    if hasattr(plugin, f"{trait}_with"):
        return bool(getattr(plugin, f"{trait}_with")(**checked))
    return bool(getattr(plugin, trait, False))


@functools.cache
def options_of(plugin: Any) -> Mapping[str, inspect.Parameter]:
    """The keyword-only parameters of a plug-in's constructor, with resolved annotations.

    Read once: a pipeline of four parts asks for them some forty times before it runs.
    """
    init = plugin.__init__ if inspect.isclass(plugin) else plugin
    hints = typing.get_type_hints(init, include_extras=True)
    parameters = inspect.signature(init).parameters.values()
    return {
        p.name: p.replace(annotation=hints.get(p.name, Any))
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _open(group: str, url: str, options: dict[str, Any]) -> Any:
    plugin, location, checked = check_url(group, url, options)
    return plugin(location, **checked)


def _split(value: Any, kind: Any) -> Any:
    """A query can only hold text: ``channels=ax,ay`` becomes a list where a tuple is wanted."""
    wants_list = any(typing.get_origin(arm) is tuple for arm in (kind, *typing.get_args(kind)))
    return value.split(",") if wants_list and isinstance(value, str) else value
