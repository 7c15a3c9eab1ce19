"""Every finding about a device says what to do."""

import time

import pytest

from edge_sdk.deploy.examination import examine
from edge_sdk.deploy.surroundings import Surroundings

FINE = {
    "machine": "aarch64",
    "kernel": "aarch64",
    "python": "3.11",
    "glibc": "2.36",
    "model": "Raspberry Pi 4 Model B Rev 1.4",
    "ram_bytes": 2 << 30,
    "free_bytes": 4 << 30,
    "read_only": False,
    "systemd": 252,
    "groups": ["dialout", "i2c"],
    "throttled": 0,
    "clock_s": 0.0,
    "ssh_keygen": True,
    "packages": {"numpy": None, "picamera2": None},
}
CAMERA = Surroundings(frozenset({"numpy", "picamera2"}), ("video",))


def found(wanted=None, **changes):
    facts = {**FINE, "clock_s": time.time(), **changes}
    return {finding.part: finding for finding in examine(facts, wanted)}


def test_a_device_that_is_fine():
    findings = found(Surroundings(groups=("dialout",)))
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert "Raspberry Pi 4" in findings["machine"].found


def test_a_32_bit_device_that_is_fine():
    findings = found(machine="armv7l", kernel="armv7l", packages={"numpy": "1.24.2"})
    assert {finding.state for finding in findings.values()} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "part", "state", "said"),
    [
        ({"machine": "armv7l"}, "numpy", "missing", "python3-numpy"),
        (
            {"machine": "armv7l", "python": "3.13"},
            "python",
            "missing",
            "Python 3.11: Raspberry Pi OS bookworm",
        ),
        ({"machine": "armv7l", "glibc": "2.31"}, "glibc", "missing", "bookworm"),
        ({"machine": "armv6l", "kernel": "armv6l"}, "machine", "missing", "64-bit"),
        ({"python": "3.9"}, "python", "missing", "bookworm"),
        ({"glibc": "2.27"}, "glibc", "missing", "Debian"),
        ({"glibc": ""}, "glibc", "missing", "Debian"),
        ({"free_bytes": 1 << 20}, "disk", "missing", "make room"),
        ({"ram_bytes": 100 << 20}, "memory", "warning", "a board with more"),
        ({"read_only": True}, "root", "missing", "remount"),
        ({"systemd": None}, "systemd", "missing", "--service none"),
        ({"ssh_keygen": False}, "ssh-keygen", "missing", "openssh-client"),
        ({"clock_s": 0.0}, "clock", "warning", "timedatectl"),
        ({"clock_s": 4e9}, "clock", "warning", "timedatectl"),
        ({"throttled": 0x50005}, "power", "warning", "supply"),
    ],
    ids=str,
)
def test_what_is_wrong_has_a_remedy(changes, part, state, said):
    finding = found(**changes)[part]
    assert finding.state == state
    assert said in finding.remedy


def test_the_user_space_counts_and_not_the_kernel():
    assert "under a aarch64 kernel" in found(machine="armv7l", kernel="aarch64")["machine"].found


def test_1970_is_behind():
    assert "behind" in found(clock_s=0.0)["clock"].found
    assert "ahead" in found(clock_s=4e9)["clock"].found


def test_throttling_is_said_in_words():
    assert found(throttled=0x5)["power"].found == "under-voltage, throttled"
    assert found(throttled=0x50000)["power"].state == "ok"
    assert "power" not in found(throttled=None)


def test_a_group_that_is_missing():
    assert "groupadd" in found(Surroundings(groups=("gpio",)))["group gpio"].remedy


@pytest.mark.parametrize("version", ["1.24.2", "2.2.4", "1.26.4+ds", ""])
def test_a_camera_takes_what_the_system_has(version):
    findings = found(CAMERA, groups=["video"], packages={"numpy": version, "picamera2": "0.3.31"})
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert (findings["numpy"].found, findings["picamera2"].found) == (version or "there", "0.3.31")


@pytest.mark.parametrize(
    ("packages", "part", "said"),
    [
        ({"numpy": "2.2.4", "picamera2": None}, "picamera2", "python3-picamera2"),
        ({"numpy": None, "picamera2": "0.3.31"}, "numpy", "python3-numpy"),
        ({"numpy": "1.19.5", "picamera2": "0.3.31"}, "numpy", "numpy>=1.24 is needed"),
    ],
    ids=str,
)
def test_what_a_camera_lacks_has_a_remedy(packages, part, said):
    finding = found(CAMERA, groups=["video"], packages=packages)[part]
    assert (finding.state, said in finding.remedy) == ("missing", True)


def test_numpy_2_is_too_new_for_the_runtime_of_32_bit_arm():
    finding = found(machine="armv7l", kernel="armv7l", packages={"numpy": "2.2.4"})["numpy"]
    assert finding.remedy.startswith("numpy<2 is needed")
    assert finding.remedy.endswith("pip uninstall --break-system-packages numpy")


def test_what_no_source_asks_for_is_not_missed():
    assert not {"numpy", "picamera2", "group video"} & set(found())
