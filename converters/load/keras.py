"""Keras models, .keras and .h5, of Keras 3 or, where that cannot read it, of Keras 2."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.load import Loaded, _proof, _recurrent, arrays, foreign, layers, memory
from converters.load.shapes import settle
from converters.tensorflow import convert_function, load_tensorflow
from edge_sdk.child import progress
from edge_sdk.errors import ModelError, one_line

_SCORED_AT_ONCE = 64
#: So many of them are scored one by one as well.
_COMPARED = 4


def load(
    model: str,
    output: str,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
) -> dict[str, Any]:
    """Write a Keras model as a float32 .tflite.

    Args:
        model: path of the .keras or .h5 file.
        output: path of the .tflite to write.
        signature: not for Keras models.
        shapes: of inputs whose sizes are open, by name, batch axis included.
        batch: 1 to fix the batch; it is dynamic otherwise, except for recurrent and spectrogram layers.

    Returns:
        `Loaded.as_dict()`.

    Raises:
        ModelError: the file is damaged or unsafe, Keras cannot load it, the converter cannot convert it, or
            the result computes something else.
        MissingExtraError: TensorFlow is not installed.
    """
    if signature is not None:
        raise ModelError(f"{model} has no signatures", expected="a SavedModel", found=repr(signature))
    progress(step="loading the model")
    opened = _open(Path(model))
    flatbuffer, facts = opened.convert(shapes, batch, ranges=False)
    Path(output).write_bytes(flatbuffer)
    return facts.as_dict()


def quantized(
    model: str, output: str, loaded: Mapping[str, Any], *, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Any]:
    """Write a quantization-aware model as int8, with the ranges that it was trained with.

    Args:
        model: path of the .keras or .h5 file.
        output: path of the .tflite to write.
        loaded: what `load` gave.
        shapes: as for `load`.

    Returns:
        ``float_ops``: names of the operators that stay float32, for want of ranges.

    Raises:
        ModelError: the model has no ranges, or one was not honoured.
    """
    before = Loaded.from_dict(loaded)
    opened = _open(Path(model))
    floating, _ = opened.convert(shapes, before.batch, ranges=False)
    flatbuffer, _ = opened.convert(shapes, before.batch, ranges=True)
    left = _proof.check_ranges(floating, flatbuffer)
    Path(output).write_bytes(flatbuffer)
    return {"float_ops": left}


def score(model: str, loaded: Mapping[str, Any], inputs: str, outputs: str) -> None:
    """Run the model in Keras.

    Args:
        model: path of the .keras or .h5 file.
        loaded: what `load` gave.
        inputs: path of an .npz with an array [n, …] for each input of the .tflite.
        outputs: path of the .npz to write, likewise.
    """
    facts = Loaded.from_dict(loaded)
    opened = _open(Path(model))
    given = dict(zip((port.name for port in facts.inputs), arrays.read(inputs), strict=True))
    scored = _run_in_chunks(opened, given, _SCORED_AT_ONCE)
    first = {name: array[:_COMPARED] for name, array in given.items()}
    singly = _run_in_chunks(opened, first, 1)
    if not all(np.allclose(scored[name][:_COMPARED], array, 1e-3, 1e-5) for name, array in singly.items()):
        # MelSpectrogram takes its top_db from the loudest of a batch; a device sees one window at a time.
        scored = _run_in_chunks(opened, given, 1)
    arrays.write(outputs, (scored[port.name] for port in facts.outputs))


def _run_in_chunks(opened: _Opened, given: Mapping[str, NDArray[Any]], size: int) -> dict[str, NDArray[Any]]:
    count = len(next(iter(given.values())))
    chunks = [
        opened.run({name: array[start : start + size] for name, array in given.items()})
        for start in range(0, count, size)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


@dataclass(frozen=True)
class _Opened:
    """A model in memory.

    Attributes:
        path: where it came from.
        keras: the package that read it.
        model: the model.
    """

    path: Path
    keras: Any
    model: Any

    @property
    def inputs(self) -> dict[str, Any]:
        """Symbolic inputs by name, in the model's order."""
        names = [tensor._keras_history[0].name for tensor in self.model.inputs]
        return dict(zip(_unique(names), self.model.inputs, strict=True))

    @property
    def outputs(self) -> dict[str, Any]:
        """Symbolic outputs by name, in the model's order."""
        # Keras numbers what is no layer anew each time it loads the file.
        makers = [tensor._keras_history[0] for tensor in self.model.outputs]
        names = [it.name if isinstance(it, self.keras.layers.Layer) else "output" for it in makers]
        return dict(zip(_unique(names), self.model.outputs, strict=True))

    def call(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """The model on tensors, by name; whatever structure it wants them in."""
        tree = load_tensorflow().nest if self.keras.__name__ != "keras" else self.keras.tree
        given = [named[name] for name in self.inputs]
        # Private names of Keras 3 and of Keras 2; a Sequential model has neither, and one input.
        structure = getattr(self.model, "_inputs_struct", getattr(self.model, "_nested_inputs", None))
        packed = given[0] if structure is None else tree.pack_sequence_as(structure, given)
        return dict(zip(self.outputs, tree.flatten(self.model(packed, training=False)), strict=True))

    def run(self, named: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The model on arrays."""
        given = {name: np.asarray(named[name], layers.dtype(tensor)) for name, tensor in self.inputs.items()}
        tensors = {name: load_tensorflow().constant(array) for name, array in given.items()}
        return {name: np.asarray(tensor) for name, tensor in self.call(tensors).items()}

    def convert(
        self, shapes: Mapping[str, Sequence[int]] | None, batch: int | None, *, ranges: bool
    ) -> tuple[bytes, Loaded]:
        """The flatbuffer, proved to compute what the model does, and the facts about it."""
        own = {name: layers.sizes(tensor) for name, tensor in self.inputs.items()}
        settled = settle(own, shapes, 1 if layers.needs_fixed_batch(self.keras, self.model) else batch)
        samples = _proof.samples({n: (shape, layers.dtype(self.inputs[n])) for n, shape in settled.items()})
        try:
            with memory.limited():
                expected = [self.run(sample) for sample in samples]
        except Exception as error:  # whatever a layer raises
            raise ModelError(f"{self.path}: Keras cannot run it", found=one_line(error)[:200]) from error
        # One output keeps the name that Keras' own export gives it; several are told apart by theirs.
        exported = dict(
            zip(self.outputs, self.outputs if len(self.outputs) > 1 else ["output_0"], strict=True)
        )

        def serve(**named: Any) -> dict[str, Any]:
            return {exported[name]: tensor for name, tensor in self.call(named).items()}

        progress(step="converting")
        with _recurrent.prepared(self.keras, self.model) as recurrent:
            specs = {name: (shape, layers.dtype(self.inputs[name])) for name, shape in settled.items()}
            flatbuffer = convert_function(
                serve, specs, lambda: [*self._variables(), *recurrent.variables], ranges=ranges
            )
        names = _proof.names(flatbuffer, list(self.inputs), {new: old for old, new in exported.items()})
        _proof.check_constants(flatbuffer)
        has_ranges = _proof.has_ranges(flatbuffer)
        if not ranges:
            _proof.check(flatbuffer, names, samples, expected, coarse=has_ranges)
        parameters = int(self.model.count_params())
        return flatbuffer, Loaded(
            inputs=_proof.ports(names.inputs, samples[0]),
            outputs=_proof.ports(names.outputs, expected[0]),
            versions={
                "tensorflow": load_tensorflow().__version__,
                self.keras.__name__: self.keras.__version__,
            },
            parameters=parameters,
            batch=1 if next(iter(settled.values()))[0] == 1 else None,
            preprocessing=layers.preprocessing(self.model),
            ranges=has_ranges,
            notes=tuple(recurrent.notes(len(flatbuffer), 4 * parameters)),
        )

    def _variables(self) -> list[Any]:
        """The model's variables as TensorFlow's own."""
        kind = load_tensorflow().Variable
        return [each if isinstance(each, kind) else each.value for each in self.model.variables]


def _open(path: Path) -> _Opened:
    """Check and load a file; nothing in it is run but Keras' own layers."""
    load_tensorflow()
    import keras

    version = (foreign.check_keras if path.suffix.lower() == ".keras" else foreign.check_h5)(path)
    try:
        opened = _Opened(path, keras, _read(path, keras))
    except ModelError as error:
        if version.startswith("3"):
            raise
        import tf_keras

        try:
            opened = _Opened(path, tf_keras, _read(path, tf_keras))
        except ModelError:
            raise error from None
    if getattr(opened.model, "inputs", None) and getattr(opened.model, "outputs", None):
        layers.check(path, opened.model, {**opened.inputs, **opened.outputs})
        return opened
    raise ModelError(
        f"{path} does not say what it takes",
        expected="input shapes",
        remedy="build it with keras.Input, or call it once, before it is saved",
    )


def _read(path: Path, keras: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises TypeError, ValueError, KeyError, OSError and more
        message = one_line(error)
        unknown = re.search(r"Could not locate class '(\w+)'|Unknown layer: '(\w+)'", message)
        if unknown:
            raise ModelError(
                f"{path}: custom layer {unknown[1] or unknown[2]!r}",
                expected="Keras' own layers",
                remedy="rebuild the model with Keras' own layers, or hand over model.export(FOLDER)",
            ) from error
        # Keras prints whole configurations before it comes to the point.
        reason = message.rpartition("Exception encountered: ")[2]
        raise ModelError(
            f"{path}: Keras cannot load it", found=reason[:200], remedy="save the model again"
        ) from error


def _unique(names: Sequence[str]) -> list[str]:
    """Names told apart by a number: a layer with several outputs names each after itself."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        unique.append(name if count == 1 else f"{name}_{count}")
    return unique
