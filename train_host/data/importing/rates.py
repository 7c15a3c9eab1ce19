"""Another sampling rate for a signal: a polyphase low-pass filter, with nothing but numpy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

#: Zero crossings of the filter on each side, and the beta of its Kaiser window: −60 dB.
_CROSSINGS, _BETA = 16, 6.0
#: The ratio of two rates is rounded to a fraction with a denominator up to this: off by a thousandth at most.
_LARGEST = 1_000


def resample(samples: NDArray[np.float32], old_hz: float, new_hz: float) -> NDArray[np.float32]:
    """The same signal at another rate; what is above half of the lower rate is filtered out.

    The ends are continued with their first and last value, so that an offset does not ring there.

    Args:
        samples: float32 [n, channels].
        old_hz: rate of `samples`.
        new_hz: rate of the result.

    Returns:
        float32 [⌈n · new_hz / old_hz⌉, channels]; its first sample lies at the same time.
    """
    ratio = Fraction(new_hz / old_hz).limit_denominator(_LARGEST)
    up, down = ratio.numerator, ratio.denominator
    if up == down or not up:
        return samples
    widest = max(up, down)
    reach = _CROSSINGS * widest  # of the filter to each side, at `up` times the old rate
    at = np.arange(-reach, reach + 1)
    taps = np.sinc(at / widest) * np.kaiser(len(at), _BETA) * (up / widest)
    count = math.ceil(len(samples) * up / down)
    places = np.arange(count, dtype=np.int64) * down
    side = reach // up + 1
    padded = np.pad(samples, ((side, side + 1), (0, 0)), mode="edge").astype(np.float64)
    result = np.empty((count, samples.shape[1]), np.float32)
    length = 2 * side + 1
    for phase in range(min(up, count)):
        rows = np.arange(phase, count, up)  # these have the same place between two old samples
        offset = int(places[phase] % up)
        # an old sample that is k before the place meets the filter at offset + k * up
        reached = offset + np.arange(side, -side - 1, -1) * up
        weights = np.where(np.abs(reached) <= reach, taps[np.clip(reached + reach, 0, len(taps) - 1)], 0.0)
        weights /= weights.sum()
        starts = places[rows] // up
        for first in range(0, len(rows), 4096):  # the windows of all rows at once could fill the memory
            part = slice(first, first + 4096)
            index = starts[part, None] + np.arange(length)
            result[rows[part]] = np.einsum("k,nkc->nc", weights, padded[index])
    return result


def evened(samples: NDArray[np.float32], time_s: NDArray[np.float64], rate_hz: float) -> NDArray[np.float32]:
    """A signal whose samples came at uneven times, at even ones: on straight lines between them.

    Args:
        samples: float32 [n, channels].
        time_s: float64 [n], s, rising.
        rate_hz: of the result.
    """
    count = math.floor((time_s[-1] - time_s[0]) * rate_hz + 1e-6) + 1
    wanted = time_s[0] + np.arange(count) / rate_hz
    columns = [np.interp(wanted, time_s, column) for column in samples.T]
    return np.ascontiguousarray(np.stack(columns, axis=1), np.float32)
