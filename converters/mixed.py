"""The recipe mixed: int8 but for the layers that int8 would ruin, found by measuring.

1. Every layer of the int8 model is compared with the float one; those that lose most come first.
2. The 1, 2, 4, … worst are kept in float32, with the layers around them, until the result passes.
3. One after the other is given back to int8 as long as it still passes.

The search sees the representative inputs only. Those that decide are looked at once a step, at the end of 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters import layers, recipes
from converters.layers import Layer
from converters.report import Trial
from converters.trials import Trials
from edge_sdk.errors import ModelError

_MIXED = recipes.find("mixed")
#: Attempts to give a layer back to int8; each costs one run over the representative inputs.
_MOST_RETURNED = 24


def search(trials: Trials, plain: Trial) -> Trial:
    """The int8 model with as few layers in float32 as the gate needs; plain int8 where that passes.

    Args:
        trials: of the model.
        plain: the trial of int8, which says where it goes wrong.

    Returns:
        A trial of the recipe mixed; its `failure` is set where nothing passes.
    """
    if plain.flatbuffer is None or plain.failure is None:
        return trials.attempt(_MIXED)
    try:
        ranked = layers.guilty(trials.layers(plain))
    except ModelError as error:
        return Trial(recipe=_MIXED, failure=str(error))
    if not ranked:
        return Trial(recipe=_MIXED, failure="no layer of it is quantized")
    best = None
    for guilty in _growing(ranked):
        if not _passes(trials, guilty):
            continue
        fewest = _shrink(trials, guilty)
        # What suffices on the representative inputs may not on the others: then with all that were kept.
        for names in (fewest, guilty) if len(fewest) < len(guilty) else (guilty,):
            best = trials.attempt(_MIXED, _kept(trials, names))
            if best.failure is None:
                return best
    return best or trials.attempt(_MIXED, _kept(trials, [layer.name for layer in ranked]))


def _growing(ranked: Sequence[Layer]) -> Iterator[list[str]]:
    count = 1
    while count < len(ranked):
        yield [layer.name for layer in ranked[:count]]
        count *= 2
    yield [layer.name for layer in ranked]


def _shrink(trials: Trials, guilty: Sequence[str]) -> list[str]:
    """Fewer of these tensors that still suffice, the least guilty given back first."""
    left = list(guilty)
    for name in list(reversed(guilty))[:_MOST_RETURNED]:
        fewer = [other for other in left if other != name]
        if fewer and _passes(trials, fewer):
            left = fewer
    return left


def _passes(trials: Trials, names: Sequence[str]) -> bool:
    try:
        return trials.judge_on_calibration(_MIXED, _kept(trials, names)).failure is None
    except ModelError:
        return False  # a cut that the quantizer cannot make; another one may do


def _kept(trials: Trials, names: Sequence[str]) -> tuple[str, ...]:
    return layers.around(trials.subject.graph, names)
