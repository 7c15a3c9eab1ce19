"""``edgeml.toml``: a pipeline as a file. Its one schema; docs/pipeline.md explains it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import msgspec

from edge_sdk.contract import DecisionSettings
from edge_sdk.edges import Policy
from edge_sdk.errors import ConfigError, suggestion
from edge_sdk.fusion import FusionSettings
from edge_sdk.outbox.letters import OutboxSettings
from edge_sdk.registry import Url
from edge_sdk.roster import RosterSettings
from edge_sdk.watch import SensorSettings

Settings = TypeVar("Settings")
#: The targets of a model that runs in this process, and of one that firmware behind a source runs.
HERE, IN_FIRMWARE = "host:", "source:"


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """``[model]``, or one of several ``[[model]]``: which model runs, where, and on what.

    Attributes:
        file: the .tflite; none where firmware behind a source runs it and ``[contract]`` says what it is.
        target: where it runs, ``host:?threads=2``; ``source:`` where firmware sends its predictions.
        name: what its predictions call it; default: the contract's name.
        when: which streams it gets, ``device == 'press-7'`` or ``source == 'imu'``; default: all.
        decision: keys that override those of ``[decision]`` and the contract, for this model.
        contract: what this model lacks; default: ``[contract]``.
    """

    file: str = ""
    target: str = HERE
    name: str | None = None
    when: str | None = None
    decision: dict[str, Any] = {}
    contract: dict[str, Any] | None = None


class From(msgspec.Struct, frozen=True, rename={"source": "url"}):
    """``[[source]]``: a source and the edge behind it.

    Attributes:
        source: a URL; from Python also an open source or any iterable of blocks.
        name: what the books and ``when`` call it; default: its URL without options.
        policy: what happens when the model is slower: ``block``, ``drop_oldest``, ``drop_newest``,
            ``latest``; default: ``drop_oldest`` for live sources, ``block`` for recordings and pipes.
        queue: blocks that may wait for the model.
        max_age_s: blocks that waited longer are dropped, s.
        options: the source's own.
    """

    source: Any
    name: str | None = None
    policy: Policy | None = None
    queue: int | None = None
    max_age_s: float | None = None
    options: dict[str, Any] = {}


class To(msgspec.Struct, frozen=True, rename={"sink": "url"}):
    """``[[sink]]``: a sink and the edge before it.

    Attributes:
        sink: a URL; from Python also an open sink or any function of a prediction.
        name: what the books and the outbox call it; default: its URL without options.
        when: which predictions it gets, ``event == 'start' and score > 0.8``.
        policy: as in `From`; default: ``block`` behind recordings, ``drop_oldest`` behind live sources.
        queue: predictions that may wait for the sink.
        max_age_s: predictions that waited longer are dropped, s.
        options: the sink's own.
    """

    sink: Any
    name: str | None = None
    when: str | None = None
    policy: Policy | None = None
    queue: int | None = None
    max_age_s: float | None = None
    options: dict[str, Any] = {}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        model: ``[model]``, or several ``[[model]]``; none where there is a ``[contract]``: of a model that
            firmware behind a source runs.
        source: ``[[source]]``, at least one.
        sink: ``[[sink]]``; none means ``stdout:``.
        device: name for predictions whose source names none; default: the host's name.
        decision: ``[decision]``, each key overrides the contract's.
        contract: ``[contract]``, what a foreign model lacks.
        outbox: ``[outbox]``, what waits for sinks that are away; ``false`` keeps it in memory.
        sensor: ``[sensor]``, what the sensors are held to.
        devices: ``[devices]``, how many there may be.
        fusion: ``[fusion]``, joins the sources into one stream.
        status: address of /metrics, /health and /ready; ``none`` for nowhere; default: 127.0.0.1:9464.
        folder: where relative paths begin.
    """

    model: tuple[ModelFile, ...]
    source: tuple[From, ...]
    sink: tuple[To, ...] = (To("stdout:"),)
    device: str | None = None
    decision: dict[str, Any] = {}
    contract: dict[str, Any] | None = None
    outbox: dict[str, Any] | bool = {}
    sensor: dict[str, Any] = {}
    devices: dict[str, Any] = {}
    fusion: dict[str, Any] | None = None
    status: str | None = None
    folder: Path = Path()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            ConfigError: no such file, not TOML, an unknown key, a wrong value.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            found = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(f"{path}: cannot be read", found=found) from error
        return cls.parse(text, where=str(path), folder=path.parent)

    @classmethod
    def parse(cls, text: str, *, where: str = "edgeml.toml", folder: Path = Path()) -> Self:
        """Read the text of a file; relative paths in it begin at `folder`."""
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{where}: not TOML: {error}") from error
        known = _keys(cls) - {"folder"}
        _refuse_unknown(where, "", tables, known)
        if isinstance(tables.get("model"), dict):
            tables["model"] = [tables["model"]]
        if "model" not in tables and "contract" in tables:
            tables["model"] = [{"target": IN_FIRMWARE}]
        for name, kind in (("source", From), ("sink", To)):
            if name in tables:
                tables[name] = [
                    _with_options(where, name, kind, table) for table in _tables(where, name, tables[name])
                ]
        for model in _tables(where, "model", tables.get("model", [])):
            _refuse_unknown(where, "[model]", model, _keys(ModelFile))
        try:
            config = msgspec.convert(
                {**tables, "folder": str(folder)}, cls, dec_hook=lambda kind, value: kind(value)
            )
        except msgspec.ValidationError as error:
            raise ConfigError(f"{where}: {error}") from error
        config.check(where)
        return config

    def check(self, where: str = "edgeml.toml") -> None:
        """See that every table says what it may.

        Raises:
            ConfigError: an unknown key, a wrong value, no model, no source.
        """
        for count, name in ((self.source, "source"), (self.model, "model")):
            if not count:
                raise ConfigError(f"{where}: no {name}", expected=f"at least one [[{name}]]")
        for model in self.model:
            check_model(model, self.contract, where)
        for table in (self.decision, *(model.decision for model in self.model)):
            settings(DecisionSettings, table, f"{where}: [decision]")
        settings(SensorSettings, self.sensor, f"{where}: [sensor]")
        settings(RosterSettings, self.devices, f"{where}: [devices]")
        settings(FusionSettings, self.fusion or {}, f"{where}: [fusion]")
        if isinstance(self.outbox, dict):
            settings(OutboxSettings, {"file": "", **self.outbox}, f"{where}: [outbox]")

    def changed(self, **keys: Any) -> Self:
        """The same with other values for some keys."""
        return msgspec.structs.replace(self, **keys)

    def to_toml(self) -> str:
        """The file's text; loading it gives this config again."""
        top = {
            "device": self.device,
            "status": self.status,
            "outbox": False if self.outbox is False else None,
        }
        lines = [f"{name} = {_value(value)}" for name, value in top.items() if value is not None]
        lines += [""] if lines else []
        for model in self.model:
            facts = {name: value for name, value in msgspec.to_builtins(model).items() if value}
            lines += _table("[model]" if len(self.model) == 1 else "[[model]]", facts)
        for header, parts in (("[[source]]", self.source), ("[[sink]]", self.sink)):
            for part in parts:
                facts = msgspec.to_builtins(part)
                options = facts.pop("options")
                lines += _table(header, {**facts, **options})
        for name in ("decision", "contract", "outbox", "sensor", "devices", "fusion"):
            table = getattr(self, name)
            if isinstance(table, dict) and (table or name == "fusion"):
                lines += _table(f"[{name}]", table)
        return "\n".join(lines)


