"""Every kind of model by recipes: each conversion is right, or refused in one clear line.

By default each model as int8 and as one other recipe. EDGEML_MATRIX=all takes every recipe;
EDGEML_MATRIX=write does so too and puts the figures into docs/matrix.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sdk.errors import MissingExtraError
from tests.zoo import Entry, matrix
from tests.zoo.matrix import Row
from tests.zoo.store import Store

pytestmark = pytest.mark.integration

EXTENT = os.environ.get("EDGEML_MATRIX", "daily")
CASES = matrix.daily_cases() if EXTENT == "daily" else matrix.cases()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.within(tmp_path_factory.getbasetemp()) as store:
        yield store


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """What was converted; written into the document when asked for."""
    rows: list[Row] = []
    yield rows
    if EXTENT == "write":
        matrix.write(rows)


@pytest.mark.parametrize(
    ("entry", "recipe"), [pytest.param(entry, recipe, id=f"{entry.name}-{recipe}") for entry, recipe in CASES]
)
def test_a_conversion_is_right_or_refused(
    entry: Entry, recipe: str, store: Store, rows: list[Row], tmp_path: Path
) -> None:
    try:
        built = store.built(entry)
    except MissingExtraError as error:
        pytest.skip(str(error))
    output = tmp_path / f"{entry.name}.tflite"
    row, error = matrix.attempt(built, recipe, output)
    rows.append(row)
    assert row.converted == output.exists()
    if error is None:
        assert max(matrix.lost(built, output)) <= 0, f"passed, and should not have: {row}"
    else:
        assert "\n" not in str(error)
        assert len(str(error)) < 600
    expected = entry.refused.get(recipe)
    assert (error is not None) == (expected is not None), row.verdict
    if expected is not None:
        assert re.search(expected, str(error))


@pytest.mark.skipif(EXTENT == "write", reason="EDGEML_MATRIX=write writes the table at the end")
def test_the_table_in_the_documents_is_of_these_models_and_recipes() -> None:
    documented = matrix.read()
    assert list(documented) == [(entry.name, recipe) for entry, recipe in matrix.cases()], "run: make matrix"
    for entry, recipe in matrix.cases():
        row = documented[entry.name, recipe]
        assert row.kind == entry.kind
        assert row.converted == (recipe not in entry.refused), f"{row}; run: make matrix"
