"""ONNX: onnx2tf makes the .tflite, onnxruntime runs the original. In the environment of that name."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.load import Loaded, Port, arrays, batch, memory, ports, tidy
from converters.load import onnx_file as source
from edge_sdk import child
from edge_sdk.errors import ModelError, first_of, one_line
from edge_sdk.graph import read_graph

_PACKAGES = ("onnx2tf", "onnx", "onnxruntime")
_CHUNK = 64
#: Constants are copied several times while they are folded.
_TIMES_FOLDED = 8
_SAMPLES = "calibration_image_sample_data_20x128x128x3_float32.npy"


def load(
    model: str,
    output: str,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
) -> dict[str, Any]:
    """Write the float32 .tflite of an ONNX model.

    Args:
        model: path of the .onnx; weights in files of their own lie in its folder.
        output: path of the .tflite.
        signature: ONNX has none; must be None.
        shapes: sizes for inputs that leave some open, in the layout of the ONNX model, the batch included.
        batch: 1 to fix it; None leaves it open where the model can.

    Returns:
        `Loaded.as_dict()`.

    Raises:
        ModelError: it is damaged, has an unsupported operator or open dimensions, or became another model.
    """
    if signature is not None:
        raise ModelError(f"{model}: an ONNX model has no signatures", remedy="leave out --signature")
    child.progress(step="reading the ONNX model")
    proto = source.read(model)
    inputs = source.inputs_of(proto, shapes)
    with memory.limited(memory.ONCE_BYTES + _TIMES_FOLDED * proto.ByteSize()):
        original = _Original(model)
        static = source.simplified(proto, inputs)
    child.progress(step="converting it with onnx2tf")
    flatbuffer = tidy.tidy(_convert(static, [each.name for each in inputs if each.kept]))
    _check_operators(flatbuffer, model)
    opened = None if batch == 1 else open_batch(flatbuffer)
    child.progress(step="comparing it with the original")
    runner = arrays.Runner(opened or flatbuffer)
    taken, given = ports.match(runner, _ordered(inputs, runner), original.outputs, original.run_once)
    named = tidy.rename(opened or flatbuffer, [port.name for port in taken], [port.name for port in given])
    Path(output).write_bytes(named)
    return Loaded(
        inputs=taken,
        outputs=given,
        versions={name: metadata.version(name) for name in _PACKAGES},
        parameters=source.parameters(proto),
        batch=None if opened else 1,
        notes=tuple(_notes(taken, runner)),
    ).as_dict()


def score(model: str, loaded: Mapping[str, Any], inputs: str, outputs: str) -> None:
    """Run the ONNX model itself with onnxruntime, on one thread of the CPU.

    Args:
        model: path of the .onnx.
        loaded: what `load` returned.
        inputs: .npz with one array [n, …] for each input of the .tflite, in its layout, named "0", "1", …
        outputs: .npz to write, likewise for its outputs.
    """
    facts = Loaded.from_dict(loaded)
    values = arrays.to_original(arrays.read(inputs), facts.inputs)
    original = _Original(model)
    results = original.run([port.name for port in facts.inputs], values)
    order = [original.names.index(port.name) for port in facts.outputs]
    arrays.write(outputs, arrays.from_original([results[place] for place in order], facts.outputs))


class _Original:
    """The model in onnxruntime."""

    def __init__(self, model: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"{model}: onnxruntime cannot run it", found=one_line(error)[:300], remedy="export it again"
            ) from error
        self.names = [each.name for each in self.session.get_outputs()]
        self.outputs = [ports.Tensor(name) for name in self.names]
        self.inputs = [each.name for each in self.session.get_inputs()]
        #: Whether the model insists on a batch of one.
        self.single = any(1 in each.shape[:1] for each in self.session.get_inputs())

    def run_once(self, values: arrays.Arrays) -> list[NDArray[Any]]:
        """One batch, in the order of the model's inputs."""
        return self._run(self.inputs, values)

    def run(self, names: Sequence[str], values: arrays.Arrays) -> list[NDArray[Any]]:
        """Any number of windows [n, …]; one by one where the model does not take them together."""
        count, size = len(values[0]), 1 if self.single else _CHUNK
        parts = []
        for start in range(0, count, size):
            part = self._run(names, [value[start : start + size] for value in values])
            if any(each.ndim == 0 or len(each) != min(size, count - start) for each in part):
                part = [
                    np.concatenate([np.atleast_1d(y) for y in each])
                    for each in zip(*self._singly(names, values, start, size), strict=True)
                ]
            parts.append(part)
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _singly(
        self, names: Sequence[str], values: arrays.Arrays, start: int, size: int
    ) -> Iterator[list[NDArray[Any]]]:
        for n in range(start, min(start + size, len(values[0]))):
            yield self._run(names, [value[n : n + 1] for value in values])

    def _run(self, names: Sequence[str], values: arrays.Arrays) -> list[NDArray[Any]]:
        try:
            results = self.session.run(self.names, dict(zip(names, values, strict=True)))
        except Exception as error:  # as above
            raise ModelError("onnxruntime cannot run the model", found=one_line(error)[:300]) from error
        return [np.asarray(each) for each in results]


