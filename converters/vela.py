"""Compiles a model for an Ethos-U NPU with Vela, Arm's compiler, and reads what it found.

Vela exits with 0 for a model of which it could place nothing, so the verdict comes from what is left in
the model that it writes, never from its exit status. It runs as a program of its own with a time limit: the
model is untrusted, and the compiler a native library.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converters.boards import Npu
from converters.costs import check, macs_of, title
from edge_sdk.errors import ChildTimeoutError, MissingExtraError, ModelError
from edge_sdk.graph import Graph, read_graph

#: MobileNetV2 takes 0.3 s.
TIMEOUT_S = 120.0
_CONFIGURATION = "Arm/vela.ini"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What Vela made of a model.

    Attributes:
        operators: of the model.
        on_npu: how many of them the NPU runs.
        on_cpu: how often each other operator occurs.
        left: each of them with the dtype of what it writes.
        macs_share: the NPU's share of the multiply-accumulates, 0 to 1; 1 where there are none.
        sram_bytes: SRAM that it uses, bytes.
        model_bytes: flash and DRAM that it uses: weights, commands, and beside DRAM the activations, bytes.
        cycles: Vela's estimate of NPU cycles an inference; what is left to the processor is not in it.
        clock_hz: the NPU's clock, as Vela's configuration has it.
        inferences_per_s: at that clock, of the NPU's part.
        cycles_by_operator: share of the cycles, 0 to 1, by Vela's names of the operators; largest first.
    """

    operators: int
    on_npu: int
    on_cpu: Mapping[str, int]
    left: tuple[tuple[str, str], ...]
    macs_share: float
    sram_bytes: int
    model_bytes: int
    cycles: int
    clock_hz: float
    inferences_per_s: float
    cycles_by_operator: Mapping[str, float]

    def __str__(self) -> str:
        left = ", ".join(f"{n} {op}" if n > 1 else op for op, n in self.on_cpu.items())
        where = (
            f"{self.on_npu} of {self.operators} operators and {self.macs_share:.0%} of the MACs on the NPU"
        )
        if not self.on_npu:
            return f"{where} (Vela)"
        speed = f"{self.cycles:,} cycles, {self.inferences_per_s:,.0f}/s at {self.clock_hz / 1e6:.0f} MHz"
        return f"{where}; " + (f"on the CPU: {left}; " if left else "") + f"{speed} (Vela's estimate)"


def compile_model(flatbuffer: bytes, graph: Graph, npu: Npu) -> Compiled:
    """Compile a model for an NPU.

    Args:
        flatbuffer: the model, without what is packed behind it.
        graph: of the same.
        npu: what to compile for.

    Raises:
        MissingExtraError: Vela is not installed.
        ModelError: Vela refuses the model, or crashes on it.
        ChildTimeoutError: it takes too long.
    """
    if importlib.util.find_spec("ethosu") is None:
        raise MissingExtraError("Vela, the compiler for Ethos-U,", "ethos", "ethos-u-vela")
    with tempfile.TemporaryDirectory(prefix="edgeml-vela-") as name:
        folder = Path(name)
        model = folder / "model.tflite"
        model.write_bytes(flatbuffer)
        _run(model, npu, folder)
        try:
            compiled = read_graph((folder / "model_vela.tflite").read_bytes())
            summary = _rows(next(folder.glob("model_summary_*.csv")))[0]
            layers = _rows(folder / "model_per-layer.csv")
            check(compiled)
            return _read(graph, compiled, summary, layers)
        except (OSError, StopIteration, IndexError, KeyError, ValueError) as error:
            raise ModelError(
                "Vela's answer is not understood",
                expected="its summary, its layers and the compiled model",
                found=f"{type(error).__name__}: {error}",
                remedy="install the version that edgeml knows: pip install 'edgeml-kit[ethos]'",
            ) from error


def _run(model: Path, npu: Npu, folder: Path) -> None:
    command = [sys.executable, "-m", "ethosu.vela", str(model), "--output-dir", str(folder)]
    command += ["--accelerator-config", npu.accelerator, "--config", _CONFIGURATION]
    command += ["--system-config", npu.system, "--memory-mode", npu.memory, "--verbose-performance"]
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            status = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ChildTimeoutError("Vela did not finish", expected=f"within {TIMEOUT_S:g} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status:
            log.seek(0)
            raise ModelError("Vela refuses the model", found=_complaint(log.read(), status))


def _complaint(log: bytes, status: int) -> str:
    """The line in which Vela says what is wrong, and the one with the facts behind it."""
    lines = [line.strip() for line in log[-20000:].decode(errors="replace").splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if "Error:" in line:
            facts = [f for f in lines[index + 1 : index + 4] if f.startswith(("-", "Found"))]
            text = " ".join([line.rpartition("Error:")[2].strip(), *facts])
            return text[:400]
    cause = f"signal {-status}" if status < 0 else f"exit status {status}"
    return f"{cause}: {lines[-1][:300]}" if lines else cause


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8", errors="replace") as opened:
        return list(csv.DictReader(opened))


def _read(
    graph: Graph, compiled: Graph, summary: Mapping[str, str], layers: list[dict[str, str]]
) -> Compiled:
    left = [op for op in compiled.ops if op.custom_code != "ethos-u"]
    placed = len(left) < len(compiled.ops)
    whole, cpu = macs_of(graph), macs_of(compiled)
    return Compiled(
        operators=len(graph.ops),
        # Vela fuses and splits: only what it left in the model that it wrote can be counted.
        on_npu=max(len(graph.ops) - len(left), 0) if placed else 0,
        on_cpu=dict(sorted(Counter(map(title, left)).items(), key=lambda item: (-item[1], item[0]))),
        left=tuple(sorted({(title(op), compiled.tensors[i].dtype) for op in left for i in op.outputs[:1]})),
        macs_share=(max(1 - cpu / whole, 0.0) if whole else 1.0) if placed else 0.0,
        sram_bytes=_bytes(summary, "sram_memory_used"),
        model_bytes=sum(
            _bytes(summary, f"{place}_memory_used") for place in ("off_chip_flash", "on_chip_flash", "dram")
        ),
        cycles=int(float(summary["cycles_total"])),
        clock_hz=float(summary["core_clock"]),
        inferences_per_s=float(summary["inferences_per_second"]) if placed else 0.0,
        cycles_by_operator=_shares(layers),
    )


def _bytes(summary: Mapping[str, str], key: str) -> int:
    """A size that Vela gives in KiB."""
    return round(float(summary[key]) * 1024)


def _shares(layers: list[dict[str, str]]) -> dict[str, float]:
    cycles: dict[str, float] = {}
    for row in layers:
        cycles[row["Original Operator"]] = cycles.get(row["Original Operator"], 0.0) + float(row["Op Cycles"])
    whole = sum(cycles.values())
    ranked = sorted(cycles.items(), key=lambda item: (-item[1], item[0]))
    return {op: round(n / whole, 4) for op, n in ranked if n} if whole else {}
