"""Contents by their sha256, on the device and on the host: what is there is whole, and is sent once.

A content is received into a file of its own and gets its name only when its digest is right and it is on the
disk, so that a cut at any moment leaves whole contents and leftovers that are swept away. Many of them share
one wait for the disk, which a card makes long.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from edge_sdk.deploy.manifest import Entry
from edge_sdk.errors import DeviceError, GateError, Retry

_CHUNK_BYTES = 1 << 20
#: Room that is left to the rest of the system, bytes.
SPARE_BYTES = 32 << 20
#: So much shares one wait for the disk; a power cut loses no more than that.
_BATCH_BYTES, _BATCH_FILES = 8 << 20, 200


class Store:
    """A folder of contents.

    Args:
        folder: made when the first content comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where a content is, or would be."""
        return self.folder / digest[:2] / digest

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def missing(self, files: Iterable[Entry]) -> list[Entry]:
        """One file for each content that is not there, or not all of it."""
        return list({entry.digest: entry for entry in files if not self._is_there(entry)}.values())

    def _is_there(self, entry: Entry) -> bool:
        try:
            return self.path(entry.digest).stat().st_size == entry.size
        except OSError:
            return False

    def add(self, source: IO[bytes], digest: str, size: int) -> None:
        """Take a content; it is on the disk when this returns.

        Args:
            source: its bytes, and perhaps more behind them.
            digest: its sha256.
            size: its bytes.

        Raises:
            GateError: it is another content.
            DeviceError: it ends too early, or cannot be written; nothing of it is left.
        """
        target = self.path(digest)
        with _in_words(target), _part(target) as (file, part):
            _copy(source, digest, size, file)
            file.flush()
            os.fsync(file.fileno())
            part.replace(target)

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Take many contents; those that came whole are on the disk afterwards, whatever happened."""
        with self.in_use(), Batch(self) as batch:
            yield batch

    def add_bytes(self, data: bytes) -> str:
        """Take a content; returns its digest."""
        import io

        digest = hashlib.sha256(data).hexdigest()
        if digest not in self:
            self.add(io.BytesIO(data), digest, len(data))
        return digest

    def read(self, digest: str, most_bytes: int) -> bytes:
        """A content, checked once more.

        Raises:
            DeviceError: it is not there.
            Retry: it was damaged, or is larger; now it is not there any more.
        """
        path = self.path(digest)
        with _in_words(path), path.open("rb") as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes or hashlib.sha256(data).hexdigest() != digest:
            raise _damaged(path)
        return data

    def lay_out(self, files: Iterable[Entry], folder: Path) -> None:
        """Make a tree of contents that are all there; files share the store's disk space.

        Args:
            files: of the tree.
            folder: new; it is complete and on the disk when this returns.

        Raises:
            DeviceError: a content is missing, or the tree cannot be written.
            Retry: a content was damaged; now it is missing.
        """
        made = set()
        with _in_words(folder):
            folder.mkdir(parents=True)
            for entry in files:
                target = folder / entry.path
                if target.parent not in made:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    made.add(target.parent)
                content = self.path(entry.digest)
                with content.open("rb") as opened:  # a card may have lost since what it took once
                    found = hashlib.file_digest(opened, "sha256").hexdigest()
                if found != entry.digest:
                    raise _damaged(content)
                _link(content, target, entry.mode)
            sync_tree(folder)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Nothing is swept away meanwhile; several may use it at once."""
        with lock(self.folder, fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def unused(self) -> Iterator[bool]:
        """Whether nobody uses it, and nobody does meanwhile."""
        try:
            with lock(self.folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    def sweep(self, keep: Iterable[Entry]) -> int:
        """Remove every content but those, and what was never whole; returns the bytes."""
        wanted, freed = {entry.digest for entry in keep}, 0
        for path in list(self.folder.glob("??/*")):
            if path.name not in wanted:
                freed += path.lstat().st_size
                path.unlink()
        return freed


class Batch(contextlib.AbstractContextManager["Batch"]):
    """Contents that come one after another and get their names together; see `Store.batch`."""

    def __init__(self, store: Store) -> None:
        self._store, self._parts, self._bytes = store, dict[Path, Path](), 0

    def add(self, source: IO[bytes], digest: str, size: int) -> None:
        """As `Store.add`, but it is on the disk and has its name with the next `settle`."""
        target = self._store.path(digest)
        with _in_words(target), _part(target, stays=True) as (file, part):
            _copy(source, digest, size, file)
            file.flush()
        self._parts[part] = target
        self._bytes += size
        if self._bytes >= _BATCH_BYTES or len(self._parts) >= _BATCH_FILES:
            self.settle()

    def settle(self) -> None:
        """All that came is on the disk and has its name when this returns."""
        if self._parts:
            with _in_words(self._store.folder):
                os.sync()
                for part, target in self._parts.items():
                    part.replace(target)
        self._parts, self._bytes = {}, 0

    def __exit__(self, *_: object) -> None:
        self.settle()


def _copy(source: IO[bytes], digest: str, size: int, into: IO[bytes]) -> None:
    """A content, which is another or ends too early if this raises."""
    found, left = hashlib.sha256(), size
    while left:
        data = source.read(min(left, _CHUNK_BYTES))
        if not data:
            raise DeviceError(f"content {digest[:12]}", expected=f"{size:,} bytes", found=size - left)
        found.update(data)
        into.write(data)
        left -= len(data)
    if found.hexdigest() != digest:
        raise GateError(
            f"content {digest[:12]} is not what the release says",
            expected=digest,
            found=found.hexdigest(),
            remedy="it was damaged on its way, or somebody changed it: deploy again",
        )


def _damaged(path: Path) -> Retry:
    """Of a content that is another one by now; it is taken away."""
    path.unlink()
    return Retry(f"{path}: damaged", remedy="deploy again: it is sent anew")


@contextlib.contextmanager
def lock(folder: Path, kind: int) -> Iterator[None]:
    """Hold a lock on a folder, which is made when it is missing.

    Args:
        folder: that processes agree on.
        kind: as `fcntl.flock` takes it.

    Raises:
        BlockingIOError: somebody else holds it, and `kind` says not to wait.
        DeviceError: the folder cannot be made.
    """
    with _in_words(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Names in a folder are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Names in a folder and in all below it are on the disk when this returns."""
    for path, _, _ in os.walk(folder, topdown=False):
        sync_folder(Path(path))


