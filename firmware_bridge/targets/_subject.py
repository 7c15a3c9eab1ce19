"""A model file that is to run on a board, read and checked but not run."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from edge_sdk.contract import Contract
from edge_sdk.model import Model
from edge_sdk.verify import read_checked
from firmware_bridge.board_runtime import BoardRuntime


@dataclass(frozen=True, slots=True)
class Subject:
    """A model file.

    Nothing in it is run here: it becomes C, which crashes a board at worst. Whether it gives its golden
    outputs there is for ``edgeml hil`` to judge.

    Attributes:
        file: the .tflite.
        flatbuffer: the model in it.
        digest: of the flatbuffer.
        contract: that it is used with; None for a foreign model without one.
        labels: lines of labels.txt.
    """

    file: Path
    flatbuffer: bytes
    digest: str
    contract: Contract | None
    labels: tuple[str, ...]

    @classmethod
    def read(cls, file: str | PathLike[str], contract: Contract | None) -> Subject:
        """Read and check a model file.

        Args:
            file: the .tflite.
            contract: used instead of the one in the file.

        Raises:
            ModelError: it cannot be read, or is damaged.
            ContractError: the contract in it is malformed.
        """
        found = read_checked(file)
        return cls(Path(file), found.flatbuffer, found.digest, contract or found.contract, found.labels)

    def model(self, runtime: BoardRuntime) -> Model:
        """The model, running there; closing it closes the runtime.

        Raises:
            SpecError: the contract and the model do not fit each other; the runtime is closed.
        """
        try:
            return Model(runtime, self.digest, self.contract, name=self.file.stem, labels=self.labels)
        except BaseException:
            runtime.close()
            raise
