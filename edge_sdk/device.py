"""A process that takes models, proves them, runs them and times them: on another machine, or on this one."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sdk import child, resident, ssh
from edge_sdk.closing import Closing
from edge_sdk.errors import (
    ChildError,
    ChildTimeoutError,
    ConfigError,
    DeviceError,
    MissingExtraError,
    ModelError,
    UnknownNameError,
    one_line,
)
from edge_sdk.remote import RemoteWorker
from edge_sdk.runtimes import Port
from edge_sdk.targets import Key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.contract import Contract

#: Of a file in one call, bytes.
_PART_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where models run.

    Attributes:
        address: of the machine; None for a process of its own on this one.
        python: program there; ``~/`` is the home folder there.
        packages: folder there with the packages that Python shall use; empty for its own.
        runtime: name of the engine.
        threads: that the engine may use.
        timeout_s: for each step there, s.
    """

    address: ssh.Address | None
    python: str = "python3"
    packages: str = ""
    runtime: str = "litert"
    threads: int = 1
    timeout_s: float = 60.0

    def __str__(self) -> str:
        return "this machine" if self.address is None else str(self.address)


class Placed:
    """A model that is loaded on a device.

    Attributes:
        name: that the worker there knows it by.
        version: of the runtime there.
        inputs: ports of the model, in the runtime's order.
        outputs: likewise.
    """

    def __init__(self, name: str, facts: Mapping[str, Any]) -> None:
        self.name, self.version = name, str(facts["version"])
        self.inputs, self.outputs = (
            tuple(Port(**{**port, "quantization": tuple(port["quantization"])}) for port in facts[side])
            for side in ("inputs", "outputs")
        )


class Device(Closing):
    """A worker that has the runtime, and the connection to it where it is on another machine.

    Args:
        place: where models shall run.

    Raises:
        DeviceError: the machine cannot be reached, or lacks something.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        #: Whether the worker died, and all models with it.
        self.ended = False
        self._connection: ssh.Connection | None = None
        self._folder = ""  # a worker on another machine has one of its own
        self._worker: child.Worker
        if place.address is None:
            self._worker, self._folder = child.Worker(), tempfile.mkdtemp(prefix="edgeml-")
        else:
            self._connection = ssh.Connection(place.address, connect_s=min(place.timeout_s, ssh.CONNECT_S))
            self._worker = RemoteWorker(
                self._connection, place.python, packages=place.packages, start_s=place.timeout_s
            )
        try:
            if isinstance(self._worker, RemoteWorker):
                self._worker.start()
            with self._in_words():
                self._call("probe", runtime=place.runtime)
        except BaseException:
            self.close()
            raise

    def take(self, file: Path, data: bytes, contract: Contract | None = None) -> Placed:
        """Send a model file, prove it there with its golden vectors, and load it.

        Args:
            file: its name, for errors.
            data: all of it.
            contract: that the model is used with.

        Raises:
            ModelError: it is refused there, crashes the runtime, or does not give its golden outputs.
        """
        digest, runtime = hashlib.sha256(data).hexdigest(), self.place.runtime
        name, used_with = (
            str(Path(self._folder) / f"{digest}.tflite"),
            contract.as_dict() if contract else None,
        )
        for offset in range(0, len(data), _PART_BYTES):
            part = base64.b64encode(data[offset : offset + _PART_BYTES]).decode()
            self._call("receive", name=name, part=part, offset=offset)
        where = f"{file} on {self.place}"
        try:
            with self._in_words():
                facts = self._call(
                    "load",
                    name=name,
                    sha256=digest,
                    runtime=runtime,
                    threads=self.place.threads,
                    contract=used_with,
                )
        except ModelError as error:
            raise error.within(where) from error
        except ChildTimeoutError as error:
            raise ModelError(
                f"{where}: the model does not finish",
                expected=error.expected,
                remedy="a slow device may need more: ?timeout=SECONDS",
            ) from error
        except ChildError as error:
            raise ModelError(
                f"{where}: the model crashes the runtime {runtime!r}",
                found=error.found,
                remedy="update the runtime there or convert the model again",
            ) from error
        return Placed(name, facts)

    def invoke(self, model: Placed, inputs: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], float]:
        """One inference; arrays with their batch axis, in the order of the model's ports.

        Returns:
            The outputs, and what the inference took there, µs.
        """
        packed = [resident.pack(array) for array in inputs]
        answer = self._call("invoke", name=model.name, inputs=packed)
        try:
            outputs = [resident.unpack(array).copy() for array in answer["outputs"]]
            return outputs, float(answer["latency_us"])
        except (binascii.Error, KeyError, TypeError, ValueError) as error:
            raise DeviceError(f"{self.place}: not an answer", found=one_line(error)) from error

    def latency(self, models: Mapping[Key, Placed], inputs: Sequence[NDArray[Any]]) -> dict[Key, float]:
        """Median time of one inference of each model, measured in turn, µs."""
        found: list[float] = self._call(
            "measure",
            times=1 + len(models),
            names=[model.name for model in models.values()],
            inputs=[resident.pack(array) for array in inputs],
        )
        return dict(zip(models, found, strict=True))

    def close(self) -> None:
        """End the worker and hang up."""
        self._worker.close()
        if self._connection is not None:
            self._connection.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, function: str, *, times: int = 1, **arguments: Any) -> Any:
        """A function of `edge_sdk.resident`, in so many time limits."""
        timeout_s = times * self.place.timeout_s
        return self.call(f"edge_sdk.resident:{function}", timeout_s=timeout_s, **arguments)

    def call(
        self, function: str, *, timeout_s: float, on_progress: child.Progress | None = None, **arguments: Any
    ) -> Any:
        """A function in the worker, as `child.Worker.call`."""
        try:
            return self._worker.call(function, timeout_s=timeout_s, on_progress=on_progress, **arguments)
        except ChildError:
            self.ended = True
            raise

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """What is missing there is to be installed there."""
        try:
            yield
        except MissingExtraError as error:
            if not isinstance(self._worker, RemoteWorker):
                raise
            raise self._worker.lacks(f"the runtime {self.place.runtime!r}") from error
        except (ConfigError, UnknownNameError) as error:
            raise error.within(self.place) from error


class RemoteRuntime:
    """A runtime on another machine, with one model: for tests and parity, not for speed.

    Each inference carries its arrays as text over the connection and back.

    Attributes:
        last_latency_us: what the last inference took there, by that machine's clock; None before the first.
    """

    def __init__(self, device: Device, model: Placed) -> None:
        self._device, self._model = device, model
        self.name, self.version = device.place.runtime, model.version
        self.inputs, self.outputs = model.inputs, model.outputs
        self.last_latency_us: float | None = None

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference there; arrays with their batch axis, in the order of `inputs`.

        Raises:
            DeviceError: the connection was lost.
            ChildTimeoutError: it took too long.
        """
        outputs, self.last_latency_us = self._device.invoke(self._model, inputs)
        return outputs

    def close(self) -> None:
        """End the worker there, and the connection."""
        self._device.close()
