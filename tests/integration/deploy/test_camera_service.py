"""A pipeline with a camera, deployed to a machine that has one: whose numpy it runs with, what it may do."""

from __future__ import annotations

import json
import os

import pytest

from tests import pictures
from tests.integration.deploy import cameras, container
from tests.integration.deploy.conftest import APPS, KIND, full, sitting
from tests.integration.deploy.test_camera import CONFIG, HEIGHT, RED, WIDTH

pytestmark = pytest.mark.integration
PACKAGES = "/usr/lib/python3/dist-packages"


@pytest.fixture(scope="module")
def pi(tmp_path_factory):
    """A machine with a camera and its software."""
    if KIND != "container":
        pytest.skip("a machine of its own, which was tried with the containers: unset EDGEML_MACHINE")
    if os.geteuid() != 0:
        pytest.skip("needs root and systemd-nspawn: run as root, outside a restricted container")
    folder = tmp_path_factory.mktemp("camera") / "machine"
    with container.booted(folder, cameras.SYSTEM, cameras.prepare) as machine:
        yield machine


@pytest.fixture(scope="module")
def seeing(pi, signing_key, tmp_path_factory):
    """A desk with a pipeline that watches the red bar of the camera's picture."""
    with sitting(pi, signing_key, tmp_path_factory.mktemp("desk") / "pipeline", "seeing") as desk:
        watch_red(desk)
        yield desk


def watch_red(desk):
    """A pipeline whose camera sees the red bar."""
    pictures.write(desk.folder / "colours.tflite", HEIGHT, WIDTH)
    desk.config.write_text(CONFIG.format(query=f"0?crop={RED}&rate_hz=20"))


def test_a_system_without_a_cameras_software_is_refused_before_anything_is_sent(desk):
    watch_red(desk)
    told = desk.deploy(status=1)
    lacking = told["error"].rpartition(": ")[2]
    assert lacking in ("numpy", "picamera2")  # a 32-bit system has numpy, for which there is no wheel
    assert f"sudo apt install --no-install-recommends python3-{lacking}" in told["remedy"]
    assert not desk.machine.has(f"{APPS}/{desk.name}")
    examined = desk.edgeml("doctor", desk.machine.url, "--config", desk.config, "--json", status=1).stdout
    states = {finding["part"]: finding["state"] for finding in json.loads(examined)["findings"]}
    assert (states[lacking], states["picamera2"]) == ("missing", "missing")


@full
@pytest.mark.parametrize("package", ["numpy", "picamera2"])
def test_what_the_system_lacks_is_named(pi, seeing, package):
    pi.ask(f"mv {PACKAGES}/{package} /root/")
    try:
        told = seeing.deploy(status=1)
    finally:
        pi.ask(f"mv /root/{package} {PACKAGES}/")
    assert told["error"].endswith(f": {package}")
    assert told["found"] == "not there"
    assert f"python3-{package}" in told["remedy"]
    assert not pi.has(f"{APPS}/seeing")


@full
def test_a_service_sees_with_the_systems_numpy_and_the_rights_that_it_needs(pi, seeing):
    told = seeing.deploy("--version", "1")
    assert told["state"] == "it works"
    assert told["notes"] == []
    assert seeing.serves("1")

    current = f"{APPS}/seeing/current"
    assert pi.has(f"{current}/runtime/edge_sdk/sources/picamera2.py")
    assert not pi.has(f"{current}/runtime/numpy")
    number = pi.ask(f"systemctl show --value -p MainPID {seeing.unit}").strip()
    mapped = {line.split()[-1] for line in pi.ask(f"cat /proc/{number}/maps").splitlines() if "/" in line}
    assert any(path.startswith(f"{PACKAGES}/numpy/") for path in mapped)
    assert any(path.startswith(f"{PACKAGES}/libcamera/") for path in mapped)
    assert any("/ai_edge_litert/" in path for path in mapped if path.startswith("/var/lib/edgeml/"))
    assert not any("/numpy/" in path for path in mapped if path.startswith("/var/lib/edgeml/"))

    unit = pi.ask(f"systemctl cat {seeing.unit}").splitlines()
    assert "SupplementaryGroups=video" in unit
    assert "DevicePolicy=closed" in unit
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK" in unit
    allowed = [line.partition("=")[2] for line in unit if line.startswith("DeviceAllow=")]
    assert allowed == ["char-81 rw", "char-media rw", "char-dma_heap rw"]
    groups = pi.ask(f"grep ^Groups /proc/{number}/status").split()[1:]
    assert pi.ask("getent group video").split(":")[2] in groups

    said = pi.ask(f"cat /var/lib/{seeing.unit}/said.jsonl").splitlines()
    assert {json.loads(line)["label"] for line in said} == {"red"}
    source = seeing.edgeml("status", pi.url, "seeing", "--json").stdout
    assert json.loads(source)["pipelines"][0]["current"]["version"] == "1"


@full
@pytest.mark.parametrize("package", ["numpy", "picamera2"])
def test_a_release_on_a_stick_says_what_the_system_lacks(pi, seeing, tmp_path, package):
    bundle = tmp_path / "seeing.edgeml"
    seeing.edgeml(
        "deploy", seeing.config, "--name", "stick", "--key", seeing.key, "--bundle", bundle, "--for", pi.suite
    )
    pi.put("/root/stick.edgeml", bundle.read_bytes())
    pi.ask(f"mv {PACKAGES}/{package} /root/")
    try:
        done = pi.run("python3 /root/stick.edgeml --trust")
    finally:
        pi.ask(f"mv /root/{package} {PACKAGES}/")
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert f"No module named '{package}'" in said
    assert f"python3-{package}" in said
    assert "Traceback" not in said


@full
def test_who_may_not_look_for_cameras_is_told_that_there_is_none(pi, seeing):
    if not pi.has(f"{APPS}/seeing/current"):
        seeing.deploy()
    command = "from edge_sdk import open_source; next(iter(open_source('picamera2:0?size=8x8')))"
    said = pi.run(
        "systemd-run --quiet --pipe --wait --property=RestrictAddressFamilies=AF_UNIX "
        f'--setenv=PYTHONPATH={APPS}/seeing/current/runtime python3 -c "{command}"'
    ).stderr.decode()
    assert "edge_sdk.errors.Retry: picamera2:0: no camera: found Failed to start" in said


@full
def test_a_release_without_a_camera_brings_its_own(pi, seeing):
    wanted = seeing.config.read_text()
    seeing.config.write_text(CONFIG.replace("picamera2:{query}", "synthetic:sine"))
    try:
        told = seeing.deploy("--dry-run")
    finally:
        seeing.config.write_text(wanted)
    (sent, total) = (
        int(part.split()[0].replace(",", "")) for part in told["send"].replace(" bytes", "").split(" of ")
    )
    assert sent <= total
    assert total > 60e6  # numpy among it
