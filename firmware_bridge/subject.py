"""A model file that is tried, and the golden vectors in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, read_graph
from edge_sdk.model import Model
from edge_sdk.modelfile import GOLDEN, Golden
from edge_sdk.verify import check_file
from firmware_bridge.answers import Windows


@dataclass(frozen=True, slots=True)
class Subject:
    """A model file that is tried.

    Attributes:
        file: the .tflite.
        contract: the one in it; None for a foreign model.
        graph: of its flatbuffer.
        golden: vectors in it, with what LiteRT said to them; None without.
        digest: of its flatbuffer.
    """

    file: Path
    contract: Contract | None
    graph: Graph
    golden: Golden | None
    digest: str

    @classmethod
    def read(cls, file: Path) -> Subject:
        """Read a model file without running it.

        Raises:
            ModelError: it cannot be read, or is damaged.
            ContractError: its contract is malformed.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ModelError(f"{file}: cannot be read", found=error.strerror or error) from error
        parts = modelfile.split(data)
        contract = check_file(parts, str(file))
        golden = Golden.from_bytes(parts.members[GOLDEN]) if GOLDEN in parts.members else None
        return cls(file, contract, read_graph(parts.flatbuffer), golden, parts.digest)


def of_golden(golden: Golden, model: Model) -> Windows:
    """The golden inputs as windows: what `Model.run` takes, without states."""
    named = {port.name: array for port, array in zip(model.runtime.inputs, golden.inputs, strict=True)}
    return windows_of({name: named[name] for name in feeds(model)})


def golden_rows(golden: Golden, model: Model) -> list[list[NDArray[Any]]]:
    """The golden inputs one by one, as a runtime takes them.

    Raises:
        ModelError: they are not this model's.
    """
    for side, vectors, ports in (
        ("inputs", golden.inputs, model.runtime.inputs),
        ("outputs", golden.outputs, model.runtime.outputs),
    ):
        expected = [f"{port.dtype} {list(port.window_shape)}" for port in ports]
        found = [f"{array.dtype} {list(array.shape[1:])}" for array in vectors]
        if expected != found:
            raise ModelError(
                f"the golden {side} do not fit the model",
                expected=", ".join(expected),
                found=", ".join(found),
                remedy="convert the model again",
            )
    return [[array[row : row + 1] for array in golden.inputs] for row in range(len(golden))]


def feeds(model: Model) -> list[str]:
    """Names of the inputs that windows feed: not of those that remember."""
    return [tensor.name for tensor in model.inputs if tensor.state is None]


def windows_of(named: dict[str, NDArray[Any]]) -> Windows:
    """One array where there is one input."""
    return next(iter(named.values())) if len(named) == 1 else named
