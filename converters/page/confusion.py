"""A confusion matrix as a table whose shades are shares of a row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.page import tables, wording
from converters.page.markup import Html, tag

#: Classes that are shown.
_CLASSES = 20


def choose(*matrices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The classes worth a row: all of a few, of many those with most errors; int64 [shown], rising.

    Args:
        matrices: int64 [classes, classes]; errors of several are added, and so is what changed between them.
    """
    count = len(matrices[0])
    if count <= _CLASSES:
        return np.arange(count)
    wrong = sum((matrix.sum(axis=1) - np.diag(matrix) for matrix in matrices), np.zeros(count, np.int64))
    for first, second in itertools.pairwise(matrices):
        wrong = wrong + abs(first - second).sum(axis=1)
    return np.sort(np.argsort(-wrong, kind="stable")[:_CLASSES])


def table(
    names: Sequence[str],
    matrix: NDArray[np.int64],
    totals: NDArray[np.int64],
    change: NDArray[np.int64] | None = None,
) -> Html:
    """Rows are true classes, columns decided ones.

    Args:
        names: of the classes.
        matrix: int64 [classes, classes].
        totals: int64 [classes], inputs of each true class, those beyond the columns included.
        change: against another matrix, as small figures.
    """
    short = [wording.clipped(name, 20) for name in names]
    turned = max(map(len, short)) > 3
    head = tag(
        "tr",
        tag("td", class_="corner"),
        *(tag("th", name, class_="col" if turned else None, scope="col") for name in short),
    )
    rows = []
    for i, row in enumerate(matrix):
        cells = []
        for j, inputs in enumerate(row):
            moved = 0 if change is None else int(change[i, j])
            delta = (
                tag("span", f"{moved:+d}".replace("-", wording.MINUS), class_="delta") if moved else Html()
            )
            kind = "hit" if i == j else "miss" if inputs else "none"
            part = f"--share:{inputs / max(int(totals[i]), 1):.2f}" if inputs else None
            shown = f"{inputs}" if inputs or i == j or moved else "·"
            hint = f"{names[i]} decided as {names[j]}" if inputs else None
            cells.append(tag("td", shown, delta, class_=kind, style=part, title=hint))
        rows.append(tag("tr", tag("th", short[i], class_="row", scope="row"), *cells))
    return tables.scrolling(tag("table", tag("tbody", head, *rows), class_="confusion"))
