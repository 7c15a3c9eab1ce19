"""Int8 networks as files for tests on targets; one has what `convert` adds: a contract, golden vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_sdk.contract import Channel, Contract, Input, Output
from edge_sdk.engine import open_engine
from edge_sdk.modelfile import CONTRACT, GOLDEN, Golden, digest_of, pack, split
from tests.streaming import moving_window

_ARENA, _LIBRARY = (Path(__file__).parents[1] / "golden" / name for name in ("arena", "c_library"))
#: Trained with Keras: a convolution over time, a keyword spotter, an LSTM, dilations, upsampling.
TRAINED = ("dscnn_int8", "fused_int8", "har_int8", "tcn_int8", "up_int8")
#: Public ones, of TensorFlow's examples and MLPerf Tiny.
PUBLIC = ("ad01_autoencoder_int8", "kws_dscnn_int8", "sine_int8")
#: int8 from end to end; an inference of the large ones is tens of millions of instructions.
LARGE, STREAM = ("mobilenet_96", "resnet_8"), "streaming"
#: One with a variable that is not zero at first.
MADE = "moving_window"
NAMES = (*TRAINED, *PUBLIC, *LARGE, STREAM, MADE)
#: How far LiteRT's int8 may be off, as `convert` has it.
_TOLERANCE = 0.04


def flatbuffer(name: str, public: Path | None = None) -> bytes:
    """One of `NAMES`.

    Args:
        name: of the model.
        public: folder of the public ones.
    """
    if name == MADE:
        return moving_window((0.05, -3))
    folder = _ARENA if name in TRAINED else _LIBRARY
    if name in PUBLIC and public is not None:
        folder = public / "models"
    return split((folder / f"{name}.tflite").read_bytes()).flatbuffer


def motion(path: Path, name: str = "har_int8") -> Path:
    """A file as a user has it: 100 samples of six channels, five labels, eight golden vectors of LiteRT."""
    raw = flatbuffer(name)
    channels = tuple(Channel(channel, "g") for channel in ("ax", "ay", "az", "gx", "gy", "gz"))
    contract = Contract(
        name=path.stem,
        task="classification",
        input=Input(channels, 50.0, 100, 50),
        output=Output(("rest", "walk", "run", "sit", "fall")),
        digest=digest_of(raw),
    )
    path.write_bytes(pack(raw, {CONTRACT: contract.to_json(), GOLDEN: golden(raw).to_bytes()}))
    return path


def golden(raw: bytes, count: int = 8) -> Golden:
    """What LiteRT says to a few inputs."""
    rng, engine = np.random.default_rng(5), open_engine("litert", raw)
    inputs = tuple(port.quantize(rng.normal(size=(count, *port.shape[1:]))) for port in engine.inputs)
    said = [engine.invoke([array[n : n + 1] for array in inputs]) for n in range(count)]
    outputs = tuple(np.concatenate(column) for column in zip(*said, strict=True))
    engine.close()
    return Golden(inputs, outputs, tuple(_TOLERANCE / (port.scale or 1) for port in engine.outputs))
