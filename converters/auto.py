"""The recipe auto: tries what applies, measures, and takes the best that passes."""

from __future__ import annotations

from collections.abc import Sequence

from converters import boards, mixed, recipes
from converters.report import Trial
from converters.trials import Trials

#: Not tried unasked: it changes what the program around the model must hand over.
_BY_NAME_ONLY = frozenset({"int8_io", "mixed", "qat"})
#: A model with ranges of its own is quantized with these or not at all.
_WITHOUT_RANGES = frozenset(recipes.RECIPES) - {"float32", "qat"}
#: Latencies closer than this are equal: the machine's noise decides nothing.
_SAME_LATENCY = 1.1


def climb(trials: Trials) -> tuple[Trial, tuple[Trial, ...]]:
    """Try the ladder of recipes.

    Returns:
        The trial to take, and all of them. Where none passes, the first is the one that comes closest.
    """
    subject, made = trials.subject, []
    for recipe in recipes.RECIPES.values():
        if recipe.name in (_BY_NAME_ONLY if not subject.loaded.ranges else _WITHOUT_RANGES):
            continue
        if recipe.needs_data and subject.evidence.calibration is None:
            continue
        trial = trials.attempt(recipe)
        made.append(trial)
        if recipe.name == "int8" and trial.failure is not None and trial.verdict is not None:
            made.append(mixed.search(trials, trial))
    timed = trials.time(made)
    return pick(timed, subject.board), tuple(timed)


def pick(trials: Sequence[Trial], board: boards.Board | None) -> Trial:
    """The trial to take: on a microcontroller the least memory, elsewhere the least time, then size.

    Where no trial passes, the one with the least error among those that gave a model.
    """
    able = [trial for trial in trials if trial.failure is None]
    if not able:
        return min(trials, key=lambda t: (t.error is None, t.error or 0.0))
    if board is not None and board.engine.runtime is None:
        return min(able, key=lambda t: (_memory(t), t.latency_us or 0, t.error or 0))
    fastest = min(trial.latency_us or 0.0 for trial in able)
    quick = [trial for trial in able if (trial.latency_us or 0.0) <= _SAME_LATENCY * fastest]
    return min(quick, key=lambda t: (t.size_bytes or 0, t.latency_us or 0, _memory(t), t.error or 0))


def _memory(trial: Trial) -> int:
    """Flash and RAM together, bytes."""
    return (trial.size_bytes or 0) + (trial.arena_bytes or 0)
