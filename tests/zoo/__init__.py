"""The zoo: small trained models of every kind that people bring, and what is expected of their conversion.

A model is an `Entry` of the table `ZOO` and a builder, ``build(folder) -> path``, which runs in a child
process (`tests.zoo.store`) and writes beside the model ``NAME.npz``, its evaluation data as a user would give
them, and ``NAME.truth.npz``, what each output should be. A new model is one function and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Floor:
    """What the float model reaches at least on one output.

    Attributes:
        measure: name of a function of `tests.zoo.measures`.
        least: its lowest acceptable value.
    """

    measure: str
    least: float


@dataclass(frozen=True, slots=True)
class Naive:
    """What plain TFLiteConverter int8 does to a model that was built to break.

    Attributes:
        loses: of the first floor's measure, at least.
        per_tensor: whether it takes one scale for all channels of a weight to break it; with a scale for
            each, the model stays within `loses` / 4.
    """

    loses: float
    per_tensor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model.

    Attributes:
        name: of the model, of its builder and of its files.
        family: module of the builder, and the section of the table.
        floors: for each output, in order.
        refused: recipe to a pattern of the one line that refuses it. Others convert, or fail the gate where
            few bits may do that to such a model (`tests.zoo.matrix.must_convert`).
        naive: for models built to break.
        kind: suffix of the file, without its dot; ``saved_model`` is a folder.
        environment: whose interpreter builds and runs it; None for this one.
    """

    name: str
    family: str
    floors: tuple[Floor, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    naive: Naive | None = None
    kind: str = "keras"
    environment: str | None = None

    @property
    def builder(self) -> str:
        """As `edge_sdk.child` calls it."""
        return f"tests.zoo.{self.family}:{self.name}"

    @property
    def runner(self) -> str:
        """Runs the original."""
        module = "original" if self.environment is None else self.family
        return f"tests.zoo.{module}:run"

    @property
    def file(self) -> str:
        """Name of the model's file or folder."""
        return self.name if self.kind == "saved_model" else f"{self.name}.{self.kind}"


def _accuracy(least: float) -> tuple[Floor]:
    return (Floor("accuracy", least),)


_BOTH = (Floor("accuracy", 0.68), Floor("explained", 0.9))

#: What no kernel computes with 16-bit activations.
_NO_CONSTANT = {"int16x8": "with a constant .* cannot compute in int16"}
_NO_LSTM = {"int16x8": "UNIDIRECTIONAL_SEQUENCE_LSTM .* cannot compute in int16"}

#: The models of `tests.onnx_models` and `tests.torch_models` taken here, and what their last layers reach.
_FOREIGN = {
    "mlp": _accuracy(0.75),
    "sensor": _accuracy(0.5),
    "recurrent": _accuracy(0.5),
    "image": _accuracy(0.45),
    "flattened": _accuracy(0.85),
    "depthwise": _accuracy(0.64),
    "several": (Floor("accuracy", 0.5), Floor("accuracy", 0.8), Floor("binary", 0.8)),
}

_NO_INT8 = {"int8": "points", "int8_io": "points"}

_FOREIGN_REFUSED = {"onnx_recurrent": _NO_LSTM, "torch_recurrent": _NO_CONSTANT}

ZOO = {
    entry.name: entry
    for entry in (
        Entry(name="mlp", family="motion", floors=_accuracy(0.68)),
        Entry(name="conv1d", family="motion", floors=_accuracy(0.68)),
        Entry(name="tcn", family="motion", floors=_accuracy(0.68), refused=_NO_CONSTANT),
        Entry(name="transformer", family="motion", floors=_accuracy(0.68), refused=_NO_CONSTANT),
        Entry(
            name="activations",
            family="motion",
            floors=_accuracy(0.68),
            refused={"int16x8": "gives up on this model"},
        ),
        Entry(name="late_batchnorm", family="motion", floors=_accuracy(0.68), refused=_NO_CONSTANT),
        Entry(name="binary", family="motion", floors=(Floor("binary", 0.95),)),
        Entry(
            name="unlike_units",
            family="motion",
            floors=_accuracy(0.95),
            refused={"int8_io": "points"},
            naive=Naive(0.3),
        ),
        Entry(name="lstm", family="recurrent", floors=_accuracy(0.65), refused=_NO_LSTM),
        Entry(name="stacked_lstm", family="recurrent", floors=_accuracy(0.65), refused=_NO_LSTM),
        Entry(name="unrolled_lstm", family="recurrent", floors=_accuracy(0.65), refused=_NO_LSTM),
        Entry(name="gru", family="recurrent", floors=_accuracy(0.65), refused=_NO_CONSTANT),
        Entry(name="tiny_cnn", family="images", floors=_accuracy(0.75)),
        Entry(name="resnet", family="images", floors=_accuracy(0.75)),
        Entry(name="mobilenet_v2", family="images", floors=_accuracy(0.65)),
        Entry(name="mobilenet_v3", family="images", floors=_accuracy(0.7), refused=_NO_CONSTANT),
        Entry(name="resized", family="images", floors=_accuracy(0.75)),
        Entry(name="unet", family="images", floors=(Floor("accuracy", 0.9),)),
        Entry(name="decoder", family="images", floors=(Floor("explained", 0.8),)),
        Entry(name="ds_cnn", family="audio", floors=_accuracy(0.88)),
        Entry(name="log_mel", family="audio", floors=_accuracy(0.85), refused={"int8_io": "points, from"}),
        Entry(name="regression", family="values", floors=(Floor("explained", 0.95),)),
        Entry(name="autoencoder", family="values", floors=(Floor("explained", 0.8),)),
        Entry(name="multi_label", family="values", floors=(Floor("binary", 0.95),)),
        Entry(name="multi_input", family="several", floors=_accuracy(0.68)),
        Entry(name="multi_output", family="several", floors=_BOTH),
        Entry(name="multi_in_out", family="several", floors=_BOTH),
        Entry(name="keras2_h5", family="formats", floors=_accuracy(0.78), kind="h5"),
        Entry(name="two_signatures", family="formats", floors=_accuracy(0.68), kind="saved_model"),
        Entry(name="float_tflite", family="formats", floors=_accuracy(0.68), kind="tflite"),
        Entry(
            name="wide_depthwise",
            family="breaking",
            floors=_accuracy(0.75),
            naive=Naive(0.2, per_tensor=True),
        ),
        Entry(
            name="outlier_conv", family="breaking", floors=_accuracy(0.75), refused=_NO_INT8, naive=Naive(0.3)
        ),
        Entry(
            name="outlier_dense", family="breaking", floors=_accuracy(0.7), refused=_NO_INT8, naive=Naive(0.3)
        ),
        Entry(
            name="decades",
            family="breaking",
            floors=(Floor("explained_decades", 0.95),),
            refused=dict.fromkeys(("int8", "int8_io"), "small values are lost"),
            naive=Naive(0.3),
        ),
        *(
            Entry(
                name=f"{environment}_{name}",
                family=f"from_{environment}",
                floors=floors,
                refused=_FOREIGN_REFUSED.get(f"{environment}_{name}", {}),
                kind=kind,
                environment=environment,
            )
            for environment, kind in (("onnx", "onnx"), ("torch", "pt2"))
            for name, floors in _FOREIGN.items()
        ),
    )
}
