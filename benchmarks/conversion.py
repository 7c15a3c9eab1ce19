"""The converter against the bare libraries on the same trained models: time, memory, quality of int8."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, interleaved, processes, ratio
from converters import compare, environments, evidence
from edge_sdk import child
from edge_sdk.errors import EdgeError, ModelError
from edge_sdk.graph import read_graph
from edge_sdk.model import Model

ROUNDS = 3
MODELS = ("ds_cnn", "conv1d", "mobilenet_v2", "unlike_units")
#: Models on which onnx2tf is asked for its own int8.
ONNX = ("onnx_mlp", "onnx_sensor", "onnx_depthwise")
TIMEOUT_S = 600.0
_NAMES = {
    "edgeml": "edgeml",
    "tensorflow": "TFLiteConverter",
    "litert": "litert-quantizer",
    "onnx2tf": "onnx2tf",
}


def rows(scratch: Path) -> list[Row]:
    """Time and memory of a conversion, then a row a model of accuracy, size and latency."""
    from tests.zoo.store import Store

    with Store.within(scratch) as store:
        built = {name: store.built(_entry(name)) for name in MODELS}
        found = [*_time(built["ds_cnn"], scratch), *_memory(built["ds_cnn"], scratch)]
        for name, each in built.items():
            found += _quality(name, each, scratch)
        if environments.examine("onnx")[0] == "ok":
            for name in ONNX:
                found += _quality(name, store.built(_entry(name)), scratch)
    return found


def _entry(name: str) -> Any:
    from tests.zoo import ZOO

    return ZOO[name]


def _time(built: Any, scratch: Path) -> Iterator[Row]:
    for recipe in ("int8", "weight_int8"):
        measured = child.call(
            "benchmarks.conversion:time_here",
            timeout_s=TIMEOUT_S,
            model=str(built.model),
            data=str(built.data),
            recipe=recipe,
            scratch=str(scratch),
        )
        slower = ratio(measured["ours"], measured["bare"])
        yield Row(
            f"file to {recipe}, before verification, over TFLiteConverter",
            f"{statistics.median(measured['ours']):.2f} s",
            f"{statistics.median(measured['bare']):.2f} s",
            f"{slower:.2f}×",
            "≤ 1.2×",
            slower <= 1.2,
        )


def time_here(model: str, data: str, recipe: str, scratch: str) -> dict[str, list[float]]:
    """Seconds from a .keras file to a .tflite, ours and bare in turn; the first round warms up."""
    calibration = _calibration(model, data, scratch)
    made = interleaved(
        ROUNDS + 1,
        1,
        ours=lambda: ours_here(model, recipe, calibration, f"{scratch}/ours.tflite"),
        bare=lambda: tensorflow_here(model, recipe, calibration, f"{scratch}/bare.tflite"),
    )
    return {name: times[1:] for name, times in made.items()}


def ours_here(model: str, recipe: str, calibration: str, output: str) -> None:
    """What `edgeml convert` does before it verifies, without the process around it."""
    from converters import quantize
    from converters.load import keras

    reference, calibrated = f"{output}.float", f"{output}.calibrated"
    loaded = keras.load(model, reference)
    if recipe == "int8":
        quantize.calibrate(reference, calibration, calibrated)
    quantize.apply(
        calibrated if recipe == "int8" else reference,
        output,
        recipe,
        preprocessing=loaded["preprocessing"],
    )


def tensorflow_here(model: str, recipe: str, calibration: str, output: str) -> None:
    """The same with TensorFlow's converter alone, as its documentation shows it."""
    from converters.tensorflow import load_tensorflow

    tf = load_tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.models.load_model(model, compile=False))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe == "int8":
        with np.load(calibration) as arrays:
            windows = arrays["0"]
        converter.representative_dataset = lambda: ([window[None]] for window in windows)
    Path(output).write_bytes(converter.convert())


def litert_here(model: str, recipe: str, calibration: str, output: str) -> None:
    """TensorFlow's float model through litert-quantizer's static recipe, as its documentation shows it."""
    from litert_quantizer import recipe as recipes
    from litert_quantizer.quantizer import Quantizer

    reference = f"{output}.float"
    tensorflow_here_float(model, reference)
    quantizer = Quantizer(bytearray(Path(reference).read_bytes()), recipes.static_wi8_ai8())
    signature = next(iter(read_graph(Path(reference).read_bytes()).signatures.values()))
    (name,) = signature.inputs
    with np.load(calibration) as arrays:
        samples = [{name: window[None]} for window in arrays["0"]]
    ranges = quantizer.calibrate({signature.name: samples})
    Path(output).write_bytes(bytes(quantizer.quantize(ranges).quantized_model))


def tensorflow_here_float(model: str, output: str) -> None:
    """TensorFlow's float32 .tflite."""
    from converters.tensorflow import load_tensorflow

    tf = load_tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.models.load_model(model, compile=False))
    Path(output).write_bytes(converter.convert())


def onnx_here(model: str, calibration: str, output: str, name: str) -> None:
    """onnx2tf's own int8, in its environment."""
    import shutil
    import tempfile

    import onnx2tf

    with np.load(calibration) as arrays:
        windows = arrays["0"]
    with tempfile.TemporaryDirectory() as folder:
        samples = f"{folder}/samples.npy"
        np.save(samples, windows)
        copy = f"{folder}/model.onnx"
        shutil.copy(model, copy)  # onnx2tf writes over its input
        with contextlib.suppress(RuntimeError):  # it fails at its 16-bit variant, after int8 was written
            onnx2tf.convert(
                input_onnx_file_path=copy,
                output_folder_path=folder,
                output_integer_quantized_tflite=True,
                custom_input_op_name_np_data_path=[[name, samples, 0.0, 1.0]],
                non_verbose=True,
            )
        made = Path(folder) / "model_integer_quant.tflite"
        if not made.exists():
            raise ModelError("onnx2tf's own int8 fails", found="no file")
        shutil.copy(made, output)


