"""What a device needs of other packages, and what is said where it cannot be had."""

import re
import shutil
import sys

import pytest

from edge_sdk.deploy import packages, tree
from edge_sdk.deploy.manifest import Platform
from edge_sdk.deploy.store import Store
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError

PI = Platform("aarch64", "3.11", "2.36")
PI_32 = Platform("armv7l", "3.11", "2.36")


def names(lines):
    return {re.split(r"[^\w.-]", line)[0] for line in lines}


def test_requirements_are_ours_and_of_the_extras():
    bare, more = packages.requirements(), packages.requirements(["mqtt"])
    assert names(bare) == {"numpy", "ai-edge-litert", "click", "msgspec", "pyserial"}
    assert names(more) - names(bare) == {"paho-mqtt"}


def test_32_bit_arm_has_another_runtime_and_debians_numpy():
    wanted = packages.requirements(["i2c"], "armv7l")
    assert names(wanted) == {"numpy", "tflite-runtime", "click", "msgspec", "pyserial", "smbus2"}
    assert packages.from_system(PI_32) == {"numpy"}
    assert packages.from_system(PI) == set()
    assert packages.from_system(PI, ["numpy"]) == {"numpy"}


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        (Platform("riscv64", "3.11", "2.36"), "no runtime for riscv64: expected aarch64, x86_64, armv7l"),
        (Platform("armv6l", "3.11", "2.36"), "no runtime for armv6l"),
        (Platform("armv7l", "3.13", "2.41"), "no runtime for armv7l, Python 3.13.*expected Python 3.11"),
        (Platform("armv7l", "3.11", "2.31"), "expected Python 3.11 and glibc 2.34 on 32-bit Arm"),
        (Platform("aarch64", "3.11", "2.27"), "the device's system is too old: expected glibc 2.28"),
    ],
    ids=str,
)
def test_a_device_that_there_is_no_runtime_for(platform, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        tree.build(platform, [], Store(tmp_path), lambda _: None)
    assert not list(tmp_path.rglob("runtimes/*"))


@pytest.mark.parametrize(
    ("target", "platform"),
    [
        ("host:", PI),
        ("host:?threads=4", PI),
        ("host:?runtime=litert", PI),
        ("source:", PI_32),
        ("host:", PI_32),
        ("host:?threads=4", PI_32),
        ("host:?runtime=tflite_runtime&threads=2", PI_32),
    ],
    ids=str,
)
def test_a_target_that_the_device_has_a_runtime_for(target, platform):
    packages.check_target(target, platform)


@pytest.mark.parametrize(
    ("target", "platform", "right"),
    [
        ("host:?runtime=litert", PI_32, "tflite_runtime"),
        ("host:?runtime=tflite_runtime", PI, "litert"),
        ("host:?runtime=c", PI, "litert"),
    ],
    ids=str,
)
def test_a_target_that_it_has_none_for_is_told_before_anything_is_sent(target, platform, right):
    with pytest.raises(ConfigError, match=f'expected runtime={right}, .*leave "runtime" out of the target'):
        packages.check_target(target, platform)


def test_without_uv_one_is_told_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(packages.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"edgeml-kit\[deploy\]"):
        packages.install(PI, ["click"], tmp_path / "tree", tmp_path, lambda _: None)


def test_without_a_compiler_one_is_told_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(packages.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"compiler for armv7l is not installed.*edgeml-kit\[zig\]"):
        packages.install(PI_32, ["click", "msgspec>=0.19"], tmp_path / "tree", tmp_path, lambda _: None)


@pytest.fixture
def saying(monkeypatch, tmp_path):
    """What stands for uv says this, and fails."""

    def use(words, status=1):
        program = tmp_path / "uv"
        program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{words}\nEND\nexit {status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return tmp_path

    return use


PIP = """\
ERROR: Could not find a version that satisfies the requirement gpiod>=2.2 (from versions: none)
ERROR: No matching distribution found for gpiod>=2.2
"""
UV = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because click was not found in the package registry and you require click, we can conclude that
      your requirements are unsatisfiable.
"""


def test_a_package_without_a_wheel_is_named(saying):
    folder = saying(PIP)
    made = folder / packages.digest_of(
        repr(("msgspec", "armv7l", "3.11", packages._TARGET, packages._FLAGS, packages._SIZES)).encode()
    )
    made.mkdir()
    with pytest.raises(ConfigError, match="no wheel for armv7l: .*found none of gpiod; leave out the source"):
        packages.install(PI_32, ["gpiod>=2.2", "msgspec"], folder / "tree", folder, lambda _: None)


def test_an_index_that_is_not_reached_is_one_line(saying):
    folder = saying(UV)
    with pytest.raises(
        DeviceError, match="cannot be had: found No solution found .* Because click"
    ) as raised:
        packages.install(PI, ["click"], folder / "tree", folder, lambda _: None)
    assert "\n" not in str(raised.value)


def test_without_headers_one_is_told_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "_WHERE", f"print({str(tmp_path / 'none')!r}); print('none')")
    here = Platform("armv7l", "{}.{}".format(*sys.version_info), "2.36")
    with pytest.raises(DeviceError, match=r"no headers of Python 3.*apt install python3.\d+-dev"):
        packages._copy_headers(here, tmp_path / "include")


def test_headers_have_the_sizes_of_the_processor(monkeypatch, tmp_path):
    own = tmp_path / "python"
    own.mkdir()
    (own / "Python.h").write_text('#include "pyconfig.h"\n')
    # As on Debian, where this one only leads to that of the processor.
    (own / "pyconfig.h").write_text("#error which processor?\n")
    (tmp_path / "x86_64.h").write_text("#define SIZEOF_SIZE_T 8\n#define HAVE_GETPID 1\n")
    monkeypatch.setattr(packages, "_WHERE", f"print({str(own)!r}); print({str(tmp_path / 'x86_64.h')!r})")
    here = Platform("armv7l", "{}.{}".format(*sys.version_info), "2.36")
    packages._copy_headers(here, tmp_path / "include")
    lines = (tmp_path / "include" / "pyconfig.h").read_text().splitlines()
    assert "#define HAVE_GETPID 1" in lines
    assert "#error which processor?" not in lines
    order = ["#define SIZEOF_SIZE_T 8", "#undef SIZEOF_SIZE_T", "#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__"]
    assert [line for line in lines if "SIZEOF_SIZE_T" in line and "ALIGNOF" not in line][:3] == order
    assert (tmp_path / "include" / "Python.h").exists()
