"""How long a window is where nobody says it."""

from __future__ import annotations

import math

import numpy as np

from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError

#: Length of a window, s, and of as many recordings one must fit into.
_WINDOW_S, _SHARE = 2.0, 0.9
#: Recordings that are looked at.
_LOOKED_AT = 40


def usual(dataset: Dataset) -> int:
    """Two seconds of samples; fewer where most recordings are shorter, such as words: nine in ten give one.

    Raises:
        ConfigError: the dataset has no rate.
        DatasetError: a recording cannot be read.
    """
    if dataset.rate_hz is None:
        raise ConfigError("window", expected="a number of samples", found="nothing, and no rate_hz either")
    wanted = max(1, round(_WINDOW_S * dataset.rate_hz))
    labelled = [each for each in dataset.recordings if each.label is not None or each.target is not None]
    known = labelled or list(dataset.recordings)
    places = np.unique(np.linspace(0, len(known) - 1, min(len(known), _LOOKED_AT)).round().astype(int))
    lengths = sorted(len(dataset.read(known[place]).samples) for place in places)
    enough = lengths[len(lengths) - math.ceil(_SHARE * len(lengths))]
    return min(wanted, max(1, enough))
