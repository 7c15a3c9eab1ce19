"""How differently people wear a device, as gravity tells: so far a rotation has to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Channel
from edge_sdk.dataset import Windowed
from train_host.augment.strengths import ROTATION_DEG
from train_host.windows.prepare import blocks

#: Units of what feels gravity.
_GRAVITY = {"g", "mg", "m/s2", "m/s^2", "m/s²", ""}
#: Gravity is there where the means of windows have such a share of the power.
_STEADY = 0.25


def largest_deg(
    windows: Windowed, channels: Sequence[Channel], columns: Sequence[tuple[int, int, int]]
) -> float:
    """The largest angle that training should turn windows by.

    For each group it is measured how far its gravity is from that of all others under the same labels: what
    one of them is askew, the next one may be.

    Args:
        windows: of the training side.
        channels: of them.
        columns: x, y, z of each sensor with three axes.

    Returns:
        30 to 180, deg; 30 where nothing feels gravity, or nobody can be compared.
    """
    sensors = [triplet for triplet in columns if channels[triplet[0]].unit.lower() in _GRAVITY]
    found = [_askew(windows, triplet) for triplet in sensors]
    return max([ROTATION_DEG, *found])


def _askew(windows: Windowed, triplet: tuple[int, int, int]) -> float:
    """The largest angle between the gravity of a group and that of the others, deg."""
    mean, power = _means(windows.x, triplet)
    if (mean**2).sum() < _STEADY * power:
        return 0.0
    names, group = np.unique(windows.group, return_inverse=True)
    kind = np.unique(windows.y, axis=0, return_inverse=True)[1].ravel()
    sums, counts = np.zeros((len(names), kind.max() + 1, 3)), np.zeros((len(names), kind.max() + 1, 1))
    np.add.at(sums, (group, kind), mean)
    np.add.at(counts, (group, kind), 1.0)
    own, known = sums / np.maximum(counts, 1), counts > 0
    others = np.where(known, (own.sum(axis=0) - own) / np.maximum(known.sum(axis=0) - known, 1), 0.0)
    own = np.where(others.any(axis=2, keepdims=True), own, 0.0)  # labels that the others have, too
    along = (own * others).sum(axis=(1, 2))
    both = np.sqrt((own**2).sum(axis=(1, 2)) * (others**2).sum(axis=(1, 2)))
    angles = np.degrees(np.arccos(np.clip(along[both > 0] / both[both > 0], -1.0, 1.0)))
    return float(angles.max(initial=0.0))


def _means(x: Any, triplet: tuple[int, int, int]) -> tuple[NDArray[np.float64], float]:
    """The mean of each window, float64 [n, 3], and the sum over windows of their mean square."""
    found, power = [], 0.0
    for block in blocks(x):
        axes = block[:, :, list(triplet)].astype(np.float64)
        found.append(axes.mean(axis=1))
        power += float((axes**2).sum(axis=2).mean(axis=1).sum())
    return np.concatenate(found), power
