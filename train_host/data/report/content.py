"""What the sections of the page are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset, Recording, truth
from train_host.data import portrait
from train_host.data.check import Checked
from train_host.data.finding import Finding
from train_host.data.portrait import Portrait
from train_host.data.splitting import named


@dataclass(frozen=True)
class Content:
    """A dataset that was looked through.

    Attributes:
        checked: findings and portraits.
        dataset: what was checked.
        kinds: labels; of a regression, quarters of the values.
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
    known = [recording for recording in recordings if truth.is_known(dataset, recording)]
    told = iter(truth.kinds(dataset, known))
    kinds_of = tuple(
        frozenset(named(dataset, kind) for kind in next(told))
        if truth.is_known(dataset, one)
        else frozenset()
        for one in recordings
    )
    kinds = dataset.labels or tuple(sorted({kind for kinds in kinds_of for kind in kinds}))
    groups = dataset.groups
    amounts = np.zeros((len(groups), len(kinds)))
    rows, columns = ({name: i for i, name in enumerate(names)} for names in (groups, kinds))
    for one, shown in zip(portraits, kinds_of, strict=True):
        for kind in shown & columns.keys():
            amounts[rows[one.group], columns[kind]] += one.length
    unlike: dict[int, list[str]] = {}
    for doubt in portrait.outliers(portraits):
        unlike.setdefault(doubt.index, []).append(doubt.what)
    return Content(checked, dataset, kinds, kinds_of, amounts, unlike)
