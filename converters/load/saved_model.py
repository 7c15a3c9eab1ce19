"""TensorFlow's SavedModel folders, one signature of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.load import Loaded, _proof, arrays, memory, saved_graph
from converters.load.saved_graph import SavedGraph
from converters.load.shapes import settle
from converters.tensorflow import SIGNATURE, convert_function, convert_saved_model, load_tensorflow
from edge_sdk.child import progress
from edge_sdk.errors import ModelError, first_of, one_line, suggestion

_SCORED_AT_ONCE = 64


def load(
    model: str,
    output: str,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
) -> dict[str, Any]:
    """Write one signature of a SavedModel as a float32 .tflite.

    Args:
        model: path of the folder.
        output: path of the .tflite to write.
        signature: its name; None takes the only one, or ``serving_default``.
        shapes: of inputs whose sizes are open, by name, batch axis included.
        batch: 1 to fix the batch; it is dynamic otherwise, except around loops and spectrograms.

    Returns:
        `Loaded.as_dict()`.

    Raises:
        ModelError: the folder is damaged or unsafe, the converter cannot convert it, or the result computes
            something else.
        MissingExtraError: TensorFlow is not installed.
    """
    progress(step="loading the model")
    opened = _open(Path(model), signature)
    flatbuffer, facts = opened.convert(shapes, batch, ranges=False)
    Path(output).write_bytes(flatbuffer)
    return facts.as_dict()


def quantized(
    model: str, output: str, loaded: Mapping[str, Any], *, shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Any]:
    """Write a quantization-aware model as int8, with the ranges that it was trained with.

    Args:
        model: path of the folder.
        output: path of the .tflite to write.
        loaded: what `load` gave.
        shapes: as for `load`.

    Returns:
        ``float_ops``: names of the operators that stay float32, for want of ranges.

    Raises:
        ModelError: the model has no ranges, or one was not honoured.
    """
    before = Loaded.from_dict(loaded)
    opened = _open(Path(model), before.signature)
    floating, _ = opened.convert(shapes, before.batch, ranges=False)
    flatbuffer, _ = opened.convert(shapes, before.batch, ranges=True)
    left = _proof.check_ranges(floating, flatbuffer)
    Path(output).write_bytes(flatbuffer)
    return {"float_ops": left}


def score(model: str, loaded: Mapping[str, Any], inputs: str, outputs: str) -> None:
    """Run the signature in TensorFlow.

    Args:
        model: path of the folder.
        loaded: what `load` gave.
        inputs: path of an .npz with an array [n, …] for each input of the .tflite.
        outputs: path of the .npz to write, likewise.
    """
    facts = Loaded.from_dict(loaded)
    opened = _open(Path(model), facts.signature)
    given = dict(zip((port.name for port in facts.inputs), arrays.read(inputs), strict=True))
    size = 1 if any(spec.shape[:1] == [1] for spec in opened.inputs.values()) else _SCORED_AT_ONCE
    count = len(next(iter(given.values())))
    chunks = [
        opened.run({name: array[start : start + size] for name, array in given.items()})
        for start in range(0, count, size)
    ]
    arrays.write(outputs, (np.concatenate([chunk[port.name] for chunk in chunks]) for port in facts.outputs))


@dataclass(frozen=True)
class _Opened:
    """A signature in memory.

    Attributes:
        path: the folder.
        graph: what its graph tells.
        signature: its name.
        loaded: TensorFlow's object, which owns the variables.
        function: the signature's function.
    """

    path: Path
    graph: SavedGraph
    signature: str
    loaded: Any
    function: Any

    @property
    def inputs(self) -> dict[str, Any]:
        """TensorSpec by name."""
        return dict(self.function.structured_input_signature[1])

    @property
    def outputs(self) -> list[str]:
        """Names."""
        return list(self.function.structured_outputs)

    def run(self, named: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The signature on arrays."""
        tf = load_tensorflow()
        given = {n: tf.constant(named[n], dtype=spec.dtype) for n, spec in self.inputs.items()}
        return {name: np.asarray(tensor) for name, tensor in self.function(**given).items()}

    def convert(
        self, shapes: Mapping[str, Sequence[int]] | None, batch: int | None, *, ranges: bool
    ) -> tuple[bytes, Loaded]:
        """The flatbuffer, proved to compute what the signature does, and the facts about it."""
        own = {name: self._sizes(name, spec) for name, spec in self.inputs.items()}
        settled = settle(own, shapes, 1 if self.graph.loops else batch)
        dtypes = {name: str(spec.dtype.name) for name, spec in self.inputs.items()}
        specs = {name: (shape, dtypes[name]) for name, shape in settled.items()}
        samples = _proof.samples(specs)
        try:
            with memory.limited():
                expected = [self.run(sample) for sample in samples]
        except Exception as error:  # whatever an operator raises
            raise ModelError(f"{self.path}: TensorFlow cannot run it", found=one_line(error)[:200]) from error
        progress(step="converting")
        if settled == own:
            flatbuffer = convert_saved_model(str(self.path), self.signature, ranges=ranges)
        else:
            flatbuffer = convert_function(
                lambda **named: self.function(**named), specs, lambda: [self.loaded], ranges=ranges
            )
        names = _proof.names(flatbuffer, list(self.inputs), {name: name for name in self.outputs})
        _proof.check_constants(flatbuffer)
        if not ranges:
            _proof.check(flatbuffer, names, samples, expected, coarse=self.graph.ranges)
        return flatbuffer, Loaded(
            inputs=_proof.ports(names.inputs, samples[0]),
            outputs=_proof.ports(names.outputs, expected[0]),
            versions={"tensorflow": load_tensorflow().__version__, "saved by tensorflow": self.graph.version},
            parameters=sum(int(np.prod(each.shape)) for each in self.function.variables) or None,
            batch=1 if next(iter(settled.values()))[0] == 1 else None,
            ranges=self.graph.ranges and _proof.has_ranges(flatbuffer),
            signature=self.signature,
        )

    def _sizes(self, name: str, spec: Any) -> tuple[int | None, ...]:
        if spec.dtype.name in ("string", "resource", "variant"):
            raise ModelError(f"{self.path}: input {name} is {spec.dtype.name}", expected="numbers")
        if spec.shape.rank is None:
            raise ModelError(
                f"{self.path}: input {name} has any number of axes",
                expected="a rank",
                remedy="export the signature with a tf.TensorSpec for each input",
            )
        return tuple(spec.shape.as_list())


