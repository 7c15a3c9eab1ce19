"""The ring gives the same windows as cutting the whole recording, and its books balance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import SpecError, Windows
from edge_sdk.windows import cut


@given(
    length=st.integers(1, 12),
    hop=st.integers(1, 20),
    blocks=st.lists(st.integers(0, 30), max_size=12),
)
def test_any_blocks_give_the_windows_of_the_whole(length, hop, blocks):
    total = sum(blocks)
    samples = np.arange(2 * total, dtype=np.float32).reshape(total, 2)
    windows = Windows(length, hop, 2)
    seen, start = [], 0
    for size in blocks:
        for window in windows.push(samples[start : start + size]):
            assert samples[start + windows.consumed - 1].tolist() == window[-1].tolist()
            seen.append(window.copy())
        start += size
    expected = cut(samples, length, hop)
    assert len(seen) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(seen, expected, strict=True))


@given(length=st.integers(1, 9), hop=st.integers(1, 15), total=st.integers(0, 80))
def test_every_sample_is_used_pending_or_skipped(length, hop, total):
    windows = Windows(length, hop, 1)
    emitted = sum(1 for _ in windows.push(np.zeros((total, 1), np.float32)))
    in_windows = {i for k in range(emitted) for i in range(k * hop, k * hop + length)}
    assert windows.pending + windows.skipped + len(in_windows) == total


def test_a_window_is_a_view_of_the_ring_not_a_copy():
    windows = Windows(4, 2, 1)
    (window,) = windows.push(np.ones((4, 1), np.float32))
    assert window.base is not None
    assert window.flags["C_CONTIGUOUS"]


def test_after_a_reset_no_window_holds_samples_from_before():
    windows = Windows(3, 1, 1)
    assert list(windows.push(np.full((2, 1), 7, np.float32))) == []
    assert windows.reset() == 2
    (window,) = windows.push(np.array([[1], [2], [3]], np.float32))
    assert window.ravel().tolist() == [1, 2, 3]


@pytest.mark.parametrize(("length", "hop"), [(0, 1), (1, 0), (-3, 2)])
def test_a_window_or_hop_under_one_sample_is_refused(length, hop):
    with pytest.raises(SpecError, match="at least one sample"):
        Windows(length, hop, 1)
