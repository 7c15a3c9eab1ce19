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
        io: dtype of the model's inputs and outputs.
        meaning: one line for people.
        needs_data: whether ranges have to be measured on representative windows.
        tolerance: how far the golden outputs may be off on another machine, whose kernels round differently,
            in units of the output (one int8 step of a probability is 1/256).
        least_sqnr_db: what the gate asks for where there are no labels to measure accuracy with, dB.
    """

    name: str
    weights: str
    activations: str
    io: str
    meaning: str
    needs_data: bool
    tolerance: float
    least_sqnr_db: float


_F, _I8 = "float32", "int8"
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", _F, _F, _F, "as trained; the reference", False, 1e-4, 60.0),
        Recipe("float16", "float16", _F, _F, "half the size, same speed on CPUs", False, 1e-3, 30.0),
        Recipe("weight_int8", _I8, _F, _F, "a quarter of the size, computes as trained", False, 5e-3, 15.0),
        Recipe("dynamic_int8", _I8, _F, _F, "a quarter of the size, large layers in int8", False, 0.02, 10.0),
        Recipe(
            "int4_weights", "int4", _F, _F, "an eighth of the size, computes as trained", False, 5e-3, 8.0
        ),
        Recipe(_I8, _I8, _I8, _F, "small and fastest; runs on microcontrollers", True, 0.04, 10.0),
        Recipe("int8_io", _I8, _I8, _I8, "int8, inputs and outputs too; no float at all", True, 0.04, 10.0),
        Recipe("int16x8", _I8, "int16", _F, "nearly as exact as float32, slow on CPUs", True, 5e-3, 20.0),
        Recipe("mixed", _I8, _I8, _F, "int8 but for the layers that it would ruin", True, 0.04, 10.0),
        Recipe("qat", _I8, _I8, _F, "int8 with the ranges that training found", False, 0.04, 10.0),
    )
}
#: Not a recipe: tries them all and takes the best that passes.
AUTO = "auto"


def find(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, [*RECIPES, AUTO])
    return RECIPES[name]


def table() -> str:
    """The recipes as aligned lines, for ``edgeml convert --help``."""
    rows = [("recipe", "weights", "compute", "in, out", "")]
    rows += [(r.name, r.weights, r.activations, r.io, r.meaning) for r in RECIPES.values()]
    rows.append((AUTO, "", "", "", "the smallest or fastest of these that passes, measured"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ("  ".join([*(row[i].ljust(widths[i]) for i in range(4)), row[4]]) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
