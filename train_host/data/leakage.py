"""The same content twice: whole copies, pieces of signals, and images that show the same.

Between groups it is an error: whatever the split, a model is then tested on what it has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset, Signal
from edge_sdk.errors import DatasetError
from train_host.data import lookalikes, overlap
from train_host.data.finding import Finding

#: Findings of one kind that are told one by one.
_TOLD = 50
_BOTH_SIDES = "keep one, or give both one group: else it stands on both sides of a split"


class Copies:
    """Looks for what recordings have in common.

    Args:
        dataset: whose recordings they are.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._whole: dict[bytes, list[int]] = {}
        self._landmarks = overlap.Landmarks()
        self._thumbnails = lookalikes.Thumbnails()

    def add(self, index: int, signal: Signal) -> None:
        """Look at one recording.

        Args:
            index: its place in the dataset.
            signal: what it holds.
        """
        same = self._whole.setdefault(hashlib.sha256(signal.samples.tobytes()).digest(), [])
        same.append(index)
        if len(same) > 1:
            return
        if signal.is_image:
            self._thumbnails.add(index, signal.samples)
        else:
            self._landmarks.add(index, signal.samples)

    def findings(self) -> Iterator[Finding]:
        """What was found, copies first."""
        yield from self._copies()
        if self._dataset.layout == "HWC":
            yield from self._pictures()
        else:
            yield from self._pieces()

    def _copies(self) -> Iterator[Finding]:
        recordings = self._dataset.recordings
        for first, *others in self._whole.values():
            for other in others:
                one, two = recordings[first], recordings[other]
                what = f"the same samples as {one.file}"
                if two.label != one.label:
                    yield Finding("error", two.file, f"{what}, under another label", "keep the right one")
                elif two.group != one.group:
                    remedy = "keep one: else it stands on both sides of a split"
                    yield Finding("error", two.file, f"{what}, of another group", remedy)
                else:
                    yield Finding("warning", two.file, what, "remove one: it counts twice")

    def _pieces(self) -> Iterator[Finding]:
        recordings = self._dataset.recordings
        rate = self._dataset.rate_hz
        within: list[overlap.Overlap] = []
        leaks = 0
        groups = [recording.group for recording in recordings]
        for found in overlap.find(self._landmarks, groups, self._samples, rate):
            one, two = recordings[found.first], recordings[found.second]
            if one.group == two.group and one.label == two.label:
                within.append(found)
                continue
            leaks += 1
            if leaks > _TOLD:
                continue
            what = (
                f"{_span(found.at_second, found.length, rate)} is the same as in {one.file} "
                f"from {_place(found.at_first, rate)} on"
            )
            if one.group != two.group:
                yield Finding("error", two.file, f"{what}, of another {self._dataset.group}", _BOTH_SIDES)
            else:
                yield Finding("warning", two.file, f"{what}, under another label", "keep the right one")
        yield from self._more(leaks, "recordings have pieces in common with others")
        if within:
            example = f"{recordings[within[0].second].file} and {recordings[within[0].first].file}"
            what = (
                f"{len(within)} pairs of recordings of one {self._dataset.group} overlap, such as {example}"
            )
            yield Finding("warning", "", what, "join them, or keep one of each: what they share counts twice")

    def _pictures(self) -> Iterator[Finding]:
        recordings = self._dataset.recordings
        count = 0
        for first, second in self._thumbnails.pairs():
            one, two = recordings[first], recordings[second]
            if one.group == two.group and one.label == two.label:
                continue  # pictures of one camera are alike
            count += 1
            if count > _TOLD:
                continue
            what = f"shows the same as {one.file}"
            if one.group != two.group:
                yield Finding("error", two.file, f"{what}, of another {self._dataset.group}", _BOTH_SIDES)
            else:
                yield Finding("warning", two.file, f"{what}, under another label", "keep the right one")
        yield from self._more(count, "images show the same as others")

    def _more(self, count: int, what: str) -> Iterator[Finding]:
        if count > _TOLD:
            remedy = "they seem to be divided at random: give what belongs together one group"
            yield Finding("error", "", f"{count - _TOLD} more {what} of other groups or labels", remedy)

    def _samples(self, index: int) -> NDArray[np.float32]:
        try:
            return self._dataset.read(self._dataset.recordings[index]).samples
        except DatasetError:  # it was there a moment ago
            return np.zeros((0, len(self._dataset.channels)), np.float32)


def _span(start: int, length: int, rate_hz: float | None) -> str:
    if rate_hz is None:
        return f"samples {start} to {start + length}"
    return f"{start / rate_hz:.2f} to {(start + length) / rate_hz:.2f} s"


def _place(start: int, rate_hz: float | None) -> str:
    return f"sample {start}" if rate_hz is None else f"{start / rate_hz:.2f} s"
