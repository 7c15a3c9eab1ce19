"""Two sensors at 200 Hz with every fault there is, a web server in trouble: nothing grows, nothing is lost.

Here for less than a minute; `EDGEML_SOAK_S=3600` makes it an hour.
"""

import os

import numpy as np
import pytest

from benchmarks.soak import RATE_HZ, soak

pytestmark = pytest.mark.integration

SECONDS = float(os.environ.get("EDGEML_SOAK_S", "45"))
#: What is not counted as growth: engines for each size of batch, SQLite's caches of two databases.
WARM_S = min(SECONDS / 3, 300.0)
#: Of resident memory, kB: SQLite's caches fill over the first hours, and are full then.
GROWTH_KB = 3000


@pytest.mark.timeout(SECONDS + 240)
def test_soak(tmp_path):
    found = soak(tmp_path, SECONDS)
    part = found.steady(WARM_S)
    rss_kb = np.array_split(np.array(found.rss_kb[part]), 5)
    print(
        f"{SECONDS:g} s: {rss_kb[0].mean() / 1024:.1f} → {rss_kb[-1].mean() / 1024:.1f} MB,"
        f" {found.busy(WARM_S):.1%} of one processor, faults {found.ledger['faults']}"
    )
    assert rss_kb[-1].mean() - rss_kb[0].mean() < GROWTH_KB
    for figures in (found.threads[part], found.files[part]):
        early, late = np.array_split(np.array(figures), 2)
        assert late.max() <= early.max() + 2  # a connection that is being opened
    assert found.busy(WARM_S) < 0.5

    ledger = found.ledger
    assert ledger["read"] > RATE_HZ * SECONDS * 0.5
    assert ledger["lost"] == 0
    hook = ledger["sinks"]["hook"]
    assert found.stored == ledger["predictions"] == found.received + hook["queued"]
    assert found.disorder == 0
    happened = {"silence", "garbage", "stuck", "range", "not_a_number", "jitter", "retry"}
    assert ledger["faults"].keys() >= happened
