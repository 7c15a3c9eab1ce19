"""The disks that a power cut may leave, from what tests/powercut/recorder.c recorded.

What was synced survives. Of what was written later any part may: each write whole, not at all, or some of its
512-byte sectors; sizes, new names and removals likewise.
"""

from __future__ import annotations

import random
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

CREATE, WRITE, TRUNCATE, SYNC, UNLINK, RENAME = range(1, 7)
_HEAD = struct.Struct("<IIQQ")
_SECTOR = 512


@dataclass(frozen=True)
class Operation:
    """One record; `name` is relative to the folder, ``.`` for itself."""

    kind: int
    name: str
    offset: int
    length: int
    data: bytes


def recorder(folder: Path) -> Path:
    """The recorder, compiled."""
    library = folder / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def read_log(log: Path, folder: Path) -> list[Operation]:
    """Every operation, in order."""
    content, at, operations = log.read_bytes(), 0, []
    root = str(folder.resolve())
    while at < len(content):
        kind, path_bytes, offset, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        path = content[at : at + path_bytes].decode()
        at += path_bytes
        data = content[at : at + length] if kind in {WRITE, RENAME} else b""
        at += len(data)
        operations.append(Operation(kind, path[len(root) + 1 :] or ".", offset, length, data))
    return operations


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)
    named: bool = False


class Disk:
    """A folder as it is on the platter: what is sure, and what is on its way."""

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}
        self.removed: dict[str, _File] = {}

    def apply(self, operation: Operation) -> None:
        """The next operation."""
        name = operation.name
        if operation.kind == SYNC and name == ".":
            self.removed.clear()
            for file in self.files.values():
                file.named = True
            return
        file = self.files.setdefault(name, _File())
        if operation.kind in {WRITE, TRUNCATE}:
            file.pending.append(operation)
        elif operation.kind == SYNC:
            for pending in file.pending:
                _change(file.content, pending, None)
            file.pending.clear()
            file.named = True
        elif operation.kind == UNLINK:
            self.removed[name] = self.files.pop(name)
        elif operation.kind == RENAME:
            self.files[Path(operation.data.decode()).name] = self.files.pop(name)

    def after_cut(self, folder: Path, chance: random.Random, keep: float) -> None:
        """One of the states that a cut now may leave; `keep` is how likely an unsynced write survives."""
        for name, file in [*self.removed.items(), *self.files.items()]:
            sure = file.named and self.files.get(name) is file
            if not sure and chance.random() < 0.5:
                continue
            content = bytearray(file.content)
            for operation in file.pending:
                if chance.random() < keep:
                    _change(content, operation, chance if chance.random() < 0.5 else None)
            (folder / name).write_bytes(content)


def _change(content: bytearray, operation: Operation, torn: random.Random | None) -> None:
    if operation.kind == TRUNCATE:
        del content[operation.length :]
        content.extend(bytes(operation.length - len(content)))
        return
    at, data = operation.offset, operation.data
    content.extend(bytes(max(0, at + len(data) - len(content))))
    for start in range(0, len(data), _SECTOR):
        if torn is None or torn.random() < 0.5:
            part = data[start : start + _SECTOR]
            content[at + start : at + start + len(part)] = part
