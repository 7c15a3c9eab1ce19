"""What a device's runtime is made of."""

import shutil

import pytest

from edge_sdk.deploy import tree
from edge_sdk.deploy.manifest import Platform
from edge_sdk.deploy.store import Store
from edge_sdk.errors import ConfigError, MissingExtraError

LEFT_OUT = [
    "bin/f2py",
    "numpy/tests/test_x.py",
    "numpy/testing/__init__.py",
    "numpy/f2py/__init__.py",
    "numpy/core/include/numpy/arrayobject.h",
    "numpy/__init__.pyi",
    "ai_edge_litert/aot/x.py",
    "ai_edge_litert/tools/x.py",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    "google/protobuf/message.py",
    "ml_dtypes/x.so",
    "ml_dtypes-0.5.dist-info/METADATA",
    "tqdm/std.py",
    "backports/strenum/__init__.py",
    "a/__pycache__/x.pyc",
]
KEPT = [
    "numpy/__init__.py",
    "numpy/_core/_multiarray_umath.cpython-311-aarch64-linux-gnu.so",
    "numpy-2.0.dist-info/METADATA",
    "ai_edge_litert/interpreter.py",
    "ai_edge_litert/_pywrap_tensorflow_interpreter_wrapper.so",
    "click/testing_tools.py",
    "googleapis/x.py",
    "contest/x.py",
    "edge_sdk/sources/http.py",
    "serial/tools/list_ports.py",
]


@pytest.mark.parametrize("path", LEFT_OUT)
def test_what_no_device_needs_is_left_out(path):
    assert tree._LEFT_OUT.search(path)


@pytest.mark.parametrize("path", KEPT)
def test_what_it_needs_is_kept(path):
    assert not tree._LEFT_OUT.search(path)


def test_requirements_are_ours_and_of_the_extras():
    bare, more = tree.requirements(), tree.requirements(["mqtt"])
    assert any(line.startswith("numpy") for line in bare)
    assert any(line.startswith("ai-edge-litert") for line in bare)
    assert not any("tensorflow" in line for line in bare)
    added = set(more) - set(bare)
    assert {line.split(">")[0].split("=")[0].split("<")[0] for line in added} == {"paho-mqtt"}


def test_our_own_files_are_sources_that_a_device_runs():
    files = tree._own_files()
    assert "edge_sdk/deploy/selftest.py" in files
    assert "firmware_bridge/protocol.py" in files
    assert not [path for path in files if path.startswith(("converters", "train_host"))]


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        (Platform("armv7l", "3.11", "2.36"), "no runtime for armv7l"),
        (Platform("riscv64", "3.11", "2.36"), "no runtime for riscv64"),
        (Platform("aarch64", "3.11", "2.27"), "the device's system is too old"),
    ],
    ids=str,
)
def test_a_device_that_there_is_no_runtime_for(platform, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        tree.build(platform, [], Store(tmp_path), lambda _: None)
    assert not list(tmp_path.rglob("runtimes/*"))


def test_without_uv_one_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(tree.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"edgeml-kit\[deploy\]"):
        tree._uv()
