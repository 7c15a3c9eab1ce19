"""A camera's frames as pictures, when they are due, and the options; the camera itself: test_camera.py."""

import io
import itertools
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import ConfigError, open_source
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import EdgeError, Fatal, MissingExtraError, SpecError
from edge_sdk.plugins import check_url
from edge_sdk.sources._frames import Layout, Wanted, corners, picture
from edge_sdk.sources._sensor import asked_size, controls, sensor_mode
from edge_sdk.sources._shots import Pace, age_s
from edge_sdk.sources.picamera2 import Source

Image = pytest.importorskip("PIL.Image")
RGB, GRAY = ("r", "g", "b"), ("gray",)
#: What Picamera2's manual shows of an IMX219: `sensor_modes`, 10 bits.
IMX219 = [
    {"bit_depth": 10, "size": (640, 480), "fps": 206.65, "crop_limits": (1000, 752, 1280, 960)},
    {"bit_depth": 10, "size": (1640, 1232), "fps": 41.85, "crop_limits": (0, 0, 3280, 2464)},
    {"bit_depth": 10, "size": (1920, 1080), "fps": 47.57, "crop_limits": (680, 692, 1920, 1080)},
    {"bit_depth": 10, "size": (3280, 2464), "fps": 21.19, "crop_limits": (0, 0, 3280, 2464)},
]


def scene(width=16, height=8):
    """uint8 [height, width, 3]: smooth, so that chroma of half the size says the same."""
    y, x = np.mgrid[:height, :width]
    values = [40 + 10 * x, 60 + 15 * y, np.full_like(x, 120)]
    return np.stack(values, axis=2).astype(np.uint8)


