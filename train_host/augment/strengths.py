"""How strong each augmentation is: keys of the config, with their limits."""

from __future__ import annotations

from typing import Any

import msgspec

#: Anybody may wear a device askew by such an angle.
ROTATION_DEG = 30.0


class Strengths(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a `Config` that augmentations read.

    Attributes:
        rotation_deg: largest angle of ``rotation``; None: 30, or as askew as anybody wears it.
        triplets: channels that rotate together, such as ``[["ax", "ay", "az"]]``; None finds them by name.
        jitter: noise of ``jitter``, as a share of each channel's standard deviation.
        scaling: largest change of ``scaling``, as a share.
        gains: largest change of each channel by itself in ``gains``, as a share.
        shift: largest shift of ``shift``, as a share of the window.
        speed: largest change of ``speed``, as a share.
        warp: largest change of pace in ``warp``, as a share.
        drop: share of the windows that lose a channel in ``drop``.
        gain_db: largest change of ``gain``.
        snr_db: least and largest ratio of a window's power to that of its ``noise``.
        background: label whose recordings are the ``noise``; None makes noise of random colours.
        mask_time: longest stretch that ``masks`` hide, as a share of the window.
        mask_bands: broadest stretch of bands that ``masks`` hide, as a share of them.
        tone_db: largest change of ``tone``.
        voice: largest stretch of ``voice``, as a share.
        crop: largest move of ``crop``, as a share of the image.
        tilt_deg: largest angle of ``tilt``.
        light: largest change of ``light``, as a share.
        cutout: longest side that ``cutout`` hides, as a share of the image.
    """

    rotation_deg: float | None = None
    triplets: tuple[tuple[str, str, str], ...] | None = None
    jitter: float = 0.05
    scaling: float = 0.1
    gains: float = 0.6
    shift: float = 0.1
    speed: float = 0.1
    warp: float = 0.2
    drop: float = 0.2
    gain_db: float = 15.0
    snr_db: tuple[float, float] = (5.0, 30.0)
    background: str | None = None
    mask_time: float = 0.15
    mask_bands: float = 0.2
    tone_db: float = 6.0
    voice: float = 0.1
    crop: float = 0.1
    tilt_deg: float = 10.0
    light: float = 0.2
    cutout: float = 0.4


#: Least and largest value of each that is one number.
LIMITS: dict[str, tuple[float, float]] = {
    "rotation_deg": (0, 180),
    "jitter": (0, 10),
    "scaling": (0, 0.99),
    "gains": (0, 10),
    "shift": (0, 1),
    "speed": (0, 0.99),
    "warp": (0, 0.99),
    "drop": (0, 1),
    "gain_db": (0, 60),
    "mask_time": (0, 1),
    "mask_bands": (0, 1),
    "tone_db": (0, 40),
    "voice": (0, 0.5),
    "crop": (0, 0.5),
    "tilt_deg": (0, 180),
    "light": (0, 1),
    "cutout": (0, 1),
}


def rules(strengths: Strengths) -> list[tuple[bool, str, str, Any]]:
    """For each key whether its value is in its limits, its name, what was expected, what was found."""
    found = [
        (value is None or low <= value <= high, key, f"{low:g} to {high:g}", value)
        for key, (low, high) in LIMITS.items()
        for value in (getattr(strengths, key),)
    ]
    least, largest = strengths.snr_db
    return [
        *found,
        (-40 <= least <= largest <= 80, "snr_db", "two of -40 to 80, ascending", [least, largest]),
    ]
