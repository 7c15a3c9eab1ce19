"""What the result asks of a board, which boards can run it, and its operators."""

from __future__ import annotations

from collections import Counter

from converters import boards, inspect
from converters.page import tables, wording
from converters.page.markup import Html, join, tag
from converters.report import Report
from edge_sdk.graph import Graph, Op, read_graph

_OPERATORS = 60


def render(report: Report) -> Html:
    """Boards with reasons, and operators with counts and dtypes."""
    graph = read_graph(report.flatbuffer)
    asked = (
        f"One inference takes {inspect.macs_of(graph):,} multiply-accumulates over "
        f"{wording.counted(inspect.parameters_of(graph), 'parameter')}. Boards are judged by facts about "
        "silicon and engine; nothing was measured on them."
    )
    return join((tag("p", asked, class_="lead"), _boards(report), tag("h3", "Operators"), _operators(graph)))


def _boards(report: Report) -> Html:
    cost = boards.cost_of(report.flatbuffer)
    rows, wanted = [], []
    for place, (name, board) in enumerate(boards.load().items()):
        fit = boards.judge(board, cost)
        what = (tag("span", name, class_="nowrap"), tag("span", board.title, class_="soft"))
        rows.append(
            (
                tag("div", tables.lines(what), class_="hardware"),
                _verdict(fit),
                tag("div", _why(fit), class_="why"),
            )
        )
        if name == report.board:
            wanted.append(place)
    return tables.grid(("board", "", "why"), rows, marked=wanted)


def _verdict(fit: boards.Fit) -> Html:
    word, kind = ("runs", "good") if fit.runs else ("does not run", "bad")
    return tag("span", word, class_=f"nowrap {kind}")


def _why(fit: boards.Fit) -> Html:
    """Reasons, what to change, and which other engines of the board would do."""
    more = [f"→ {remedy}" for remedy in fit.remedies]
    more += [f"also with {name}" for name, other in fit.others.items() if other.runs]
    return tables.lines([*fit.reasons, *(tag("span", line, class_="soft") for line in more)])


def _operators(graph: Graph) -> Html:
    counts = Counter((op.custom_code or op.name, _dtypes(graph, op)) for op in graph.ops)
    rows = [(name, dtypes, f"{count:,}") for (name, dtypes), count in counts.most_common()]
    return join(
        (
            tables.grid(("operator", "inputs → outputs", "times"), rows[:_OPERATORS], numeric=(2,)),
            tables.and_more(min(len(rows), _OPERATORS), len(rows), "operator", "the most frequent are shown"),
        )
    )


def _dtypes(graph: Graph, op: Op) -> str:
    """``int8 × int8 constant → int8``: each dtype once a side, shapes and indices left out."""

    def side(indices: tuple[int, ...]) -> str:
        tensors = [graph.tensors[i] for i in indices if i >= 0]
        values = dict.fromkeys(tensor.dtype for tensor in tensors if not tensor.constant)
        constants = dict.fromkeys(tensor.dtype for tensor in tensors if tensor.constant)
        parts = [", ".join(values)] if values else []
        parts += (
            [f"{', '.join(constants)} constant" + ("s" if len(constants) > 1 else "")] if constants else []
        )
        return ", ".join(parts)

    return f"{side(op.inputs)} → {side(op.outputs)}"