def planes(rgb):
    """Luma, and chromas of half the size, by Pillow."""
    whole = Image.fromarray(rgb).convert("YCbCr").split()
    half = [band.resize((band.width // 2, band.height // 2), Image.Resampling.BOX) for band in whole[1:]]
    return [np.asarray(band) for band in (whole[0], *half)]


def frame(pixels, rgb, padding=0):
    """What a camera writes in this format, with so many bytes behind each row, and how it is laid out."""
    height, width, _ = rgb.shape

    def padded(rows, more=padding):
        return np.pad(rows.reshape(len(rows), -1), ((0, 0), (0, more)), constant_values=99)

    if pixels in ("RGB888", "BGR888", "XRGB8888", "XBGR8888"):
        ordered = rgb[..., ::-1] if pixels in ("RGB888", "XRGB8888") else rgb
        unused = np.zeros((height, width, int(pixels.startswith("X"))), np.uint8)
        parts = [padded(np.concatenate([ordered, unused], axis=2))]
    else:
        luma, cb, cr = planes(rgb)
        swapped = pixels in ("NV21", "YVU420")
        pair = (cr, cb) if swapped else (cb, cr)
        if pixels.startswith("NV"):
            parts = [padded(luma), padded(np.stack(pair, axis=2))]
        elif pixels.endswith("420"):
            parts = [padded(luma), *(padded(half, padding // 2) for half in pair)]
        else:
            chromas = {"U": np.repeat(cb, 2, axis=0), "V": np.repeat(cr, 2, axis=0)}
            packed = np.zeros((height, width // 2, 4), np.uint8)
            for at, letter in enumerate(pixels):
                second = at > pixels.index("Y")
                packed[..., at] = chromas[letter] if letter != "Y" else luma[:, int(second) :: 2]
            parts = [padded(packed)]
    written = np.concatenate([part.ravel() for part in parts])
    return written, Layout(pixels, width, height, parts[0].shape[1])


@pytest.mark.parametrize("padding", [0, 8])
@pytest.mark.parametrize(
    "pixels",
    ["NV12", "NV21", "YUV420", "YVU420", "YUYV", "YVYU", "UYVY", "VYUY"],
)
def test_luma_and_chroma_become_the_colours_that_they_were(pixels, padding):
    rgb = scene()
    written, layout = frame(pixels, rgb, padding)
    found = picture(written, layout, Wanted(16, 8))
    assert found.shape == (8, 16, 3)
    assert np.abs(found.astype(int) - rgb).max() <= 16  # a chroma for four pixels
    gray = picture(written, layout, Wanted(16, 8, gray=True))
    np.testing.assert_allclose(gray[..., 0], np.asarray(Image.fromarray(rgb).convert("L")), atol=1)


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("pixels", ["RGB888", "BGR888", "XRGB8888", "XBGR8888"])
def test_red_is_where_it_should_be(pixels, padding):
    rgb = scene()
    written, layout = frame(pixels, rgb, padding)
    np.testing.assert_array_equal(picture(written, layout, Wanted(16, 8)), rgb)
    gray = picture(written, layout, Wanted(16, 8, gray=True))
    np.testing.assert_array_equal(gray[..., 0], np.asarray(Image.fromarray(rgb).convert("L")))


def test_a_jpeg_is_decoded():
    rgb = scene()
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=98)
    written = np.frombuffer(file.getvalue() + bytes(100), np.uint8)  # its buffer is longer
    found = picture(written, Layout("MJPEG", 16, 8, 0), Wanted(16, 8))
    assert np.abs(found.astype(int) - rgb).max() <= 16
    gray = picture(written, Layout("MJPEG", 16, 8, 0), Wanted(16, 8, gray=True))
    assert gray.shape == (8, 16, 1)


@pytest.mark.parametrize("length", [0, 100, 600])
def test_half_a_jpeg_is_none(length):
    file = io.BytesIO()
    Image.fromarray(scene(64, 32)).save(file, "JPEG", quality=98)
    assert len(file.getvalue()) > length
    written = np.frombuffer(file.getvalue()[:length] + bytes(50), np.uint8)
    with pytest.raises(SpecError, match="expected a whole JPEG"):
        picture(written, Layout("MJPEG", 64, 32, 0), Wanted(64, 32))


def test_a_limited_range_is_stretched():
    written = np.full((6, 4), 128, np.uint8)
    written[0], written[1] = 16, 235
    layout = Layout("NV12", 4, 4, 4, limited=True)
    for gray in (True, False):
        found = picture(written.ravel(), layout, Wanted(4, 4, gray))
        assert (found[0].min(), found[1].max(), found[2, 0, 0]) == (0, 255, 130)


def test_pixels_that_nobody_knows_are_named():
    with pytest.raises(ConfigError, match="SRGGB10"):
        picture(np.zeros(16, np.uint8), Layout("SRGGB10", 4, 4, 4), Wanted(4, 4))


@pytest.mark.parametrize(
    ("flip", "turned"),
    [
        ({"mirrored": True}, np.s_[:, ::-1]),
        ({"upside_down": True}, np.s_[::-1]),
        ({"mirrored": True, "upside_down": True}, np.s_[::-1, ::-1]),
    ],
    ids=["horizontal", "vertical", "both"],
)
def test_what_the_camera_did_not_flip_is_flipped_here(flip, turned):
    rgb = scene()
    layout = Layout("BGR888", 16, 8, 48, **flip)
    found = picture(rgb.ravel(), layout, Wanted(16, 8))
    np.testing.assert_array_equal(found, rgb[turned])
    left = picture(rgb.ravel(), layout, Wanted(8, 8, crop=(0.0, 0.0, 0.5, 1.0)))
    np.testing.assert_array_equal(left, rgb[turned][:, :8])


@given(
    whole=st.tuples(st.integers(2, 4000), st.integers(2, 4000)),
    size=st.tuples(st.integers(1, 500), st.integers(1, 500)),
)
def test_the_largest_part_of_the_wanted_proportions_is_taken_from_the_middle(whole, size):
    left, top, right, bottom = corners(Layout("BGR888", *whole, 0), Wanted(*size))
    assert min(left, top) >= 0
    assert (left + right, top + bottom) == pytest.approx(whole)
    assert (right - left) * size[1] == pytest.approx((bottom - top) * size[0])
    assert right - left == pytest.approx(whole[0]) or bottom - top == pytest.approx(whole[1])


def test_a_part_is_scaled_to_the_size_that_is_wanted():
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[10:20, 20:40, 0] = 200
    found = picture(rgb.ravel(), Layout("BGR888", 40, 40, 120), Wanted(5, 5, crop=(0.5, 0.25, 0.5, 0.25)))
    assert found.shape == (5, 5, 3)
    assert (found[1:-1, 1:-1] == [200, 0, 0]).all()  # at its edges there is something of what is beside it


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_a_camera_is_asked_for_even_sizes_that_it_can_make(width, height):
    asked = asked_size(Wanted(width, height))
    assert min(asked) >= 64
    assert not any(length % 2 for length in asked)
    assert asked[0] / asked[1] == pytest.approx(width / height, rel=0.05)
    if min(width, height) >= 64 and not (width % 2 or height % 2):
        assert asked == (width, height)


@pytest.mark.parametrize(
    ("rate_hz", "size", "mode"),
    [
        (10.0, (224, 224), (1640, 1232)),  # sees everything, and the smaller mode does
        (10.0, (2000, 1500), (3280, 2464)),
        (30.0, (2000, 1500), (1640, 1232)),  # the large one is too slow
        (41.9, (224, 224), (1640, 1232)),  # a hair too slow is quick enough
        (45.0, (224, 224), (1920, 1080)),
        (100.0, (224, 224), (640, 480)),
        (500.0, (224, 224), (640, 480)),
    ],
)
def test_the_mode_sees_as_much_as_the_rate_allows(rate_hz, size, mode):
    assert sensor_mode(IMX219, rate_hz, size)["size"] == mode


@given(st.floats(1.0, 60.0), st.floats(1.0, 8.0), st.integers(20, 200))
def test_of_a_quicker_camera_every_so_many_pictures_are_taken(rate_hz, factor, frames):
    pace = Pace(rate_hz)
    taken = [n / (rate_hz * factor) for n in range(frames) if pace.takes(n / (rate_hz * factor))]
    expected = 1 + (frames - 1) / factor
    assert len(taken) == pytest.approx(expected, abs=max(2.0, 0.35 * expected))
    assert pace.missed == 0
    assert all(later - earlier > 0.5 / rate_hz for earlier, later in itertools.pairwise(taken))


def test_pictures_that_did_not_come_are_counted():
    pace = Pace(10.0)
    assert [pace.takes(time_s) for time_s in (5.0, 5.1, 5.5, 5.6)] == [True] * 4
    assert pace.missed == 3


def test_a_time_of_another_clock_is_now():
    boot, monotonic = (time.clock_gettime_ns(clock) for clock in (time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC))
    assert 0.5 <= age_s(boot - 500_000_000) < 4
    assert 0.5 <= age_s(monotonic - 500_000_000) < 5
    assert age_s(0) == age_s(time.time_ns()) == 0.0


def test_options_become_libcameras_settings():
    nothing = {"exposure_us": None, "gain": None, "awb": "auto", "colour_gains": (), "focus": None}
    assert controls(nothing) == {}
    chosen = {"exposure_us": 5000, "gain": 2.0, "awb": "daylight", "focus": 0.5}
    assert {name: value for name, (_, value) in controls({**nothing, **chosen}).items()} == {
        "ExposureTime": 5000,
        "AnalogueGain": 2.0,
        "AwbMode": 5,
        "AfMode": 0,
        "LensPosition": 0.5,
    }
    assert controls({**nothing, "focus": "auto"}) == {"AfMode": ("focus", 2)}


PICTURES = Input(tuple(map(Channel, RGB)), None, 1, 1, layout="HWC")
SIGNALS = Input((Channel("ax"), Channel("ay"), Channel("az")), 50.0, 100, 50)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("size=224", "expected WIDTHxHEIGHT"),
        ("size=0x4", "expected WIDTHxHEIGHT"),
        ("size=9999x9999", "expected WIDTHxHEIGHT"),
        ("crop=0,0,1", "expected x,y,width,height"),
        ("crop=0.5,0,0.6,1", "expected x,y,width,height"),
        ("crop=0,0,0,1", "expected x,y,width,height"),
        ("crop=-0.1,0,0.5,1", "expected x,y,width,height"),
        ("crop=nan,0,0.5,1", "expected x,y,width,height"),
        ("colour_gains=nan,1", "two positive numbers"),
        ("colour_gains=1", "two positive numbers"),
        ("colour_gains=1,2&awb=indoor", "no option 'awb'"),
        ("exposure_us=60000&rate_hz=20", "expected at most 50000"),
        ("exposure_us=200000", "expected at most 100000"),
        ("awb=candle", "awb"),
        ("focus=near", "focus"),
        ("flip=up", "flip"),
        ("colour=sepia", "colour"),
        ("gain=0.5", "gain"),
        ("rate_hz=0", "rate_hz"),
        ("sizes=4x4", "did you mean 'size'"),
    ],
)
def test_options_that_cannot_be_are_refused_in_words(query, said):
    with pytest.raises(ConfigError, match=said):
        open_source(f"picamera2:0?{query}")


@pytest.mark.parametrize(
    ("wanted", "query", "said"),
    [
        (SIGNALS, "", "found signals: ax, ay, az"),
        (PICTURES, "?colour=gray", "expected one of pictures with 1 channels"),
    ],
)
def test_what_does_not_go_with_the_model_is_found_without_a_camera(wanted, query, said):
    plugin, location, options = check_url("sources", f"picamera2:{query}")
    plugin.preflight(location, PICTURES)
    with pytest.raises(ConfigError, match=said):
        plugin.preflight(location, wanted, **options)


@pytest.mark.parametrize(
    ("shape", "query", "said"),
    [((), "", "size is missing"), ((100, 3), "", r"expected windows \[height, width, 1 or 3\]")],
)
def test_without_a_size_there_is_no_picture(shape, query, said):
    source = open_source(f"picamera2:{query}")
    if shape:
        source.expect_shape(shape)
    with pytest.raises(ConfigError, match=said):
        next(iter(source))


def software(monkeypatch, tmp_path, text):
    """A package `picamera2` that does that when it is imported."""
    (tmp_path / "picamera2").mkdir()
    (tmp_path / "picamera2/__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "picamera2"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("import libcamera_that_is_not_there", MissingExtraError, "sudo apt install python3-picamera2"),
        ("raise ImportError('libcamera.so.0.9: cannot open')", Fatal, "found libcamera.so.0.9"),
        (
            "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
            Fatal,
            "expected the numpy that it was built for",
        ),
    ],
)
def test_software_that_does_not_start_is_said_in_a_line(monkeypatch, tmp_path, text, kind, said):
    software(monkeypatch, tmp_path, text)
    for name in ("LIBCAMERA_LOG_LEVELS", "LIBCAMERA_LOG_NO_COLOR"):  # what the source sets is forgotten again
        monkeypatch.setenv(name, "1")
    with pytest.raises(EdgeError, match=said) as caught:
        next(iter(Source("0", size="8x8")))
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value)
