"""A release made of an edgeml.toml: the files beside it that it names, and a runtime for the device."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sdk import home
from edge_sdk.deploy import packages, signature, tree
from edge_sdk.deploy.health import ANY
from edge_sdk.deploy.manifest import (
    NAME,
    NAME_WORDS,
    VERSION,
    VERSION_WORDS,
    Entry,
    Manifest,
    Platform,
    digest_of,
    read_listing,
)
from edge_sdk.deploy.store import Store
from edge_sdk.deploy.surroundings import surroundings
from edge_sdk.errors import ConfigError
from edge_sdk.pipeline import Pipeline
from edge_sdk.registry import Url

#: How long a release must work before it is trusted, s.
WINDOW_S = 90
CONFIG = "edgeml.toml"


@dataclass(frozen=True, slots=True)
class Release:
    """What is sent.

    Attributes:
        manifest: what it is.
        data: the manifest as it is signed.
        signed: its signature; empty until it is `sign`ed.
        entries: every content that a device needs, the listing of the runtime among them.
    """

    manifest: Manifest
    data: bytes
    signed: bytes
    entries: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """All contents together."""
        return sum({entry.digest: entry.size for entry in self.entries}.values())


@dataclass(frozen=True, slots=True)
class Wish:
    """How a release is to be made.

    Attributes:
        config: the edgeml.toml.
        name: of the pipeline on the device; default: after the file.
        version: for people; default: the time.
        window_s: how long it must work before it is trusted.

    Raises:
        ConfigError: no pipeline can be called so, or no version.
    """

    config: Path
    name: str | None = None
    version: str | None = None
    window_s: int = WINDOW_S

    def __post_init__(self) -> None:
        for option, value, pattern, words in (
            ("--name", self.name, NAME, NAME_WORDS),
            ("--version", self.version, VERSION, VERSION_WORDS),
        ):
            if value is not None and not pattern.fullmatch(value):
                raise ConfigError(option, expected=words, found=repr(value)[:100])


def host_store() -> Store:
    """The contents that this host has made, in the user's cache."""
    return Store(Path(home.place("cache", "deploy")))


def check(wish: Wish) -> None:
    """Make sure that there is what a release is made of, before a device is asked anything.

    Raises:
        EdgeError: the pipeline is wrong, or a file lies elsewhere.
    """
    pipeline = Pipeline.from_config(wish.config)
    files_of(pipeline, wish.config)
    _health(pipeline.status)


def make(
    wish: Wish, platform: Platform, store: Store, say: Callable[[str], None], *, newer_than: int = 0
) -> Release:
    """Make a release, which has still to be signed.

    Args:
        wish: what of.
        platform: of the device.
        store: takes its contents.
        say: takes what is told about each step.
        newer_than: serial that the device has seen: this one is newer, whatever the clocks of the hosts say.

    Raises:
        EdgeError: the pipeline is wrong, or a file lies elsewhere.
    """
    pipeline = Pipeline.from_config(wish.config)
    urls = [part.source for part in pipeline.sources] + [part.sink for part in pipeline.sinks]
    extras = {
        tree.EXTRAS[scheme] for scheme in (Url.parse(url).scheme for url in urls) if scheme in tree.EXTRAS
    }
    for model in pipeline.models:
        packages.check_target(model.target, platform)
    listed = tree.build(platform, extras, store, say, system=surroundings(pipeline).packages)
    files = []
    for path, file in sorted(files_of(pipeline, wish.config).items()):
        data = file.read_bytes()
        files.append(Entry(path, store.add_bytes(data), len(data)))
    now = int(time.time())
    manifest = Manifest(
        name=wish.name or name_of(wish.config),
        version=wish.version or time.strftime("%Y%m%d.%H%M%S", time.gmtime(now)),
        serial=max(now, newer_than + 1),
        platform=platform,
        runtime=digest_of(listed),
        config=CONFIG,
        health=_health(pipeline.status),
        window_s=wish.window_s,
        files=tuple(files),
    )
    data = Manifest.from_bytes(manifest.to_bytes()).to_bytes()  # what a device would refuse is refused here
    runtime = Entry("runtime", manifest.runtime, len(listed))
    return Release(manifest, data, b"", (*files, runtime, *read_listing(listed)))


def sign(release: Release, key: Path) -> Release:
    """The release with a signature.

    Raises:
        ConfigError: the key cannot be used.
    """
    return replace(release, signed=signature.sign(release.data, key))


def files_of(pipeline: Pipeline, config: Path) -> dict[str, Path]:
    """What belongs to a pipeline, by its path in the release.

    Raises:
        ConfigError: a file is missing, or lies outside the folder of its edgeml.toml.
    """
    folder = config.absolute().parent
    found = {CONFIG: config}
    for what, name in _named(pipeline):
        file = folder / name
        path = os.path.relpath(file, folder)
        if not file.is_file():
            raise ConfigError(
                f"{what}: {name}", expected="a file", found="none", remedy="correct edgeml.toml"
            )
        if path.startswith("..") or Path(name).is_absolute():
            raise ConfigError(
                f"{what}: {name}",
                expected=f"a file in {folder}, which is what travels",
                remedy=f"put it beside {config.name}",
            )
        found[path] = file
    return found


def _health(status: str | None) -> str:
    """Where it is asked for its health, after what its edgeml.toml says."""
    if status is None:
        return ANY
    if status == "none":
        return ""
    host, _, port = status.rpartition(":")
    if port == "0":
        raise ConfigError("status", expected="a port that is known before it runs", found=repr(status))
    return f"http://{host or '127.0.0.1'}:{port}/health"


def _named(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Files that the pipeline names, and which part does."""
    for model in pipeline.models:
        if model.file:
            yield "the model", str(model.file)
    parts = [("sources", part.source, part.options) for part in pipeline.sources]
    parts += [("sinks", part.sink, part.options) for part in pipeline.sinks]
    for group, url, options in parts:
        plugin, location, _ = pipeline.placed(group, url, options)
        given = {**Url.parse(url).options, **options}
        if group == "sources" and getattr(plugin, "location_is_path", False):
            yield url, os.path.relpath(location, pipeline.config.folder)
        for option in getattr(plugin, "path_options", ()):
            if given.get(option) and not Path(given[option]).is_absolute():  # else it is the device's own
                yield f"{url}: {option}", str(given[option])


def name_of(config: Path) -> str:
    """What a pipeline is called where nothing else is said: after its file, or its folder."""
    path = config.absolute()
    stem = path.stem if path.stem != "edgeml" else path.parent.name
    return re.sub(r"[^a-z0-9-]+", "-", stem.lower()).strip("-")[:40] or "pipeline"
