"""``picamera2:CAMERA`` takes pictures with a camera of a Raspberry Pi, or any that libcamera knows."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError
from edge_sdk.sources._camera import Camera, Setup
from edge_sdk.sources._frames import Wanted
from edge_sdk.sources._sensor import controls
from edge_sdk.sources._shots import Pace

Positive = Annotated[float, msgspec.Meta(gt=0)]
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_MOST_PIXELS = 1 << 24
#: Of shares that add up to a whole.
_ROUNDING = 1e-9
#: Pictures a second where nobody says it: what a Pi classifies, and enough light in a room.
_RATE_HZ = 10.0


class Source(Closing):
    """Pictures of the model's size, scaled and cropped by the camera's image processor where it can.

    A camera that gives none for a while, as with its cable off, is opened again. Where the model is slower
    than the camera, it gets the newest picture and the others are counted as dropped.

    Args:
        location: number of the camera, or a part of its name such as ``imx708``; default: the first.
        size: ``WIDTHxHEIGHT`` of the pictures; default: the model's.
        colour: ``rgb`` or ``gray``; default: the model's.
        rate_hz: pictures a second; default: the model's rate, else 10.
        crop: part of the camera's picture, as shares of it: ``x,y,width,height``. It is scaled to the size
            even where its proportions are others; default: the largest part with the size's proportions.
        flip: ``horizontal``, ``vertical``, or ``both``, for a camera that hangs upside down.
        exposure_us: time that a picture is exposed for, µs; default: automatic.
        gain: of the sensor, with which 1 is none; default: automatic.
        awb: white balance for a kind of light: ``daylight``, ``indoor``, …
        colour_gains: of red and blue, instead of a white balance.
        focus: ``auto`` keeps focusing; a number holds the lens at that many dioptres, with which 0 is
            infinity. Only for cameras with such a lens.
        timeout_s: seconds without a picture until the camera is opened again.
        device: name of the camera; default: the pipeline's device.
    """

    live = True
    policy = "latest"

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        size: str = "",
        colour: Literal["rgb", "gray"] | None = None,
        rate_hz: Positive | None = None,
        crop: tuple[float, ...] = (),
        flip: Literal["none", "horizontal", "vertical", "both"] = "none",
        exposure_us: Annotated[int, msgspec.Meta(gt=0)] | None = None,
        gain: Annotated[float, msgspec.Meta(ge=1)] | None = None,
        awb: Literal[
            "auto", "incandescent", "tungsten", "fluorescent", "indoor", "daylight", "cloudy"
        ] = "auto",
        colour_gains: tuple[float, ...] = (),
        focus: Literal["auto"] | Annotated[float, msgspec.Meta(ge=0)] | None = None,
        timeout_s: Positive = 5.0,
        device: str = "",
    ) -> None:
        self._options: dict[str, Any] = {
            "size": size,
            "colour": colour,
            "rate_hz": rate_hz,
            "crop": crop,
            "flip": flip,
            "exposure_us": exposure_us,
            "gain": gain,
            "awb": awb,
            "colour_gains": colour_gains,
            "focus": focus,
        }
        self._url, self._which = f"picamera2:{location or 0}", location
        self._timeout_s, self._device = timeout_s, device
        _check(self._url, self._options, None)
        #: Pictures that did not come when they were due.
        self.missed = 0
        self._expected: Input | None = None
        self._shape: tuple[int, ...] = ()
        self._closing = threading.Event()

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that the options go together and with the model, as `edgeml check` does."""
        _check(f"picamera2:{location or 0}", options, wanted)

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for rate and names."""
        self._expected = wanted

    def expect_shape(self, shape: tuple[int, ...]) -> None:
        """Of the model's windows: the default for size and colour."""
        self._shape = shape

    def __iter__(self) -> Iterator[Block | Fault]:
        wanted, expected, options = self._wanted(), self._expected, self._options
        rate_hz = _rate_hz(options, expected)
        names: tuple[str, ...] = ("gray",) if wanted.gray else ("r", "g", "b")
        if expected is not None and len(expected.names) == len(names):
            names = expected.names
        setup = Setup(wanted, rate_hz, controls(options), options["flip"])
        pace, gap = Pace(rate_hz), True
        with Camera(self._url, self._which, setup, self._timeout_s) as camera:
            for picture, time_s in camera.frames(self._closing, pace):
                self.missed = pace.missed
                if isinstance(picture, Fault):
                    picture.device = self._device
                    yield picture
                    continue
                wall_s = time.time() - (boottime_s() - time_s)
                yield Block(
                    picture[None], rate_hz, names, self._device, time_s=time_s, wall_s=wall_s, gap=gap
                )
                gap = False

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()

    def _wanted(self) -> Wanted:
        """The pictures that options and model ask for.

        Raises:
            ConfigError: neither says the size, or the model takes no pictures.
        """
        shape, asked, colour = self._shape, self._options["size"], self._options["colour"]
        if shape and (len(shape) != 3 or shape[2] not in (1, 3)):
            raise ConfigError(
                f"{self._url}: the model", expected="windows [height, width, 1 or 3]", found=list(shape)
            )
        if not asked and not shape:
            raise ConfigError(f"{self._url}: size is missing", remedy="add ?size=WIDTHxHEIGHT")
        width, height = _size(self._url, asked) if asked else (shape[1], shape[0])
        gray = colour == "gray" if colour or not shape else shape[2] == 1
        return Wanted(width, height, gray, tuple(self._options["crop"]) or None)


