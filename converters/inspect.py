"""What a model is, costs and promises, read from its file; only on request is an engine asked as well."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters import boards
from converters.c import estimate
from converters.costs import Cost, Layer, cost_of, layers_of, macs_of, parameters_of
from converters.measure import measure as measure_board
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import MissingExtraError, ModelError, first_of
from edge_sdk.graph import Graph, read_graph
from edge_sdk.schema import read_contract
from edge_sdk.verify import check_file

__all__ = ["Facts", "inspect", "macs_of", "parameters_of"]


@dataclass(frozen=True)
class Facts:
    """What is known of a model file without running it.

    Attributes:
        file: its path.
        size_bytes: of the whole file.
        digest: of the flatbuffer.
        inputs: one dict each of name, dtype, shape (dynamic axes -1), scale, zero_point.
        outputs: the same.
        ops: how often each operator occurs.
        macs: multiply-accumulates an inference.
        parameters: numbers in the learned layers: weights and biases.
        arena_bytes: planned memory for activations, bytes.
        tflm_arena_bytes: what TFLite Micro needs for them at most, with its own bookkeeping, bytes.
        peak: the operator at which most activations are alive.
        layers: every operator's share.
        instructions: that each operator takes in edgeml's C library on the one board that was asked for,
            estimated, by its index; None where there is no estimate.
        contract: the one in the file, or None.
        boards: whether it runs on each board, and what speaks for or against it.
        notes: one line each.
    """

    file: Path
    size_bytes: int
    digest: str | None
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    ops: dict[str, int]
    macs: int | None
    parameters: int | None
    arena_bytes: int | None
    tflm_arena_bytes: int | None
    peak: str | None
    layers: list[Layer]
    instructions: dict[int, int] | None
    contract: Contract | None
    boards: Mapping[str, boards.Fit]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The object of ``edgeml inspect --json``."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["file"] = str(self.file)
        plain["bytes"] = plain.pop("size_bytes")
        plain["contract"] = None if self.contract is None else self.contract.as_dict()
        plain["layers"] = [dataclasses.asdict(layer) for layer in self.layers]
        plain["boards"] = {name: dataclasses.asdict(fit) for name, fit in self.boards.items()}
        return plain


def inspect(file: Path, board: str | None = None, *, measure: bool = False) -> Facts:
    """Read a .tflite, or the contract of a .keras.

    Args:
        file: the model.
        board: judge this board only; None judges all.
        measure: ask each board's engine as well: LiteRT in a child process, Vela for an Ethos-U.

    Raises:
        ModelError: the file is not a model, or is damaged.
        ContractError: its contract is malformed.
        UnknownNameError: no such board.
        MissingExtraError: this board is to be measured, and its compiler is not installed.
    """
    chosen = {board: boards.find(board)} if board else boards.load()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read", found=error.strerror) from error
    if file.suffix == ".keras":
        return _inspect_keras(file, len(data))
    parts = modelfile.split(data)
    contract = check_file(parts, str(file))
    graph = read_graph(parts.flatbuffer)
    try:
        cost = cost_of(parts.flatbuffer)
    except ModelError as error:
        raise error.within(file) from error
    fits = {name: boards.judge(chosen[name], cost) for name in chosen}
    if measure:
        for name, fit in fits.items():
            fits[name] = _measured(chosen[name], fit, cost, parts.flatbuffer, graph, only=board is not None)
    return Facts(
        file=file,
        size_bytes=len(data),
        digest=parts.digest,
        inputs=[_port(graph, i, "inputs") for i in graph.inputs],
        outputs=[_port(graph, i, "outputs") for i in graph.outputs],
        ops=dict(Counter(op.name for op in graph.ops).most_common()),
        macs=macs_of(graph),
        parameters=parameters_of(graph),
        arena_bytes=cost.arena_bytes,
        tflm_arena_bytes=cost.tflm_bytes,
        peak=cost.peak,
        layers=layers_of(graph),
        instructions=_instructions(parts.flatbuffer, board),
        contract=contract,
        boards=fits,
        notes=tuple(_notes(graph, cost, contract)),
    )


def _measured(
    board: boards.Board, fit: boards.Fit, cost: Cost, flatbuffer: bytes, graph: Graph, *, only: bool
) -> boards.Fit:
    try:
        return measure_board(board, cost, flatbuffer, graph)
    except MissingExtraError as error:
        if only:
            raise
        return dataclasses.replace(fit, reasons=(*fit.reasons, f"not measured: {error}"))


def _instructions(flatbuffer: bytes, board: str | None) -> dict[int, int] | None:
    """An estimate, where there is one for the board and the model can become a C library."""
    if board is None or board not in estimate.PACE:
        return None
    try:
        from converters.c.lower import lower  # it needs the schema, and a file is inspected without

        return estimate.instructions(lower(flatbuffer).steps, board)
    except (ImportError, ModelError):
        return None  # what speaks against it is said with the board


def _notes(graph: Graph, cost: Cost, contract: Contract | None) -> list[str]:
    found = [] if contract else ["no contract: what its inputs mean is not known"]
    if graph.subgraphs > 1:
        found.append(f"{graph.subgraphs - 1} more subgraphs (loops, branches) are not looked into")
    if cost.unknown:
        found.append(
            f"memory and MACs are counted too low: {first_of(cost.unknown)} is known at run time only;"
            " fix the batch to 1"
        )
    return found


def _port(graph: Graph, index: int, side: str) -> dict[str, Any]:
    tensor = graph.tensors[index]
    signature = next(iter(graph.signatures.values()), None)
    names = {i: name for name, i in getattr(signature, side).items()} if signature else {}
    single = tensor.scale.size == 1
    return {
        "name": names.get(index, tensor.name),
        "dtype": tensor.dtype,
        "shape": list(tensor.shape_signature),
        "scale": float(tensor.scale[0]) if single else None,
        "zero_point": int(tensor.zero_point[0]) if single and tensor.zero_point.size else None,
    }


def _inspect_keras(file: Path, size: int) -> Facts:
    return Facts(
        file=file,
        size_bytes=size,
        digest=None,
        inputs=[],
        outputs=[],
        ops={},
        macs=None,
        parameters=None,
        arena_bytes=None,
        tflm_arena_bytes=None,
        peak=None,
        layers=[],
        instructions=None,
        contract=read_contract(file),
        boards={},
        notes=("a Keras model: costs are known once it is converted, with edgeml convert",),
    )
