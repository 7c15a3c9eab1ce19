"""A model file: the flatbuffer, and the zip archive behind it that carries the contract.

TFLite Metadata keeps its associated files in the same place, every TFLite runtime ignores it, and
``unzip -p model.tflite edgeml/contract.json`` reads it. A .keras file is a zip already and takes the same
members.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DeviceError, ModelError

CONTRACT = "edgeml/contract.json"
GOLDEN = "edgeml/golden.npz"
RUN = "edgeml/run.json"
LABELS = "labels.txt"
#: Largest member that is read, bytes, so that a crafted archive cannot fill the memory of a small board.
MEMBER_LIMIT = 64 << 20
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


class Members(Mapping[str, bytes]):
    """The members of the zip behind a flatbuffer, read when asked for."""

    def __init__(self, archive: zipfile.ZipFile | None) -> None:
        self._archive = archive
        self._names = dict.fromkeys(archive.namelist()) if archive else {}

    def __getitem__(self, name: str) -> bytes:
        if self._archive is None or name not in self._names:
            raise KeyError(name)
        try:
            with self._archive.open(name) as member:
                data = member.read(MEMBER_LIMIT + 1)
        except _BAD_ZIP as error:
            raise ModelError(
                f"{name} in the model file is damaged", found=error, remedy="copy it again"
            ) from error
        if len(data) > MEMBER_LIMIT:
            raise ModelError(
                f"{name} in the model file is too large", expected=f"at most {MEMBER_LIMIT} bytes"
            )
        return data

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class ModelFile:
    """A .tflite taken apart.

    Attributes:
        flatbuffer: the model proper.
        members: the files that travel with it; empty for a foreign model.
        digest: ``sha256:…`` of the flatbuffer: the model's name in caches, releases and lineage.
    """

    flatbuffer: bytes
    members: Mapping[str, bytes]
    digest: str


def split(data: bytes) -> ModelFile:
    """Take a .tflite apart into the flatbuffer and the members behind it.

    Raises:
        ModelError: the archive behind the flatbuffer is damaged.
    """
    flatbuffer, archive = data, None
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        offsets = [info.header_offset for info in archive.infolist()]
        flatbuffer = data[: min(offsets, default=archive.start_dir)]
    except _BAD_ZIP as error:
        if CONTRACT.encode() in data:
            raise ModelError(
                "the contract behind the model is damaged",
                found=error,
                remedy="copy or convert the model again",
            ) from error
    return ModelFile(flatbuffer, Members(archive), digest_of(flatbuffer))


def digest_of(data: bytes) -> str:
    """``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pack(flatbuffer: bytes, members: Mapping[str, bytes]) -> bytes:
    """A model file: the flatbuffer with a zip of `members` behind it; the same input gives the same bytes."""
    whole = io.BytesIO()
    whole.write(flatbuffer)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as archive:
        _write_members(archive, members)
    return whole.getvalue()


def add_members(path: Path, members: Mapping[str, bytes]) -> None:
    """Put members into a zip file such as a .keras model, replacing those of the same name; atomic.

    Raises:
        ModelError: the file is not a zip archive.
        DeviceError: it cannot be written.
    """
    whole = io.BytesIO()
    with _open_zip(path) as old, zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            if info.filename not in members:
                new.writestr(info, old.read(info))
        _write_members(new, members)
    write_atomic(path, whole.getvalue())


def read_members(path: Path) -> dict[str, bytes]:
    """Contract, golden vectors, labels and run record of a .keras file, as far as it has them.

    Raises:
        ModelError: the file is not a zip archive, or a member is damaged.
    """
    with _open_zip(path) as archive:
        return known(Members(archive))


