"""``source:`` is where a model runs that is firmware's own: its predictions come from a source.

Here are only its contract and its labels, and no runtime is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edge_sdk.contract import Contract
from edge_sdk.engine import settle
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.graph import read_graph
from edge_sdk.model import Model
from edge_sdk.registry import Url
from edge_sdk.runtimes import Port
from edge_sdk.targets import Key, _options
from edge_sdk.verify import read_checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.graph import Graph


class Target:
    """A model that somebody else runs.

    Args:
        url: ``source:``.

    Raises:
        ConfigError: an option.
    """

    options = ()

    def __init__(self, url: Url) -> None:
        _options.take(url, self.options, "source:")
        if url.location:
            raise ConfigError(f"target {url}", expected="source:", found=url.location)

    def check(self) -> None:
        """Nothing is needed."""

    def load(self, file: str | PathLike[str], contract: Contract | None = None) -> Model:
        """Read a model's contract and labels; of the file, only its structure is checked.

        Args:
            file: the .tflite; an empty name where there is none, and the contract says everything.
            contract: used instead of the one in the file.

        Raises:
            ModelError: the file cannot be used.
            SpecError: the contract and the model do not fit each other.
            ConfigError: neither a file nor a contract.
        """
        if not os.fspath(file):
            return _without_file(contract)
        path = Path(file)
        checked = read_checked(path)
        contract = contract or checked.contract
        name = contract.name if contract else path.stem
        firmware = _Firmware(name, *ports_of(read_graph(checked.flatbuffer), contract))
        return Model(firmware, checked.digest, contract, name=name, labels=checked.labels)

    def latency(
        self, files: Mapping[Key, str | PathLike[str]], inputs: Sequence[NDArray[Any]]
    ) -> dict[Key, float | ModelError]:
        """Nothing can be timed here."""
        raise ConfigError("target source:", expected="a target that runs models here", remedy="such as host:")


class _Firmware:
    """What a model in firmware looks like from here: its tensors, and nothing that runs."""

    name, version = "firmware", ""

    def __init__(self, model: str, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> None:
        self._model, self.inputs, self.outputs = model, inputs, outputs

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> NoReturn:
        """Refuse a window."""
        raise ConfigError(
            f"model {self._model} runs in firmware",
            expected="a source that yields predictions",
            found="samples",
            remedy="remove target = 'source:' from it",
        )

    def close(self) -> None:
        """Nothing is held."""


def ports_of(graph: Graph, contract: Contract | None) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """A graph's inputs and outputs, named as in its first signature, as a runtime would give them."""
    signature = next(iter(graph.signatures.values()), None)

    def ports(indices: Sequence[int], named: Mapping[str, int]) -> tuple[Port, ...]:
        names = {index: name for name, index in named.items()}
        found = []
        for index in indices:
            tensor = graph.tensors[index]
            open_axes = [axis for axis, length in enumerate(tensor.shape_signature) if length < 0]
            name = names.get(index, tensor.name)
            named_in = signature.name if signature else ""
            found.append(Port(name, tensor.shape, tensor.dtype, open_axes=open_axes, signature=named_in))
        return tuple(found)

    inputs = ports(graph.inputs, signature.inputs if signature else {})
    for port, shape in zip(inputs, settle(inputs, contract), strict=True):
        port.shape = shape
    return inputs, ports(graph.outputs, signature.outputs if signature else {})


def _without_file(contract: Contract | None) -> Model:
    """The model that a contract alone describes."""
    if contract is None:
        raise ConfigError("a model without a file", expected="file = 'model.tflite', or a [contract]")
    said = max(1, len(contract.output.labels))
    default = {"input": (1, contract.input.window, len(contract.input.channels)), "output": (1, said)}

    def ports(role: str) -> tuple[Port, ...]:
        listed = [Port(t.name, t.shape, t.dtype) for t in contract.tensors if t.role == role]
        return tuple(listed) or (Port(role, default[role], "float32"),)

    firmware = _Firmware(contract.name, ports("input"), ports("output"))
    return Model(firmware, contract.digest or "", contract, name=contract.name)