def _check(url: str, options: Mapping[str, Any], wanted: Input | None) -> None:
    """See that options go together and with the model.

    Raises:
        ConfigError: they do not.
    """
    if size := options.get("size"):
        _size(url, size)
    crop = options.get("crop", ())
    if crop and not _is_part(crop):
        raise ConfigError(
            f"{url}: option 'crop'",
            expected="x,y,width,height as shares of the picture, such as 0.25,0.25,0.5,0.5",
            found=",".join(f"{share:g}" for share in crop),
        )
    gains = options.get("colour_gains", ())
    if gains and (
        len(gains) != 2 or not all(gain > 0 for gain in gains) or options.get("awb", "auto") != "auto"
    ):
        raise ConfigError(
            f"{url}: option 'colour_gains'",
            expected="two positive numbers, of red and blue, and no option 'awb'",
            found=",".join(f"{gain:g}" for gain in gains),
        )
    longest_us = 1e6 / _rate_hz(options, wanted)
    if (options.get("exposure_us") or 0) > longest_us:
        raise ConfigError(
            f"{url}: option 'exposure_us'",
            expected=f"at most {longest_us:.0f}, the time between two pictures",
            found=options["exposure_us"],
            remedy="set a lower rate_hz",
        )
    if wanted is not None:
        colours = {"gray": (1,), "rgb": (3,)}.get(options.get("colour") or "", (1, 3))
        if wanted.layout != "HWC" or len(wanted.channels) not in colours:
            raise ConfigError(
                f"{url}: the model",
                expected=f"one of pictures with {' or '.join(map(str, colours))} channels",
                found=f"{'pictures' if wanted.layout == 'HWC' else 'signals'}: {', '.join(wanted.names)}",
            )


def _is_part(crop: tuple[float, ...]) -> bool:
    """Whether it is a part of a picture that is not empty; NaN is none."""
    if len(crop) != 4:
        return False
    x, y, width, height = crop
    fits = x + width <= 1 + _ROUNDING and y + height <= 1 + _ROUNDING
    return x >= 0 and y >= 0 and width > 0 and height > 0 and fits


def _rate_hz(options: Mapping[str, Any], wanted: Input | None) -> float:
    return options.get("rate_hz") or (wanted.rate_hz if wanted else None) or _RATE_HZ


def _size(url: str, text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not width or not height or width * height > _MOST_PIXELS:
        raise ConfigError(f"{url}: option 'size'", expected="WIDTHxHEIGHT, such as 224x224", found=repr(text))
    return width, height
