"""Which boards can run a model, judged by facts about silicon and engine; nothing is measured here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters import advice
from converters.costs import Cost, cost_of
from edge_sdk.errors import UnknownNameError, first_of

__all__ = [
    "Board",
    "Cost",
    "Engine",
    "Fit",
    "Flasher",
    "Npu",
    "cost_of",
    "find",
    "judge",
    "load",
    "load_engines",
    "machine_facts",
    "refusals",
]

_FILE = Path(__file__).with_name("boards.toml")
#: The engine that has a spectrogram as one kernel.
_FUSES = "edgeml-c"


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs models on a board; an empty set means all.

    Attributes:
        name: as in boards.toml.
        title: for people.
        program_bytes: flash or disk for engine and application, bytes.
        program_ram_bytes: RAM for them, bytes.
        weights: dtypes of weights that it takes.
        computes: dtypes that learned layers may compute in.
        ops: operators that it has.
        float_ops: those that it has in float32 too.
        lacks: by dtype, operators that it does not have in it.
        refuses: traits of a model that it refuses.
        runtime: the edgeml runtime on this host that stands for it, where it is one.
    """

    name: str
    title: str
    program_bytes: int
    program_ram_bytes: int
    weights: frozenset[str]
    computes: frozenset[str] = frozenset()
    ops: frozenset[str] = frozenset()
    float_ops: frozenset[str] = frozenset()
    lacks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class Npu:
    """What Vela compiles for: its names of accelerator, system configuration and memory mode."""

    accelerator: str
    system: str
    memory: str


