"""Every architecture can learn, says the same in int8, becomes C of the same bits, costs what is listed.

By default each on one kind of windows; EDGEML_ARCHITECTURES=all takes every kind; =write does so too and puts
the figures into docs/architectures.md and train_host/architectures/costs.json.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest

from edge_sdk.child import Worker
from tests import architecture_matrix as matrix
from tests.architecture_matrix import Made
from tests.tflm import Tflm
from train_host import architectures
from train_host.architectures import catalogue
from train_host.architectures.listing import fits, rounded

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="pip install 'edgeml-kit[train]'"),
    pytest.mark.skipif(importlib.util.find_spec("tflite_micro") is None, reason="pip install tflite-micro"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
    pytest.mark.timeout(600),
]
EXTENT = os.environ.get("EDGEML_ARCHITECTURES", "daily")
CASES = list(matrix.daily() if EXTENT == "daily" else matrix.every())
LEAST_SQNR_DB, LEAST_AGREEMENT = 15.0, 0.95
#: Of the size of an int8 file: names and alignment.
SIZE_TOLERANCE = 0.02


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[Worker, Tflm]]:
    """One process with TensorFlow and one with TFLite Micro for all; the figures are written at the end."""
    with Worker() as worker, Tflm() as tflm:
        yield worker, tflm


@pytest.fixture(scope="module")
def every() -> Iterator[list[Made]]:
    """What was made."""
    found: list[Made] = []
    yield found
    if EXTENT == "write":
        matrix.write(found)


@pytest.fixture(scope="module", params=CASES, ids=str)
def made(
    request: pytest.FixtureRequest,
    workers: tuple[Worker, Tflm],
    every: list[Made],
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    found = matrix.make(request.param, *workers, tmp_path_factory.mktemp("architecture"))
    every.append(found)
    return found


def test_a_gradient_reaches_every_weight(made: Made) -> None:
    assert not made.untrained


def test_int8_says_what_keras_says(made: Made) -> None:
    assert made.sqnr_db >= LEAST_SQNR_DB
    assert made.agreement >= LEAST_AGREEMENT


def test_the_c_library_computes_the_bits_of_tflite_micro(made: Made) -> None:
    assert not made.differing


@pytest.mark.skipif(EXTENT == "write", reason="EDGEML_ARCHITECTURES=write writes what is listed")
def test_it_costs_what_is_listed(made: Made) -> None:
    listed = {(each.name, each.example): each for each in catalogue.read()}
    found = listed[made.case.name, made.case.example.title]
    assert (found.parameters, found.macs) == (made.costed.parameters, made.costed.macs), "make architectures"
    before, now = found.cost, made.costed.cost
    assert before is not None
    assert now is not None
    assert now.flash_bytes == pytest.approx(before.flash_bytes, rel=SIZE_TOLERANCE)
    assert (now.ops, now.activations, now.traits) == (before.ops, before.activations, before.traits)
    assert (now.arena_bytes, made.costed.arena_bytes) == (before.arena_bytes, found.arena_bytes)


@pytest.mark.skipif(EXTENT == "write", reason="EDGEML_ARCHITECTURES=write writes what is listed")
def test_the_list_and_the_document_have_every_architecture() -> None:
    cases = [(case.name, case.example.title) for case in matrix.every()]
    listed = catalogue.read()
    assert [(each.name, each.example) for each in listed] == cases, "run: make architectures"
    assert {name for name, _ in cases} == set(architectures.TABLE) - {"transfer"}
    rows = matrix.read()
    assert [(row.name, row.windows) for row in rows] == [(f"`{name}`", title) for name, title in cases]
    for row, each in zip(rows, listed, strict=True):
        assert (row.parameters, row.macs) == (f"{each.parameters:,}", rounded(each.macs))
        assert row.fits == fits(each), "boards have changed; run: make architectures"
        assert row.c in ("exact", "–")
        assert float(row.agreement) >= LEAST_AGREEMENT
