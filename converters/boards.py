"""Which boards can run a model, judged by facts about silicon and engine; nothing is measured."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.errors import UnknownNameError, first_of

_FILE = Path(__file__).with_name("boards.toml")


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs models on a board.

    Attributes:
        title: for people.
        program_bytes: flash or disk for engine and application, bytes.
        program_ram_bytes: RAM for them, bytes.
        weights: dtypes of weights that it takes.
        ops: operators that it has; empty means all.
    """

    title: str
    program_bytes: int
    program_ram_bytes: int
    weights: frozenset[str]
    ops: frozenset[str]


@dataclass(frozen=True, slots=True)
class Board:
    """Facts about a board; see boards.toml for their sources.

    Attributes:
        name: as given to ``--board``.
        title: for people.
        engine: what runs models on it.
        flash_bytes: flash or disk, bytes.
        ram_bytes: RAM, bytes.
        fpu: whether float32 is computed in hardware.
        source: where the facts come from.
    """

    name: str
    title: str
    engine: Engine
    flash_bytes: int
    ram_bytes: int
    fpu: bool
    source: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model asks of a board.

    Attributes:
        flash_bytes: size of the flatbuffer, bytes.
        arena_bytes: planned memory for activations, bytes.
        ops: names of its operators, custom ones by their code.
        weights: dtypes of the weights of its learned layers.
        activations: dtypes that they compute in.
    """

    flash_bytes: int
    arena_bytes: int
    ops: frozenset[str]
    weights: frozenset[str]
    activations: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model runs on a board, and the reasons for or against, one line each."""

    runs: bool
    reasons: tuple[str, ...]


def load() -> dict[str, Board]:
    """Every board there is, by name."""
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    engines = {
        name: Engine(
            facts["title"],
            facts["program_bytes"],
            facts["program_ram_bytes"],
            frozenset(facts["weights"]),
            frozenset(facts.get("ops", "").split()),
        )
        for name, facts in table["engine"].items()
    }
    return {
        name: Board(name=name, **{**facts, "engine": engines[facts["engine"]]})
        for name, facts in table["board"].items()
    }


def find(name: str) -> dict[str, Board]:
    """The one board of that name.

    Raises:
        UnknownNameError: there is none.
    """
    boards = load()
    if name not in boards:
        raise UnknownNameError("board", name, boards)
    return {name: boards[name]}


def judge(board: Board, cost: Cost) -> Fit:
    """Whether the model fits flash and RAM, and whether the engine has its operators and dtypes."""
    engine = board.engine
    place = "flash" if engine.ops else "disk"
    against = []
    missing = sorted(cost.ops - engine.ops) if engine.ops else []
    if missing:
        against.append(f"{engine.title} has no {first_of(missing)}")
    odd = sorted(cost.weights - engine.weights)
    if odd:
        against.append(f"{engine.title} does not take {first_of(odd)} weights")
    elif "int8" in cost.weights and "float32" in cost.activations and engine.ops:
        against.append(f"{engine.title} does not take int8 weights with float32 activations")
    for what, model, program, there in (
        (place, cost.flash_bytes, engine.program_bytes, board.flash_bytes),
        ("RAM", cost.arena_bytes, engine.program_ram_bytes, board.ram_bytes),
    ):
        if model + program > there:
            sizes = f"{_kb(model)} for the model and about {_kb(program)} for the program"
            against.append(f"{what}: {sizes} exceed {_kb(there)}")
    if against:
        return Fit(False, tuple(against))
    reasons = [
        f"model {_kb(cost.flash_bytes)} of {_kb(board.flash_bytes)} {place}",
        f"activations {_kb(cost.arena_bytes)} of {_kb(board.ram_bytes)} RAM",
    ]
    if "float32" in cost.activations and not board.fpu:
        reasons.append("slow: computes in float32 and there is no FPU; take --recipe int8")
    return Fit(True, tuple(reasons))


def _kb(size: int) -> str:
    if size >= 10_000_000:
        return f"{size / 1e6:,.0f} MB"
    return f"{size / 1000:.1f} kB" if size < 100_000 else f"{size / 1000:,.0f} kB"