def _open(path: Path, signature: str | None) -> _Opened:
    graph = saved_graph.read(path)
    chosen = _choose(path, graph.signatures, signature)
    tf = load_tensorflow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = tf.saved_model.load(str(path))
            function = loaded.signatures[chosen]
    except Exception as error:  # TensorFlow raises OSError, ValueError, KeyError, its own types and more
        raise ModelError(
            f"{path}: TensorFlow cannot load it",
            found=one_line(error)[:200],
            remedy="copy or export the model again",
        ) from error
    opened = _Opened(path, graph, chosen, loaded, function)
    if not opened.inputs:
        raise ModelError(f"{path}: the signature {chosen} takes nothing", expected="inputs")
    for variable in function.variables:
        if variable.dtype.is_floating and not np.isfinite(np.asarray(variable, np.float64)).all():
            raise ModelError(
                f"{path}: NaN or infinity among the weights", expected="finite numbers", found=variable.name
            )
    return opened


def _choose(path: Path, names: Sequence[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in names:
            raise ModelError(
                f"{path} has no signature {wanted!r}",
                expected="one of " + first_of(names, 8) if names else "a model with signatures",
                remedy=suggestion(wanted, names),
            )
        return wanted
    if SIGNATURE in names:
        return SIGNATURE
    if len(names) == 1:
        return names[0]
    raise ModelError(
        f"{path} has no {SIGNATURE} signature",
        expected="one of its signatures" if names else "a signature",
        found=first_of(names, 8) or "none",
        remedy=f"choose one with --signature {names[0]}" if names else "export it with signatures",
    )
