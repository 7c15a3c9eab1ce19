"""How the books of a run are closed where sinks of both kinds fail at once."""

import threading

import numpy as np

from edge_sdk import Block, Pipeline, running
from edge_sdk.config import To


def test_what_the_outbox_gave_up_is_not_queued_for_a_direct_sink_too(tmp_path, linear_file, monkeypatch):
    monkeypatch.setattr(running, "DRAIN_S", 0.3)
    numbers = np.random.default_rng(1).normal(size=(4000, 3)).astype(np.float32)
    source = [Block(numbers[i : i + 40], 50.0, ("ax", "ay", "az")) for i in range(0, 4000, 40)]
    hangs = threading.Event()
    pipeline = Pipeline(
        str(linear_file),
        [source],
        [lambda _: hangs.wait(60), To("http://127.0.0.1:1/hook", name="away")],
        outbox={"file": str(tmp_path / "o.outbox"), "max_bytes": 1 << 16, "commit_s": 0.02},
    )
    ledger = pipeline.run().ledger
    hangs.set()
    away = ledger.sinks["away"]
    assert ledger.balanced
    assert away.dropped == {"quota": ledger.lost}
    assert 0 < ledger.lost < ledger.predictions == 999
    assert (ledger.delivered, ledger.queued) == (0, away.queued)
