"""The source `picamera2:` with the real Picamera2 and libcamera, whose virtual pipeline is the camera.

It runs as on a device: Debian's Python and numpy, and of ours the tree that a deployment would send.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import ImageColor

from edge_sdk.deploy import tree
from edge_sdk.deploy.manifest import read_listing
from edge_sdk.deploy.store import Store
from tests import pictures
from tests.integration.deploy import cameras
from tests.integration.deploy.machine import CACHE, USERS_CACHE
from tests.integration.deploy.test_tree import laid_out

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.environ.get("EDGEML_DEPLOY") != "full",
        reason="makes a root file system of Debian trixie: set EDGEML_DEPLOY=full",
    ),
]
BARS = cameras.BARS
#: The part of its picture that is red.
RED = f"{BARS.index('red') / 8},0,{1 / 8},1"
HEIGHT, WIDTH = 48, 64
#: One script for all: a start of Python with libcamera costs a second.
TELL = """
import contextlib, ctypes, itertools, json, os, threading, time
# PR_SET_MDWE, as MemoryDenyWriteExecute= of the service
denied = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
import libcamera
import numpy as np
from edge_sdk import Block, EdgeError, open_source
from edge_sdk.sources import _sensor

said = {"numpy": [np.__file__, np.__version__], "denied": denied}

def take(url, count):
    with open_source(f"picamera2:{url}") as source:
        return list(itertools.islice(source, count)), source.missed

blocks, missed = take("0?size=64x48&rate_hz=20", 6)
said["shapes"] = [[list(block.samples.shape), str(block.samples.dtype)] for block in blocks]
said["times"] = [block.time_s for block in blocks]
said["walls"] = [block.wall_s - block.time_s for block in blocks]
said["now"] = [time.clock_gettime(time.CLOCK_BOOTTIME), time.time()]
said["gaps"] = [block.gap for block in blocks]
said["channels"] = blocks[0].channels
said["middle"] = blocks[0].samples[0, 24].tolist()

