"""The zoo's models are worth converting: each learned its task, and those built to break do break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.errors import MissingExtraError
from tests.zoo import ZOO, Entry
from tests.zoo.store import Built, Store

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.within(tmp_path_factory.getbasetemp()) as store:
        yield store


def built(store: Store, entry: Entry) -> Built:
    try:
        return store.built(entry)
    except MissingExtraError as error:
        pytest.skip(str(error))


def entries(*, breaking: bool = False) -> list[object]:
    chosen = [entry for entry in ZOO.values() if entry.naive or not breaking]
    return [pytest.param(entry, id=entry.name) for entry in chosen]


@pytest.mark.parametrize("entry", entries())
def test_the_float_model_has_learned_its_task(entry: Entry, store: Store) -> None:
    for value, floor in zip(built(store, entry).measured(), entry.floors, strict=True):
        assert value >= floor.least, f"{floor.measure} {value:.3f}, expected {floor.least}"


@pytest.mark.parametrize("entry", entries())
def test_the_data_are_what_a_user_would_give(entry: Entry, store: Store) -> None:
    with np.load(built(store, entry).data) as arrays:
        data = dict(arrays)
    labels, groups = data.pop("labels", None), data.pop("groups", None)
    counts = {len(array) for array in data.values()}
    assert len(counts) == 1
    assert {array.dtype for array in data.values()} == {np.dtype(np.float32)}
    assert all(np.isfinite(array).all() for array in data.values())
    assert labels is None or (labels.dtype == np.int64 and {len(labels)} == counts)
    assert groups is None or (groups.dtype.kind == "U" and {len(groups)} == counts)


@pytest.mark.parametrize("entry", entries(breaking=True))
def test_plain_int8_breaks_the_models_that_are_built_to_break(
    entry: Entry, store: Store, tmp_path: Path
) -> None:
    naive = entry.naive
    assert naive is not None
    before = store.built(entry).measured()[0]
    per_channel = store.measured_naive(entry, tmp_path / "naive.npz", per_channel=True)[0]
    if not naive.per_tensor:
        assert per_channel < before - naive.loses
        return
    per_tensor = store.measured_naive(entry, tmp_path / "one.npz", per_channel=False)[0]
    assert per_tensor < before - naive.loses
    assert per_channel > before - naive.loses / 4
