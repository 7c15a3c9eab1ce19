"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.quantized import SIZE, Drawn, scaled


def add_blocks(trial, facts):
    block, of, ahead = facts["block"], facts["input"], facts["pads"]
    sizes = [n * b for n, b in zip(facts["size"], block, strict=True)] if ahead == (0, 0) else facts["size"]
    pads = [[p, -(p + n) % b] for p, n, b in zip(ahead, sizes, block, strict=True)]
    size = [(n + sum(pad)) // b for n, pad, b in zip(sizes, pads, block, strict=True)]
    x = trial.input([facts["batch"], *sizes, 3], of)
    inputs = [x, trial.constant(block), trial.constant(pads)]
    apart = [facts["batch"] * int(np.prod(block)), *size, 3]
    y = trial.op("SPACE_TO_BATCH_ND", inputs, apart, of, kind="SpaceToBatchNDOptions")
    trial.output(y)
    inputs = [y, trial.constant(block), trial.constant(pads)]
    whole = [facts["batch"], *sizes, 3]
    trial.output(trial.op("BATCH_TO_SPACE_ND", inputs, whole, of, kind="BatchToSpaceNDOptions"))


BLOCKS = {
    "batch": st.integers(1, 2),
    "size": SIZE,
    "block": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "pads": st.just((0, 0)),
    "input": scaled(),
}


BLOCKS_OF_BATCHES = Drawn(add_blocks, st.fixed_dictionaries(BLOCKS))


PADS = st.tuples(st.integers(1, 6), st.integers(0, 6))


PADDED_BLOCKS = Drawn(add_blocks, st.fixed_dictionaries({**BLOCKS, "pads": PADS}))


def add_depth(trial, facts):
    block, (height, width) = facts["block"], facts["size"]
    image = [1, height * block, width * block, facts["channels"]]
    blocks = [1, height, width, facts["channels"] * block * block]
    source, target = (image, blocks) if facts["name"] == "SPACE_TO_DEPTH" else (blocks, image)
    x = trial.input(source, facts["input"])
    trial.output(trial.op(facts["name"], [x], target, facts["input"], blockSize=block))


DEPTH = Drawn(
    add_depth,
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["SPACE_TO_DEPTH", "DEPTH_TO_SPACE"]),
            "block": st.integers(1, 4),
            "size": st.tuples(st.integers(1, 5), st.integers(1, 5)),
            "channels": st.integers(1, 3),
            "input": scaled(),
        }
    ),
)
