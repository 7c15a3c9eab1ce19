"""``ssh://[user@]host[:port]`` runs a model on another machine that has Python, numpy and a TFLite runtime.

Options: ``python=/path/to/python``, ``runtime=litert``, ``threads=2``, ``timeout=60`` (for each step, s).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sdk import resident, ssh
from edge_sdk.closing import Closing
from edge_sdk.contract import Contract
from edge_sdk.errors import (
    ChildError,
    ChildTimeoutError,
    ConfigError,
    DeviceError,
    MissingExtraError,
    ModelError,
    one_line,
)
from edge_sdk.model import Model
from edge_sdk.modelfile import LABELS, split
from edge_sdk.registry import Url
from edge_sdk.remote import RemoteWorker
from edge_sdk.runtimes import Port
from edge_sdk.targets import Key, _options
from edge_sdk.verify import check_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEFAULT_RUNTIME = "litert"
_TIMEOUT_S = 60.0
_EXAMPLE = "ssh://[user@]host[:port]?python=PATH&runtime=NAME&threads=N&timeout=S"
#: Of a file in one call, bytes.
_PART_BYTES = 1 << 20


class Target:
    """Another machine.

    Args:
        url: ``ssh://[user@]host[:port]?python=PATH&runtime=NAME&threads=N&timeout=S``; the host may be one of
            ``~/.ssh/config``. EDGEML_RUNTIME speaks of this machine and does not count.

    Raises:
        ConfigError: not an address, or an unknown or wrong option.
    """

    def __init__(self, url: Url) -> None:
        options = _options.take(url, ("python", "runtime", "threads", "timeout"), _EXAMPLE)
        self.address = ssh.Address.parse(url.location.removesuffix("/"))
        self.python = str(options.get("python") or "python3")
        self.runtime = str(options.get("runtime") or _DEFAULT_RUNTIME)
        self.threads = _options.threads(url)
        self.timeout_s = _seconds(options.get("timeout", _TIMEOUT_S))
        if re.match(r"-|~(?!/)", self.python) or not self.python.isprintable():
            raise ConfigError("target ssh: python", expected="a path or a name", found=repr(self.python))

    def check(self) -> None:
        """Connect and find out whether the runtime is installed there.

        Raises:
            DeviceError: the machine cannot be reached, or lacks something.
        """
        with _Device(self):
            pass

    def load(self, file: str | PathLike[str], contract: Contract | None = None) -> Model:
        """Send a model file, verify it there with its golden vectors, and load it there.

        Args:
            file: the .tflite, on this machine.
            contract: used instead of the one in the file.

        Raises:
            ModelError: the file cannot be used, or not there.
            DeviceError: the machine cannot be reached, or lacks something.
        """
        path = Path(file)
        data = _read(path)
        parts = split(data)
        own = check_file(parts, str(path))
        labels = parts.members.get(LABELS, b"").decode(errors="replace").splitlines()
        device = _Device(self)
        try:
            runtime = RemoteRuntime(device, device.place(path, data))
            return Model(runtime, parts.digest, contract or own, name=path.stem, labels=tuple(labels))
        except BaseException:
            device.close()
            raise

    def latency(
        self, files: Mapping[Key, str | PathLike[str]], inputs: Sequence[NDArray[Any]]
    ) -> dict[Key, float | ModelError]:
        """Time several models in turn there; those that the runtime there refuses with the reason."""
        refused: dict[Key, float | ModelError] = {}
        while True:
            with _Device(self) as device:
                placed: dict[Key, _Placed] = {}
                for key, file in files.items():
                    if key in refused:
                        continue
                    try:
                        placed[key] = device.place(Path(file), _read(Path(file)))
                    except ModelError as error:
                        refused[key] = error
                        if device.worker.ended:  # it took the others with it
                            break
                else:
                    return {**refused, **device.latency(placed, inputs)}


class _Placed:
    """A model that is loaded on a device."""

    def __init__(self, name: str, facts: Mapping[str, Any]) -> None:
        self.name, self.version = name, str(facts["version"])
        self.inputs, self.outputs = (
            tuple(Port(**{**port, "quantization": tuple(port["quantization"])}) for port in facts[side])
            for side in ("inputs", "outputs")
        )


class _Device(Closing):
    """A connection and the worker at its other end, which has the runtime."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._connection = ssh.Connection(target.address, connect_s=min(target.timeout_s, ssh.CONNECT_S))
        self.worker = RemoteWorker(self._connection, target.python, start_s=target.timeout_s)
        try:
            self.worker.start()
            with self._in_words():
                self.call("probe", runtime=target.runtime)
        except BaseException:
            self.close()
            raise

    def call(self, function: str, *, times: int = 1, **arguments: Any) -> Any:
        """A function of `edge_sdk.resident`, in the given number of time limits."""
        timeout_s = times * self.target.timeout_s
        return self.worker.call(f"edge_sdk.resident:{function}", timeout_s=timeout_s, **arguments)

    def place(self, file: Path, data: bytes) -> _Placed:
        """Send a model, prove it there and load it.

        Raises:
            ModelError: it is refused there, crashes the runtime, or does not give its golden outputs.
        """
        digest, runtime = hashlib.sha256(data).hexdigest(), self.target.runtime
        name = f"{digest}.tflite"
        for offset in range(0, len(data), _PART_BYTES):
            part = base64.b64encode(data[offset : offset + _PART_BYTES]).decode()
            self.call("receive", name=name, part=part, offset=offset)
        where = f"{file} on {self.target.address}"
        try:
            with self._in_words():
                facts = self.call(
                    "load", name=name, sha256=digest, runtime=runtime, threads=self.target.threads
                )
        except ModelError as error:
            raise error.within(where) from error
        except ChildTimeoutError as error:
            raise ModelError(
                f"{where}: the model does not finish", expected=error.expected, remedy="give ?timeout=SECONDS"
            ) from error
        except ChildError as error:
            raise ModelError(
                f"{where}: the model crashes the runtime {runtime!r}",
                found=error.found,
                remedy="update the runtime there or convert the model again",
            ) from error
        return _Placed(name, facts)

    def latency(self, placed: Mapping[Key, _Placed], inputs: Sequence[NDArray[Any]]) -> dict[Key, float]:
        """Of models that are loaded there, measured in turn, µs."""
        found: list[float] = self.call(
            "measure",
            times=1 + len(placed),
            names=[model.name for model in placed.values()],
            inputs=[resident.pack(array) for array in inputs],
        )
        return dict(zip(placed, found, strict=True))

    def close(self) -> None:
        """End the worker and hang up."""
        self.worker.close()
        self._connection.close()

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """What is missing there is to be installed there."""
        try:
            yield
        except MissingExtraError as error:
            raise self.worker.lacks(f"the runtime {self.target.runtime!r}") from error
        except ConfigError as error:
            raise error.within(self.target.address) from error


