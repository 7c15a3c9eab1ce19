"""Operators with weights: FULLY_CONNECTED, CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import strategies as st

from tests.quantized import ACTIVATIONS, Drawn, few, scaled, scales, small, zero_points


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


FULLY_CONNECTED = Drawn(
    add_fully_connected,
    st.fixed_dictionaries({**LEARNED, "rows": few, "depth": st.integers(1, 70), "units": small}),
)


def add_conv_2d(trial, facts):
    size = window(facts)
    if size is None:
        return
    groups = facts.get("groups", 1)
    shape = (facts["units"] * groups, *facts["kernel"], facts["channels"])
    inputs, to = learned(trial, facts, shape, 0, np.prod(shape[1:]))
    channels = facts["channels"] * groups
    x = trial.input([facts["batch"], facts["height"], facts["width"], channels], facts["input"])
    inputs += [trial.weights(np.zeros(shape[0], np.int32), np.ones(1, np.float32))] * (2 - len(inputs))
    output = [facts["batch"], *size, shape[0]]
    trial.output(trial.op("CONV_2D", [x, *inputs], output, to, kind="Conv2DOptions", **options(facts)))


CONV_2D = Drawn(
    add_conv_2d,
    st.fixed_dictionaries({**LEARNED, **WINDOW, "units": small, "groups": st.sampled_from([1, 1, 1, 2, 3])}),
)


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


DEPTHWISE_CONV_2D = Drawn(
    add_depthwise_conv_2d,
    st.fixed_dictionaries({**LEARNED, **WINDOW, "multiplier": st.sampled_from([1, 1, 2, 3])}),
)


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


TRANSPOSE_CONV = Drawn(
    add_transpose_conv,
    st.fixed_dictionaries(
        {**LEARNED, **WINDOW, "height": few, "width": few, "units": few, "per_channel": st.just(True)}
    ),
)
