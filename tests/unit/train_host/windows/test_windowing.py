from dataclasses import replace

import pytest

from edge_sdk.errors import ConfigError
from tests.folders import RATE_HZ, motion
from train_host.config import load
from train_host.windows import windowing


@pytest.mark.parametrize(("seconds", "window"), [(6.0, 40), (2.0, 40), (1.0, 20), (0.1, 2)])
def test_two_seconds_or_what_recordings_have(tmp_path, seconds, window):
    dataset = motion(tmp_path / "d", seconds=seconds)
    assert windowing.usual(dataset) == window
    config = load(None).for_dataset(dataset)
    assert (config.window, config.hop) == (window, window // 2)
    assert dataset.rate_hz == RATE_HZ


@pytest.mark.parametrize("groups", [5, 20])  # of each two recordings
def test_one_in_ten_does_not_shorten_it(tmp_path, groups):
    dataset = motion(tmp_path / "d", groups=groups, seconds=1.0)
    first = dataset.folder / dataset.recordings[0].file
    first.write_text("".join(first.read_text().splitlines(keepends=True)[:6]))
    assert windowing.usual(dataset) == 20


def test_no_rate(tmp_path):
    dataset = replace(motion(tmp_path / "d"), rate_hz=None)
    with pytest.raises(
        ConfigError, match="window: expected a number of samples, found nothing, and no rate_hz"
    ):
        windowing.usual(dataset)
