"""Untrained models of architectures, converted to int8 and counted. Runs in a child process with TensorFlow.

What a model costs does not depend on its weights: random windows are enough to measure ranges on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
from numpy.typing import NDArray

from converters import costs, quantize
from converters.load import arrays
from converters.load import keras as loader
from edge_sdk.child import progress
from edge_sdk.contract import Statistics
from edge_sdk.errors import EdgeError
from edge_sdk.graph import read_graph
from train_host import architectures
from train_host.architectures import kinds
from train_host.architectures.catalogue import Costed, Example

_WINDOWS = 8


def cost(
    example: dict[str, Any], names: list[str], options: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Build, convert and count.

    Args:
        example: an `Example` as plain values.
        names: of architectures.
        options: theirs; None for the defaults.

    Returns:
        For each a `Costed` as plain values; one that cannot be built has ``error`` instead of a cost.
    """
    asked = msgspec.convert(example, Example)
    found = []
    with tempfile.TemporaryDirectory(prefix="edgeml-cost-") as folder:
        for name in names:
            progress(stage=f"building and converting {name}")
            try:
                flatbuffer = int8(_unlike(model(asked, name, options)), _noise(asked), Path(folder))
            except EdgeError as error:
                found.append(Costed(name, asked.title, error=str(error)))
            else:
                graph = read_graph(flatbuffer)
                found.append(
                    Costed(
                        name,
                        asked.title,
                        parameters=costs.parameters_of(graph),
                        macs=costs.macs_of(graph),
                        cost=costs.cost_of(flatbuffer),
                    )
                )
            keras.backend.clear_session()
    plain: list[dict[str, Any]] = msgspec.to_builtins(found)
    return plain


def int8(made: Any, x: NDArray[np.float32], folder: Path) -> bytes:
    """The .tflite that ``edgeml convert`` makes of a model, but for its verification.

    Args:
        made: a Keras model.
        x: float32 [n, …], windows that ranges are measured on.
        folder: for files on the way.

    Raises:
        ModelError: it cannot be converted.
    """
    source, floating, ranged, result = (
        str(folder / name) for name in ("m.keras", "m.tflite", "r.tflite", "i.tflite")
    )
    made.save(source)
    loaded = loader.load(source, floating)
    arrays.write(str(folder / "x.npz"), [x])
    quantize.calibrate(floating, str(folder / "x.npz"), ranged)
    quantize.apply(ranged, result, "int8", preprocessing=loaded["preprocessing"])
    return Path(result).read_bytes()


def model(example: Example, name: str, options: dict[str, Any] | None = None) -> Any:
    """An untrained model of an architecture."""
    channels = example.shape[-1]
    # not 0 and 1: the converter would leave such a normalisation out; sound stays within -1..1
    std = 1.0 if kinds.of(example.shape, example.rate_hz) == kinds.SOUND else 2.0
    statistics = Statistics((0.1,) * channels, (std,) * channels)
    return architectures.build(
        name, example.shape, example.head, statistics, options, rate_hz=example.rate_hz
    )


def _unlike(made: Any) -> Any:
    """The model with weights that differ all, as trained ones do: a file keeps equal constants once."""
    rng = np.random.default_rng(0)
    made.set_weights([array + 0.1 * np.abs(rng.normal(size=array.shape)) for array in made.get_weights()])
    return made


def _noise(example: Example) -> NDArray[np.float32]:
    """float32 [n, *shape], of unit variance."""
    return np.random.default_rng(0).normal(size=(_WINDOWS, *example.shape)).astype(np.float32)
