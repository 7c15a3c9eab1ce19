"""Reads a contract out of a file and checks it field by field.

Apart from `contract`, because msgspec costs start-up time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk import modelfile
from edge_sdk.contract import SCHEMA, Contract
from edge_sdk.errors import ContractError, ModelError


def read_contract(file: str | Path) -> Contract | None:
    """The contract in a .tflite or .keras file, or None where there is none; needs no TFLite runtime.

    Raises:
        ModelError: the file cannot be read, or what is behind the model is damaged.
        ContractError: the contract is malformed.
    """
    path = Path(file)
    if path.suffix == ".keras":
        members: Mapping[str, bytes] = modelfile.read_members(path)
    else:
        try:
            members = modelfile.split(path.read_bytes()).members
        except OSError as error:
            raise ModelError(f"{path}: cannot be read", found=error.strerror) from error
    if modelfile.CONTRACT not in members:
        return None
    return parse_contract(members[modelfile.CONTRACT], where=f"{path}: {modelfile.CONTRACT}")


def parse_contract(data: bytes | dict[str, Any], *, where: str = "contract") -> Contract:
    """Decode and check a contract that comes from outside.

    Args:
        data: the JSON bytes, or the decoded object (``[contract]`` of an edgeml.toml).
        where: what to call it in an error.

    Raises:
        ContractError: not JSON, a missing or ill-typed field, a newer schema, or fields that contradict.
    """
    try:
        decoded = json.loads(data) if isinstance(data, bytes) else data
    except (ValueError, RecursionError) as error:  # not JSON, not text, a number of 100,000 digits
        raise ContractError(f"{where}: not JSON", found=error, remedy="convert the model again") from error
    try:
        if (
            isinstance(decoded, dict)
            and isinstance(schema := decoded.get("schema", SCHEMA), int)
            and schema > SCHEMA
        ):
            raise ContractError(
                f"{where}: schema is newer than this edgeml",
                expected=f"at most {SCHEMA}",
                found=schema,
                remedy="upgrade edgeml-kit",
            )
        contract = msgspec.convert(decoded, Contract)
    except msgspec.ValidationError as error:
        raise ContractError(f"{where}: {error}", remedy="see docs/contract.md") from error
    _check(contract, where)
    return contract


def _check(contract: Contract, where: str) -> None:
    expect = contract.input
    decision = contract.decision
    rules = [
        (expect.window >= 1, "input.window", "at least 1", expect.window),
        (expect.hop >= 1, "input.hop", "at least 1", expect.hop),
        (expect.rate_hz is None or expect.rate_hz > 0, "input.rate_hz", "a positive rate", expect.rate_hz),
        (len(expect.channels) >= 1, "input.channels", "at least one channel", 0),
        (len(set(expect.names)) == len(expect.names), "input.channels", "unlike names", list(expect.names)),
        (0 <= decision.threshold <= 1, "decision.threshold", "0 to 1", decision.threshold),
        (decision.smooth >= 1, "decision.smooth", "at least 1", decision.smooth),
        (decision.hold_s >= 0, "decision.hold_s", "0 or more seconds", decision.hold_s),
        (
            decision.release is None or 0 <= decision.release <= decision.threshold,
            "decision.release",
            f"0 to the threshold ({decision.threshold})",
            decision.release,
        ),
    ]
    for holds, field, expected, found in rules:
        if not holds:
            raise ContractError(
                f"{where}: {field}", expected=expected, found=found, remedy="see docs/contract.md"
            )
    _check_states(contract, where)
    _check_output(contract, where)
    unknown = set(decision.background) - set(contract.output.labels)
    if unknown:
        raise ContractError(
            f"{where}: decision.background",
            expected=f"labels among {', '.join(contract.output.labels)}",
            found=", ".join(sorted(unknown)),
        )


def _check_output(contract: Contract, where: str) -> None:
    """Labels and values are those that the task has."""
    output, task = contract.output, contract.task
    values = [value.name for value in output.values or ()]
    rules = [
        (task != "multilabel" or bool(output.labels), "output.labels", "at least one label", "none"),
        (
            task != "anomaly" or len(output.labels) in (0, 2),
            "output.labels",
            "what is normal and what is not",
            ", ".join(output.labels),
        ),
        (task == "regression" or not values, "output.values", f"none for {task}", ", ".join(values)),
        (len(set(values)) == len(values), "output.values", "unlike names", ", ".join(values)),
    ]
    for holds, field, expected, found in rules:
        if not holds:
            raise ContractError(
                f"{where}: {field}", expected=expected, found=found, remedy="see docs/contract.md"
            )


def _check_states(contract: Contract, where: str) -> None:
    """Each state is an input, and an output of its shape feeds it and no other."""
    outputs = {tensor.name: tensor for tensor in contract.tensors if tensor.role == "output"}
    taken: set[str] = set()
    for tensor in contract.tensors:
        if tensor.state is None:
            continue
        source = outputs.get(tensor.state)
        rules = [
            (tensor.role == "input", "of an input", f"of the output {tensor.name!r}"),
            (source is not None, f"an output among {', '.join(outputs) or 'none'}", tensor.state),
            (
                source is None or source.shape == tensor.shape,
                f"an output of {list(tensor.shape)}",
                tensor.state,
            ),
            (tensor.state not in taken, "an output that feeds one input", f"{tensor.state} twice"),
        ]
        for holds, expected, found in rules:
            if not holds:
                raise ContractError(
                    f"{where}: tensors: state", expected=expected, found=found, remedy="see docs/models.md"
                )
        taken.add(tensor.state)
