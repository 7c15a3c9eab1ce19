"""Finds images that show the same: copies at another size, another quality, a little brighter or darker.

Each image is brought to a thumbnail. Whether its places get brighter to the right gives 64 bits; images that
have a quarter of these in common, and nearly all of the others, are compared by their thumbnails.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: Side of a thumbnail; its rows are compared at half of that.
_SIDE = 16
#: Quarters of the bits that more images share tell nothing.
_COMMON = 100
#: Bits that may differ, and how alike thumbnails must be.
_BITS, _ALIKE = 4, 0.997
#: What is brighter by less is not counted: in an even field it would be noise that decides.
_STEP = 3.0
#: Thumbnails with less contrast than this, 0..255, look like any other one.
_CONTRAST = 4.0


class Thumbnails:
    """Small pictures of all images of a dataset."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._small: list[NDArray[np.uint8]] = []

    def add(self, index: int, pixels: NDArray[np.float32]) -> None:
        """Take that of one image.

        Args:
            index: of the image, each another one.
            pixels: float32 [height, width, channels], 0..255.
        """
        self._indices.append(index)
        self._small.append(np.clip(np.rint(thumbnail(pixels.mean(axis=2), _SIDE)), 0, 255).astype(np.uint8))

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Indices of images that show the same, the smaller first."""
        if len(self._small) < 2:
            return
        small = np.stack(self._small).astype(np.float32)
        bits = _bits(small)
        flat = small.reshape(len(small), -1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        contrast = flat.std(axis=1)
        unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
        seen: set[tuple[int, int]] = set()
        for quarter in range(4):
            keys = (bits >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)
            order = np.argsort(keys, kind="stable")
            edges = np.flatnonzero(np.diff(keys[order])) + 1
            for members in np.split(order, edges):
                members = np.sort(members[contrast[members] >= _CONTRAST])
                if not 2 <= len(members) <= _COMMON:
                    continue
                near = np.bitwise_count(bits[members, None] ^ bits[None, members]) <= _BITS
                alike = unit[members] @ unit[members].T >= _ALIKE
                for i, j in np.argwhere(np.triu(near & alike, 1)):
                    pair = (self._indices[members[i]], self._indices[members[j]])
                    if pair not in seen:
                        seen.add(pair)
                        yield pair


def thumbnail(gray: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The means over a grid of side × side fields.

    Args:
        gray: float32 [height, width].
        side: fields along each edge.

    Returns:
        float32 [side, side].
    """
    height, width = gray.shape
    if height < side or width < side:  # too small to take means of
        at = [np.minimum(np.arange(side) * size // side, size - 1) for size in (height, width)]
        return np.ascontiguousarray(gray[np.ix_(*at)])
    # sums up to every edge, so that fields may start between two pixels
    total = np.pad(gray.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    edges = [np.linspace(0, size, side + 1) for size in (height, width)]
    lines = [edge.astype(int) for edge in edges]
    upper = [np.minimum(line + 1, size) for line, size in zip(lines, (height, width), strict=True)]
    shares = [edge - line for edge, line in zip(edges, lines, strict=True)]
    along = total[lines[0]] * (1 - shares[0][:, None]) + total[upper[0]] * shares[0][:, None]
    both = along[:, lines[1]] * (1 - shares[1]) + along[:, upper[1]] * shares[1]
    fields = np.diff(np.diff(both, axis=0), axis=1)
    return np.asarray(fields * (side * side / (height * width)), np.float32)


def _bits(small: NDArray[np.float32]) -> NDArray[np.uint64]:
    """uint64 [n]: whether each of 8 × 8 places is clearly brighter than its left neighbour."""
    half = small.reshape(len(small), 8, _SIDE // 8, _SIDE).mean(axis=2)
    columns = np.stack(
        [half[:, :, i * _SIDE // 9 : i * _SIDE // 9 + 2].mean(axis=2) for i in range(9)], axis=2
    )
    rising = (np.diff(columns, axis=2) > _STEP).reshape(len(small), 64)
    weights = np.uint64(1) << np.arange(64, dtype=np.uint64)
    return np.asarray((rising * weights).sum(axis=1, dtype=np.uint64))
