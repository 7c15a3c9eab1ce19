"""Opens the engine that a model runs in, and settles the lengths that the model leaves open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_sdk import registry
from edge_sdk.errors import ModelError

if TYPE_CHECKING:
    from edge_sdk.contract import Contract, Tensor
    from edge_sdk.runtimes import Port, Runtime

#: Of one input.
_MOST_ELEMENTS = 1 << 28


def open_engine(
    runtime: str, flatbuffer: bytes, threads: int = 1, contract: Contract | None = None
) -> Runtime:
    """A model in the runtime of that name, with every axis but the batch settled.

    Args:
        runtime: its name.
        flatbuffer: the model; verified before, unless this is the process that does it.
        threads: that it may use.
        contract: says how long the axes are that the model leaves open.

    Raises:
        ModelError: the runtime refuses the model.
        UnknownNameError: there is no such runtime.
        MissingExtraError: it is not installed.
    """
    engine: Runtime = registry.find("runtimes", runtime)(flatbuffer, threads)
    if any(port.unsettled for port in engine.inputs) and hasattr(engine, "settle"):
        engine.settle(settle(engine.inputs, contract))
    return engine


def settle(ports: Sequence[Port], contract: Contract | None) -> list[tuple[int, ...]]:
    """A shape for each input, open axes filled with what the contract says.

    First comes what it says of the tensor of that name, then its window: the first open axis is the time and
    the rest are the channels. An axis that it does not tell stays as it stands in the file.

    Raises:
        ModelError: a contract may be hostile too, and ask for all the memory there is.
    """
    shapes = [_shape(port, contract, alone=len(ports) == 1) for port in ports]
    for port, shape in zip(ports, shapes, strict=True):
        if math.prod(shape) > _MOST_ELEMENTS:
            raise ModelError(
                f"input {port.name!r}",
                expected=f"at most {_MOST_ELEMENTS:,} elements",
                found=f"{math.prod(shape):,}, {list(shape)} by its contract",
            )
    return shapes


def _shape(port: Port, contract: Contract | None, *, alone: bool) -> tuple[int, ...]:
    shape = list(port.shape)
    free = [axis for axis in port.open if axis != 0]
    if contract is None or not free:
        return tuple(shape)
    listed = _listed(port, contract)
    if listed is not None:
        for axis in tuple(free):
            if listed.shape[axis] > 1:  # 1 stands for an open one
                shape[axis] = listed.shape[axis]
                free.remove(axis)
    if contract.input.layout != "TC" or (listed is not None and listed.state is not None):
        return tuple(shape)
    elements = contract.input.window * len(contract.input.channels)
    if alone and len(free) == 1:
        known = math.prod(n for axis, n in enumerate(shape) if axis not in (0, free[0]))
        if known and elements % known == 0:
            shape[free[0]] = elements // known
    elif free:
        shape[free[0]] = contract.input.window
        if alone and len(free) == 2:
            shape[free[1]] = len(contract.input.channels)
    return tuple(shape)


def _listed(port: Port, contract: Contract) -> Tensor | None:
    for tensor in contract.tensors:
        if tensor.role == "input" and tensor.name == port.name and len(tensor.shape) == len(port.shape):
            return tensor
    return None
