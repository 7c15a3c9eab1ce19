"""Generated C beside TFLite Micro with CMSIS-NN on the same emulated cores: instructions, flash, arena."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import Row
from converters.c import library
from edge_sdk.graph import read_graph
from tests import tiny_models
from tests.emulated import CORES, Run, run

PUBLIC = Path(__file__).parents[2] / "shared" / "data" / "models"


@dataclass(frozen=True)
class Peer:
    """TFLite Micro with CMSIS-NN, core -Os and kernels -O2, only the needed operators; GCC 12.2, QEMU 7.2.

    Attributes:
        instructions: of one inference, by core.
        flash_bytes: code and model.
        arena_bytes: its tensor arena.
        weight_bytes: the constants of the model.
    """

    instructions: Mapping[str, float]
    flash_bytes: int
    arena_bytes: int
    weight_bytes: int


#: Measured once; the two without a file are the same architectures with other weights here.
PEERS = {
    "sine": Peer({"cortex-m4": 3.5e3, "cortex-m55": 2.1e3}, 36_400, 772, 400),
    "ad01_autoencoder": Peer({"cortex-m4": 0.583e6, "cortex-m55": 0.150e6}, 311_000, 2_580, 271_000),
    "kws_dscnn": Peer({"cortex-m4": 7.70e6, "cortex-m55": 1.82e6}, 140_000, 22_820, 27_300),
    "resnet_8": Peer({"cortex-m4": 29.9e6, "cortex-m55": 4.91e6}, 180_000, 54_996, 80_400),
    "visual_wake_words": Peer({"cortex-m4": 24.1e6, "cortex-m55": 6.56e6}, 419_000, 100_708, 233_000),
}


def rows() -> list[Row]:
    """Three rows a model and core; those of public models only where their files are."""
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        needs = "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
        return [Row(f"generated C, needs: {needs}", "", "", "")]
    found: list[Row] = []
    for name, peer in PEERS.items():
        flatbuffer = _model(name)
        if flatbuffer is None:
            continue
        floor = library.figures(flatbuffer)["floor_bytes"]
        for core in peer.instructions:
            found += _rows(f"{name} on {core}", peer, core, _run(flatbuffer, core), floor)
    return found


def _model(name: str) -> bytes | None:
    made = getattr(tiny_models, name, None)
    if made is not None:
        return bytes(made())
    file = PUBLIC / f"{name}_int8.tflite"
    return file.read_bytes() if file.exists() else None


def _run(flatbuffer: bytes, core: str) -> Run:
    """One inference of zeros: what it costs hardly depends on the values."""
    graph = read_graph(flatbuffer)
    inputs = [np.zeros((1, *graph.tensors[i].shape), graph.tensors[i].dtype) for i in graph.inputs]
    with tempfile.TemporaryDirectory() as folder:
        return run(flatbuffer, CORES[core], inputs, Path(folder))


def _rows(what: str, peer: Peer, core: str, ours: Run, floor: int) -> list[Row]:
    theirs = peer.instructions[core]
    code = ours.flash_bytes - peer.weight_bytes, peer.flash_bytes - peer.weight_bytes
    most = max(0.7 * peer.arena_bytes, 1.05 * floor)
    return [
        Row(
            f"instructions of {what}",
            _millions(ours.instructions[0]),
            _millions(theirs),
            f"{ours.instructions[0] / theirs:.2f}×",
            "≤ 1.0×",
            ours.instructions[0] <= theirs,
        ),
        Row(
            "flash without weights of the same",
            f"{code[0] / 1e3:.1f} kB",
            f"{code[1] / 1e3:.1f} kB",
            f"{code[0] / code[1]:.2f}×",
            "≤ 0.5×",
            code[0] <= 0.5 * code[1],
        ),
        Row(
            f"arena of the same, whose tensors need {floor:,}",
            f"{ours.arena_bytes:,} B",
            f"{peer.arena_bytes:,} B",
            f"{ours.arena_bytes / peer.arena_bytes:.2f}×",
            f"≤ {most:,.0f} B",
            ours.arena_bytes <= most,
        ),
    ]


def _millions(count: float) -> str:
    return f"{count / 1e6:.4f} M" if count < 1e5 else f"{count / 1e6:.3f} M"
