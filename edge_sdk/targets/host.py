"""``host:`` runs a model in this process. Options: ``threads=2``, ``runtime=tflite_runtime``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from os import PathLike

from edge_sdk import registry
from edge_sdk.contract import Contract
from edge_sdk.errors import ConfigError, suggestion
from edge_sdk.model import Model
from edge_sdk.registry import Url
from edge_sdk.verify import verify

DEFAULT_RUNTIME = "litert"


def load(file: str | PathLike[str], url: Url, contract: Contract | None = None) -> Model:
    """Verify a model file and load it with the runtime that was chosen by name.

    Args:
        file: the .tflite.
        url: ``host:?threads=N&runtime=NAME``; without `runtime`, the environment variable EDGEML_RUNTIME
            decides, and without that LiteRT. Nothing is chosen by what happens to be installed.
        contract: used instead of the one in the file.

    Raises:
        ModelError: the file cannot be used.
        ConfigError: an unknown option.
    """
    options = dict(url.options)
    runtime = str(options.pop("runtime", None) or os.environ.get("EDGEML_RUNTIME") or DEFAULT_RUNTIME)
    threads = _threads(options.pop("threads", "1"))
    if options or url.location:
        odd = next(iter(options), url.location)
        raise ConfigError(
            f"target {url}: unknown option {odd!r}",
            expected="host:?threads=N&runtime=NAME",
            remedy=suggestion(odd, ["threads", "runtime"]),
        )
    path = os.fspath(file)
    verified = verify(path, runtime)
    with _without_chatter():
        engine = registry.find("runtimes", runtime)(verified.flatbuffer, threads)
    return Model(
        engine,
        verified.digest,
        contract or verified.contract,
        name=os.path.splitext(os.path.basename(path))[0],
        labels=verified.labels,
    )


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """LiteRT announces its delegate on standard error in every process, whatever the log level.

    Nothing else is lost: its errors are exceptions, and the model was run in a child process before.
    """
    try:
        saved = os.dup(2)
    except OSError:  # started without a standard error, as some services are
        yield
        return
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(silence)


def _threads(value: object) -> int:
    try:
        threads = int(str(value))
        if threads < 1:
            raise ValueError
    except ValueError as error:
        raise ConfigError("target host: threads", expected="a number from 1", found=value) from error
    return threads
