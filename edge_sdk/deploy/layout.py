"""Releases as folders on a device: runtime trees, which several share, and slots, laid out of contents.

Each is complete under its name or is not there, so that a power cut leaves nothing to settle.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_sdk.deploy.manifest import MOST_BYTES, Entry, Manifest, read_listing
from edge_sdk.deploy.store import Store, compile_tree, lock, sync_folder, write_durably
from edge_sdk.errors import EdgeError

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"


class Layout:
    """What all pipelines of a device share.

    Args:
        root: folder of all pipelines, ``/var/lib/edgeml``.

    Attributes:
        store: of contents.
    """

    def __init__(self, root: Path) -> None:
        self.store = Store(root / "contents")
        self._trees = root / "trees"

    def needed(self, manifest: Manifest) -> list[Entry]:
        """Contents that are not here; those of the runtime are known once its listing is here."""
        if manifest.runtime not in self.store:
            return [Entry("runtime", manifest.runtime, 0), *self.store.missing(manifest.files)]
        return self.store.missing([*manifest.files, *self._listing(manifest.runtime)])

    def lay_tree(self, runtime: str) -> None:
        """A runtime, unless it is there; what it needs is in the store.

        Args:
            runtime: digest of its listing.
        """
        tree = self._trees / runtime
        with lock(tree.parent, fcntl.LOCK_EX):  # another pipeline may be about to lay out the same one
            if tree.is_dir():
                return
            part = tree.with_name(f".{tree.name}.part")
            with _gone_unless_renamed(part):
                self.store.lay_out(self._listing(runtime), part)
                compile_tree(part)
                part.rename(tree)
            sync_folder(tree.parent)

    def lay_slot(self, slot: Path, data: bytes, signed: bytes, manifest: Manifest) -> None:
        """A slot, in place of one that is there.

        Args:
            slot: its folder, ``ROOT/apps/NAME/slots/…``.
            data: the manifest's text.
            signed: its signature.
            manifest: what it says.
        """
        part = slot.with_name(f".{slot.name}.part")
        with _gone_unless_renamed(part):
            self.store.lay_out(manifest.files, part / "app")
            (part / "runtime").symlink_to(Path("../../../../trees") / manifest.runtime)
            write_durably(part / MANIFEST, data)
            write_durably(part / SIGNATURE, signed)
            shutil.rmtree(slot, ignore_errors=True)
            part.rename(slot)
        sync_folder(slot.parent)

    def sweep(self, manifests: Iterable[Manifest]) -> int:
        """Remove the trees and contents that none of these uses; returns the bytes of contents.

        Later, where something is just being installed.

        Args:
            manifests: of every slot of every pipeline, read while nobody installs anything.
        """
        with self.store.unused() as alone:
            return self._sweep(list(manifests)) if alone else 0

    def _sweep(self, manifests: list[Manifest]) -> int:
        used: list[Entry] = [entry for manifest in manifests for entry in manifest.files]
        trees = {manifest.runtime for manifest in manifests}
        for runtime in trees:
            used.append(Entry("runtime", runtime, 0))
            with contextlib.suppress(EdgeError):
                used += self._listing(runtime)
        for tree in self._trees.glob("*"):
            if tree.name not in trees:
                shutil.rmtree(tree, ignore_errors=True)
        return self.store.sweep(used)

    def _listing(self, runtime: str) -> tuple[Entry, ...]:
        return read_listing(self.store.read(runtime, MOST_BYTES))


@contextlib.contextmanager
def _gone_unless_renamed(part: Path) -> Iterator[None]:
    shutil.rmtree(part, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(part, ignore_errors=True)
