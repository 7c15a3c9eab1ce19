import numpy as np
import pytest

from converters.c import front_end, library, memory, reference
from converters.c.lower import lower
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import ModelError
from tests import kinds
from tests.models import contract
from tests.spectrograms import Spectrogram

WRITTEN = {
    "plain": Spectrogram(),
    "a hop that divides nothing": Spectrogram(hop=7, start=3),
    "frames apart": Spectrogram(frame=9, hop=20),
    "one frame": Spectrogram(frame=64, length=64, hop=64),
    "padded by the transform": Spectrogram(frame=11),
    "padded ahead": Spectrogram(frame=11, length=32, pads=True),
    "COMPLEX_ABS": Spectrogram(magnitude=True),
    "BATCH_MATMUL": Spectrogram(matmul=True),
    "MAXIMUM": Spectrogram(limited=True, matmul=True),
    "decibels": Spectrogram(decibels=True, limited=True),
    "normalised": Spectrogram(normalised=True, image=True),
    "more bands than a hop": Spectrogram(bands=12),
}
SOUND = np.random.default_rng(4).normal(size=80).astype(np.float32)


@pytest.mark.parametrize("name", WRITTEN)
def test_however_it_is_written_it_is_one_call_that_computes_the_same(name: str) -> None:
    written = WRITTEN[name]
    program = lower(written.flatbuffer())
    first, *rest = program.steps
    assert first.layer.kernel == "edgeml_log_mel"
    assert [step.layer.kernel for step in rest] == ["edgeml_quantize", "edgeml_add", "edgeml_dequantize"]
    features = np.empty(first.layer.frames * first.layer.bands)
    reference.KERNELS["edgeml_log_mel"](first.layer, [SOUND.astype(np.float64)], features)
    np.testing.assert_allclose(features, written.expected(SOUND).reshape(-1), atol=1e-5)
    assert program.graph.tensors[first.output].elements == features.size


@pytest.mark.parametrize(
    ("written", "named"),
    [
        (Spectrogram(uneven=True), "RFFT2D"),
        (Spectrogram(tapped=True), "RFFT2D"),
        (Spectrogram(matmul=True, limited=True, uneven=True), "MAXIMUM"),
    ],
    ids=["uneven frames", "read from inside", "uneven, otherwise written"],
)
def test_what_is_no_such_spectrogram_is_refused_with_the_tensor_to_cut_at(
    written: Spectrogram, named: str
) -> None:
    assert front_end.read(written.flatbuffer()) is None
    with pytest.raises(ModelError, match=named) as raised:
        lower(written.flatbuffer())
    assert "LOG" in str(raised.value)
    if not written.tapped:
        assert f"float32 [1, {written.frames}, 4]) in your own code, and give --cut" in str(raised.value)


def test_what_depends_on_the_whole_window_stays_an_operator_of_its_own() -> None:
    found = front_end.read(Spectrogram(peak=True).flatbuffer())
    assert found is not None
    with pytest.raises(ModelError, match="REDUCE_MAX"):
        lower(Spectrogram(peak=True).flatbuffer())


@pytest.mark.parametrize("written", [Spectrogram(), Spectrogram(bands=12), Spectrogram(bands=12, start=24)])
def test_features_take_the_place_of_the_sound_they_are_made_of(written: Spectrogram) -> None:
    program = lower(written.flatbuffer())
    sound, first = program.graph.inputs[0], program.steps[0]
    planned = memory.place(program)
    assert planned.arena_bytes < 4 * (written.window + written.frames * written.bands + written.length)
    ahead = (planned.offset[sound] - planned.offset[first.output]) // 4
    for frame in range(1, written.frames):  # what is written by then ends ahead of what is still to be read
        assert frame * written.bands <= ahead + written.start + frame * written.hop


def test_a_model_without_sound_has_no_front_end() -> None:
    assert front_end.read(kinds.doubled("float32", None)) is None
    files = library.render(Spectrogram().flatbuffer(), None, "m")
    assert not any("front_end" in name for name in files)


def test_a_library_that_was_cut_streams() -> None:
    files = library.render(Spectrogram(normalised=True).flatbuffer(), None, "m", cut=True)
    text = files["src/front_end.h"]
    for line in ("M_FRONT_END_FRAME 16", "M_FRONT_END_HOP 8", "M_FRONT_END_FRAMES 9", "M_FRONT_END_BANDS 4"):
        assert f"#define {line} " in text.replace("\n", " ")
    assert "src/edgeml_front_end.c" in files["CMakeLists.txt"]
    assert "float32 [1, 9, 4]" in files["src/model.h"]
    assert "edgeml_log_mel(" not in files["src/model.c"]
    whole, part = (library.figures(Spectrogram().flatbuffer(), cut=cut) for cut in (False, True))
    assert part["arena_bytes"] < whole["arena_bytes"]
    assert part["kernel_calls"] == whole["kernel_calls"] - 1


@pytest.mark.parametrize(
    ("hop", "every"),
    [
        (16, "2 /* frames from one window to the next */"),
        (27, "3 /* frames from one window to the next: 27 samples, to the nearest frame */"),
        (1, "1 /* frames from one window to the next: 1 samples, to the nearest frame */"),
    ],
)
def test_windows_begin_where_the_contract_says_to_the_nearest_frame(hop: int, every: str) -> None:
    facts = Input(channels=(Channel("audio"),), rate_hz=8000, window=80, hop=hop, layout="TC")
    files = library.render(Spectrogram().flatbuffer(), contract(input=facts), "m", cut=True)
    assert f"#define M_FRONT_END_EVERY {every}\n" in files["src/front_end.h"]
    assert "#define M_FRONT_END_RATE_HZ 8000.0f\n" in files["src/front_end.h"]


def test_a_cut_behind_more_than_the_spectrogram_has_no_front_end() -> None:
    files = library.render(Spectrogram(peak=True).flatbuffer(), None, "m", cut=True)
    assert not any("front_end" in name for name in files)
    assert files == library.render(Spectrogram(peak=True).flatbuffer(), None, "m", cut=True)