class RemoteRuntime:
    """A runtime on another machine, with one model: for tests and parity, not for speed.

    Each inference carries its arrays as text over the connection and back.
    """

    def __init__(self, device: _Device, placed: _Placed) -> None:
        self._device, self._placed = device, placed
        self.name, self.version = device.target.runtime, placed.version
        self.inputs, self.outputs = placed.inputs, placed.outputs

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference there; arrays with their batch axis, in the order of `inputs`.

        Raises:
            DeviceError: the connection was lost.
            ChildTimeoutError: it took too long.
        """
        packed = [resident.pack(array) for array in inputs]
        answer = self._device.call("invoke", name=self._placed.name, inputs=packed)
        try:
            return [resident.unpack(array).copy() for array in answer]
        except (binascii.Error, KeyError, TypeError, ValueError) as error:
            raise DeviceError(f"{self.name}: not an answer", found=one_line(error)) from error

    def close(self) -> None:
        """End the worker there, and the connection."""
        self._device.close()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or one_line(error)
        raise ModelError(f"{file}: cannot be read", found=found) from error


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value))
        if not 0 < seconds < 86400:
            raise ValueError
    except ValueError as error:
        raise ConfigError("target ssh: timeout", expected="seconds, such as 60", found=value) from error
    return seconds
