"""Finds pieces of signal that stand in two recordings: copies, cuts out of one another, scaled, rounded.

Comparing every pair would cost the square of the amount. So short patterns of rising and falling are taken
as landmarks, the same ones wherever they occur: a pattern is one if a hash of it says so. Two recordings that
share landmarks at one distance in time are compared there, sample by sample. What rises and falls alike for a
quarter of a second is the same recording: noise never does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: Steps in a pattern, a power of two; and samples between two of its steps, for noisy and for smooth signals.
_STEPS, _STRIDES = 32, (1, 8)
#: Patterns that turn less often than this, or have more equal neighbours, are found everywhere.
_TURNS, _TIES = 6, 3
#: Landmarks that are kept at most; the hash gets stricter where there are more.
_MOST = 4_000_000
#: A pattern of more recordings is common; pairs with fewer landmarks at one distance are chance.
_COMMON, _VOTES = 24, 3
#: Pairs that are compared by their samples.
_COMPARED = 2000
#: Those that share most come first: after so many without a common piece the rest has none either.
_IN_VAIN = 300
#: Samples of a block, and how much its rises and falls must agree.
_BLOCK, _ALIKE = 32, 0.98
#: A copy is closer than its own next period by such a factor.
_SAME = 0.3
#: So much must agree to be told, s and samples.
_LEAST_S, _LEAST = 0.25, 64
#: A place is the recording in the upper half of an int64, and the sample in the lower one.
_SAMPLE = 0xFFFFFFFF
_MIX = np.uint64(0x9E3779B97F4A7C15)
#: The bits of a hash above these decide what is a landmark; those below differ from channel to channel.
_SALTED = 1 << 40
_DECIDING = np.uint64(40)

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Overlap:
    """A piece that two recordings have in common.

    Attributes:
        first: index of one recording.
        second: index of the other, a larger one.
        at_first: sample at which the piece starts in the first.
        at_second: the same in the second.
        length: samples.
    """

    first: int
    second: int
    at_first: int
    at_second: int
    length: int


class Landmarks:
    """Landmarks of all recordings of a dataset."""

    def __init__(self) -> None:
        self._hashes: list[NDArray[np.uint64]] = []
        self._places: list[NDArray[np.int64]] = []  # recording << 32 | sample
        self._count = 0
        self._mask = 3

    def add(self, index: int, samples: Samples) -> None:
        """Take those of one recording.

        Args:
            index: of the recording, each another one.
            samples: float32 [n, channels].
        """
        for channel in range(samples.shape[1]):
            for stride in _STRIDES:
                at, hashes = _landmarks(samples[:, channel], stride, self._mask)
                salt = np.uint64((2 * channel + (stride > 1) + 1) * 0x2545F4914F % _SALTED)
                self._hashes.append(hashes ^ salt)
                self._places.append(at | index << 32)
                self._count += len(at)
        if self._count > _MOST:
            self._thin()

    def candidates(self) -> list[tuple[int, int, int]]:
        """Pairs of recordings with the distance of what they seem to share; those that share most come first.

        Returns:
            first, second and by how many samples the piece starts later in the first.
        """
        if not self._count:
            return []
        hashes, places = np.concatenate(self._hashes), np.concatenate(self._places)
        order = np.argsort(hashes, kind="stable")
        hashes, places = hashes[order], places[order]
        edges = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
        sizes = np.diff(np.append(edges, len(hashes)))
        kept = np.repeat((sizes > 1) & (sizes <= _COMMON), sizes)
        hashes, places = hashes[kept], places[kept]
        pairs, lags = [], []
        for lag in range(1, _COMMON):
            same = hashes[lag:] == hashes[:-lag]
            if not same.any():
                break
            one, other = places[:-lag][same], places[lag:][same]
            apart = one >> 32 != other >> 32
            one, other = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
            pairs.append(one >> 32 << 32 | other >> 32)
            lags.append((one & _SAMPLE) - (other & _SAMPLE))
        return _frequent(np.concatenate(pairs), np.concatenate(lags)) if pairs else []

    def _thin(self) -> None:
        hashes, places = np.concatenate(self._hashes), np.concatenate(self._places)
        self._mask = 2 * self._mask + 1
        kept = (hashes >> _DECIDING) & np.uint64(self._mask) == 0
        self._hashes, self._places = [hashes[kept]], [places[kept]]
        self._count = int(kept.sum())


def _frequent(pairs: NDArray[np.int64], lags: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Pairs that come with one lag often enough, the most frequent first."""
    order = np.lexsort((lags, pairs))
    pairs, lags = pairs[order], lags[order]
    new = np.flatnonzero(np.append(True, (pairs[1:] != pairs[:-1]) | (lags[1:] != lags[:-1])))
    votes = np.diff(np.append(new, len(pairs)))
    kept = new[votes >= _VOTES][np.argsort(-votes[votes >= _VOTES], kind="stable")]
    return [(int(pairs[i] >> 32), int(pairs[i] & _SAMPLE), int(lags[i])) for i in kept]


