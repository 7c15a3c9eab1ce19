"""Every operator: the generated C, the numpy kernel beside it, and TFLite Micro give the same bits."""

import importlib.util
import shutil

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from converters.c import reference
from tests.c_library import Compiled
from tests.quantized import scaled, scales, trials, tried, zero_points
from tests.tflm import Tflm

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("tflite_micro") is None, reason="needs: pip install tflite-micro"
    ),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
]
ACTIVATIONS = st.sampled_from([0, 0, 1, 3])  # none, RELU, RELU6
small, few = st.integers(1, 9), st.integers(1, 3)


@pytest.fixture(scope="module")
def tflm():
    with Tflm() as started:
        yield started


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("library")


@pytest.fixture
def check(tflm, folders):
    def compare(trial, tolerance=0, reference_runs=True):
        model = trial.flatbuffer()
        compiled = Compiled(model, folders())
        ours = compiled.run(trial.inputs)
        theirs = tflm.run(model, trial.inputs) if reference_runs else ours
        again = [reference.run(compiled.program, [x[n] for x in trial.inputs]) for n in range(trial.count)]
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            third = np.stack([outputs[number] for outputs in again])
            if one.dtype == np.float32:
                np.testing.assert_allclose(one, other, rtol=tolerance)
                np.testing.assert_allclose(one, third, rtol=tolerance)
            else:
                np.testing.assert_array_equal(one, other, f"output {number}: C against TFLite Micro")
                np.testing.assert_array_equal(one, third, f"output {number}: C against numpy")

    return compare


def learned(trial, facts, shape, axis, fan_in):
    """Weights, bias, and a scale for the output that its values fill about."""
    count = shape[axis]
    values = trial.rng.integers(-127, 128, shape).astype(np.int8)
    if facts["extreme"]:
        values[...] = trial.rng.choice([-128, 127], shape)
    spread = trial.rng.uniform(0.2, 2.0, count if facts["per_channel"] else 1) * facts["weight_scale"]
    spread = spread.astype(np.float32)
    weights = trial.weights(values, spread, axis)
    product = np.float64(facts["input"][0]) * np.float64(spread)
    output_scale = float(np.float32(product.mean() * np.sqrt(fan_in) * 60 * facts["gain"]))
    inputs = [weights]
    if facts["bias"]:
        most = (1 << 31) - 1 if facts["bias"] == 2 else 1 << 13
        bias = trial.rng.integers(-most, most, count).astype(np.int32)
        if facts["bias"] == 2:
            bias //= 2
        inputs.append(trial.weights(bias, product.astype(np.float32), 0))
    return inputs, (output_scale, facts["output_zero_point"])


LEARNED = {
    "input": scaled(),
    "weight_scale": scales(1e-4, 0.1),
    "output_zero_point": zero_points,
    "gain": scales(0.003, 3),
    "per_channel": st.booleans(),
    "bias": st.sampled_from([0, 1, 1, 2]),
    "extreme": st.booleans(),
    "activation": ACTIVATIONS,
}
WINDOW = {
    "batch": st.integers(1, 2),
    "height": st.integers(1, 12),
    "width": st.integers(1, 12),
    "channels": small,
    "kernel": st.tuples(st.integers(1, 5), st.integers(1, 5)),
    "stride": st.tuples(few, few),
    "dilation": st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 3), (2, 2)]),
    "same": st.booleans(),
}


