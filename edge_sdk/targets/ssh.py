"""``ssh://[user@]host[:port]`` runs a model on another machine that has Python, numpy and a TFLite runtime.

Options: ``python=/path/to/python``, ``packages=/folder/there``, ``runtime=litert``, ``threads=2``,
``timeout=60`` (for each step, s).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sdk.contract import Contract
from edge_sdk.device import Device, Place, Placed, RemoteRuntime
from edge_sdk.errors import ConfigError, ModelError, one_line
from edge_sdk.model import Model
from edge_sdk.modelfile import LABELS, split
from edge_sdk.registry import Url
from edge_sdk.ssh import Address
from edge_sdk.targets import Key, _options
from edge_sdk.verify import check_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.bench.plan import Plan
    from edge_sdk.bench.record import Record
    from edge_sdk.bench.session import Tell
    from edge_sdk.bench.subject import Subject

_EXAMPLE = "ssh://[user@]host[:port]?python=PATH&packages=PATH&runtime=NAME&threads=N&timeout=S"


class Target:
    """Another machine.

    Args:
        url: ``ssh://[user@]host[:port]?python=PATH&packages=PATH&runtime=NAME&threads=N&timeout=S``; the host
            may be one of ``~/.ssh/config``. EDGEML_RUNTIME speaks of this machine and does not count.

    Raises:
        ConfigError: not an address, or an unknown or wrong option.
    """

    options = ("python", "packages", "runtime", "threads", "timeout")

    def __init__(self, url: Url) -> None:
        options = _options.take(url, self.options, _EXAMPLE)
        python = options.get("python", Place.python)
        if re.match(r"-|~(?!/)|$", python) or not python.isprintable():
            raise ConfigError("target ssh: python", expected="a path or a name", found=repr(python))
        packages = options.get("packages", Place.packages)
        if "packages" in options and not (packages.startswith("/") and packages.isprintable()):
            raise ConfigError("target ssh: packages", expected="a path from / on", found=repr(packages))
        self.place = Place(
            address=Address.parse(url.location.removesuffix("/")),
            python=python,
            packages=packages,
            runtime=options.get("runtime", Place.runtime),
            threads=_options.threads(url),
            timeout_s=_seconds(options.get("timeout", Place.timeout_s)),
        )

    def check(self) -> None:
        """Connect, and find out whether the runtime is installed there.

        Raises:
            DeviceError: the machine cannot be reached, or lacks something.
        """
        with Device(self.place):
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
        device = Device(self.place)
        try:
            contract = contract or own
            runtime = RemoteRuntime(device, device.take(path, data, contract))
            return Model(runtime, parts.digest, contract, name=path.stem, labels=tuple(labels))
        except BaseException:
            device.close()
            raise

    def latency(
        self, files: Mapping[Key, str | PathLike[str]], inputs: Sequence[NDArray[Any]]
    ) -> dict[Key, float | ModelError]:
        """Time several models in turn there; those that the runtime there refuses with the reason."""
        refused: dict[Key, float | ModelError] = {}
        while True:
            with Device(self.place) as device:
                placed: dict[Key, Placed] = {}
                for key, file in files.items():
                    if key in refused:
                        continue
                    try:
                        placed[key] = device.take(Path(file), _read(Path(file)))
                    except ModelError as error:
                        refused[key] = error
                        if device.ended:  # it took the others with it
                            break
                else:
                    return {**refused, **device.latency(placed, inputs)}

    def bench(
        self, subjects: Mapping[Key, Subject], plan: Plan, tell: Tell
    ) -> dict[Key, Record | ModelError]:
        """Measure models there, by its own clock: no time of the network is in it."""
        from edge_sdk.bench import session

        return session.run(self.place, subjects, plan, tell)


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
