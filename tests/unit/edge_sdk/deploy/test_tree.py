"""What a device's runtime is made of."""

import pytest

from edge_sdk.deploy import tree

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


def test_our_own_files_are_sources_that_a_device_runs():
    files = tree._own_files()
    assert "edge_sdk/deploy/selftest.py" in files
    assert "firmware_bridge/protocol.py" in files
    assert not [path for path in files if path.startswith(("converters", "train_host"))]
