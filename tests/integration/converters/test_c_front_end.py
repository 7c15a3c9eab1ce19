"""Log-mel spectrograms in C, of windows and of streams, against numpy and against each other."""

import shutil
import subprocess

import numpy as np
import pytest

from converters.c import library
from tests.c_library import GCC, STRICT, Compiled
from tests.front_end import Streaming
from tests.spectrograms import Spectrogram

pytestmark = pytest.mark.integration
if shutil.which("gcc") is None:
    pytest.skip("needs gcc: apt install gcc", allow_module_level=True)

KINDS = {
    "the shortest transform": Spectrogram(frame=3, length=4, hop=2),
    "eight": Spectrogram(frame=8, length=8, hop=5),
    "an odd number of stages": Spectrogram(frame=60, length=64, hop=7),
    "an even number of stages": Spectrogram(window=900, frame=500, length=512, hop=160, bands=20),
    "long": Spectrogram(window=9000, frame=4096, length=4096, hop=1111),
    "frames apart": Spectrogram(frame=9, hop=20),
    "a late start": Spectrogram(start=5, hop=3, bands=7, normalised=True, decibels=True),
    "one frame": Spectrogram(frame=64, length=64, hop=64),
}


def sound(windows: int, written: Spectrogram) -> np.ndarray:
    """int16, of very unlike loudness."""
    rng = np.random.default_rng(written.frame)
    loud = np.exp(rng.uniform(-6, 0, windows)).repeat(written.window)
    return (rng.normal(size=windows * written.window) * 9000 * loud).astype(np.int16)


@pytest.mark.parametrize("name", KINDS)
def test_streams_give_the_features_of_windows_and_these_are_right(name, tmp_path):
    written = KINDS[name]
    heard = Streaming(written.flatbuffer(), None, tmp_path / "stream").hear(sound(6, written), 37)
    whole = Compiled(written.flatbuffer(), tmp_path / "whole")
    hop = max(1, written.frames // 2) * written.hop  # without a contract, half a window
    starts = [n * hop for n in range(len(heard.when))]
    assert len(starts) > 5
    real = np.pad(sound(6, written), (0, written.window)).astype(np.float32) / 32768
    windows = np.stack([real[at : at + written.window] for at in starts])
    expected = np.stack([written.expected(window).reshape(-1) for window in windows])
    np.testing.assert_allclose(heard.features, expected, atol=2e-5)
    (scores,) = whole.run([windows.reshape(len(starts), 1, written.window, 1)])
    np.testing.assert_array_equal(heard.scores, scores.reshape(heard.scores.shape))


def test_pieces_may_have_any_size(tmp_path):
    written = KINDS["frames apart"]
    stream, given = Streaming(written.flatbuffer(), None, tmp_path), sound(4, written)
    expected = stream.hear(given, 5)
    for piece in (1, 8, 19, 20, 21, 79, 80, 1000):
        heard = stream.hear(given, piece)
        np.testing.assert_array_equal(heard.when, expected.when)
        np.testing.assert_array_equal(heard.features, expected.features)


LOGARITHMS = """
#include <stdio.h>
#include "edgeml_log.h"
int main(void) {
  float x;
  while (fread(&x, sizeof x, 1, stdin) == 1) {
    const float y = edgeml_log(x);
    fwrite(&y, sizeof y, 1, stdout);
  }
  return 0;
}
"""


def test_the_logarithm_is_right_within_two_units_in_its_last_place(tmp_path):
    (tmp_path / "main.c").write_text(LOGARITHMS)
    program = tmp_path / "program"
    subprocess.run([*GCC, *STRICT, "-I", library.KERNELS, tmp_path / "main.c", "-o", program], check=True)
    every = np.arange(0x00800000, 0x7F800000, 10007, dtype=np.uint32)
    near_one = np.arange(0x3F000000, 0x40000000, 101, dtype=np.uint32)
    x = np.concatenate([every, near_one, [0x3F800000]]).astype(np.uint32).view(np.float32)
    done = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True)
    found, exact = np.frombuffer(done.stdout, np.float32), np.log(x.astype(np.float64))
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (np.abs(found - exact) <= 2 * unit).all()
    assert found[-1] == 0
