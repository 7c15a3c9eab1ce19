"""Recordings that are played again."""

import struct
import time

import numpy as np
import pytest

from edge_sdk import open_source, recordings
from edge_sdk.errors import ConfigError, DatasetError
from edge_sdk.recordings import Signal
from tests.unit.edge_sdk.collected import WANTED, XYZ, collect, joined


def recording(path, n=23, rate_hz=50.0, channels=XYZ, seed=0):
    samples = np.random.default_rng(seed).normal(size=(n, len(channels))).astype(np.float32)
    recordings.write(path, Signal(samples, rate_hz, channels))
    return samples


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_a_replay_gives_every_sample_once_and_in_order(tmp_path, suffix):
    samples = recording(tmp_path / f"walk{suffix}")
    with open_source(f"replay:{tmp_path}/walk{suffix}?speed=max&block=4") as source:
        blocks = list(source)
    assert np.array_equal(joined(blocks), samples)
    assert [len(block.samples) for block in blocks] == [4, 4, 4, 4, 4, 3]
    assert [block.end for block in blocks] == [False] * 5 + [True]
    assert blocks[0].rate_hz == 50.0
    assert blocks[0].channels == XYZ
    steps = np.diff([block.time_s for block in blocks])
    assert np.allclose(steps, 4 / 50)


def test_a_wav_is_a_recording_too(tmp_path):
    pcm = np.arange(-400, 400, dtype="<i2")
    facts = (b"RIFF", 36 + 1600, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 1600)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", *facts)
    (tmp_path / "a.wav").write_bytes(head + pcm.tobytes())
    blocks = list(open_source(f"replay:{tmp_path}/a.wav?speed=0&channels=mic"))
    assert np.array_equal(joined(blocks)[:, 0], pcm / np.float32(32768))
    assert [(block.rate_hz, block.channels, len(block.samples)) for block in blocks] == [
        (8000.0, ("mic",), 800)
    ]


@pytest.mark.parametrize("place", ["", "/recordings/walk/*.csv", "/recordings"])
def test_a_folder_or_a_pattern_plays_each_file_as_its_own_stream(tmp_path, place):
    folder = tmp_path / "recordings" / "walk"
    folder.mkdir(parents=True)
    samples = [recording(folder / f"p{i}_1.csv", n=10 + i, seed=i) for i in range(3)]
    blocks = list(open_source(f"replay:{tmp_path}{place}", speed="max", block=100))
    assert [len(block.samples) for block in blocks] == [10, 11, 12]
    assert np.array_equal(joined(blocks), np.concatenate(samples))
    assert [block.gap for block in blocks] == [False, True, True]
    assert all(block.end for block in blocks)
    assert [block.time_s for block in blocks] == sorted(block.time_s for block in blocks)


def test_real_time_is_real_and_ten_times_is_ten_times(tmp_path):
    recording(tmp_path / "walk.csv", n=20)
    for speed, expected_s in ((1, 0.4), (10, 0.04)):
        started = time.monotonic()
        list(open_source(f"replay:{tmp_path}/walk.csv?speed={speed}"))
        assert expected_s <= time.monotonic() - started < expected_s + 5


def test_closing_ends_a_replay_soon(tmp_path):
    recording(tmp_path / "walk.csv", n=5000)
    started = time.monotonic()
    collect(open_source(f"replay:{tmp_path}/walk.csv?repeat=0&block=500"), lambda found: True)
    assert time.monotonic() - started < 5


def test_repeat_plays_it_again(tmp_path):
    recording(tmp_path / "walk.csv", n=5)
    assert len(list(open_source(f"replay:{tmp_path}/walk.csv?repeat=3&speed=max"))) == 3


def test_what_cannot_be_replayed_is_said(tmp_path):
    (tmp_path / "plain.csv").write_text("ax,ay\n1,2\n3,4\n")
    with pytest.raises(DatasetError, match=r"no sampling rate.*add \?rate_hz="):
        list(open_source(f"replay:{tmp_path}/plain.csv"))
    source = open_source(f"replay:{tmp_path}/plain.csv?speed=max")
    source.expect(WANTED)
    assert next(iter(source)).rate_hz == 50.0
    with pytest.raises(DatasetError, match="no such file or folder"):
        open_source(f"replay:{tmp_path}/nope.csv")
    (tmp_path / "empty").mkdir()
    for place in ("empty", "*.wav"):
        with pytest.raises(DatasetError, match="no recordings"):
            open_source(f"replay:{tmp_path}/{place}")
    for option in ("speed=-1", "block=0", "rate_hz=0", "repeat=-1"):
        with pytest.raises(ConfigError, match="expected a positive number"):
            open_source(f"replay:{tmp_path}/plain.csv?{option}")