def find(
    landmarks: Landmarks, groups: Sequence[object], read: Callable[[int], Samples], rate_hz: float | None
) -> Iterator[Overlap]:
    """What recordings have in common; each pair once, those of two groups first.

    Args:
        landmarks: of all recordings.
        groups: of each recording, by index.
        read: gives the samples of a recording.
        rate_hz: None where unknown.
    """
    candidates = landmarks.candidates()
    candidates.sort(key=lambda pair: groups[pair[0]] == groups[pair[1]])
    seen: set[tuple[int, int]] = set()
    in_vain = {True: 0, False: 0}  # within a group, and between two
    read = lru_cache(maxsize=16)(read)
    for first, second, lag in candidates[:_COMPARED]:
        within = groups[first] == groups[second]
        if (first, second) in seen or in_vain[within] >= _IN_VAIN:
            continue
        overlap = _compare(read(first), read(second), lag, rate_hz)
        in_vain[within] = in_vain[within] + 1 if overlap is None else 0
        if overlap is not None:
            seen.add((first, second))
            yield Overlap(first, second, *overlap)


def _landmarks(
    signal: NDArray[np.float32], stride: int, mask: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Where the patterns are that their hash makes landmarks, and the hashes."""
    with np.errstate(over="ignore", invalid="ignore"):  # the largest numbers, and infinite ones
        steps = signal[stride:] - signal[:-stride] if len(signal) > stride * _STEPS else signal[:0]
    rising = (steps > 0).astype(np.uint64)
    level = (~(steps != 0)).astype(np.uint64)  # so is NaN
    have = 1
    while have < _STEPS and len(rising):
        shift = np.uint64(have)
        ahead = have * stride
        rising = rising[:-ahead] | rising[ahead:] << shift
        level = level[:-ahead] | level[ahead:] << shift
        have *= 2
    turns = np.bitwise_count((rising ^ (rising >> np.uint64(1))) & np.uint64((1 << (_STEPS - 1)) - 1))
    # a second round mixes the lower bits into those that the mask looks at
    hashes = rising * _MIX
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _MIX
    chosen = (hashes >> _DECIDING) & np.uint64(mask) == 0
    at = np.flatnonzero(chosen & (turns >= _TURNS) & (np.bitwise_count(level) <= _TIES))
    return at.astype(np.int64), hashes[at]


def _compare(first: Samples, second: Samples, lag: int, rate_hz: float | None) -> tuple[int, int, int] | None:
    """Start in both and length of the longest piece that is alike at this distance; None: none is."""
    at_first, at_second = max(lag, 0), max(-lag, 0)
    length = min(len(first) - at_first, len(second) - at_second)
    blocks = (length - 1) // _BLOCK
    least = max(_LEAST_S * rate_hz if rate_hz else 0, _LEAST)
    least = min(least, 0.5 * min(len(first), len(second)))
    if blocks < 1:
        return None
    rows = blocks * _BLOCK
    one, other = (
        np.nan_to_num(np.diff(s[at : at + rows + 1].astype(np.float64), axis=0))
        for s, at in ((first, at_first), (second, at_second))
    )
    scales = [np.maximum(np.sqrt((part**2).mean(axis=0)), 1e-30) for part in (one, other)]
    one, other = (
        (part / scale).reshape(blocks, -1) for part, scale in zip((one, other), scales, strict=True)
    )
    energies = (one**2).sum(axis=1), (other**2).sum(axis=1)
    loud = [energy > 1e-3 * _BLOCK * first.shape[1] for energy in energies]
    alike = (one * other).sum(axis=1) >= _ALIKE * np.sqrt(energies[0] * energies[1])
    alike &= loud[0] & loud[1]
    starts, lengths = _runs(alike | ~(loud[0] | loud[1]))
    told = [int(alike[s : s + n].sum()) for s, n in zip(starts, lengths, strict=True)]
    best = int(np.argmax(told)) if told else -1
    if best < 0 or told[best] * _BLOCK < least - _BLOCK or told[best] * 2 < lengths[best]:
        return None
    start, size = int(starts[best]) * _BLOCK, int(lengths[best]) * _BLOCK
    piece = slice(starts[best], starts[best] + lengths[best])
    if not _same(*(part[piece].reshape(size, -1) for part in (one, other))):
        return None
    return at_first + start, at_second + start, size


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether pieces that are alike are one recording, float64 [n, channels] each.

    What comes again and again, such as mains voltage, is like all of its kind. A copy has the same noise,
    too: it is closer to the other piece than any piece is to its own next period.
    """
    both = np.sqrt((one**2).sum() * (other**2).sum())
    return bool(1 - (one * other).sum() / both <= _SAME * _apart(one))


def _apart(piece: NDArray[np.float64]) -> float:
    """How far a piece is, at best, from being like itself some time later: 0 of a period, 1 of noise."""
    n = len(piece)
    turned = np.fft.rfft(piece, 2 * n, axis=0)
    along = np.fft.irfft((turned * turned.conj()).real, 2 * n, axis=0).sum(axis=1)[: n // 2]
    power = np.concatenate([[0.0], np.cumsum((piece**2).sum(axis=1))])
    lags = np.arange(len(along))
    alike = along / np.sqrt(np.maximum(power[n - lags] * (power[n] - power[lags]), 1e-30))
    passed = np.flatnonzero(alike <= 0)  # up to there it is the same swing
    return 1.0 - float(alike[passed[0] :].max()) if len(passed) else 1.0


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of true values start, and how long they are."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2] - edges[::2]
