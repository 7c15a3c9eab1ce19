"""What a pipeline finds on a device and does not bring."""

import sys

import pytest

from edge_sdk.deploy import release, selftest
from edge_sdk.deploy.manifest import Platform
from edge_sdk.deploy.release import Wish
from edge_sdk.deploy.store import Store
from edge_sdk.deploy.surroundings import Surroundings, surroundings, unmet
from edge_sdk.errors import GateError
from edge_sdk.pipeline import Pipeline
from edge_sdk.unit import Settings, unit
from tests import pictures

CONFIG = """\
[model]
file = "colours.tflite"
[[source]]
url = "{source}"
[[sink]]
url = "stdout:"
"""


@pytest.fixture
def config(tmp_path):
    pictures.write(tmp_path / "colours.tflite")

    def write(source):
        (tmp_path / "edgeml.toml").write_text(CONFIG.format(source=source))
        return tmp_path / "edgeml.toml"

    return write


def test_a_camera_wants_the_systems_numpy_and_the_group_video(config):
    found = surroundings(Pipeline.from_config(config("picamera2:0")))
    assert found == Surroundings(frozenset({"numpy", "picamera2"}), ("video",))


def test_other_sources_bring_what_they_need(config):
    assert surroundings(Pipeline.from_config(config("synthetic:sine"))) == Surroundings()
    wired = surroundings(Pipeline.from_config(config("i2c:1/0x68?chip=mpu6050")))
    assert wired == Surroundings(frozenset(), ("i2c",))


def test_a_release_with_a_camera_leaves_numpy_out(config, tmp_path, monkeypatch):
    asked = {}

    def build(platform, extras, store, say, *, system=()):
        asked.update(extras=set(extras), system=set(system))
        return b"[]"

    monkeypatch.setattr(release.tree, "build", build)
    for source, left_out in (("picamera2:0", {"numpy", "picamera2"}), ("synthetic:sine", set())):
        release.make(
            Wish(config(source)), Platform("aarch64", "3.11", "2.36"), Store(tmp_path / "store"), print
        )
        assert asked == {"extras": set(), "system": left_out}


@pytest.mark.parametrize(
    ("version", "machine", "limit"),
    [
        ("1.24.2", "aarch64", ""),
        ("2.2.4+ds", "aarch64", ""),
        ("1.23.5", "aarch64", ">=1.24"),
        ("1.24.2", "armv7l", ""),
        ("2.0.0rc1", "armv7l", "<2"),
    ],
)
def test_a_numpy_fits_or_it_is_said_what_would(version, machine, limit):
    assert unmet("numpy", version, machine) == limit


def test_what_is_not_asked_for_fits():
    assert unmet("picamera2", "0.1", "aarch64") == ""


def test_its_service_may_use_cameras_and_no_other_device(config):
    file = config("picamera2:0")
    lines = unit(Pipeline.from_config(file), file, Settings("seeing")).text.splitlines()
    assert "DevicePolicy=closed" in lines
    assert [line for line in lines if line.startswith("DeviceAllow=")] == [
        "DeviceAllow=char-81 rw",
        "DeviceAllow=char-media rw",
        "DeviceAllow=char-dma_heap rw",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import libcamera_that_is_not_there", "No module named"),
        ("raise ValueError('numpy.dtype size changed')", "numpy.dtype size changed"),
    ],
    ids=["missing", "of another numpy"],
)
def test_a_release_tries_the_systems_packages_before_it_runs(config, tmp_path, monkeypatch, text, said):
    (tmp_path / "site/picamera2").mkdir(parents=True)
    (tmp_path / "site/picamera2/__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    config("picamera2:0")
    with pytest.raises(GateError, match=said) as caught:
        selftest.try_out(tmp_path, tmp_path, "edgeml.toml", "seeing", systemd=252, status=None)
    assert caught.value.remedy == "sudo apt install --no-install-recommends python3-picamera2"