@dataclass(frozen=True, slots=True)
class Flasher:
    """The program that writes firmware onto a board.

    Attributes:
        tool: ``pyocd`` or ``esptool``.
        chip: its name for the chip.
        pack: whether pyocd must be given a pack for that chip first.
    """

    tool: str
    chip: str
    pack: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """Facts about a board; see boards.toml for their sources.

    Attributes:
        name: as given to ``--board``.
        title: for people.
        engines: what can run models on it; the first one counts.
        flash_bytes: flash or disk, bytes.
        ram_bytes: RAM, bytes; with an NPU the SRAM that it works in.
        fpu: whether float32 is computed in hardware.
        source: where the facts come from.
        npu: what Vela compiles for, where there is an Ethos-U.
        machine: the emulated machine that stands for it, where there is one.
        flasher: what writes firmware onto it, where that is known.
    """

    name: str
    title: str
    engines: tuple[Engine, ...]
    flash_bytes: int
    ram_bytes: int
    fpu: bool
    source: str
    npu: Npu | None = None
    machine: str | None = None
    flasher: Flasher | None = None

    @property
    def engine(self) -> Engine:
        """The engine that counts."""
        return self.engines[0]


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model runs on a board.

    Attributes:
        runs: whether it does.
        reasons: for or against, one line each.
        remedies: what to change where it does not, or does badly, one line each.
        engine: name of the engine that was judged.
        measured: whether an engine or a compiler was asked; else the facts decided.
        figures: what was measured, by name; empty where nothing was.
        others: verdicts on the board's further engines, by name.
    """

    runs: bool
    reasons: tuple[str, ...]
    remedies: tuple[str, ...] = ()
    engine: str = ""
    measured: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Fit] = field(default_factory=dict)


def load() -> dict[str, Board]:
    """Every board there is, by name."""
    engines = load_engines()
    boards = {}
    for name, facts in _table()["board"].items():
        known = tuple(engines[engine] for engine in facts.pop("engines"))
        npu = Npu(**facts.pop("npu")) if "npu" in facts else None
        flasher = Flasher(**facts.pop("flasher")) if "flasher" in facts else None
        boards[name] = Board(name=name, engines=known, npu=npu, flasher=flasher, **facts)
    return boards


def machine_facts() -> dict[str, Any]:
    """What boards.toml says of emulated machines, by name; `firmware_bridge.machines` reads it."""
    facts: dict[str, Any] = _table()["machine"]
    return facts


def load_engines() -> dict[str, Engine]:
    """Every engine there is, by name."""
    return {name: _engine(name, facts) for name, facts in _table()["engine"].items()}


def find(name: str) -> Board:
    """The board of that name.

    Raises:
        UnknownNameError: there is none.
    """
    boards = load()
    if name not in boards:
        raise UnknownNameError("board", name, boards)
    return boards[name]


def judge(board: Board, cost: Cost) -> Fit:
    """Whether the model fits flash and RAM, and whether the engine has its operators and dtypes."""
    first, *more = (_judge(board, engine, cost) for engine in board.engines)
    others = {fit.engine: fit for fit in more}
    return Fit(first.runs, first.reasons, first.remedies, first.engine, others=others)


def _judge(board: Board, engine: Engine, cost: Cost) -> Fit:
    if engine.name == _FUSES and cost.fused is not None:
        cost = cost.fused
    against, remedies = refusals(engine, cost)
    if cost.unknown and engine.runtime is None:
        against.append(f"{first_of(cost.unknown, 1)} is known at run time only; here sizes are fixed")
        remedies.append(advice.FIX_THE_BATCH)
    for found, remedy in (_too_large(board, engine, cost), _too_much_ram(board, engine, cost)):
        against += found
        remedies += remedy
    if against:
        return Fit(False, tuple(against), tuple(dict.fromkeys(remedies)), engine.name)
    place = "disk" if engine.runtime else "flash"
    memory = "activations" if engine.runtime else "arena"
    reasons = [
        f"model {kb(cost.flash_bytes)} of {kb(board.flash_bytes)} {place}",
        f"{memory} {kb(_arena(engine, cost))} of {kb(board.ram_bytes)} RAM",
    ]
    if "float32" in cost.activations and not board.fpu:
        reasons.append("slow: computes in float32 and there is no FPU")
        remedies.append("convert with --recipe int8")
    if "widened" in cost.traits and engine.runtime is None:
        reasons.append("slow: widens its weights to float32 at every inference, into RAM")
        remedies.append("convert with --recipe int8")
    if board.npu:
        reasons.append(f"judged by its types only: edgeml inspect --board {board.name} compiles it with Vela")
    return Fit(True, tuple(reasons), tuple(remedies), engine.name)


def refusals(engine: Engine, cost: Cost) -> tuple[list[str], list[str]]:
    """What the engine cannot take, and what to do about it, one line each."""
    against, remedies = [], []
    missing = cost.ops - engine.ops if engine.ops else frozenset()
    if missing:
        against.append(f"{engine.title} has no {first_of(sorted(missing), 5)}")
        remedies += advice.operators(missing)
    if engine.float_ops:
        floats = {op for op, dtype in cost.results if dtype == "float32"} - missing - engine.float_ops
        if floats:
            against.append(f"{engine.title} has {first_of(sorted(floats), 5)} in int8 only")
            remedies += advice.in_float(floats)
    for dtype, ops in engine.lacks.items():
        absent = {op for op, written in cost.results if written == dtype} & ops
        if absent:
            against.append(f"{engine.title} has no {first_of(sorted(absent), 5)} in {dtype}")
            remedies += advice.in_integers(absent, dtype)
    odd = cost.weights - engine.weights
    if odd:
        against.append(f"{engine.title} does not take {first_of(sorted(odd))} weights")
        remedies += advice.dtypes(odd, engine.weights)
    elif "hybrid" in cost.traits & engine.refuses:
        against.append(f"{engine.title} does not take int8 weights with float32 activations")
        remedies.append(advice.HYBRID)
    elif cost.traits & engine.refuses:
        against.append(f"{engine.title} refuses {first_of(sorted(cost.traits & engine.refuses))}")
        remedies.append(advice.OLD_RUNTIME)
    elif engine.computes and not cost.activations & engine.computes:
        computed = first_of(sorted(cost.activations)) or "nothing"
        against.append(
            f"{engine.title} computes in {first_of(sorted(engine.computes))}, the model in {computed}"
        )
        remedies.append("convert with --recipe int8")
    return against, remedies


def _too_large(board: Board, engine: Engine, cost: Cost) -> tuple[list[str], list[str]]:
    if cost.flash_bytes + engine.program_bytes <= board.flash_bytes:
        return [], []
    place = "disk" if engine.runtime else "flash"
    return [_exceeds(place, cost.flash_bytes, engine.program_bytes, board.flash_bytes)], advice.flash(
        "float32" in cost.weights
    )


def _too_much_ram(board: Board, engine: Engine, cost: Cost) -> tuple[list[str], list[str]]:
    arena = _arena(engine, cost)
    if arena + engine.program_ram_bytes <= board.ram_bytes:
        return [], []
    return [_exceeds("RAM", arena, engine.program_ram_bytes, board.ram_bytes)], advice.memory(
        cost.peak, "float32" in cost.activations
    )


def _arena(engine: Engine, cost: Cost) -> int:
    """What the engine needs for activations: TFLite Micro keeps its bookkeeping in the arena too."""
    return max(cost.tflm_bytes, cost.arena_bytes) if engine.name in ("tflm", "ethos-u") else cost.arena_bytes


def _exceeds(what: str, model: int, program: int, there: int) -> str:
    return f"{what}: {kb(model)} for the model and about {kb(program)} for the program exceed {kb(there)}"


def _table() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _engine(name: str, facts: Mapping[str, Any]) -> Engine:
    listed = {key: frozenset(facts[key]) for key in ("weights", "computes", "refuses") if key in facts}
    words = {key: frozenset(facts[key].split()) for key in ("ops", "float_ops") if key in facts}
    lacks = {dtype: frozenset(ops.split()) for dtype, ops in facts.get("lacks", {}).items()}
    return Engine(**{**facts, **listed, **words, "lacks": lacks, "name": name})


def kb(size: int) -> str:
    """A size for people."""
    if size >= 10_000_000:
        return f"{size / 1e6:,.0f} MB"
    return f"{size / 1000:.1f} kB" if size < 100_000 else f"{size / 1000:,.0f} kB"
