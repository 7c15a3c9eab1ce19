"""Log-mel spectrograms in C, of windows and of streams, against numpy and against each other."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

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


def edgeml(*words):
    command = [sys.executable, "-m", "edge_sdk", "convert", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_model_is_cut_on_request_and_otherwise_refused_naming_the_tensor(tmp_path):
    model = tmp_path / "m.tflite"
    model.write_bytes(Spectrogram(uneven=True).flatbuffer())
    refused = edgeml(model, "-o", tmp_path / "out", "--to", "c")
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert "RFFT2D" in line
    assert "(float32 [1, 9, 4]) in your own code, and give --cut" in line
    assert not (tmp_path / "out").exists()
    done = edgeml(model, "-o", tmp_path / "out", "--to", "c", "--cut", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kernel_calls"] == 3
    assert "float32 [1, 9, 4]" in (tmp_path / "out/src/model.h").read_text()


def test_a_cut_is_for_c_libraries_and_needs_something_to_cut_off(tmp_path):
    model = tmp_path / "m.tflite"
    model.write_bytes(Spectrogram().flatbuffer())
    refused = edgeml(model, "-o", tmp_path / "out.tflite", "--cut")
    assert refused.returncode == 2
    assert "cut: expected a C library (to c), found to tflite" in refused.stderr
    golden = Path(__file__).parents[2] / "golden" / "arena" / "har_int8.tflite"
    refused = edgeml(golden, "-o", tmp_path / "out", "--to", "c", "--cut")
    assert refused.returncode == 2
    assert "nothing can be cut off this model" in refused.stderr
    assert list(tmp_path.iterdir()) == [model]
