"""``edgeml.toml``: a pipeline as a file. Its one schema; docs/pipeline.md explains it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from edge_sdk.contract import DecisionSettings
from edge_sdk.edges import Policy
from edge_sdk.errors import ConfigError, suggestion
from edge_sdk.registry import Url

_DECISION = {field.name for field in dataclasses.fields(DecisionSettings)}


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """``[model]``: which model runs, and where.

    Attributes:
        file: the .tflite.
        target: where it runs, ``host:?threads=2``.
    """

    file: str
    target: str = "host:"


class From(msgspec.Struct, frozen=True, rename={"source": "url"}):
    """``[[source]]``: a source and the edge behind it.

    Attributes:
        source: a URL; from Python also an open source or any iterable of blocks.
        policy: what happens when the model is slower: ``block``, ``drop_oldest``, ``drop_newest``,
            ``latest``; default: ``drop_oldest`` for live sources, ``block`` for recordings and pipes.
        queue: blocks that may wait for the model.
        max_age_s: blocks that waited longer are dropped, s.
        options: the source's own.
    """

    source: Any
    policy: Policy | None = None
    queue: int | None = None
    max_age_s: float | None = None
    options: dict[str, Any] = {}


class To(msgspec.Struct, frozen=True, rename={"sink": "url"}):
    """``[[sink]]``: a sink and the edge before it.

    Attributes:
        sink: a URL; from Python also an open sink or any function of a prediction.
        when: which predictions it gets, ``event == 'start' and score > 0.8``.
        policy: as in `From`; default: ``block`` behind recordings, ``drop_oldest`` behind live sources.
        queue: predictions that may wait for the sink.
        max_age_s: predictions that waited longer are dropped, s.
        options: the sink's own.
    """

    sink: Any
    when: str | None = None
    policy: Policy | None = None
    queue: int | None = None
    max_age_s: float | None = None
    options: dict[str, Any] = {}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        model: ``[model]``.
        source: ``[[source]]``, at least one.
        sink: ``[[sink]]``; none means ``stdout:``.
        device: name for predictions whose source names none; default: the host's name.
        decision: ``[decision]``, each key overrides the contract's.
        contract: ``[contract]``, what a foreign model lacks.
        folder: where relative paths begin.
    """

    model: ModelFile
    source: tuple[From, ...]
    sink: tuple[To, ...] = (To("stdout:"),)
    device: str | None = None
    decision: dict[str, Any] = {}
    contract: dict[str, Any] | None = None
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
        if isinstance(tables.get("model"), list):
            tables["model"] = _only_model(where, tables["model"])
        for name, kind in (("source", From), ("sink", To)):
            if name in tables:
                tables[name] = [
                    _with_options(where, name, kind, table) for table in _tables(where, name, tables[name])
                ]
        if isinstance(tables.get("model"), dict):
            _refuse_unknown(where, "[model]", tables["model"], _keys(ModelFile))
        decision = tables.get("decision", {})
        if isinstance(decision, dict):
            _refuse_unknown(
                where, "[decision]", decision, {f.name for f in dataclasses.fields(DecisionSettings)}
            )
        try:
            config = msgspec.convert(
                {**tables, "folder": str(folder)}, cls, dec_hook=lambda kind, value: kind(value)
            )
            msgspec.convert(decision, DecisionSettings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{where}: {error}") from error
        if not config.source:
            raise ConfigError(f"{where}: no source", expected="at least one [[source]] with a url")
        return config

    def named(self, device: str) -> Self:
        """The same with another device name."""
        return msgspec.structs.replace(self, device=device)

    def to_toml(self) -> str:
        """The file's text; loading it gives this config again."""
        lines = [f"device = {_value(self.device)}", ""] if self.device else []
        lines += _table("[model]", {"file": self.model.file, "target": self.model.target})
        for header, parts in (("[[source]]", self.source), ("[[sink]]", self.sink)):
            for part in parts:
                facts = msgspec.to_builtins(part)
                options = facts.pop("options")
                lines += _table(header, {**facts, **options})
        for name, table in (("decision", self.decision), ("contract", self.contract)):
            if table:
                lines += _table(f"[{name}]", table)
        return "\n".join(lines)


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


def override(settings: DecisionSettings, keys: Mapping[str, Any]) -> DecisionSettings:
    """Decision settings with some keys replaced.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    _refuse_unknown("decision", "", keys, _DECISION)
    try:
        return msgspec.convert({**dataclasses.asdict(settings), **keys}, DecisionSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"decision: {error}") from error


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


def _only_model(where: str, tables: list[Any]) -> Any:
    if len(tables) != 1:
        raise ConfigError(
            f"{where}: [[model]]", expected="one model", found=len(tables), remedy="run one file for each"
        )
    return tables[0]


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
