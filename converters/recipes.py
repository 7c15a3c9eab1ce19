"""The conversion recipes by name: one table that the converter, the help text and the gate read."""

from __future__ import annotations

from dataclasses import dataclass

from edge_sdk.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a conversion does with weights and activations.

    Attributes:
        name: as given on the command line.
        weights: dtype in which learned weights are stored.
        activations: dtype in which the learned layers compute.
        meaning: one line for people.
        needs_data: whether ranges have to be measured on representative windows.
        tolerance: how far the golden outputs may be off on another machine, whose kernels round differently,
            in units of the output (one int8 step of a probability is 1/256).
        least_sqnr_db: what the gate asks for where there are no labels to measure accuracy with, dB.
    """

    name: str
    weights: str
    activations: str
    meaning: str
    needs_data: bool
    tolerance: float
    least_sqnr_db: float


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "float32", "float32", "as trained; the reference", False, 1e-4, 60.0),
        Recipe("float16", "float16", "float32", "half the size, same speed on CPUs", False, 1e-3, 30.0),
        Recipe("dynamic_int8", "int8", "float32", "a quarter of the size, no data needed", False, 0.02, 10.0),
        Recipe("int8", "int8", "int8", "smallest and fastest; runs on microcontrollers", True, 0.04, 10.0),
    )
}


def find(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]


def table() -> str:
    """The recipes as aligned lines, for ``edgeml convert --help``."""
    rows = [("recipe", "weights", "compute", "")]
    rows += [(r.name, r.weights, r.activations, r.meaning) for r in RECIPES.values()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ("  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