def window(facts):
    """Height and width of the output, or None where a window does not fit."""
    sizes = []
    for size, kernel, stride, dilation in zip(
        (facts["height"], facts["width"]), facts["kernel"], facts["stride"], facts["dilation"], strict=True
    ):
        reach = (kernel - 1) * dilation + 1
        if not facts["same"] and reach > size:
            return None
        sizes.append(-(-size // stride) if facts["same"] else (size - reach) // stride + 1)
    return sizes


def options(facts):
    return {
        "strideH": facts["stride"][0],
        "strideW": facts["stride"][1],
        "dilationHFactor": facts["dilation"][0],
        "dilationWFactor": facts["dilation"][1],
        "padding": schema.Padding.SAME if facts["same"] else schema.Padding.VALID,
        "fusedActivationFunction": facts["activation"],
    }


def add_fully_connected(trial, facts):
    depth, units = facts["depth"], facts["units"]
    inputs, to = learned(trial, facts, (units, depth), 0, depth)
    x = trial.input([facts["rows"], depth], facts["input"])
    kept = {"fusedActivationFunction": facts["activation"]}
    y = trial.op(
        "FULLY_CONNECTED", [x, *inputs, *[-1] * (2 - len(inputs))], [facts["rows"], units], to, **kept
    )
    trial.output(y)


@tried
@given(
    trial=trials(
        add_fully_connected,
        st.fixed_dictionaries({**LEARNED, "rows": few, "depth": st.integers(1, 70), "units": small}),
    )
)
def test_fully_connected(check, trial):
    check(trial)


def add_conv_2d(trial, facts):
    size = window(facts)
    if size is None:
        return
    shape = (facts["units"], *facts["kernel"], facts["channels"])
    inputs, to = learned(trial, facts, shape, 0, np.prod(shape[1:]))
    x = trial.input([facts["batch"], facts["height"], facts["width"], facts["channels"]], facts["input"])
    inputs += [trial.weights(np.zeros(shape[0], np.int32), np.ones(1, np.float32))] * (2 - len(inputs))
    output = [facts["batch"], *size, facts["units"]]
    trial.output(trial.op("CONV_2D", [x, *inputs], output, to, kind="Conv2DOptions", **options(facts)))


@tried
@given(trial=trials(add_conv_2d, st.fixed_dictionaries({**LEARNED, **WINDOW, "units": small})))
def test_conv_2d(check, trial):
    check(trial)


def add_depthwise_conv_2d(trial, facts):
    size = window(facts)
    if size is None:
        return
    channels = facts["channels"] * facts["multiplier"]
    shape = (1, *facts["kernel"], channels)
    inputs, to = learned(trial, facts, shape, 3, np.prod(shape[1:3]))
    x = trial.input([facts["batch"], facts["height"], facts["width"], facts["channels"]], facts["input"])
    inputs += [trial.weights(np.zeros(channels, np.int32), np.ones(1, np.float32))] * (2 - len(inputs))
    kind = {"kind": "DepthwiseConv2DOptions", "depthMultiplier": facts["multiplier"]}
    output = [facts["batch"], *size, channels]
    trial.output(trial.op("DEPTHWISE_CONV_2D", [x, *inputs], output, to, **kind, **options(facts)))


@tried
@given(
    trial=trials(
        add_depthwise_conv_2d,
        st.fixed_dictionaries({**LEARNED, **WINDOW, "multiplier": st.sampled_from([1, 1, 2, 3])}),
    )
)
def test_depthwise_conv_2d(check, trial):
    check(trial)


def add_transpose_conv(trial, facts):
    size = [
        n * stride if facts["same"] else (n - 1) * stride + max(kernel, stride)
        for n, stride, kernel in zip(
            (facts["height"], facts["width"]), facts["stride"], facts["kernel"], strict=True
        )
    ]
    output = [facts["batch"], *size, facts["units"]]
    shape = (facts["units"], *facts["kernel"], facts["channels"])
    inputs, to = learned(trial, facts, shape, 0, np.prod(shape[1:]))
    sizes = trial.net.constant(np.array(output, np.int32))
    x = trial.input([facts["batch"], facts["height"], facts["width"], facts["channels"]], facts["input"])
    kept = {key: value for key, value in options(facts).items() if not key.startswith("dilation")}
    kept["fusedActivationFunction"] = 0
    trial.output(trial.op("TRANSPOSE_CONV", [sizes, inputs[0], x, *inputs[1:]], output, to, **kept))


@tried
@given(
    trial=trials(
        add_transpose_conv,
        st.fixed_dictionaries(
            {**LEARNED, **WINDOW, "height": few, "width": few, "units": few, "per_channel": st.just(True)}
        ),
    )
)
def test_transpose_conv(check, trial):
    check(trial)


def add_pool(trial, facts):
    size = window({**facts, "dilation": (1, 1)})
    if size is None:
        return
    x = trial.input([facts["batch"], facts["height"], facts["width"], facts["channels"]], facts["input"])
    kept = {key: value for key, value in options(facts).items() if not key.startswith("dilation")}
    kept |= {"filterHeight": facts["kernel"][0], "filterWidth": facts["kernel"][1], "kind": "Pool2DOptions"}
    output = [facts["batch"], *size, facts["channels"]]
    trial.output(trial.op(facts["name"], [x], output, facts["input"], **kept))


@tried
@given(
    trial=trials(
        add_pool,
        st.fixed_dictionaries(
            {
                **WINDOW,
                "input": scaled(),
                "activation": ACTIVATIONS,
                "name": st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]),
            }
        ),
    )
)
def test_pools(check, trial):
    check(trial)


