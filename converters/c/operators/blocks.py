"""Images and blocks of them: SPACE_TO_BATCH_ND, SPACE_TO_DEPTH, and their inverses.

The first and its inverse surround what TensorFlow makes of a dilated convolution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from converters.c import boxes
from converters.c.layers import Fill
from converters.c.operation import Operation, Step, UnsupportedError, scaled
from converters.c.operators.movement import Place, copy, same
from edge_sdk.graph import Tensor


@dataclass(frozen=True, slots=True)
class _Cut:
    """One of the interleaved parts of an image: its box, where it lies in the image, and in the blocks."""

    size: tuple[int, ...]
    image: Place
    blocks: Place


def space_to_batch_nd(o: Operation) -> list[Step]:
    """Every block-th row and column, from each start, becomes an image of its own."""
    same(o, o.output())
    fill = Step(o.op.index, Fill(o.output().bytes, scaled(o.output())[1]), (), o.output().index)
    steps = [fill] if o.constant(2).any() else []
    return steps + [
        copy(o, o.input(), o.output(), cut.size, cut.image, cut.blocks)
        for cut in _cuts(o, o.input(), o.output())
    ]


def batch_to_space_nd(o: Operation) -> list[Step]:
    """The images are interleaved again."""
    same(o, o.output())
    return [
        copy(o, o.input(), o.output(), cut.size, cut.blocks, cut.image)
        for cut in _cuts(o, o.output(), o.input())
    ]


def space_to_depth(o: Operation) -> list[Step]:
    """Every block of pixels becomes one pixel with the channels of all."""
    same(o, o.output())
    size, image, blocks = _depth(o, o.input(), o.output())
    return [copy(o, o.input(), o.output(), size, image, blocks)]


def depth_to_space(o: Operation) -> list[Step]:
    """Every pixel becomes a block of pixels that share its channels."""
    same(o, o.output())
    size, image, blocks = _depth(o, o.output(), o.input())
    return [copy(o, o.input(), o.output(), size, blocks, image)]


def _depth(o: Operation, image: Tensor, blocks: Tensor) -> tuple[tuple[int, ...], Place, Place]:
    """A box of batches, rows, rows of a block, columns and what is beside them, and where both have it."""
    block = int(o.option("blockSize"))
    o.fit(len(image.shape) == len(blocks.shape) == 4 and block > 0, image, blocks)
    batches, height, width, channels = image.shape
    shape = (batches, height // block, width // block, channels * block * block)
    o.fit(blocks.shape == shape and image.elements == blocks.elements, image, blocks)
    row, together = width * channels, block * channels
    size = (batches, height // block, block, width // block, together)
    in_image = Place((height * row, block * row, row, together, 1))
    in_blocks = Place((height * row, block * row, together, block * together, 1))
    return size, in_image, in_blocks


def _cuts(o: Operation, image: Tensor, blocks: Tensor) -> Iterator[_Cut]:
    block = [int(size) for size in o.constant(1).reshape(-1)]
    ahead = [int(before) for before, _ in o.constant(2).reshape(-1, 2)]
    batches, to_image, to_blocks = image.shape[0], boxes.steps(image.shape), boxes.steps(blocks.shape)
    if blocks.shape[0] != batches * math.prod(block):
        raise UnsupportedError("does not fit its blocks", image, blocks)
    for number, start in enumerate(itertools.product(*map(range, block))):
        first = [-(-(pad - k) // b) if pad > k else 0 for pad, k, b in zip(ahead, start, block, strict=True)]
        places = [f * b + k - pad for f, b, k, pad in zip(first, block, start, ahead, strict=True)]
        spatial = zip(places, block, first, image.shape[1:], blocks.shape[1:], strict=False)
        count = [min(-(-(size - at) // b), whole - f) for at, b, f, size, whole in spatial]
        if min(count) <= 0:
            continue
        rest = image.shape[1 + len(block) :]
        image_steps = [
            to_image[0],
            *(step * b for step, b in zip(to_image[1:], block, strict=False)),
            *to_image[1 + len(block) :],
        ]
        image_start = sum(at * step for at, step in zip(places, to_image[1:], strict=False))
        blocks_start = sum(f * step for f, step in zip(first, to_blocks[1:], strict=False))
        yield _Cut(
            (batches, *count, *rest),
            Place(image_steps, image_start),
            Place(to_blocks, number * batches * to_blocks[0] + blocks_start),
        )
