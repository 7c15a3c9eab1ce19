"""What the sections of the page are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk import truth
from edge_sdk.dataset import Dataset, Recording
from train_host import portrait
from train_host.check import Checked, Finding
from train_host.portrait import Portrait


@dataclass(frozen=True)
class Content:
    """A dataset that was looked through.

    Attributes:
        checked: findings and portraits.
        dataset: what was checked.
        kinds: labels; of a regression, ranges of values.
        kinds_of: of each portrait.
        amounts: float64 [groups, kinds], s of signal or number of images.
        unlike: recordings that are unlike the others of their label, by their place in the dataset.
    """

    checked: Checked
    dataset: Dataset
    kinds: tuple[str, ...]
    kinds_of: tuple[frozenset[str], ...]
    amounts: NDArray[np.float64]
    unlike: dict[int, list[str]]

    @property
    def is_images(self) -> bool:
        """Whether its recordings are pictures."""
        return self.dataset.layout == "HWC"

    @property
    def unit(self) -> str:
        """Of the amounts."""
        return "images" if self.is_images else "s" if self.dataset.rate_hz else "samples"

    @property
    def portraits(self) -> Sequence[Portrait]:
        """What the recordings are like, of those that could be read."""
        return self.checked.portraits

    def of_kind(self, kind: str) -> list[Portrait]:
        """The recordings that show it."""
        return [one for one, kinds in zip(self.portraits, self.kinds_of, strict=True) if kind in kinds]

    def recording(self, one: Portrait) -> Recording:
        """What the dataset says of a recording."""
        return self.dataset.recordings[one.index]

    def findings_of(self, file: str) -> list[Finding]:
        """What was found in a file."""
        return [finding for finding in self.checked.findings if finding.file == file]


def read(checked: Checked) -> Content:
    """Put together what the sections need.

    Args:
        checked: of a folder that could be read.
    """
    dataset = checked.dataset
    assert dataset is not None
    portraits = checked.portraits
    recordings = [dataset.recordings[one.index] for one in portraits]
    known = [truth.is_known(dataset, recording) for recording in recordings]
    told = iter(truth.kinds(dataset, [r for r, is_known in zip(recordings, known, strict=True) if is_known]))
    kinds_of = tuple(frozenset(next(told)) if is_known else frozenset() for is_known in known)
    kinds = dataset.labels or tuple(sorted({kind for kinds in kinds_of for kind in kinds}))
    groups = dataset.groups
    amounts = np.zeros((len(groups), len(kinds)))
    for one, shown in zip(portraits, kinds_of, strict=True):
        for kind in shown:
            if kind in kinds:
                amounts[groups.index(one.group), kinds.index(kind)] += one.length
    unlike: dict[int, list[str]] = {}
    for doubt in portrait.outliers(portraits):
        unlike.setdefault(doubt.index, []).append(doubt.what)
    return Content(checked, dataset, kinds, kinds_of, amounts, unlike)
