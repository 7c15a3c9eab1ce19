"""converters: any model in, a verified .tflite out.

    from converters import convert

    report = convert("motion.keras", "motion.tflite", recipe="auto", max_drop=0.005)
    print(report.verdict.result.accuracy, report.size_bytes)

Importing it imports nothing heavy; TensorFlow, ONNX and PyTorch are started in child processes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters import compare, recipes
    from converters.conversion import convert
    from converters.report import DropError, Report
    from converters.request import Request

#: Where each public name lives; a module stands for itself. Looked up on first use.
_HOMES = {
    "DropError": "report",
    "Report": "report",
    "Request": "request",
    "compare": None,
    "convert": "conversion",
    "recipes": None,
}

__all__ = ["DropError", "Report", "Request", "compare", "convert", "recipes"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'converters' has no attribute {name!r}")
    home = _HOMES[name]
    module = importlib.import_module(f"converters.{home or name}")
    return module if home is None else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
