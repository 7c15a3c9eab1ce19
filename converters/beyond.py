"""Representative inputs of an anomaly detector: normal ones, and what lies a little beyond them.

Integer ranges that end where normal windows do show all that is not normal alike, at the end of the scale;
ranges that hold whatever may come leave few steps for what decides. So they reach to about four times the
distance of the threshold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from converters.evidence import Evidence

#: The score of four times the threshold's distance.
_HIGHEST = 0.8
#: By how much windows are exaggerated about their mean, and how many of them are tried.
_REACHES = (1.01, 1.02, 1.05, 1.1, 1.2, 1.4, 1.8, 2.6, 4.0)
_TRIED = 16


def widen(found: Evidence, score: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Evidence:
    """The same with exaggerated windows among those that ranges are measured on, one for every two others.

    Args:
        found: calibrated on normal windows of one input.
        score: what the float model says to windows: float32 [n, 1], 0..1.
    """
    if found.calibration is None or found.calibration_truth is None:
        return found
    normal = found.calibration[0]
    middle = normal.mean(axis=tuple(range(normal.ndim - 1)), keepdims=True)

    def exaggerated(windows: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
        return np.asarray(middle + reach * (windows - middle), normal.dtype)

    tried = normal[np.unique(np.linspace(0, len(normal) - 1, _TRIED).astype(int))]
    said = score(np.concatenate([exaggerated(tried, reach) for reach in _REACHES]))
    highest = said.reshape(len(_REACHES), -1).max(axis=1)
    within = [reach for reach, top in zip(_REACHES, highest, strict=True) if top <= _HIGHEST]
    if not within:
        return found
    beyond = exaggerated(normal[::2], within[-1])
    windows = np.concatenate([normal, beyond])
    values = np.concatenate([np.zeros(len(normal), np.int64), np.ones(len(beyond), np.int64)])
    truth = dataclasses.replace(found.calibration_truth, values=values, groups=None)
    return dataclasses.replace(found, calibration=(windows,), calibration_truth=truth)
