"""TFLite Micro itself says which operators it has in which dtype; boards.toml holds its answers."""

import importlib.util
import subprocess
import sys

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters import boards

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tflite_micro") is None, reason="needs: pip install tflite-micro"
    ),
]
UNARY = """
ABS CEIL COS ELU EXP FLOOR HARD_SWISH LEAKY_RELU LOG LOGISTIC NEG RELU RELU6 ROUND RSQRT SIN SQRT SQUARE TANH
L2_NORMALIZATION LOG_SOFTMAX ZEROS_LIKE
""".split()  # noqa: SIM905 - a table reads better than a column of strings
BINARY = """
ADD SUB MUL DIV FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM SQUARED_DIFFERENCE PRELU
""".split()  # noqa: SIM905
OPTIONS = {"LEAKY_RELU": "LeakyReluOptions", "L2_NORMALIZATION": "L2NormOptions", "DIV": "DivOptions"}
OPTIONS |= {name: f"{name.capitalize()}Options" for name in ("ADD", "SUB", "MUL")}
#: Scale and zero point that the operator demands of its output in int8.
FIXED = {"TANH": (1 / 128, 0), "LOGISTIC": (1 / 256, -128), "LOG_SOFTMAX": (1 / 16, 127)}
FIXED["L2_NORMALIZATION"] = (1 / 128, 0)
#: In a process of its own: TFLite Micro aborts on what it does not take.
RUN = """
import sys
import numpy as np
from tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=1 << 20)
for index in range(int(sys.argv[2])):
    facts = interpreter.get_input_details(index)
    interpreter.set_input(np.ones(facts["shape"], facts["dtype"]), index)
interpreter.invoke()
"""


def one_operator(name, dtype, inputs):
    """A model of one operator on tensors of shape [1, 4, 4, 8]."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 2 if dtype == "int8" else 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, list(range(inputs)), [inputs]
    if name in OPTIONS:
        operator.builtinOptions = getattr(schema, OPTIONS[name] + "T")()
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, OPTIONS[name])
    graph = schema.SubGraphT()
    graph.tensors = [tensor(name, dtype, index == inputs) for index in range(inputs + 1)]
    graph.inputs, graph.outputs, graph.operators = list(range(inputs)), [inputs], [operator]
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], [code]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tensor(name, dtype, is_output):
    made = schema.TensorT()
    made.name, made.shape, made.buffer = "t", [1, 4, 4, 8], 0
    made.type = getattr(schema.TensorType, dtype.upper())
    if dtype != "float32":
        scale, zero_point = FIXED.get(name, (0.05, 0)) if is_output else (0.05, 0)
        if dtype == "int16":
            scale, zero_point = (1 / 32768 if is_output and name in FIXED else 0.05), 0
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
    return made


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
@pytest.mark.parametrize("name", UNARY + BINARY)
def test_what_it_lacks_is_what_we_say(tmp_path, name, dtype):
    engine = boards.load_engines()["tflm"]
    inputs = 1 if name in UNARY else 2
    file = tmp_path / "one.tflite"
    file.write_bytes(one_operator(name, dtype, inputs))
    done = subprocess.run([sys.executable, "-c", RUN, file, str(inputs)], capture_output=True, check=False)
    assert name in engine.ops
    assert (done.returncode == 0) == (name not in engine.lacks.get(dtype, ()))
