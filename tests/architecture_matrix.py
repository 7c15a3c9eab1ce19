"""Every architecture, what became of it in int8 and in C, and the table of it in docs/architectures.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from converters import boards, compare, costs, verify
from converters.c import cut, reference
from edge_sdk.child import Worker
from edge_sdk.graph import read_graph
from tests.c_library import Compiled
from tests.integration.converters.test_c_models import with_batches
from tests.tflm import Tflm
from train_host.architectures import catalogue
from train_host.architectures.catalogue import Costed, Example
from train_host.architectures.listing import fits, rounded

DOCUMENT = Path(__file__).parents[1] / "docs" / "architectures.md"
_BEGIN, _END = "<!-- written by the tests: begin -->", "<!-- end -->"
_COLUMNS = ("windows", "parameters", "MACs", "int8 kB", "RAM kB", "SQNR dB", "agreement", "C", "fits")
#: Each on its first example; these two on a second one, as their layers stand behind another front there.
_DAILY = {("cnn1d", "sound, 1 s"), ("cnn2d", "small images")}
_TIMEOUT_S = 300.0
_INPUTS = 6


@dataclass(frozen=True)
class Case:
    """One architecture on one example."""

    name: str
    example: Example

    def __str__(self) -> str:
        return f"{self.name}, {self.example.title}"


@dataclass(frozen=True)
class Made:
    """What became of it.

    Attributes:
        untrained: weights that no gradient reaches.
        sqnr_db: of what the int8 model says of the windows it was calibrated on, against Keras.
        agreement: share of windows with the same decision.
        costed: counted in the int8 file.
        differing: outputs of the C library that are not those of TFLite Micro, or, where that has not every
            operator, of the numpy kernels; None where no board would take the C.
    """

    case: Case
    untrained: Sequence[str]
    sqnr_db: float
    agreement: float
    costed: Costed
    differing: int | None


@dataclass(frozen=True)
class Row:
    """A line of the table, as text."""

    name: str
    windows: str
    parameters: str
    macs: str
    size: str
    arena: str
    sqnr_db: str
    agreement: str
    c: str
    fits: str

    def __str__(self) -> str:
        return f"| {' | '.join(astuple(self))} |"


def every() -> Iterator[Case]:
    """All that there are."""
    return (Case(name, example) for example in catalogue.EXAMPLES for name in example.names)


def daily() -> Iterator[Case]:
    """What each run of the tests tries; of the two large networks the one with more kinds of layers."""
    seen = {"mobilenet_v2"}
    for case in every():
        if case.name not in seen or (case.name, case.example.title) in _DAILY:
            yield case
        seen.add(case.name)


def make(case: Case, worker: Worker, tflm: Tflm, folder: Path) -> Made:
    """Build, settle, convert, run and compile one."""
    told = worker.call(
        "tests.settled_models:make",
        timeout_s=_TIMEOUT_S,
        example=msgspec.to_builtins(case.example),
        name=case.name,
        folder=str(folder),
    )
    file = folder / f"{case.name}.tflite"
    with np.load(folder / f"{case.name}.npz") as arrays:
        x, said = arrays["x"], arrays["said"]
    (answer,) = verify.run(file, (x,))
    flatbuffer = file.read_bytes()
    graph = read_graph(flatbuffer)
    cost = costs.cost_of(flatbuffer)
    costed = Costed(case.name, case.example.title, costs.parameters_of(graph), costs.macs_of(graph), cost)
    judged = [boards.judge(board, cost) for board in boards.load().values()]
    every_engine = [fit for first in judged for fit in (first, *first.others.values())]
    claims = any(fit.runs and fit.engine == "edgeml-c" for fit in every_engine)
    return Made(
        case,
        told["untrained"],
        compare.sqnr_db(said, answer),
        float(np.mean(_decided(said) == _decided(answer))),
        costed,
        _differing(cut.cut(flatbuffer) if cost.fused else flatbuffer, tflm, folder) if claims else None,
    )


def row(made: Made) -> Row:
    """As the document shows it."""
    cost = made.costed.cost
    assert cost is not None
    return Row(
        f"`{made.case.name}`",
        made.case.example.title,
        f"{made.costed.parameters:,}",
        rounded(made.costed.macs),
        f"{cost.flash_bytes / 1000:.1f}",
        f"{made.costed.arena_bytes / 1000:.1f}",
        f"{made.sqnr_db:.0f}",
        f"{made.agreement:.3f}",
        {None: "–", 0: "exact"}.get(made.differing, "differs"),
        fits(made.costed),
    )


def read() -> list[Row]:
    """The rows of the document."""
    table = DOCUMENT.read_text().partition(_BEGIN)[2].partition(_END)[0]
    cells = [re.findall(r"[^|]+", line) for line in table.splitlines() if line.startswith("| `")]
    return [Row(*(cell.strip() for cell in line)) for line in cells if len(line) == len(fields(Row))]


def write(every_made: Sequence[Made]) -> None:
    """Put figures into the document and the package; what was not made anew stays, what is no more goes."""
    keys = [(case.name, case.example.title) for case in every()]
    costed = {(each.name, each.example): each for each in catalogue.read()}
    costed |= {(made.case.name, made.case.example.title): made.costed for made in every_made}
    rows = {(each.name.strip("`"), each.windows): each for each in read()}
    rows |= {(made.case.name, made.case.example.title): row(made) for made in every_made}
    catalogue.write([costed[key] for key in keys])
    _write_table([rows[key] for key in keys])


def _write_table(rows: Sequence[Row]) -> None:
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    lines = [
        f"| name | {' | '.join(_COLUMNS)} |",
        "| --- | --- |" + " ---: |" * 6 + " --- | --- |",
        *map(str, rows),
    ]
    DOCUMENT.write_text(f"{before}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{after}")


def _decided(scores: NDArray[Any]) -> NDArray[Any]:
    return scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > 0.5


def _differing(flatbuffer: bytes, tflm: Tflm, folder: Path) -> int:
    """How many outputs of the C library are not those of TFLite Micro, to the last bit."""
    compiled = Compiled(flatbuffer, folder, ("gcc", "-O1"))
    graph, rng = read_graph(flatbuffer), np.random.default_rng(5)
    inputs = [
        rng.normal(size=(_INPUTS, *graph.tensors[index].shape)).astype(np.float32) for index in graph.inputs
    ]
    ours = compiled.run(inputs)
    try:
        theirs = tflm.run(with_batches(flatbuffer), inputs)
    except RuntimeError:
        state = reference.first_state(compiled.program)
        each = [reference.run(compiled.program, [x[n] for x in inputs], state) for n in range(_INPUTS)]
        theirs = [np.stack(outputs) for outputs in zip(*each, strict=True)]
    return sum(
        int(np.count_nonzero(one.reshape(_INPUTS, -1) != other.reshape(_INPUTS, -1)))
        for one, other in zip(ours, theirs, strict=True)
    )
