"""Every kind of model by recipes: each conversion is right, or refused in one clear line.

By default most models as int8, and every fourth one by another recipe. EDGEML_MATRIX=all takes every recipe;
EDGEML_MATRIX=write does so too and puts the figures into docs/matrix.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from converters import DropError
from edge_sdk.errors import MissingExtraError
from tests.zoo import Entry, matrix
from tests.zoo.matrix import Row
from tests.zoo.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]

EXTENT = os.environ.get("EDGEML_MATRIX", "daily")
CASES = list(matrix.daily() if EXTENT == "daily" else matrix.full())


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


@pytest.mark.timeout(900)  # some models are built first
@pytest.mark.parametrize(
    ("entry", "names"),
    [pytest.param(entry, names, id=entry.name) for entry, names in CASES],
)
def test_a_conversion_is_right_or_refused(
    entry: Entry, names: list[str], store: Store, rows: list[Row], tmp_path: Path
) -> None:
    try:
        built = store.built(entry)
    except MissingExtraError as error:
        pytest.skip(str(error))
    wrong = []
    for row, file, error in matrix.attempt(built, names, tmp_path / f"{entry.name}.tflite"):
        rows.append(row)
        assert row.converted == file.exists()
        expected = entry.refused.get(row.recipe)
        if error is None:
            if max(matrix.lost(built, file)) > 0:
                wrong.append(f"passed, and should not have: {row}")
        else:
            assert "\n" not in str(error)
            assert len(str(error)) < 700
        if expected is not None and (error is None or not re.search(expected, str(error))):
            wrong.append(f"expected {expected}: {row}")
        gate = isinstance(error, DropError)
        if expected is None and error is not None and (matrix.must_convert(entry, row.recipe) or not gate):
            wrong.append(f"expected to be converted: {row}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(EXTENT == "write", reason="EDGEML_MATRIX=write writes the table at the end")
def test_the_table_in_the_documents_is_of_these_models_and_recipes() -> None:
    documented = matrix.read()
    expected = [(entry, recipe) for entry, names in matrix.full() for recipe in names]
    assert list(documented) == [(entry.name, recipe) for entry, recipe in expected], "run: make matrix"
    for entry, recipe in expected:
        row = documented[entry.name, recipe]
        assert row.kind == entry.kind
        assert not (row.converted and recipe in entry.refused), f"{row}; run: make matrix"
        assert row.converted or not matrix.must_convert(entry, recipe), f"{row}; run: make matrix"
