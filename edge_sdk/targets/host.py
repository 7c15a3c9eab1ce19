"""``host:`` runs a model in this process. Options: ``threads=2``, ``runtime=tflite_runtime``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from edge_sdk import registry
from edge_sdk.contract import Contract
from edge_sdk.engine import open_engine
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.model import Model
from edge_sdk.registry import Url
from edge_sdk.targets import Key, _options
from edge_sdk.verify import verify

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.bench.plan import Plan
    from edge_sdk.bench.record import Record
    from edge_sdk.bench.session import Tell
    from edge_sdk.bench.subject import Subject

DEFAULT_RUNTIME = "litert"
_EXAMPLE = "host:?threads=N&runtime=NAME"


class Target:
    """This process.

    Args:
        url: ``host:?threads=N&runtime=NAME``; without `runtime`, the environment variable EDGEML_RUNTIME
            decides, and without that LiteRT. Nothing is chosen by what happens to be installed.

    Raises:
        ConfigError: an unknown option.
    """

    options = ("runtime", "threads")

    def __init__(self, url: Url) -> None:
        options = _options.take(url, self.options, _EXAMPLE)
        if url.location:
            raise ConfigError(f"target {url}: unknown option {url.location!r}", expected=_EXAMPLE)
        self._runtime = str(options.get("runtime") or os.environ.get("EDGEML_RUNTIME") or DEFAULT_RUNTIME)
        self._threads = _options.threads(url)

    def check(self) -> None:
        """Find out whether the runtime is installed.

        Raises:
            MissingExtraError: it is not.
            UnknownNameError: there is none of that name.
        """
        runtime = registry.find("runtimes", self._runtime)
        if hasattr(runtime, "probe"):
            runtime.probe()

    def load(self, file: str | PathLike[str], contract: Contract | None = None) -> Model:
        """Verify a model file and load it.

        Args:
            file: the .tflite.
            contract: used instead of the one in the file.

        Raises:
            ModelError: the file cannot be used.
            SpecError: the contract and the model do not fit each other.
        """
        path = os.fspath(file)
        verified = verify(path, self._runtime, contract=contract)
        contract = contract or verified.contract
        with _without_chatter():
            engine = open_engine(self._runtime, verified.flatbuffer, self._threads, contract)
        try:
            return Model(
                engine,
                verified.digest,
                contract,
                name=os.path.splitext(os.path.basename(path))[0],
                labels=verified.labels,
                footprint=verified.footprint,
            )
        except BaseException:
            engine.close()
            raise

    def latency(
        self, files: Mapping[Key, str | PathLike[str]], inputs: Sequence[NDArray[Any]]
    ) -> dict[Key, float | ModelError]:
        """Time several models in turn; those that the runtime refuses with the reason."""
        from edge_sdk.latency import measure  # only who measures pays for it

        models: dict[Key, Model] = {}
        found: dict[Key, float | ModelError] = {}
        try:
            for key, file in files.items():
                try:
                    models[key] = self.load(file)
                except ModelError as error:
                    found[key] = error
            found.update(measure({key: model.runtime for key, model in models.items()}, inputs))
        finally:
            for model in models.values():
                model.close()
        return found

    def bench(
        self, subjects: Mapping[Key, Subject], plan: Plan, tell: Tell
    ) -> dict[Key, Record | ModelError]:
        """Measure models in a process of their own, which has nothing but the runtime in it."""
        from edge_sdk.bench import session
        from edge_sdk.device import Place

        place = Place(address=None, runtime=self._runtime, threads=self._threads)
        return session.run(place, subjects, plan, tell)


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
