from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import DatasetError
from edge_sdk.splits import Split, folds, order, split

TEN = {f"s{n:02d}": {"walk", "run"} for n in range(10)}
groups_with_labels = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.sets(st.sampled_from("xyz"), min_size=1),
    min_size=3,
    max_size=20,
)


def test_a_seed_names_a_split_for_ever() -> None:
    # a change here changes what every published figure means
    assert split(TEN, 7) == Split(
        train=("s00", "s01", "s02", "s03", "s06", "s09"), validation=("s04", "s07"), test=("s05", "s08")
    )
    assert order(["a", "b", "c", "d"], 1) == ["d", "a", "b", "c"]


def test_another_seed_gives_another_split() -> None:
    assert len({split(TEN, seed).test for seed in range(20)}) > 5


@given(
    labels=groups_with_labels,
    seed=st.integers(0, 1000),
    shares=st.sampled_from([(0.2, 0.2), (0.1, 0.4), (0, 0.3)]),
)
def test_no_group_is_on_two_sides_and_none_is_lost(
    labels: dict, seed: int, shares: tuple[float, float]
) -> None:
    made = split(labels, seed, validation=shares[0], test=shares[1])
    assert sorted([*made.train, *made.validation, *made.test]) == sorted(labels)
    assert made.train
    assert made.test
    assert bool(made.validation) == bool(shares[0])
    assert made == split(dict(reversed(labels.items())), seed, validation=shares[0], test=shares[1])


@given(labels=groups_with_labels, seed=st.integers(0, 1000))
def test_training_keeps_every_label_that_two_groups_have(labels: dict, seed: int) -> None:
    made = split(labels, seed, validation=0, test=0.2)
    for label in "xyz":
        having = [group for group in labels if label in labels[group]]
        # one group is moved at a time, and never the last one of a label while another one can go
        if len(having) > len(made.test) and len(labels) > 2 * len(made.test) + 3:
            assert any(label in labels[group] for group in made.train)


def test_each_side_gets_every_label_where_groups_have_one_label_each() -> None:
    machines = {f"{label}{n}": {label} for label in ("good", "worn") for n in range(5)}
    made = split(machines, 3)
    for side in (made.train, made.validation, made.test):
        assert {label for group in side for label in machines[group]} == {"good", "worn"}


@given(labels=groups_with_labels, seed=st.integers(0, 1000), k=st.integers(2, 6))
def test_every_group_is_tested_once_over_the_folds(labels: dict, seed: int, k: int) -> None:
    if len(labels) < k:
        with pytest.raises(DatasetError, match=f"too few groups for {k} folds"):
            folds(labels, k, seed)
        return
    made = folds(labels, k, seed)
    assert len(made) == k
    assert sorted(group for fold in made for group in fold.test) == sorted(labels)
    for fold in made:
        assert sorted([*fold.train, *fold.validation, *fold.test]) == sorted(labels)
        assert fold.train


def test_folds_are_of_one_size() -> None:
    assert [len(fold.test) for fold in folds(TEN, 5, 0)] == [2] * 5
    assert sorted(len(fold.test) for fold in folds(TEN, 4, 0)) == [2, 2, 3, 3]
    assert not folds(TEN, 5, 0, validation=0)[0].validation


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_groups_say_how_many_are_needed(count: int) -> None:
    few = dict(list(TEN.items())[:count])
    with pytest.raises(
        DatasetError, match=r"too few groups for a split by subject: expected at least 3.*<group>_<id>"
    ):
        split(few, 0, by="subject")


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.2, 1.0)])
def test_shares_must_leave_something_to_train_on(validation: float, test: float) -> None:
    with pytest.raises(DatasetError, match="leave some for training"):
        split(TEN, 0, validation=validation, test=test)


def test_one_fold_is_none() -> None:
    with pytest.raises(DatasetError, match="at least 2"):
        folds(TEN, 1, 0)


def test_a_group_on_two_sides_cannot_be_made() -> None:
    with pytest.raises(DatasetError, match="person 'b' is on two sides"):
        Split(("a", "b"), (), ("b",), "person")


def test_thousands_of_groups_are_divided_as_quickly_as_they_are_read() -> None:
    # pictures without a common origin, each a group of its own; by the square or the cube a minute, an hour
    many = {f"p{n}": {str(n % 10)} for n in range(5_000)}
    made = split(many, 0, validation=0.1, test=0.2)
    assert (len(made.validation), len(made.test)) == (500, 1000)
    assert [len(fold.test) for fold in folds(many, 5, 0)] == [1000] * 5
