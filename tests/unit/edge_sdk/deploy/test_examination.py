"""Every finding about a device says what to do."""

import time

import pytest

from edge_sdk.deploy.examination import examine

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
}


def found(groups=(), **changes):
    facts = {**FINE, "clock_s": time.time(), **changes}
    return {finding.part: finding for finding in examine(facts, groups)}


def test_a_device_that_is_fine():
    findings = found(["dialout"])
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert "Raspberry Pi 4" in findings["machine"].found


def test_a_32_bit_device_that_is_fine():
    findings = found(machine="armv7l", kernel="armv7l", numpy=True)
    assert {finding.state for finding in findings.values()} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "part", "state", "said"),
    [
        ({"machine": "armv7l", "numpy": False}, "numpy", "missing", "sudo apt install python3-numpy"),
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
    assert "groupadd" in found(["gpio"])["group gpio"].remedy
