from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_host.windows.order import Order


@given(
    n=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 1000),
    pool=st.integers(1, 400),
    run=st.integers(1, 50),
)
def test_an_epoch_takes_each_window_once(n: int, seed: int, epoch: int, pool: int, run: int) -> None:
    order = Order(n, seed, pool, run)
    taken = order.epoch(epoch)
    assert sorted(taken.tolist()) == list(range(n))
    np.testing.assert_array_equal(taken, Order(n, seed, pool, run).epoch(epoch))


@given(n=st.integers(1, 300), pool=st.integers(1, 80), start=st.integers(0, 300))
def test_pools_make_up_the_rest_of_the_epoch(n: int, pool: int, start: int) -> None:
    order = Order(n, 1, pool, 4)
    rest = list(order.pools(2, start))
    np.testing.assert_array_equal(np.concatenate([[], *rest]), order.epoch(2)[start:])
    if start < n:
        assert all((start + len(np.concatenate(rest[: k + 1]))) % pool == 0 for k in range(len(rest) - 1))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [Order(50, seed, 50).epoch(epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("pool", [200, 1000])
def test_a_pool_holds_whole_runs_and_mixes_them(pool: int) -> None:
    order = Order(4000, 3, pool, run=20)
    first = next(order.pools(0))
    assert len(set((first // 20).tolist())) == pool // 20  # runs are whole
    assert np.ptp(first) > 2000  # from all over the set
    neighbours = np.abs(np.diff(first)) == 1
    assert neighbours.mean() < 0.1  # and not in their old order
