"""Recurrent layers of Keras on their way to TFLite: fused, unrolled, or left as a loop.

fused      LSTM with its usual functions: Keras 2 traces it into a pattern that the converter knows, so a
           layer of Keras 2 with the same weights takes its place while the model is traced
unrolled   every other layer over a sequence of at most `UNROLLED_STEPS`: one copy of its operators a step
loop       longer sequences: a WHILE operator, which no quantizer takes

The model itself stays as it is: only the layers' `call` is replaced, so that whatever surrounds them (nested
models, Bidirectional, TimeDistributed) need not be known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Longest sequence that is unrolled: a step costs 1 to 4 kB.
UNROLLED_STEPS = 128


@dataclass
class Recurrent:
    """What became of a model's recurrent layers, known once it has been traced.

    Attributes:
        variables: of the layers that were put in.
        fused: names of the layers that became a fused operator.
        unrolled: steps by name of the layers that were unrolled.
        loops: steps by name of the layers that stay loops.
    """

    variables: list[Any] = field(default_factory=list)
    fused: list[str] = field(default_factory=list)
    unrolled: dict[str, int] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)

    def notes(self, flatbuffer_bytes: int, weight_bytes: int) -> list[str]:
        """What the user should know, one line each.

        Args:
            flatbuffer_bytes: size of the float .tflite, bytes.
            weight_bytes: of that, the weights, bytes.
        """
        told = []
        if self.fused:
            told.append(
                f"{', '.join(self.fused)}: a fused LSTM, which keeps its state from call to call; software "
                "other than edgeml's must reset its variables before each window"
                " (LiteRT: reset_all_variables, TFLM: Reset)"
            )
        if self.unrolled:
            layers = ", ".join(f"{name} ({steps} steps)" for name, steps in self.unrolled.items())
            told.append(
                f"{layers}: unrolled; {flatbuffer_bytes / 1000:.1f} kB as float32, of which "
                f"{weight_bytes / 1000:.1f} kB are weights"
            )
        if self.loops:
            layers = ", ".join(f"{name} ({steps} steps)" for name, steps in self.loops.items())
            told.append(
                f"{layers}: stays a loop, more than {UNROLLED_STEPS} steps are not unrolled; "
                "recipes with integer activations cannot take it"
            )
        return told


@contextmanager
def prepared(keras: Any, model: Any) -> Iterator[Recurrent]:
    """While a model is traced: its recurrent layers as TFLite takes them.

    Args:
        keras: the package that the model is of, Keras 3 or tf_keras.
        model: the model.
    """
    outcome = Recurrent()
    touched = []
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.RNN):
            touched.append((layer, layer.unroll, getattr(layer, "_could_use_gpu_kernel", None)))
            _replace_call(keras, layer, outcome)
    try:
        yield outcome
    finally:
        for layer, unroll, gpu in touched:
            layer.unroll, layer._could_use_gpu_kernel = unroll, gpu
            del layer.call


def _replace_call(keras: Any, layer: Any, outcome: Recurrent) -> None:
    original = layer.call
    substitute = _fusible(keras, layer)

    def call(sequences: Any, *arguments: Any, **options: Any) -> Any:
        steps = sequences.shape[1]
        plain = not arguments and options.get("mask") is None and options.get("initial_state") is None
        if substitute is not None and plain and not isinstance(sequences, list | tuple):
            if layer.name not in outcome.fused:
                outcome.fused.append(layer.name)
                outcome.variables.extend(substitute.variables)
            return substitute(sequences)
        if steps is not None:
            layer.unroll = steps <= UNROLLED_STEPS
            # Keras 2 has a second way to run, for graphics cards, which does not unroll.
            layer._could_use_gpu_kernel = False
            (outcome.unrolled if layer.unroll else outcome.loops)[layer.name] = int(steps)
        return original(sequences, *arguments, **options)

    layer.call = call


def _fusible(keras: Any, layer: Any) -> Any:
    """A layer of Keras 2 that computes the same and can be fused; None where there is none."""
    if type(layer) is not keras.layers.LSTM:
        return None
    wanted = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "stateful": False,
        "return_state": False,
    }
    config = layer.get_config()
    if any(config[name] != value for name, value in wanted.items()):
        return None
    import tf_keras

    units, cell = config["units"], layer.cell
    substitute = tf_keras.layers.LSTM(
        units,
        return_sequences=config["return_sequences"],
        go_backwards=config["go_backwards"],
        name=layer.name,
    )
    kernel, recurrent = np.asarray(cell.kernel), np.asarray(cell.recurrent_kernel)
    # The pattern includes a bias: without one the converter would leave a loop.
    bias = np.asarray(cell.bias) if config["use_bias"] else np.zeros(4 * units, np.float32)
    substitute.build((None, None, len(kernel)))
    substitute.set_weights([kernel, recurrent, bias])
    return substitute
