"""Every model of the zoo by every recipe that applies, and the table of it in docs/matrix.md."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters import DropError, Report, Request, recipes, verify
from converters.conversion import perform_each
from edge_sdk.errors import EdgeError
from edge_sdk.graph import Tensor, read_graph
from edge_sdk.modelfile import split
from tests.zoo import ZOO, Entry
from tests.zoo.measures import MEASURES
from tests.zoo.store import Built

DOCUMENT = Path(__file__).parents[2] / "docs" / "matrix.md"
#: What a measure may lose on all of the data, whatever the gate says of its part of them.
_ALLOWED = {"accuracy": 0.03, "binary": 0.03, "explained": 0.1, "explained_decades": 0.1}
_MAX_DROP = 0.02
#: Not of every day: a sibling shows the same, as another size, as both of two things, or in ONNX.
_SELDOM = {
    *("conv1d", "late_batchnorm", "stacked_lstm", "unrolled_lstm", "mobilenet_v2"),
    *("multi_input", "multi_output", "torch_mlp", "torch_image", "torch_several", "torch_flattened"),
}
_HEAD = """# Every kind of model by every recipe

Written by `make matrix`, which trains the models of `tests/zoo`, converts each with every recipe that applies
and checks every file that came out on its own. Accuracy and agreement are shares of the samples that judge;
where a task has no classes, the ratio of signal to quantization noise decides. The gate passes a loss of two
points: a few hundred samples judge, and the models are trained anew on each machine. Those of the family
`breaking` were built to fail in int8.

"""


@dataclass(frozen=True)
class Row:
    """One conversion, as text.

    Attributes:
        model: its name.
        kind: of its file.
        recipe: that was asked for.
        size: bytes of the result.
        before: accuracy of the original.
        after: accuracy of the result.
        agreement: share of equal decisions.
        sqnr_db: signal to quantization noise of the outputs.
        verdict: ``converted``, or why not.
    """

    model: str
    kind: str
    recipe: str
    size: str = "–"
    before: str = "–"
    after: str = "–"
    agreement: str = "–"
    sqnr_db: str = "–"
    verdict: str = "converted"

    @property
    def converted(self) -> bool:
        """Whether a file was written."""
        return self.verdict == "converted"

    def __str__(self) -> str:
        return f"| {' | '.join(astuple(self))} |"


#: What applies; `qat` is for models that bring ranges of their own.
RECIPES = [name for name in recipes.RECIPES if name != "qat"]


def must_convert(entry: Entry, recipe: str) -> bool:
    """Whether a recipe may not even fail the gate: it keeps the bits, or the model was trained for its task.

    The bodies of the ONNX and PyTorch models are random, and only their last layers are solved for.
    """
    if recipe in entry.refused:
        return False
    return recipe in ("float32", "float16", "mixed") or (recipe == "int8" and entry.environment is None)


def daily() -> Iterator[tuple[Entry, list[str]]]:
    """Most models with int8, and every fourth one with another recipe, the next for the next such model."""
    others = itertools.cycle(name for name in RECIPES if name != "int8")
    for number, entry in enumerate(entry for entry in ZOO.values() if entry.name not in _SELDOM):
        yield entry, ["int8", next(others)] if number % 4 == 0 else ["int8"]


def full() -> Iterator[tuple[Entry, list[str]]]:
    """Each model with every recipe."""
    for entry in ZOO.values():
        yield entry, RECIPES


def attempt(built: Built, names: Sequence[str], output: Path) -> Iterator[tuple[Row, Path, EdgeError | None]]:
    """Convert by several recipes; what was refused is a row as well."""
    asked = Request(model=str(built.model), output=output, data=built.data, report=False, max_drop=_MAX_DROP)
    for recipe, found in perform_each(asked, names):
        file = output.with_suffix(f".{recipe}.tflite")
        if isinstance(found, Report):
            yield _row(built, recipe, found), file, None
        elif isinstance(found, DropError):
            yield _row(built, recipe, found.report, f"refused: {found.found}"), file, found
        else:
            verdict = f"refused: {str(found).replace(str(built.model), built.model.name)}"
            yield Row(built.entry.name, built.entry.kind, recipe, verdict=verdict), file, found


def lost(built: Built, file: Path) -> list[float]:
    """How much worse a converted file is than it may be, by the zoo's own measures; nothing is above zero.

    Args:
        built: the model.
        file: a .tflite made from it.
    """
    floors = built.entry.floors
    with np.load(built.data) as arrays:
        data = {name: arrays[name] for name in arrays.files if name not in ("labels", "groups")}
    graph = read_graph(split(file.read_bytes()).flatbuffer)
    outputs = verify.run(file, [_fed(graph.tensors[index], data) for index in graph.inputs])
    with np.load(built.outputs) as before, np.load(built.truths) as truths:
        wanted = [(before[name], truths[name]) for name in before.files]
    best = [np.inf] * len(floors)
    # Outputs have lost their names on the way: whatever order suits them best.
    for order in itertools.permutations(outputs):
        if any(array.size != original.size for array, (original, _) in zip(order, wanted, strict=True)):
            continue
        found = [
            MEASURES[floor.measure](original, truth)
            - MEASURES[floor.measure](array.reshape(original.shape), truth)
            - _ALLOWED[floor.measure]
            for floor, array, (original, truth) in zip(floors, order, wanted, strict=True)
        ]
        best = min(best, found, key=max)
    return best


def read() -> dict[tuple[str, str], Row]:
    """The rows of the document by model and recipe."""
    if not DOCUMENT.is_file():
        return {}
    cells = [re.findall(r"[^|]+", line) for line in DOCUMENT.read_text().splitlines() if line[:1] == "|"]
    rows = [Row(*(cell.strip() for cell in line)) for line in cells if len(line) == len(fields(Row))]
    return {(row.model, row.recipe): row for row in rows if row.model in ZOO}


def write(new: Iterable[Row]) -> None:
    """Put rows in their place in the document; those of models and recipes that are no more go."""
    rows = read() | {(row.model, row.recipe): row for row in new}
    text = _HEAD
    for family, members in itertools.groupby(ZOO.values(), key=lambda entry: entry.family):
        text += f"## {family.replace('_', ' ').capitalize()}\n"
        text += (
            "| model | kind | recipe | bytes | accuracy before | after | agreement | SQNR dB | verdict |\n"
        )
        text += "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n"
        keys = [(entry.name, recipe) for entry in members for recipe in RECIPES]
        text += "".join(f"{rows[key]}\n" for key in keys if key in rows) + "\n"
    DOCUMENT.write_text(text.rstrip() + "\n")


def _row(built: Built, recipe: str, report: Report, verdict: str = "converted") -> Row:
    figures = report.as_dict()

    def text(key: str, digits: int) -> str:
        return "–" if figures[key] is None else f"{figures[key]:.{digits}f}"

    return Row(
        built.entry.name,
        built.entry.kind,
        recipe,
        f"{figures['bytes']:,}",
        text("accuracy_original", 3),
        text("accuracy", 3),
        text("agreement", 3),
        text("sqnr_db", 1),
        verdict,
    )


def _fed(tensor: Tensor, data: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The array for an input: the only one, or the one whose name or shape it has."""
    named = [array for name, array in data.items() if name in tensor.name or len(data) == 1]
    for array in [*named, *data.values()]:
        if array[0].size == np.prod(tensor.shape[1:]):
            return array.reshape(len(array), *tensor.shape[1:])
    raise AssertionError(f"no array for {tensor.name}")