def check_model(model: ModelFile, contract: Mapping[str, Any] | None, where: str) -> None:
    """See that there is a file, or that none is needed.

    Args:
        model: its table.
        contract: that of the pipeline.
        where: for the error.

    Raises:
        ConfigError: there is no file, and something must run here, or nothing says what the model is.
    """
    if not model.file and not (model.target == IN_FIRMWARE and (model.contract or contract)):
        raise ConfigError(
            f"{where}: a model without a file",
            expected="file = 'model.tflite'",
            remedy=f"or target = '{IN_FIRMWARE}' and a [contract], for firmware that infers by itself",
        )


def place(url: str, plugin: Any, folder: Path) -> str:
    """The URL with a relative path made to begin at `folder`, where the plug-in's location is a path.

    Args:
        url: as it stands in the file.
        plugin: its class; ``location_is_path = True`` says so.
        folder: of the file.
    """
    parsed = Url.parse(url)
    if not getattr(plugin, "location_is_path", False) or not parsed.location or folder == Path():
        return url
    scheme, _, rest = url.partition(":")
    location, mark, query = rest.removeprefix("//").partition("?")
    return f"{scheme}:{folder / location}{mark}{query}"


def settings(
    kind: type[Settings], keys: Mapping[str, Any], where: str, base: Settings | None = None
) -> Settings:
    """A table as the settings it stands for, over their defaults or over a base.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    fields = {field.name for field in dataclasses.fields(cast("Any", kind))}
    _refuse_unknown(where, "", keys, fields)
    known = {} if base is None else {name: getattr(base, name) for name in fields}
    try:
        return msgspec.convert({**known, **keys}, kind, dec_hook=lambda to, value: to(value))
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _keys(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def _refuse_unknown(where: str, table: str, found: Iterable[str], known: set[str]) -> None:
    for name in found:
        if name not in known:
            raise ConfigError(
                f"{where}: {table + ': ' if table else ''}unknown key {name!r}",
                expected="one of " + ", ".join(sorted(known)),
                remedy=suggestion(name, known),
            )


def _tables(where: str, name: str, value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        raise ConfigError(
            f"{where}: [{name}]", expected=f"[[{name}]] in double brackets: there may be several"
        )
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ConfigError(f"{where}: {name}", expected=f"[[{name}]] tables", found=repr(value))
    return value


def _with_options(where: str, name: str, kind: type[msgspec.Struct], table: dict[str, Any]) -> dict[str, Any]:
    """What the struct does not know is an option of the plug-in, which the pipeline checks."""
    known = _keys(kind) - {"options"}
    if not isinstance(table.get("url"), str):
        near = next((key for key in table if suggestion(key, ["url"])), None)
        found = repr(near) if near else repr(table.get("url"))
        raise ConfigError(f"{where}: [[{name}]]", expected="a key url, such as 'stdout:'", found=found)
    own = {key: value for key, value in table.items() if key in known}
    return {**own, "options": {key: value for key, value in table.items() if key not in known}}


def _table(header: str, values: Mapping[str, Any]) -> list[str]:
    """A TOML table; nested tables are written inline."""
    return [
        header,
        *(f"{_key(name)} = {_value(value)}" for name, value in values.items() if value is not None),
        "",
    ]


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)
