"""How far a rotation goes where nobody says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Windowed
from train_host.augment import wearing

AXES = tuple(Channel(name, "g") for name in ("ax", "ay", "az"))


def turned(deg: float) -> np.ndarray:
    c, s = np.cos(np.radians(deg)), np.sin(np.radians(deg))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def worn(angles_deg: list[float], *, gravity: float = 1.0, lying: float = 0.5) -> Windowed:
    """Groups that wear a device at these angles, upright or lying; not all of them lie as often."""
    rng = np.random.default_rng(0)
    x, y, group = [], [], []
    for number, angle in enumerate(angles_deg):
        for window in range(20):
            lies = window < 20 * lying * (number + 1) / len(angles_deg)
            down = np.array([gravity, 0, 0] if lies else [0, 0, gravity])
            x.append((down @ turned(angle).T) + rng.normal(0, 0.2, (30, 3)))
            y.append(int(lies))
            group.append(f"p{number}")
    return Windowed(np.array(x, np.float32), np.array(y), group)


@pytest.mark.parametrize(
    ("angles_deg", "expected_deg"),
    [([0, 5, -5, 10], 30), ([0, 0, 0, 80], 80), ([0, 0, 0, 180], 180)],
    ids=["alike", "one askew", "one upside down"],
)
def test_a_rotation_goes_as_far_as_groups_wear_it_askew(angles_deg: list[float], expected_deg: float) -> None:
    found = wearing.largest_deg(worn(angles_deg), AXES, [(0, 1, 2)])
    assert found == pytest.approx(expected_deg, abs=15)
    assert found >= 30


@pytest.mark.parametrize(
    ("windows", "channels"),
    [
        (worn([0, 120, 240], gravity=0.02), AXES),
        (worn([0, 120, 240]), tuple(Channel(name, "dps") for name in ("gx", "gy", "gz"))),
        (worn([120]), AXES),
    ],
    ids=["no gravity", "a gyroscope", "one group"],
)
def test_where_gravity_tells_nothing_it_goes_a_little(windows: Windowed, channels: Any) -> None:
    assert wearing.largest_deg(windows, channels, [(0, 1, 2)]) == 30


def test_what_is_done_more_often_is_not_how_it_is_worn() -> None:
    alike = worn([0, 0, 0, 0], lying=1.0)
    assert wearing.largest_deg(alike, AXES, [(0, 1, 2)]) == 30
