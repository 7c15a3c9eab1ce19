"""The boards that QEMU emulates for tests of deployments, each as far as it is unlike the other."""

from __future__ import annotations

from dataclasses import dataclass

from tests.integration.deploy.debian import ARM64, ARMHF, SUITE, Architecture


@dataclass(frozen=True)
class Board:
    """A virtual Raspberry Pi.

    Attributes:
        name: that EDGEML_MACHINE calls it by.
        architecture: of its system.
        qemu: the program that emulates it.
        processor: as QEMU names it.
        memory_mb: likewise.
        packages: that its system has beside those of every board: a kernel, and what a release needs from it.
        modules: that its kernel needs to reach its disk and its network.
    """

    name: str
    architecture: Architecture
    qemu: str
    processor: str
    memory_mb: int
    packages: str
    modules: tuple[str, ...]

    @property
    def suite(self) -> str:
        """What a bundle for it is made for."""
        return f"{SUITE}-{self.architecture.name}"

    @property
    def command(self) -> list[str]:
        """QEMU's, as far as the board decides it."""
        words = ["-machine", "virt-7.2", "-cpu", self.processor, "-smp", "2", "-m", str(self.memory_mb)]
        return [self.qemu, *words]


_VIRTIO = ("virtio_pci", "virtio_blk", "virtio_net")
_BOARDS = (
    Board(
        name="vm",
        architecture=ARM64,
        qemu="qemu-system-aarch64",
        processor="cortex-a76",  # of a Pi 5; its atomic instructions are emulated as such
        memory_mb=1024,
        packages="linux-image-cloud-arm64",
        modules=_VIRTIO,
    ),
    Board(
        name="vm32",
        architecture=ARMHF,
        qemu="qemu-system-arm",
        processor="cortex-a7",  # of a Pi 2, which runs no 64-bit system
        memory_mb=512,  # of a Zero 2
        packages="linux-image-armmp-lpae,python3-numpy",
        modules=("crc32c_generic", *_VIRTIO, "ext4"),  # ext4 does not tell that it needs the first
    ),
    # What a Pi 4 starts from a card with the 32-bit system: its kernel has 64 bits, and tells so.
    Board(
        name="vm32on64",
        architecture=ARMHF,
        qemu="qemu-system-aarch64",
        processor="cortex-a76",
        memory_mb=1024,
        packages="linux-image-cloud-arm64:arm64,python3-numpy",
        modules=_VIRTIO,
    ),
)
BOARDS = {board.name: board for board in _BOARDS}
