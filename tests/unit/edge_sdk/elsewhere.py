"""Functions that run in another interpreter, which has no pytest."""

import importlib.util
import os
import sys

import edge_sdk
from edge_sdk.errors import GateError


def add(a, b):
    print("noise on standard output")
    return a + b


def gate():
    raise GateError("worse", expected="at most 1", found=2)


def look_around(name):
    return {
        "python": sys.executable,
        "found": importlib.util.find_spec(name) is not None,
        "edge_sdk": edge_sdk.__file__,
        "path": sys.path,
        "variables": sorted(set(os.environ) & {"PYTHONPATH", "PYTHONHOME"}),
    }


def prefix():
    return sys.prefix
