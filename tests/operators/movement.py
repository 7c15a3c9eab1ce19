"""Operators that move elements as they are."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.quantized import SIZE, Drawn, scaled


def add_concatenation(trial, facts):
    shape, of = facts["shape"], facts["input"]
    axis = facts["axis"] % len(shape)
    parts = [[n if i != axis else size for i, n in enumerate(shape)] for size in facts["sizes"]]
    output = [n if i != axis else sum(facts["sizes"]) for i, n in enumerate(shape)]
    inputs = [trial.input(part, of) for part in parts]
    trial.output(trial.op("CONCATENATION", inputs, output, of, axis=axis - facts["negative"] * len(shape)))


SHAPE = st.lists(st.integers(1, 5), min_size=1, max_size=4)


CONCATENATION = Drawn(
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


def pad(trial, facts, x, shape, of):
    around = [facts["pads"][2 * i : 2 * i + 2] for i in range(len(shape))]
    output = [n + sum(pair) for n, pair in zip(shape, around, strict=True)]
    return [trial.op("PAD", [x, trial.constant(around)], output, of)]


def transpose(trial, facts, x, shape, of):
    order = sorted(range(len(shape)), key=lambda axis: facts["pads"][axis] + 0.1 * axis)
    return [trial.op("TRANSPOSE", [x, trial.constant(order)], [shape[axis] for axis in order], of)]


def strided_slice(trial, facts, x, shape, of):
    begins = [facts["pads"][i] % n for i, n in enumerate(shape)]
    ends = [max(begins[i] + 1, n - facts["pads"][7 - i]) for i, n in enumerate(shape)]
    strides = [1 + facts["pads"][i] % 3 for i in range(len(shape))]
    every = (1 << len(shape)) - 1
    shrink = facts["shrink"] & every if facts["shrink"] & every != every else 0
    whole = [-(-(e - b) // s) for b, e, s in zip(begins, ends, strides, strict=True)]
    output = [n for i, n in enumerate(whole) if not shrink >> i & 1]
    ends = [b + 1 if shrink >> i & 1 else e for i, (b, e) in enumerate(zip(begins, ends, strict=True))]
    inputs = [x, *(trial.constant(values) for values in (begins, ends, strides))]
    return [trial.op("STRIDED_SLICE", inputs, output, of, shrinkAxisMask=shrink)]


def slice_(trial, facts, x, shape, of):
    begins = [facts["pads"][i] % n for i, n in enumerate(shape)]
    output = [max(1, n - begins[i] - facts["pads"][7 - i]) for i, n in enumerate(shape)]
    whole = [begin + size == n for begin, size, n in zip(begins, output, shape, strict=True)]
    sizes = [-1 if ends else size for ends, size in zip(whole, output, strict=True)]
    return [trial.op("SLICE", [x, trial.constant(begins), trial.constant(sizes)], output, of)]


def split_v(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    cut = facts["pads"][0] % shape[axis]
    sizes = [n for n in (cut, shape[axis] - cut) if n]
    parts = [[size if i == axis else n for i, n in enumerate(shape)] for size in sizes]
    inputs = [x, trial.constant(sizes), trial.constant(axis)]
    first = trial.op("SPLIT_V", inputs, parts[0], of, numSplits=len(sizes), kind="SplitVOptions")
    return trial.more_outputs(first, parts[1:], of)


def split(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    one = [1 if i == axis else n for i, n in enumerate(shape)]
    first = trial.op("SPLIT", [trial.constant(axis), x], one, of, numSplits=shape[axis])
    return trial.more_outputs(first, [one] * (shape[axis] - 1), of)


def unpack(trial, facts, x, shape, of):
    axis = facts["axis"] % len(shape)
    one = [n for i, n in enumerate(shape) if i != axis]
    first = trial.op("UNPACK", [x], one, of, num=shape[axis], axis=axis)
    return trial.more_outputs(first, [one] * (shape[axis] - 1), of)


def reshape(trial, facts, x, shape, of):
    count = int(np.prod(shape))
    return [trial.op("RESHAPE", [x, trial.constant([count])], [count], of)]


def reverse(trial, facts, x, shape, of):
    axes = trial.constant([facts["axis"] % len(shape)])
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
    return [trial.op("GATHER", [x, trial.constant(taken)], output, of, axis=axis)]


def mirror_pad(trial, facts, x, shape, of):
    mode = facts["axis"] % 2  # of REFLECT, SYMMETRIC
    pads = [[min(facts["pads"][2 * i + k], n - 1 + mode) for k in (0, 1)] for i, n in enumerate(shape)]
    output = [n + sum(pair) for n, pair in zip(shape, pads, strict=True)]
    return [trial.op("MIRROR_PAD", [x, trial.constant(pads)], output, of, mode=mode)]


MOVEMENTS = [
    pad,
    mirror_pad,
    transpose,
    strided_slice,
    slice_,
    reshape,
    unpack,
    split,
    split_v,
    reverse,
    pack,
    gather,
]


def add_movement(trial, facts):
    x = trial.input(facts["shape"], facts["input"])
    for made in facts["move"](trial, facts, x, facts["shape"], facts["input"]):
        trial.output(made)


MOVEMENT = Drawn(
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


def add_resize(trial, facts):
    x = trial.input([1, *facts["from"], 3], facts["input"])
    kept = {"alignCorners": facts["mode"] == 1, "halfPixelCenters": facts["mode"] == 2}
    sizes = trial.constant(facts["to"])
    trial.output(trial.op(facts["name"], [x, sizes], [1, *facts["to"], 3], facts["input"], **kept))


SIZES = {"from": SIZE, "to": SIZE, "mode": st.integers(0, 2), "input": scaled()}
RESIZE_BILINEAR = Drawn(add_resize, st.fixed_dictionaries({**SIZES, "name": st.just("RESIZE_BILINEAR")}))
RESIZE_NEAREST_NEIGHBOR = Drawn(
    add_resize, st.fixed_dictionaries({**SIZES, "name": st.just("RESIZE_NEAREST_NEIGHBOR")})
)