def row(url):
    (block,), _ = take(url, 1)
    return block.samples[0, block.samples.shape[1] // 2].tolist()

said["gray"] = row("virtual?size=64x48&colour=gray")
said["flipped"] = row("0?size=64x48&flip=horizontal")
said["part"] = row("0?size=31x17&crop=0.5,0.25,0.125,0.5")

said["errors"] = {}
for query in ("7?size=8x8", "imx708?size=8x8", "0?size=8x8&gain=2", "0?size=8x8&focus=auto",
              "0?size=8x8&rate_hz=200"):
    try:
        take(query, 1)
    except EdgeError as error:
        said["errors"][query] = [type(error).__name__, str(error)]

# Another has it: each try leaves nothing behind.
with open_source("picamera2:0?size=64x48") as first:
    blocks = iter(first)
    next(blocks)
    counts = []
    for _ in range(3):
        try:
            take("0?size=64x48", 1)
        except EdgeError as error:
            said["busy"] = [type(error).__name__, str(error)]
        counts.append(len(os.listdir("/proc/self/fd")))
    said["files"] = counts
    next(blocks)
    blocks.close()

# It stops by itself, as where the cable has come off, and is opened again.
import edge_sdk.sources._camera as ours
from picamera2 import Picamera2

opened = []
start = Picamera2.start
Picamera2.start = lambda camera: (opened.append(camera), start(camera))[1]

with open_source("picamera2:0?size=64x48&timeout_s=0.5") as source:
    blocks = iter(source)
    next(blocks)
    opened[-1].camera.stop()
    began = time.monotonic()
    try:
        while True:
            next(blocks)
    except EdgeError as error:
        said["silent"] = [type(error).__name__, str(error), time.monotonic() - began]
blocks, _ = take("0?size=64x48", 2)
said["again"] = [block.gap for block in blocks]

# It is closed by another thread while nothing comes.
source = open_source("picamera2:0?size=64x48&timeout_s=60")
blocks = iter(source)
next(blocks)
opened[-1].camera.stop()
closer = threading.Timer(0.2, source.close)
closer.start()
began = time.monotonic()
with contextlib.suppress(EdgeError):  # it may notice first that the camera has stopped
    list(blocks)
said["closed_s"] = time.monotonic() - began - 0.2
said["open_after"] = len(opened[-1].camera_manager.cameras) and opened[-1].is_open

known = libcamera.controls
said["awb"] = {name: int(getattr(known.AwbModeEnum, name.capitalize())) for name in _sensor.AWB}
said["focus"] = {name: int(getattr(known.AfModeEnum, name.capitalize())) for name in _sensor.AUTOFOCUS}
wanted = {"exposure_us": 1, "gain": 1.0, "awb": "indoor", "colour_gains": (1.0, 1.0), "focus": 1.0}
said["unknown"] = [name for name in _sensor.controls(wanted) if not hasattr(known, name)]
said["ours"] = [_sensor.AWB, _sensor.AUTOFOCUS]

# Its driver hangs as it is stopped.
ours._CLOSE_S = 0.5
Picamera2.stop = lambda camera: time.sleep(3600)
source = open_source("picamera2:0?size=64x48")
blocks = iter(source)
next(blocks)
source.close()
began = time.monotonic()
try:
    list(blocks)
except EdgeError as error:
    said["hangs"] = [type(error).__name__, str(error), time.monotonic() - began]
print(json.dumps(said), flush=True)
os._exit(0)  # for Picamera2 stops its cameras at the end, too
"""
#: A run whose camera stops after three predictions.
GO_ON = f"""
import json
from picamera2 import Picamera2
from edge_sdk import Model, Pipeline

opened, seen = [], []
start = Picamera2.start
Picamera2.start = lambda camera: (opened.append(camera), start(camera))[1]

def sink(prediction):
    seen.append(prediction.label)
    if len(seen) == 3:
        opened[0].camera.stop()
    if len(seen) == 8:
        pipeline.stop()

with Model.load("/work/colours.tflite") as model:
    source = "picamera2:0?crop={RED}&rate_hz=20&timeout_s=0.5"
    pipeline = Pipeline(model, [source], [sink], outbox=False)
    report = pipeline.run(duration_s=100)
faults, balanced = dict(report.ledger.faults), report.ledger.balanced
print(json.dumps(dict(seen=seen, opened=len(opened), faults=faults, balanced=balanced)))
"""
CONFIG = """\
[model]
file = "colours.tflite"
[[source]]
url = "picamera2:{query}"
[[sink]]
url = "jsonl:said.jsonl"
"""


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """What a deployment sends to such a device, for a pipeline with a camera."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(USERS_CACHE / "uv"))
        store = Store(CACHE / "edgeml" / "deploy")
        listed = tree.build(cameras.PLATFORM, [], store, print, system=["numpy", "picamera2"])
    assert not [entry.path for entry in read_listing(listed) if entry.path.startswith("numpy")]
    return laid_out(store, listed, tmp_path_factory.mktemp("sent") / "tree")


@pytest.fixture
def work(tmp_path):
    tmp_path.chmod(0o777)
    pictures.write(tmp_path / "colours.tflite", HEIGHT, WIDTH)
    return tmp_path


@pytest.fixture(scope="module")
def said(sent, tmp_path_factory):
    done = cameras.run(sent, tmp_path_factory.mktemp("work"), ["-c", TELL])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def bars(pixels):
    """What colour the middle of each bar has, as names."""
    names = {ImageColor.getrgb(name): name for name in BARS}
    middles = np.asarray(pixels)[WIDTH // 16 :: WIDTH // 8]
    return tuple(names[tuple(255 * int(value > 128) for value in pixel)] for pixel in middles)


def test_numpy_is_debians(said):
    assert said["numpy"][0].startswith("/usr/lib/python3/dist-packages/")
    assert said["denied"] == 0  # and the rest went well under what a service may do with memory


def test_pictures_have_the_size_and_the_colours(said):
    assert said["shapes"] == [[[1, HEIGHT, WIDTH, 3], "uint8"]] * 6
    assert said["channels"] == ["r", "g", "b"]
    assert bars(said["middle"]) == BARS


def test_gray_is_luma(said):
    luma = np.asarray(said["gray"])[WIDTH // 16 :: WIDTH // 8, 0]
    assert (np.diff(luma.astype(int)) < 0).all()  # the bars are in that order


def test_a_camera_that_cannot_flip_and_crop_has_that_done(said):
    assert bars(said["flipped"]) == BARS[::-1]
    part = np.asarray(said["part"])
    assert part.shape == (31, 3)
    assert (part[4:-4, [0, 2]] > 200).all()
    assert (part[4:-4, 1] < 50).all()  # magenta


def test_times_are_the_sensors_and_at_the_rate(said):
    times = np.asarray(said["times"])
    assert (np.diff(times) > 0).all()
    assert times[-1] - times[0] >= 0.8 * 5 / 20  # a camera that is as fast as it can be is slowed down
    boot_s, wall_s = said["now"]
    assert 0 <= boot_s - times[-1] < 5
    np.testing.assert_allclose(said["walls"], wall_s - boot_s, atol=0.5)
    assert said["gaps"] == [True, False, False, False, False, False]


def test_what_is_wrong_is_said_in_a_line(said):
    errors = said["errors"]
    assert errors["7?size=8x8"][0] == errors["imx708?size=8x8"][0] == "Retry"
    assert "found 0 (Virtual Video Device)" in errors["7?size=8x8"][1]
    assert "expected a camera with AnalogueGain" in errors["0?size=8x8&gain=2"][1]
    assert "option 'focus'" in errors["0?size=8x8&focus=auto"][1]
    assert "expected at most 60" in errors["0?size=8x8&rate_hz=200"][1]
    assert not any("\n" in text for _, text in errors.values())


def test_a_camera_that_another_has_leaves_nothing_behind(said):
    kind, text = said["busy"]
    assert kind == "Retry"
    assert "cannot be opened" in text
    assert len(set(said["files"])) == 1, said["files"]


def test_a_camera_that_gives_nothing_is_given_up_and_opened_again(said):
    kind, text, seconds = said["silent"]
    assert kind == "Retry"
    assert "no picture for 0.5 s" in text or "has stopped" in text  # it may notice with the picture in hand
    assert seconds < 10
    assert said["again"] == [True, False]


def test_closing_does_not_wait_for_a_picture(said):
    assert said["closed_s"] < 10  # and not the minute that it would wait for one
    assert not said["open_after"]


def test_a_driver_that_hangs_ends_the_run_and_holds_nobody(said):
    kind, text, seconds = said["hangs"]
    assert kind == "Fatal"
    assert "does not stop" in text
    assert seconds < 60


def test_settings_are_libcameras_own(said):
    assert said["ours"] == [said["awb"], said["focus"]]
    assert said["unknown"] == []


def test_a_pipeline_sees_red(sent, work):
    query = f"0?crop={RED}&rate_hz=20"
    (work / "edgeml.toml").write_text(CONFIG.format(query=query))
    words = ["-m", "edge_sdk", "run", "/work/edgeml.toml", "--once", "--json"]
    done = cameras.run(sent, work, words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ledger"]["balanced"] is True
    assert told["ledger"]["read"] >= 1
    (first, *_) = (json.loads(line) for line in (work / "said.jsonl").read_text().splitlines())
    assert first["label"] == "red"
    assert "Traceback" not in done.stderr


def test_a_run_goes_on_after_its_camera_has_stopped(sent, work):
    done = cameras.run(sent, work, ["-c", GO_ON])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["opened"] >= 2
    assert told["faults"].get("retry", 0) >= 1
    assert told["seen"][:8] == ["red"] * 8
    assert told["balanced"] is True
    assert "trying again" in done.stderr


def test_without_its_software_the_remedy_is_said(sent, work):
    (work / "edgeml.toml").write_text(CONFIG.format(query="0"))
    words = ["-m", "edge_sdk", "run", "/work/edgeml.toml", "--once"]
    done = cameras.run(sent, work, words, picamera2=False)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "camera's software is not installed" in last
    assert "sudo apt install python3-picamera2" in last
    assert "Traceback" not in done.stderr