def _memory(built: Any, scratch: Path) -> Iterator[Row]:
    calibration = _calibration(str(built.model), str(built.data), str(scratch))
    script = "import sys; from benchmarks import conversion as c; c.{}(*sys.argv[1:])"
    arguments = (str(built.model), "int8", calibration, str(scratch / "memory.tflite"))
    scripts = {"ours": script.format("ours_here"), "bare": script.format("tensorflow_here")}
    measured = processes(ROUNDS, scripts, *arguments)
    ours, bare = ([mb for _, mb in measured[name]] for name in ("ours", "bare"))
    yield Row(
        "peak memory of the same, whole process",
        f"{statistics.median(ours):.0f} MB",
        f"{statistics.median(bare):.0f} MB",
        f"{ratio(ours, bare):.2f}×",
    )


def _quality(name: str, built: Any, scratch: Path) -> Iterator[Row]:
    """int8 of each tool on one model: what each reached, and how much smaller and faster ours is."""
    calibration = _calibration(str(built.model), str(built.data), str(scratch))
    files = {}
    for tool, make in _tools(built, calibration, scratch / name).items():
        try:
            make()
            files[tool] = scratch / f"{name}.{tool}.tflite"
        except EdgeError as error:
            yield Row(
                f"{name} int8 by {_NAMES[tool]}", "", "refused or failed", (error.found or error.what)[:60]
            )
    judged = _evidence(built, scratch)
    for tool in [tool for tool in files if tool != "edgeml"]:
        ours, other = (_judge(files[each], judged) for each in ("edgeml", tool))
        times = _latencies(files["edgeml"], files[tool], judged)
        yield Row(
            f"{name} int8 over {_NAMES[tool]}: accuracy, bytes, latency",
            f"{ours[0]:.3f}, {ours[1]:,}",
            f"{other[0]:.3f}, {other[1]:,}",
            f"{100 * (ours[0] - other[0]):+.1f} pt, {ours[1] / other[1]:.2f}×, {ratio(*times):.2f}×",
        )


def _tools(built: Any, calibration: str, prefix: Path) -> dict[str, Callable[[], object]]:
    model, keras = str(built.model), built.entry.environment is None

    def there(function: str) -> Callable[[], object]:
        tool = {"ours_here": "edgeml", "tensorflow_here": "tensorflow", "litert_here": "litert"}[function]
        return lambda: child.call(
            f"benchmarks.conversion:{function}",
            timeout_s=TIMEOUT_S,
            model=model,
            recipe="int8",
            calibration=calibration,
            output=f"{prefix}.{tool}.tflite",
        )

    if keras:
        functions = ("ours_here", "tensorflow_here", "litert_here")
        return dict(zip(("edgeml", "tensorflow", "litert"), map(there, functions), strict=True))
    return {"edgeml": lambda: _convert(built, prefix), "onnx2tf": lambda: _onnx(built, calibration, prefix)}


def _convert(built: Any, prefix: Path) -> None:
    from converters import convert

    convert(built.model, f"{prefix}.edgeml.tflite", data=built.data, max_drop=0.5, report=False)


def _onnx(built: Any, calibration: str, prefix: Path) -> None:
    with environments.worker("onnx", ["benchmarks"]) as worker, np.load(built.data) as arrays:
        (name,) = (key for key in arrays.files if key not in ("labels", "groups"))
        worker.call(
            "benchmarks.conversion:onnx_here",
            timeout_s=TIMEOUT_S,
            model=str(built.model),
            calibration=calibration,
            output=f"{prefix}.onnx2tf.tflite",
            name=name,
        )


def _calibration(model: str, data: str, scratch: str) -> str:
    """200 of the inputs that do not judge, as an .npz with the array "0"."""
    with np.load(data) as arrays:
        inputs = next(arrays[key] for key in arrays.files if key not in ("labels", "groups"))
    file = f"{scratch}/{Path(model).stem}.calibration.npz"
    np.savez(file, **{"0": inputs[:: max(1, len(inputs) // 200)].astype(np.float32)})
    return file


def _evidence(built: Any, scratch: Path) -> evidence.Evidence:
    graph = read_graph((scratch / f"{built.entry.name}.edgeml.tflite").read_bytes())
    with np.load(built.data) as arrays:
        names = [key for key in arrays.files if key not in ("labels", "groups")]
    return evidence.from_npz(built.data, graph, names, 200)


def _judge(file: Path, judged: evidence.Evidence) -> tuple[float, int]:
    from converters import verify

    (scores, *_) = verify.run(file, judged.inputs)
    assert judged.labels is not None
    return compare.accuracy(scores, judged.labels), file.stat().st_size


def _latencies(ours: Path, other: Path, judged: evidence.Evidence) -> tuple[list[float], list[float]]:
    window = [array[:1] for array in judged.inputs]
    with Model.load(ours) as first, Model.load(other) as second:
        fed = [
            [port.quantize(array) for port, array in zip(model.runtime.inputs, window, strict=True)]
            for model in (first, second)
        ]
        times = interleaved(
            9,
            50,
            ours=lambda: first.runtime.invoke(fed[0]),
            other=lambda: second.runtime.invoke(fed[1]),
        )
    return times["ours"], times["other"]