UNARY = ["RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE"]
FIXED = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}


def add_unary(trial, facts):
    name, of = facts["name"], facts["input"]
    to = FIXED.get(name, (float(np.float32(of[0] * facts["ratio"])), facts["output_zero_point"]))
    if name == "RELU6":
        to = of
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    x = trial.input([1, 256], of)
    trial.inputs[-1][:] = every
    kept = {"alpha": facts["alpha"]} if name == "LEAKY_RELU" else {}
    trial.output(trial.op(name, [x], [1, 256], to, **kept))


@tried
@given(
    trial=trials(
        add_unary,
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(UNARY),
                "input": scaled(1e-3, 1.0),
                "output_zero_point": zero_points,
                "ratio": scales(0.05, 20),
                "alpha": st.floats(-1, 1.5, width=32),
            }
        ),
        together=32,
    )
)
def test_functions_of_one_int8(check, trial):
    check(trial)


def add_softmax(trial, facts):
    x = trial.input([facts["rows"], facts["depth"]], facts["input"])
    y = trial.op("SOFTMAX", [x], [facts["rows"], facts["depth"]], (1 / 256, -128), beta=facts["beta"])
    trial.output(y)


@tried
@given(
    trial=trials(
        add_softmax,
        st.fixed_dictionaries(
            {
                "rows": few,
                "depth": st.integers(1, 40),
                "input": scaled(1e-4, 2.0),
                "beta": st.sampled_from([1.0, 1.0, 0.25, 3.0]),
            }
        ),
    )
)
def test_softmax(check, trial):
    check(trial)


def add_conversions(trial, facts):
    shape = [1, 40]
    x = trial.reals(shape, facts["input"][0] * 60)
    trial.inputs[-1][1] = (trial.rng.integers(-300, 300, shape) + 0.5) * np.float32(facts["input"][0])
    q = trial.op("QUANTIZE", [x], shape, facts["input"])
    trial.output(q)
    trial.output(trial.net.op("DEQUANTIZE", [q], shape))


@tried
@given(trial=trials(add_conversions, st.fixed_dictionaries({"input": scaled(1e-3, 100)})))
def test_quantize_and_dequantize(check, trial):
    check(trial)


@st.composite
def shapes(draw):
    """Two shapes that broadcast, and what they become."""
    output = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    a, b = ([n if draw(st.integers(0, 3)) else 1 for n in output] for _ in range(2))
    return a, b[draw(st.integers(0, len(b) - 1)) :], [max(pair) for pair in zip(a, b, strict=True)]


