"""The serial link to a board: what a request takes, and what the protocol adds to an inference."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, interleaved, ratio
from firmware_bridge.build import build
from firmware_bridge.emulator import Emulator
from firmware_bridge.link import Link
from firmware_bridge.qemu import Qemu

_BOARD = "cortex-m4"
_ROUNDS, _CALLS = 7, 40


def rows(models: Mapping[str, Path]) -> list[Row]:
    """Instructions and bytes are exact; times are of the emulators on this machine, side by side."""
    found = [row for name in ("mlp", "conv1d", "ds_cnn") for row in _exact(name, models[name])]
    return [*found, *_times(models["mlp"])]


def _exact(name: str, model: Path) -> list[Row]:
    """What the protocol costs beside the inference itself, on the board and on the line."""
    firmware = build(model, _BOARD)
    board = Emulator(firmware.elf, firmware.machine)
    with closing(Link(board)) as link:
        inputs = [np.random.default_rng(0).bytes(spec.bytes) for spec in link.hello().inputs]
        link.invoke(inputs)
        board.counting = True
        before, sent = board.instructions, link.counters.bytes_sent + link.counters.bytes_received
        outcome = link.invoke(inputs)
        spent = board.instructions - before - outcome.cost
        moved = link.counters.bytes_sent + link.counters.bytes_received - sent
        own = sum(map(len, inputs)) + sum(map(len, outcome.outputs))
    return [
        Row(
            f"protocol over inference, {name} on {_BOARD}",
            f"{spent:,.0f} instr.",
            f"{outcome.cost:,.0f} instr.",
            f"{spent / outcome.cost:.3f}×",
        ),
        Row(
            f"bytes on the line over those of the tensors, {name}",
            f"{moved:,}",
            f"{own:,}",
            f"{moved / own:.2f}×",
        ),
    ]


def _times(model: Path) -> list[Row]:
    """The same firmware in both emulators."""
    firmware = build(model, _BOARD)
    with (
        closing(Link(Emulator(firmware.elf, firmware.machine))) as virtual,
        closing(Link(Qemu(firmware.elf, firmware.machine))) as qemu,
    ):
        sizes = [spec.bytes for spec in virtual.hello().inputs]
        qemu.hello()
        inputs = [np.random.default_rng(0).bytes(size) for size in sizes]
        trip = interleaved(_ROUNDS, _CALLS, virtual=virtual.stats, qemu=qemu.stats)
        whole = interleaved(
            _ROUNDS, _CALLS, virtual=lambda: virtual.invoke(inputs), qemu=lambda: qemu.invoke(inputs)
        )
    a_second = {name: sum(sizes) / statistics.median(times) / 1e3 for name, times in whole.items()}
    return [
        Row(
            f"round trip of a request, virtual:{_BOARD} beside QEMU",
            f"{statistics.median(trip['virtual']) * 1e6:,.0f} µs",
            f"{statistics.median(trip['qemu']) * 1e6:,.0f} µs",
            f"{ratio(trip['virtual'], trip['qemu']):.2f}×",
        ),
        Row(
            f"inferences of {sum(sizes):,} bytes over the link, likewise",
            f"{a_second['virtual']:,.0f} kB/s",
            f"{a_second['qemu']:,.0f} kB/s",
            f"{ratio(whole['qemu'], whole['virtual']):.2f}×",
        ),
    ]