def open_batch(flatbuffer: bytes) -> bytes | None:
    """As `batch.open_batch`, which an argument hides here."""
    return batch.open_batch(flatbuffer)


def _convert(proto: Any, kept: list[str]) -> bytes:
    """The .tflite that onnx2tf makes; whatever else it writes goes with the folder."""
    import onnx
    import onnx2tf

    with tempfile.TemporaryDirectory() as name, _working_in(Path(name)) as folder:
        onnx.save(proto, folder / "model.onnx")
        if onnx2tf.__version__.startswith("1."):
            # It compares colour images on data that it would download, unless they lie in the working folder.
            np.save(folder / _SAMPLES, np.zeros((20, 128, 128, 3), np.float32))
        try:
            onnx2tf.convert(
                input_onnx_file_path=str(folder / "model.onnx"),
                output_folder_path=str(folder / "converted"),
                keep_shape_absolutely_input_names=kept or None,
                copy_onnx_input_output_names_to_tflite=True,
                not_use_onnxsim=True,
                non_verbose=True,
                verbosity="error",
            )
            return next((folder / "converted").glob("*_float32.tflite")).read_bytes()
        except (Exception, SystemExit) as error:  # whatever it was, this model is the cause
            raise ModelError(
                "onnx2tf cannot convert the model",
                found=_reason(error),
                remedy="replace the operator that it names, or export the model with another opset",
            ) from error


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {one_line(error)}"[:300]


def _check_operators(flatbuffer: bytes, model: str) -> None:
    custom = read_graph(flatbuffer).custom_ops
    if custom:
        raise ModelError(
            f"{model}: no TFLite operator for {first_of(name.removeprefix('ONNX_') for name in custom)}",
            remedy="replace it in the model, or take it out and do its work after the model",
        )


def _ordered(inputs: Sequence[ports.Tensor], runner: arrays.Runner) -> list[ports.Tensor]:
    """The original's inputs in the order of the .tflite's, by name where names were kept."""
    named = {each.name: each for each in inputs}
    found = [named.get(_plain(each.name)) for each in runner.inputs]
    if len(inputs) != len(runner.inputs):
        unused = first_of(name for name in named if name not in {_plain(each.name) for each in runner.inputs})
        raise ModelError(f"input {unused} has no effect on the outputs", remedy="export the model without it")
    return list(inputs) if None in found else [each for each in found if each is not None]


def _plain(name: str) -> str:
    return name.removeprefix("serving_default_").removesuffix(":0")


def _notes(inputs: Sequence[Port], runner: arrays.Runner) -> Iterator[str]:
    for port, ours in zip(inputs, runner.inputs, strict=True):
        if port.permute is not None:
            theirs = [ours.shape[axis] for axis in port.permute]
            yield f"input {port.name} is {list(ours.shape)} now, it was {theirs} in the ONNX model"