def add_arithmetic(trial, facts):
    a, b, output = facts["shapes"]
    output = [max(m, n) for m, n in zip(a, [1] * (len(a) - len(b)) + list(b), strict=True)]
    of, other = facts["a"], (float(np.float32(facts["a"][0] * facts["ratio"])), facts["zero_b"])
    x = trial.input(a, of)
    if facts["constant"]:
        y = trial.net.constant(trial.rng.integers(-128, 128, b).astype(np.int8), other)
    else:
        y = trial.input(b, other)
    if facts["name"] == "MUL":
        to = float(np.float32(of[0] * other[0] * 128 * facts["gain"]))
    else:
        to = float(np.float32(max(of[0], other[0]) * 2 * facts["gain"]))
    kept = {"fusedActivationFunction": facts["activation"]}
    trial.output(trial.op(facts["name"], [x, y], output, (to, facts["output_zero_point"]), **kept))


@tried
@given(
    trial=trials(
        add_arithmetic,
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["ADD", "SUB", "MUL"]),
                "shapes": shapes(),
                "a": scaled(1e-3, 1.0),
                "zero_b": zero_points,
                "ratio": scales(0.01, 100),
                "gain": scales(0.1, 4),
                "output_zero_point": zero_points,
                "activation": ACTIVATIONS,
                "constant": st.booleans(),
            }
        ),
        together=16,
    )
)
def test_arithmetic(check, trial):
    check(trial)


def add_float_arithmetic(trial, facts):
    a, b, output = facts["shapes"]
    output = [max(m, n) for m, n in zip(a, [1] * (len(a) - len(b)) + list(b), strict=True)]
    x = trial.reals(a, 10)
    if facts["constant"]:
        y = trial.net.constant((trial.rng.normal(size=b) + 3).astype(np.float32))
    else:
        y = trial.reals(b, 2)
        trial.inputs[-1][:] += 5
    kept = {"fusedActivationFunction": facts["activation"]}
    trial.output(trial.net.op(facts["name"], [x, y], output, **kept))


@tried
@given(
    trial=trials(
        add_float_arithmetic,
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["ADD", "SUB", "MUL", "DIV"]),
                "shapes": shapes(),
                "activation": ACTIVATIONS,
                "constant": st.booleans(),
            }
        ),
    )
)
def test_float_arithmetic(check, trial):
    check(trial, tolerance=1e-6)


def add_reduction(trial, facts):
    shape = facts["shape"]
    first, last = sorted(min(axis, len(shape) - 1) for axis in facts["axes"])
    reduced = range(first, last + 1)
    kept = [1 if i in reduced else n for i, n in enumerate(shape)]
    output = kept if facts["keep"] else [n for i, n in enumerate(shape) if i not in reduced]
    x = trial.input(shape, facts["input"])
    axes = trial.net.constant(np.array(reduced, np.int32))
    to = facts["input"]
    if facts["name"] == "MEAN" and facts["ratio"]:
        to = (float(np.float32(to[0] * facts["ratio"])), facts["output_zero_point"])
    y = trial.op(facts["name"], [x, axes], output, to, kind="ReducerOptions", keepDims=facts["keep"])
    trial.output(y)


@tried
@given(
    trial=trials(
        add_reduction,
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["MEAN", "MEAN", "REDUCE_MAX"]),
                "shape": st.lists(st.integers(1, 7), min_size=2, max_size=4),
                "axes": st.tuples(st.integers(0, 3), st.integers(0, 3)),
                "keep": st.booleans(),
                "input": scaled(1e-3, 1.0),
                "ratio": st.one_of(st.none(), scales(0.1, 4)),
                "output_zero_point": zero_points,
            }
        ),
    )
)
def test_reductions(check, trial):
    check(trial)


def constant(trial, values):
    return trial.net.constant(np.array(values, np.int32))


def add_concatenation(trial, facts):
    shape, of = facts["shape"], facts["input"]
    axis = facts["axis"] % len(shape)
    parts = [[n if i != axis else size for i, n in enumerate(shape)] for size in facts["sizes"]]
    output = [n if i != axis else sum(facts["sizes"]) for i, n in enumerate(shape)]
    inputs = [trial.input(part, of) for part in parts]
    trial.output(trial.op("CONCATENATION", inputs, output, of, axis=axis - facts["negative"] * len(shape)))


