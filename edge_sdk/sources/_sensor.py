"""What a camera is asked for: its settings by libcamera's names, a size, and the mode of its sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_sdk.sources._frames import Wanted

#: libcamera's numbers of its white balances.
AWB = {
    "auto": 0,
    "incandescent": 1,
    "tungsten": 2,
    "fluorescent": 3,
    "indoor": 4,
    "daylight": 5,
    "cloudy": 6,
}
#: libcamera's numbers of its ways to focus.
AUTOFOCUS = {"manual": 0, "auto": 1, "continuous": 2}
#: How far a sensor's own rate may be below the wanted one, for its clock is not ours.
SLACK = 0.98
#: No image processor makes pictures narrower or lower than this, pixels.
_LEAST = 64

#: By the name of a setting: the option that asks for it, and the value.
Controls = Mapping[str, tuple[str, Any]]


def controls(options: Mapping[str, Any]) -> Controls:
    """The settings that options ask for; what is not said stays automatic."""
    found: dict[str, tuple[str, Any]] = {}
    for option, name in (("exposure_us", "ExposureTime"), ("gain", "AnalogueGain")):
        if options[option] is not None:
            found[name] = (option, options[option])
    if options["awb"] != "auto":
        found["AwbMode"] = ("awb", AWB[options["awb"]])
    if options["colour_gains"]:
        found["ColourGains"] = ("colour_gains", tuple(options["colour_gains"]))
    focus = options["focus"]
    if focus == "auto":
        found["AfMode"] = ("focus", AUTOFOCUS["continuous"])
    elif focus is not None:
        found["AfMode"] = ("focus", AUTOFOCUS["manual"])
        found["LensPosition"] = ("focus", float(focus))
    return found


def asked_size(wanted: Wanted) -> tuple[int, int]:
    """Width and height to ask for: even numbers, and not too small; what is left to do is done here."""
    factor = -(-_LEAST // min(wanted.width, wanted.height))
    width, height = max(1, factor) * wanted.width, max(1, factor) * wanted.height
    return width + width % 2, height + height % 2


def sensor_mode(
    modes: Sequence[Mapping[str, Any]], rate_hz: float, size: tuple[int, int]
) -> Mapping[str, Any]:
    """The mode that is quick enough, sees most, and has no more pixels than it needs.

    Args:
        modes: as Picamera2's `sensor_modes`: of each ``size``, ``fps``, ``crop_limits`` and ``bit_depth``.
        rate_hz: wanted.
        size: of the picture that is made of it, pixels.
    """

    def worth(mode: Mapping[str, Any]) -> tuple[float, ...]:
        (width, height), (_, _, across, down) = mode["size"], mode["crop_limits"]
        large = width >= size[0] and height >= size[1]
        pixels = width * height
        quick = min(mode["fps"] / (rate_hz * SLACK), 1.0)
        return quick, across * down, large, -pixels if large else pixels, mode["bit_depth"]

    return max(modes, key=worth)
