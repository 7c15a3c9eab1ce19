from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_sdk.errors import DeviceError
from train_host.fitting.checkpoints import KEPT, Checkpoints, differences, unfinished

IDENTITY = {"dataset": "sha256:1", "config": {"seed": 3}}
WEIGHTS = {"model/0": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer/0": np.array(7)}


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", IDENTITY, run=5)


def test_what_is_written_is_read_to_the_last_bit(kept: Checkpoints) -> None:
    facts = {"history": {"loss": [0.1, 1 / 3, float("nan")]}}
    kept.write(10, facts, WEIGHTS)
    found = kept.newest()
    assert found is not None
    assert repr(found.facts["history"]) == repr(facts["history"])
    assert found.facts["identity"] == IDENTITY
    assert list(found.arrays) == list(WEIGHTS)
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def test_a_few_are_kept_and_the_one_after_most_steps_is_the_newest(kept: Checkpoints) -> None:
    for steps in (8, 9, 10, 11):
        kept.write(steps, {"steps": steps}, WEIGHTS)
    assert len(list(kept.folder.iterdir())) == KEPT
    found = kept.newest()
    assert found is not None
    assert found.facts["steps"] == 11


@pytest.mark.parametrize("left", [0, 30, 400])
def test_a_damaged_one_is_passed_over(kept: Checkpoints, left: int) -> None:
    kept.write(1, {"steps": 1}, WEIGHTS)
    kept.write(2, {"steps": 2}, WEIGHTS)
    newest = max(kept.folder.iterdir())
    newest.write_bytes(newest.read_bytes()[:left])
    found = kept.newest()
    assert found is not None
    assert found.facts["steps"] == 1
    before = unfinished(kept.folder)
    assert before is not None
    assert before.facts["steps"] == 1


def test_a_flipped_bit_in_the_weights_is_noticed(kept: Checkpoints) -> None:
    kept.write(1, {}, WEIGHTS)
    path = next(kept.folder.iterdir())
    content = path.read_bytes()
    at = content.index(WEIGHTS["model/0"].tobytes())
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert kept.newest() is None


def test_phases_of_a_run_keep_their_own(kept: Checkpoints) -> None:
    kept.write(1, {"phase": "first"}, WEIGHTS)
    other = kept.of("second")
    other.write(1, {"phase": "second"}, WEIGHTS)
    found = [phase.newest() for phase in (kept, other)]
    assert [one.facts["phase"] for one in found if one is not None] == ["first", "second"]


def test_an_earlier_run_stays_until_a_later_one_has_something_to_go_on_from(kept: Checkpoints) -> None:
    kept.write(90, {}, WEIGHTS)
    later = Checkpoints(kept.folder, IDENTITY, run=6)
    assert later.newest() is None
    assert unfinished(kept.folder).run == 5  # type: ignore[union-attr]
    later.write(1, {}, WEIGHTS)
    assert kept.newest() is None
    assert unfinished(kept.folder).run == 6  # type: ignore[union-attr]


def test_nothing_is_unfinished_where_there_is_no_folder(tmp_path: Path) -> None:
    assert unfinished(tmp_path / "none") is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot write"):
        Checkpoints(tmp_path / "file", IDENTITY, 1).write(1, {}, WEIGHTS)


def test_the_first_epoch_ends_with_one_and_later_ones_if_it_costs_little(kept: Checkpoints) -> None:
    assert kept.due(epoch_ended=True)
    assert not kept.due(epoch_ended=False)
    assert Checkpoints(kept.folder, IDENTITY, 1, every_s=0.0).due(epoch_ended=False)
    kept.write(1, {}, WEIGHTS)
    kept._cost_s = 1e6  # a disk that slow is only written to when nothing else was for long
    assert not kept.due(epoch_ended=True)


def test_differences_are_told_by_name() -> None:
    before = {"config": {"seed": 1, "model": {"filters": [8]}}, "dataset": "a"}
    now = {"config": {"seed": 2, "model": {"filters": [9]}}, "dataset": "a"}
    assert differences(before, now) == [("config.model.filters", [8], [9]), ("config.seed", 1, 2)]
    assert differences({"a": 1}, {}) == [("a", 1, None)]
    assert not differences(before, before)
