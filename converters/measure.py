"""Asks a board's engine itself whether it takes a model: LiteRT, Vela, edgeml's C library."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict

from converters import advice, boards, vela, xnnpack
from converters.boards import Board, Cost, Engine, Fit, kb
from edge_sdk.errors import ChildError, ConfigError, MissingExtraError, ModelError, first_of
from edge_sdk.graph import Graph

_OURS = "edgeml-c"
_NOTHING = Cost(0, 0, frozenset(), frozenset(), frozenset())


def measure(board: Board, cost: Cost, flatbuffer: bytes, graph: Graph) -> Fit:
    """`boards.judge`, and what the engine says where it can be asked on this machine.

    TFLite Micro cannot: its verdict stays the one by facts.

    Args:
        board: where the model is to run.
        cost: of the model.
        flatbuffer: the model, without what is packed behind it.
        graph: of the same.

    Raises:
        MissingExtraError: Vela is needed and not installed.
    """
    fit = boards.judge(board, cost)
    if board.npu is not None:
        return _ask_vela(board, cost, flatbuffer, graph)
    if board.engine.runtime is not None:
        return _ask_runtime(board, fit, cost, flatbuffer, graph)
    own = next((engine for engine in board.engines if engine.name == _OURS), None)
    if own is None:
        return fit
    return dataclasses.replace(fit, others={**fit.others, _OURS: _ask_library(board, own, flatbuffer)})


def _ask_library(board: Board, engine: Engine, flatbuffer: bytes) -> Fit:
    """Whether the model becomes C, and what that takes of the board."""
    from converters.c import library  # it needs the schema, and a file is inspected without

    try:
        figures = library.figures(flatbuffer)
    except ModelError as error:
        remedies = (error.remedy,) if error.remedy else ()
        reason = f"{error.what}: {error.found}" if error.found else error.what
        return Fit(False, (reason,), remedies, engine.name, measured=True)
    rows = (
        ("flash", figures["flash_bytes"], engine.program_bytes, board.flash_bytes),
        ("RAM", figures["arena_bytes"], engine.program_ram_bytes, board.ram_bytes),
    )
    reasons = tuple(
        f"{what}: {kb(used)} and {kb(program)} beside it of {kb(there)}"
        for what, used, program, there in rows
    )
    runs = all(used + program <= there for _, used, program, there in rows)
    return Fit(runs, reasons, (), engine.name, measured=True, figures=figures)


def _ask_runtime(board: Board, fit: Fit, cost: Cost, flatbuffer: bytes, graph: Graph) -> Fit:
    assert board.engine.runtime is not None
    try:
        found = xnnpack.coverage(flatbuffer, graph, board.engine.runtime)
    except (MissingExtraError, ConfigError) as error:
        reason = f"XNNPACK coverage not measured: {error}"
        return dataclasses.replace(fit, reasons=(*fit.reasons, reason))
    except ModelError as error:
        return dataclasses.replace(fit, runs=False, reasons=(str(error), *fit.reasons), measured=True)
    except ChildError as error:
        reason = f"{board.engine.title} crashes on the model: {error.found}"
        return dataclasses.replace(fit, runs=False, reasons=(reason, *fit.reasons), measured=True)
    remedies = fit.remedies
    if found.macs_share < 1:
        remedies += tuple(advice.outside_xnnpack(cost.activations))
    figures = {"xnnpack": asdict(found)}
    return dataclasses.replace(
        fit, reasons=(*fit.reasons, str(found)), remedies=remedies, measured=True, figures=figures
    )


def _ask_vela(board: Board, cost: Cost, flatbuffer: bytes, graph: Graph) -> Fit:
    assert board.npu is not None
    engine = board.engine.name
    floats = "float32" in cost.activations
    try:
        found = vela.compile_model(flatbuffer, graph, board.npu)
    except (ModelError, ChildError) as error:
        remedy = (advice.FIX_THE_BATCH,) if cost.unknown else ()
        return Fit(False, (str(error),), remedy, engine, measured=True)
    against, remedies = [], []
    if not found.on_npu or not found.macs_share:
        computed = first_of(sorted(cost.activations)) or "no learned layer"
        against.append(f"nothing of it runs on the NPU: its layers compute in {computed}; {found}")
        remedies += advice.on_the_cpu(found.on_cpu, floats)
    if found.on_npu:
        on_cpu = dataclasses.replace(_NOTHING, ops=frozenset(found.on_cpu), results=frozenset(found.left))
        refused, to_do = boards.refusals(boards.load_engines()["tflm"], on_cpu)
        against += [f"Vela leaves it to the processor, and {reason}" for reason in refused]
        remedies += to_do
    for what, used, program, there in (
        ("SRAM", found.sram_bytes, 0, board.ram_bytes),
        ("flash", found.model_bytes, board.engine.program_bytes, board.flash_bytes),
    ):
        if used + program > there:
            against.append(f"{what}: {kb(used)} of {kb(there)}")
            remedies += advice.memory(cost.peak, floats) if what == "SRAM" else advice.flash(floats)
    figures = {"vela": asdict(found)}
    if against:
        return Fit(False, tuple(against), tuple(dict.fromkeys(remedies)), engine, True, figures)
    reasons = (
        str(found),
        f"SRAM {kb(found.sram_bytes)} of {kb(board.ram_bytes)}, flash and DRAM {kb(found.model_bytes)}",
    )
    remedies += advice.on_the_cpu(found.on_cpu, floats and found.macs_share < 1)
    return Fit(True, reasons, tuple(remedies), engine, True, figures)
