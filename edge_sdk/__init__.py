"""edge_sdk: a model, its sensors and its destinations on an edge device.

    from edge_sdk import Model, open_source

    with Model.load("gesture.tflite") as model, open_source("serial:///dev/ttyACM0?baud=115200") as imu:
        for prediction in model.stream(imu):
            print(prediction.device, prediction.label, prediction.score)

Importing it costs numpy and the standard library; the TFLite runtime comes with `Model.load`, the rest with
the first use of a name below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_sdk.blocks import Block, Fault, ticks
    from edge_sdk.config import Config, From, ModelFile, To
    from edge_sdk.contract import Contract, DecisionSettings
    from edge_sdk.decision import Decision
    from edge_sdk.errors import (
        ConfigError,
        ContractError,
        DatasetError,
        DeviceError,
        EdgeError,
        Fatal,
        ModelError,
        Rejected,
        Retry,
        SpecError,
    )
    from edge_sdk.ledger import Ledger
    from edge_sdk.model import Model
    from edge_sdk.pipeline import Pipeline, Report
    from edge_sdk.plugins import open_sink, open_source
    from edge_sdk.prediction import Prediction
    from edge_sdk.schema import read_contract
    from edge_sdk.tensors import State
    from edge_sdk.windows import Windows

#: Where each public name lives. Looked up on first use, so that a device pays only for what it uses.
_HOMES = {
    "blocks": ("Block", "Fault", "ticks"),
    "config": ("Config", "From", "ModelFile", "To"),
    "contract": ("Contract", "DecisionSettings"),
    "decision": ("Decision",),
    "errors": (
        "ConfigError", "ContractError", "DatasetError", "DeviceError", "EdgeError", "Fatal", "ModelError",
        "Rejected", "Retry", "SpecError",
    ),
    "ledger": ("Ledger",),
    "model": ("Model",),
    "pipeline": ("Pipeline", "Report"),
    "plugins": ("open_sink", "open_source"),
    "prediction": ("Prediction",),
    "schema": ("read_contract",),
    "tensors": ("State",),
    "windows": ("Windows",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Block",
    "Config",
    "ConfigError",
    "Contract",
    "ContractError",
    "DatasetError",
    "Decision",
    "DecisionSettings",
    "DeviceError",
    "EdgeError",
    "Fatal",
    "Fault",
    "From",
    "Ledger",
    "Model",
    "ModelError",
    "ModelFile",
    "Pipeline",
    "Prediction",
    "Rejected",
    "Report",
    "Retry",
    "SpecError",
    "State",
    "To",
    "Windows",
    "open_sink",
    "open_source",
    "read_contract",
    "ticks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'edge_sdk' has no attribute {name!r}")
    return getattr(importlib.import_module(f"edge_sdk.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