def compile_tree(folder: Path) -> None:
    """Put byte code beside the sources of a tree, so that nothing of it is compiled at each start.

    Whoever runs it may not write here. What cannot be compiled stays as it is.
    """
    import compileall  # for this alone
    from py_compile import PycInvalidationMode

    unchecked = PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, invalidation_mode=unchecked)
    os.sync()


def write_durably(file: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file: after a cut it is the old or the new one, whole.

    Raises:
        DeviceError: it cannot be written; the old one is there.
    """
    with _in_words(file), _part(file, mode) as (opened, part):
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
        part.replace(file)
    sync_folder(file.parent)


def room(folder: Path) -> int:
    """Bytes that may be written there, beside what is left to the system."""
    while not folder.exists():
        folder = folder.parent
    return max(0, shutil.disk_usage(folder).free - SPARE_BYTES)


def require(folder: Path, wanted_bytes: int) -> None:
    """Make sure that there is so much room.

    Raises:
        DeviceError: there is less.
    """
    free = room(folder)
    if wanted_bytes > free:
        raise DeviceError(
            f"{folder}: too little room",
            expected=f"{wanted_bytes + SPARE_BYTES:,} bytes",
            found=f"{free + SPARE_BYTES:,}",
            remedy="make room; what runs now was not touched",
        )


def _link(source: Path, target: Path, mode: int) -> None:
    """A hard link where the permissions agree, else a copy: links share them."""
    if stat.S_IMODE(source.stat().st_mode) == mode:
        try:
            os.link(source, target)
            return
        except OSError as error:  # another file system, or too many links
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
    with source.open("rb") as content, target.open("xb") as copy:
        shutil.copyfileobj(content, copy)
        os.fchmod(copy.fileno(), mode)
        copy.flush()
        os.fsync(copy.fileno())


@contextlib.contextmanager
def _part(target: Path, mode: int = 0o644, *, stays: bool = False) -> Iterator[tuple[BinaryIO, Path]]:
    """A file beside the target, gone afterwards unless it took its place, or `stays` where nothing failed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two that receive the same content at the same time must not write into one file.
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            yield file, part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if not stays:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except (DeviceError, GateError):
        raise
    except OSError as error:
        remedy = None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "make room; what runs now was not touched"
        elif error.errno == errno.EROFS:
            remedy = "mount it writable: sudo mount -o remount,rw /"
        raise DeviceError(
            f"{path}: cannot be written", found=error.strerror or error, remedy=remedy
        ) from error