SHAPE = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@tried
@given(
    trial=trials(
        add_concatenation,
        st.fixed_dictionaries(
            {
                "shape": SHAPE,
                "axis": st.integers(0, 3),
                "negative": st.integers(0, 1),
                "sizes": st.lists(st.integers(1, 4), min_size=1, max_size=4),
                "input": scaled(),
            }
        ),
    )
)
def test_concatenation(check, trial):
    check(trial)


def pad(trial, facts, x, shape, of):
    around = [facts["pads"][2 * i : 2 * i + 2] for i in range(len(shape))]
    output = [n + sum(pair) for n, pair in zip(shape, around, strict=True)]
    return [trial.op("PAD", [x, constant(trial, around)], output, of)]


def transpose(trial, facts, x, shape, of):
    order = sorted(range(len(shape)), key=lambda axis: facts["pads"][axis] + 0.1 * axis)
    return [trial.op("TRANSPOSE", [x, constant(trial, order)], [shape[axis] for axis in order], of)]


def strided_slice(trial, facts, x, shape, of):
    begins = [facts["pads"][i] % n for i, n in enumerate(shape)]
    ends = [max(begins[i] + 1, n - facts["pads"][7 - i]) for i, n in enumerate(shape)]
    strides = [1 + facts["pads"][i] % 3 for i in range(len(shape))]
    every = (1 << len(shape)) - 1
    shrink = facts["shrink"] & every if facts["shrink"] & every != every else 0
    whole = [-(-(e - b) // s) for b, e, s in zip(begins, ends, strides, strict=True)]
    output = [n for i, n in enumerate(whole) if not shrink >> i & 1]
    ends = [b + 1 if shrink >> i & 1 else e for i, (b, e) in enumerate(zip(begins, ends, strict=True))]
    inputs = [x, *(constant(trial, values) for values in (begins, ends, strides))]
    return [trial.op("STRIDED_SLICE", inputs, output, of, shrinkAxisMask=shrink)]


def slice_(trial, facts, x, shape, of):
    begins = [facts["pads"][i] % n for i, n in enumerate(shape)]
    output = [max(1, n - begins[i] - facts["pads"][7 - i]) for i, n in enumerate(shape)]
    whole = [begin + size == n for begin, size, n in zip(begins, output, shape, strict=True)]
    sizes = [-1 if ends else size for ends, size in zip(whole, output, strict=True)]
    return [trial.op("SLICE", [x, constant(trial, begins), constant(trial, sizes)], output, of)]


def split_v(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    cut = facts["pads"][0] % shape[axis]
    sizes = [n for n in (cut, shape[axis] - cut) if n]
    parts = [[size if i == axis else n for i, n in enumerate(shape)] for size in sizes]
    inputs = [x, constant(trial, sizes), constant(trial, axis)]
    first = trial.op("SPLIT_V", inputs, parts[0], of, numSplits=len(sizes), kind="SplitVOptions")
    return trial.more_outputs(first, parts[1:], of)


def split(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    one = [1 if i == axis else n for i, n in enumerate(shape)]
    first = trial.op("SPLIT", [constant(trial, axis), x], one, of, numSplits=shape[axis])
    return trial.more_outputs(first, [one] * (shape[axis] - 1), of)


def unpack(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    one = [n for i, n in enumerate(shape) if i != axis]
    first = trial.op("UNPACK", [x], one, of, num=shape[axis], axis=axis)
    return trial.more_outputs(first, [one] * (shape[axis] - 1), of)


def reshape(trial, facts, x, shape, of):
    count = int(np.prod(shape))
    return [trial.op("RESHAPE", [x, constant(trial, [count])], [count], of)]


def reverse(trial, facts, x, shape, of):
    axes = constant(trial, [facts["axis"] % len(shape)])
    return [trial.op("REVERSE_V2", [x, axes], shape, of, kind="ReverseV2Options")]


def pack(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    output = [*shape[:axis], 2, *shape[axis:]]
    other = trial.input(shape, of)
    return [trial.op("PACK", [x, other], output, of, valuesCount=2, axis=axis)]


def gather(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    taken = [facts["pads"][i] % shape[axis] for i in range(3)]
    output = [*shape[:axis], 3, *shape[axis + 1 :]]
    return [trial.op("GATHER", [x, constant(trial, taken)], output, of, axis=axis)]


MOVEMENTS = [pad, transpose, strided_slice, slice_, reshape, unpack, split, split_v, reverse, pack, gather]


def add_movement(trial, facts):
    x = trial.input(facts["shape"], facts["input"])
    for made in facts["move"](trial, facts, x, facts["shape"], facts["input"]):
        trial.output(made)


@tried
@given(
    trial=trials(
        add_movement,
        st.fixed_dictionaries(
            {
                "move": st.sampled_from(MOVEMENTS),
                "shape": st.lists(st.integers(1, 5), min_size=2, max_size=4),
                "pads": st.lists(st.integers(0, 3), min_size=8, max_size=8),
                "axis": st.integers(0, 3),
                "shrink": st.integers(0, 3),
                "input": scaled(),
            }
        ),
        together=12,
    )
)
def test_movement(check, trial):
    check(trial)


def add_resize(trial, facts):
    x = trial.input([1, *facts["from"], 3], facts["input"])
    kept = {"alignCorners": facts["mode"] == 1, "halfPixelCenters": facts["mode"] == 2}
    sizes = constant(trial, facts["to"])
    shape = [1, *facts["to"], 3]
    trial.output(trial.op("RESIZE_NEAREST_NEIGHBOR", [x, sizes], shape, facts["input"], **kept))


SIZE = st.tuples(st.integers(1, 13), st.integers(1, 13))


@tried
@given(
    trial=trials(
        add_resize,
        st.fixed_dictionaries({"from": SIZE, "to": SIZE, "mode": st.integers(0, 2), "input": scaled()}),
    )
)
def test_resize_nearest_neighbor(check, trial):
    check(trial)


def add_blocks(trial, facts):
    block, of, ahead = facts["block"], facts["input"], facts["pads"]
    sizes = [n * b for n, b in zip(facts["size"], block, strict=True)] if ahead == (0, 0) else facts["size"]
    pads = [[p, -(p + n) % b] for p, n, b in zip(ahead, sizes, block, strict=True)]
    size = [(n + sum(pad)) // b for n, pad, b in zip(sizes, pads, block, strict=True)]
    x = trial.input([facts["batch"], *sizes, 3], of)
    inputs = [x, constant(trial, block), constant(trial, pads)]
    apart = [facts["batch"] * int(np.prod(block)), *size, 3]
    y = trial.op("SPACE_TO_BATCH_ND", inputs, apart, of, kind="SpaceToBatchNDOptions")
    trial.output(y)
    inputs = [y, constant(trial, block), constant(trial, pads)]
    whole = [facts["batch"], *sizes, 3]
    trial.output(trial.op("BATCH_TO_SPACE_ND", inputs, whole, of, kind="BatchToSpaceNDOptions"))


BLOCKS = {
    "batch": st.integers(1, 2),
    "size": SIZE,
    "block": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "pads": st.just((0, 0)),
    "input": scaled(),
}


@tried
@given(trial=trials(add_blocks, st.fixed_dictionaries(BLOCKS)))
def test_blocks(check, trial):
    check(trial)


PADS = st.tuples(st.integers(1, 6), st.integers(0, 6))


@tried
@given(trial=trials(add_blocks, st.fixed_dictionaries({**BLOCKS, "pads": PADS})))
def test_padded_blocks(check, trial):
    """TFLite Micro never sets what it pads with; LiteRT takes the zero point."""
    check(trial, reference_runs=False)