def known(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those that edgeml itself writes; a crafted archive may hold any number of others."""
    return {name: members[name] for name in (CONTRACT, GOLDEN, RUN, LABELS) if name in members}


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, even if the power fails: temporary file, fsync, rename.

    Raises:
        DeviceError: the folder cannot be written or the disk is full; the old file stays as it was.
    """
    import tempfile  # costs 5 ms, which loading a model need not pay

    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise DeviceError(
            f"cannot write {path}",
            found=error.strerror or error,
            remedy="check the folder, its rights and the disk",
        ) from error


def check_writable(folder: Path, file: Path) -> None:
    """Find out before long work whether a file can be written, without touching it.

    Raises:
        DeviceError: nothing can be written into the folder.
    """
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "choose another --output, or check the folder's rights"
        raise DeviceError(f"cannot write {file}", found=error.strerror or error, remedy=remedy) from error


def sniff(data: bytes) -> str:
    """What a file looks like by its first bytes, for an error message."""
    if not data:
        return "an empty file"
    kinds = {
        b"PK\x03\x04": "a zip archive (.keras?)",
        b"\x89HDF": "an HDF5 file (.h5)",
        b"\x08": "protocol buffers (ONNX?)",
        b"\x7fELF": "an ELF binary",
        b"<": "HTML or XML",
    }
    for magic, kind in kinds.items():
        if data.startswith(magic):
            return kind
    if data[:16].isascii() and data[:16].decode().isprintable():
        return f"text starting with {data[:16].decode()!r}"
    return f"bytes starting with {data[:8].hex(' ')}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except _BAD_ZIP as error:
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"PK\x03\x04"):
            raise ModelError(
                f"{path} is truncated or damaged", remedy="copy or save the model again"
            ) from error
        raise ModelError(
            f"{path} is not a .keras file", expected="a zip archive", found=sniff(head)
        ) from error


def _write_members(archive: zipfile.ZipFile, members: Mapping[str, bytes]) -> None:
    for name in sorted(members):
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        archive.writestr(info, members[name])


@dataclass(frozen=True)
class Golden:
    """A few real inputs and the outputs that this very file gave for them.

    Attributes:
        inputs: one array [n, …] for each input of the model, in its dtype and shape without the batch axis.
        outputs: likewise for each output.
        tolerances: for each output the largest absolute difference that still counts as the same, in units of
            the output.
    """

    inputs: tuple[NDArray[np.generic], ...]
    outputs: tuple[NDArray[np.generic], ...]
    tolerances: tuple[float, ...]

    def __len__(self) -> int:
        """How many vectors there are."""
        return len(self.inputs[0])

    def to_bytes(self) -> bytes:
        """The .npz: ``inputs``, ``inputs_1``, …, ``outputs``, …, ``tolerance``; always the same bytes."""
        named = {
            _numbered(side, i): array
            for side in ("inputs", "outputs")
            for i, array in enumerate(getattr(self, side))
        }
        buffer = io.BytesIO()
        np.savez_compressed(buffer, tolerance=np.asarray(self.tolerances, np.float64), **named)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Read the .npz without unpickling.

        Raises:
            ModelError: not such an .npz, or inputs and outputs do not pair up.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                inputs, outputs = (
                    tuple(
                        arrays[_numbered(side, i)]
                        for i in range(sum(name.partition("_")[0] == side for name in arrays))
                    )
                    for side in ("inputs", "outputs")
                )
                golden = cls(
                    inputs, outputs, tuple(np.atleast_1d(arrays["tolerance"]).astype(float).tolist())
                )
        except (*_BAD_ZIP, KeyError, TypeError) as error:
            raise ModelError(f"{GOLDEN} is damaged", found=error, remedy="convert the model again") from error
        lengths = {len(array) if array.ndim else 0 for array in (*golden.inputs, *golden.outputs)}
        if len(lengths) != 1 or not all(lengths) or len(golden.outputs) != len(golden.tolerances):
            shapes = [list(array.shape) for array in (*golden.inputs, *golden.outputs)]
            raise ModelError(f"{GOLDEN}: inputs and outputs do not pair up", found=shapes or "nothing")
        return golden


def _numbered(side: str, index: int) -> str:
    return side if not index else f"{side}_{index}"
