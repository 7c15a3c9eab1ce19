"""An int8 .tflite that exists already, from whatever tool, becomes a C library as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters import c_array
from converters.c import library
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import DeviceError
from edge_sdk.graph import read_graph


@dataclass(frozen=True, slots=True)
class Exported:
    """A C library that was written.

    Attributes:
        output: its folder.
        files: path within the folder → text.
        digest: of the flatbuffer.
        figures: what `library.figures` says of it.
    """

    output: Path
    files: Mapping[str, str]
    digest: str
    figures: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``--json`` prints: those of a conversion, empty where nothing was converted."""
        return {
            "recipe": None,
            "bytes": self.figures["flash_bytes"],
            "accuracy_original": None,
            "accuracy": None,
            "agreement": None,
            "sqnr_db": None,
            "passed": True,
            "output": str(self.output),
            "digest": self.digest,
            "files": sorted(self.files),
            **self.figures,
        }


def is_quantized(model: str) -> bool:
    """Whether a file is a .tflite that computes in int8: it needs no conversion."""
    path = Path(model)
    if path.suffix != ".tflite" or not path.is_file():
        return False
    graph = read_graph(_read(path).flatbuffer)
    return any(tensor.dtype == "int8" and not tensor.constant for tensor in graph.tensors)


def export(model: str, output: Path, *, cut: bool = False) -> Exported:
    """Write the C library of an int8 .tflite.

    Args:
        model: path of the .tflite, with or without a contract in it.
        output: folder to write, made if need be.
        cut: begin at the last float tensor.

    Raises:
        ModelError: damaged, or something in it has no kernel; nothing was written.
        ContractError: its contract is damaged.
        DeviceError: it cannot be read, or the folder cannot be written.
    """
    file = _read(Path(model))
    contract = _contract(model, file.members)
    name = contract.name if contract else Path(model).stem
    files = library.render(file.flatbuffer, contract, name, cut=cut)
    c_array.write(output, files)
    return Exported(output, files, file.digest, library.figures(file.flatbuffer, cut=cut))


def _contract(model: str, members: Mapping[str, bytes]) -> Contract | None:
    if modelfile.CONTRACT not in members:
        return None
    from edge_sdk.schema import parse_contract  # a model without one needs no msgspec

    return parse_contract(members[modelfile.CONTRACT], where=f"{model}: {modelfile.CONTRACT}")


def _read(path: Path) -> modelfile.ModelFile:
    try:
        return modelfile.split(path.read_bytes())
    except OSError as error:
        raise DeviceError(f"cannot read {path}", found=error.strerror or error) from error
