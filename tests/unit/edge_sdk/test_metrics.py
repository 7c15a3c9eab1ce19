import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.metrics import Histogram

durations = st.lists(st.floats(0.0, 1e9), min_size=1, max_size=200)


def filled(values):
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    return histogram


@given(durations, st.floats(0.0, 1.0))
def test_a_quantile_is_within_two_percent_or_a_tenth_of_a_microsecond(values, q):
    true = float(np.percentile(values, q * 100, method="inverted_cdf"))
    assert filled(values).quantile(q) == pytest.approx(true, rel=0.02, abs=0.1)


@given(durations, durations)
def test_merging_is_the_same_as_observing_everything_in_one(a, b):
    merged = filled(a)
    merged.merge(filled(b))
    assert merged.summary() == filled(a + b).summary()
    assert len(merged) == len(a) + len(b)


def test_what_is_out_of_range_is_counted_and_the_maximum_is_exact():
    histogram = filled([-5.0, 0.0, 1e300, 12.34])
    assert len(histogram) == 4
    assert histogram.quantile(0.25) == 0.0
    assert histogram.summary()["max"] == 1e300


def test_an_empty_histogram_says_zero():
    assert Histogram().summary() == {"p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}


@given(durations, st.lists(st.floats(0.1, 1e9), min_size=1, max_size=20).map(sorted))
def test_buckets_count_what_a_bound_is_not_exceeded_by(values, bounds):
    *counts, everything = filled(values).buckets(bounds)
    assert everything == len(values)
    for bound, count in zip(bounds, counts, strict=True):
        slack = 0.032 * bound + 0.1
        assert sum(v <= bound - slack for v in values) <= count <= sum(v <= bound + slack for v in values)
    assert counts == sorted(counts)


@given(durations)
def test_the_total_is_within_two_percent(values):
    assert filled(values).total_us == pytest.approx(sum(values), rel=0.02, abs=0.1 * len(values))


def test_what_lies_on_a_bound_is_counted_below_it():
    assert filled([10.0, 100.0, 1000.0]).buckets([10.0, 100.0, 1000.0]) == [1, 2, 3, 3]
    assert filled([1e300]).buckets([1e300]) == [1, 1]
    assert Histogram().buckets([]) == [0]


def test_a_copy_stays_as_it_was():
    histogram = filled([5.0])
    twin = histogram.copy()
    histogram.observe(7.0)
    assert (len(twin), twin.max_us) == (1, 5.0)
