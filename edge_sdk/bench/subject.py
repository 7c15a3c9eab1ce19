"""A model file that is measured, and what it is given: its golden inputs, else noise as of its sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk import modelfile
from edge_sdk.errors import ModelError, one_line
from edge_sdk.graph import read_graph
from edge_sdk.modelfile import GOLDEN, Golden
from edge_sdk.targets.source import ports_of
from edge_sdk.verify import check_file

if TYPE_CHECKING:
    from edge_sdk.contract import Contract
    from edge_sdk.runtimes import Port

#: Windows of noise, where a file has no golden vectors.
NOISE = 16
_SEED = 11


@dataclass(frozen=True, slots=True)
class Subject:
    """A model file that is measured.

    Attributes:
        file: the .tflite.
        data: the file without its golden vectors: whether it gives their outputs is judged apart, so that one
            that does not is measured all the same.
        digest: of the flatbuffer.
        contract: the one in it; None for a foreign model.
        golden: vectors in it, with what LiteRT said to them where it was converted; None without.
        inputs: one array [n, …] for each input: in its units, or in the type of the tensor.
        basis: what the inputs are, for people.
    """

    file: Path
    data: bytes
    digest: str
    contract: Contract | None
    golden: Golden | None
    inputs: tuple[NDArray[Any], ...]
    basis: str

    @classmethod
    def read(cls, file: Path) -> Subject:
        """Read a model file without running it.

        Raises:
            ModelError: it cannot be read, is damaged, or its golden vectors are another model's.
            ContractError: its contract is malformed.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ModelError(f"{file}: cannot be read", found=error.strerror or one_line(error)) from error
        parts = modelfile.split(data)
        contract = check_file(parts, str(file))
        graph = read_graph(parts.flatbuffer)
        inputs, outputs = ports_of(graph, contract)
        golden = None
        if GOLDEN in parts.members:
            golden = Golden.from_bytes(parts.members[GOLDEN])
            _check(file, "inputs", golden.inputs, inputs)
            _check(file, "outputs", golden.outputs, outputs)
            given, basis = golden.inputs, f"{len(golden)} golden vectors"
        else:
            given, basis = noise(inputs, contract), f"{NOISE} windows of noise"
        members = {name: data for name, data in modelfile.known(parts.members).items() if name != GOLDEN}
        stripped = modelfile.pack(parts.flatbuffer, members)
        return cls(file, stripped, parts.digest, contract, golden, given, basis)


def noise(ports: Sequence[Port], contract: Contract | None) -> tuple[NDArray[Any], ...]:
    """Windows as a sensor might give them: within each channel's range, or about its mean in training.

    The same at every call. What a model remembers begins with zeros.

    Args:
        ports: the inputs.
        contract: of the model; None where nothing is known of its channels.

    Returns:
        [`NOISE`, …] for each input, float32 in its units or whole numbers in its type.
    """
    rng = np.random.default_rng(_SEED)
    tensors = [tensor for tensor in contract.tensors if tensor.role == "input"] if contract else []
    states = {tensor.name for tensor in tensors if tensor.state is not None}
    return tuple(
        np.zeros((NOISE, *port.window_shape), port.dtype)
        if port.name in states
        else _drawn(rng, port, contract)
        for port in ports
    )


def _drawn(rng: np.random.Generator, port: Port, contract: Contract | None) -> NDArray[Any]:
    shape, kind = (NOISE, *port.window_shape), np.dtype(port.dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    if kind.kind in "iu" and kind.itemsize > 1:
        return rng.integers(0, 2, shape).astype(kind)  # an index into a table, more likely than not
    if kind.kind in "iu" and contract is None:
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    low, high, mean, spread = _reach(contract, shape[-1] if shape[1:] else 1)
    values = rng.normal(size=shape) * spread + mean
    bounded = np.isfinite(low)
    uniform = np.where(bounded, low, 0) + rng.random(shape) * np.where(bounded, high - low, 1)
    return np.where(bounded, uniform, values).astype(np.float32)


def _reach(contract: Contract | None, columns: int) -> tuple[NDArray[np.float64], ...]:
    """Lowest and highest value, mean and standard deviation of each column; NaN where there is no range."""
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    mean, spread = np.zeros(columns), np.ones(columns)
    if contract is None or len(contract.input.channels) != columns:
        return low, high, mean, spread
    for column, channel in enumerate(contract.input.channels):
        if channel.range is not None:
            low[column], high[column] = channel.range
    known = contract.reference.input if contract.reference else None
    if known is not None and len(known.mean) == len(known.std) == columns:
        mean, spread = np.asarray(known.mean, float), np.asarray(known.std, float)
    return low, high, mean, spread


def _check(file: Path, side: str, vectors: Sequence[NDArray[Any]], ports: Sequence[Port]) -> None:
    expected = [f"{port.dtype} {list(port.window_shape)}" for port in ports]
    found = [f"{array.dtype} {list(array.shape[1:])}" for array in vectors]
    if expected != found:
        raise ModelError(
            f"{file}: the golden {side} do not fit the model",
            expected=", ".join(expected),
            found=", ".join(found),
            remedy="convert the model again",
        )
