import ast
import subprocess
import sys
from pathlib import Path

import converters

PACKAGE = Path(converters.__file__).parent


def imported(file: Path) -> set[str]:
    """Top-level names of everything that a module imports, wherever in the module."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


#: Who touches TensorFlow or Keras, inside functions that run in child processes, and what for.
TENSORFLOW = {
    "tensorflow.py": "the package itself, and its converter",
    "quantize.py": "calibrator and quantizer",
    "lstm.py": "the calibrator's tensors",
    "load/keras.py": "reads models",
    "load/saved_graph.py": "reads a graph's format",
    "load/_recurrent.py": "Keras 2's LSTM",
}


def test_few_modules_import_tensorflow() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if imported(file) & {"tensorflow", "keras", "tf_keras"}]
    assert {file.relative_to(PACKAGE).as_posix() for file in files} == set(TENSORFLOW)


def test_importing_the_converter_starts_nothing_heavy() -> None:
    code = (
        "import sys, converters.conversion, converters.inspect, converters.commands.convert\n"
        "import converters.quantize, converters.load.keras, converters.load.saved_model\n"
        "import converters.load.tflite\n"
        "heavy = ('tensorflow', 'keras', 'tf_keras', 'h5py', 'matplotlib', 'torch', 'onnx')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
