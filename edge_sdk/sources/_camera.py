"""A camera that libcamera knows, by Picamera2: set up, asked for frames, closed."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Fault, boottime_s
from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, Fatal, Retry, SpecError, one_line
from edge_sdk.sources._cameras import WHERE, opened
from edge_sdk.sources._frames import Layout, Wanted, corners, picture
from edge_sdk.sources._sensor import SLACK, Controls, asked_size, sensor_mode
from edge_sdk.sources._shots import Pace, age_s

_LOG = logging.getLogger("edgeml")
#: Whoever closes the source waits no longer for the next frame, s.
_LOOK_S = 0.25
#: A driver that takes longer to stop hangs, s.
_CLOSE_S = 5.0
_BUFFERS = 4
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Setup:
    """How a camera is to be set up.

    Attributes:
        wanted: its pictures.
        rate_hz: of them.
        controls: what else is asked for.
        flip: ``horizontal``, ``vertical``, ``both`` or ``none``.
    """

    wanted: Wanted
    rate_hz: float
    controls: Controls
    flip: str = "none"


class Camera(Closing):
    """One camera, running.

    Args:
        url: the source, for messages.
        which: its number, or a part of its name.
        setup: what is wanted.
        timeout_s: without a frame, until it counts as gone.

    Raises:
        Retry: it is not there now, or another program has it.
        Fatal: the camera's software on this machine does not work.
        ConfigError: it has no such setting.
        MissingExtraError: Picamera2 is not installed.
    """

    def __init__(self, url: str, which: str, setup: Setup, timeout_s: float) -> None:
        self._url, self._setup, self._timeout_s = url, setup, timeout_s
        self._layout, self._wanted = Layout("", 0, 0, 0), setup.wanted
        self._camera = opened(url, which)
        try:
            self._configure()
            self._camera.start()
        except (RuntimeError, OSError) as error:
            self.close()
            if isinstance(error, Retry):
                raise
            raise Retry(f"{url}: the camera does not start", found=one_line(error), remedy=WHERE) from error
        except BaseException:
            self.close()
            raise

    def frames(
        self, closing: threading.Event, pace: Pace
    ) -> Iterator[tuple[NDArray[np.uint8] | Fault, float]]:
        """Pictures with their times on the boot clock, s, as they come, until `closing` is set.

        One that arrived damaged, as over a long USB cable, is a fault.

        Args:
            closing: ends it soon.
            pace: says which of them are wanted.

        Raises:
            Retry: none came for so long: a cable is off, or the driver has given up.
        """
        while (request := self._next(closing)) is not None:
            with self._while_there():
                try:
                    stamp_ns = int(request.get_metadata().get("SensorTimestamp", 0))
                    taken_s = boottime_s() - age_s(stamp_ns)
                    buffer = request.make_buffer("main") if pace.takes(taken_s) else None
                finally:
                    request.release()
            if buffer is None:
                continue
            try:
                found: NDArray[np.uint8] | Fault = picture(buffer, self._layout, self._wanted)
            except SpecError as error:
                found = Fault("garbage", 1, f"{self._url}: {error}")
            yield found, taken_s

    def close(self) -> None:
        """Stop it and let others have it.

        Raises:
            Fatal: the driver hangs, and only the end of this process can help.
        """
        self._camera.cancel_all_and_flush()  # else closing would wait behind a frame that never comes
        closer = threading.Thread(target=_closed, args=(self._url, self._camera), daemon=True)
        try:
            closer.start()
        except RuntimeError:  # Python itself ends, and starts no thread any more
            _closed(self._url, self._camera)
            return
        closer.join(_CLOSE_S)
        if closer.is_alive():
            raise Fatal(
                f"{self._url}: the camera's driver does not stop",
                expected=f"within {_CLOSE_S:g} s",
                remedy="start edgeml again; if that does not help, the machine",
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Fatal as hung:
            if kind is not GeneratorExit:  # which nobody could hear
                raise
            _LOG.error("%s", hung)

    def _next(self, closing: threading.Event) -> Any:
        """The next completed request; None when `closing` was set."""
        until = time.monotonic() + self._timeout_s
        with self._while_there():
            job = self._camera.capture_request(wait=False)
            while not closing.is_set():
                try:
                    return self._camera.wait(job, timeout=min(_LOOK_S, self._timeout_s))
                except TimeoutError:
                    if time.monotonic() >= until:
                        raise Retry(
                            f"{self._url}: no picture for {self._timeout_s:g} s",
                            remedy="see to the camera's cable, and to dmesg",
                        ) from None
        return None

    @contextlib.contextmanager
    def _while_there(self) -> Iterator[None]:
        """What libcamera raises of a camera that stops meanwhile is said as of one that is gone."""
        try:
            yield
        except RuntimeError as error:
            raise Retry(f"{self._url}: the camera has stopped", found=one_line(error)) from error

    def _configure(self) -> None:
        camera, wanted, setup = self._camera, self._setup.wanted, self._setup
        libcamera = import_module("libcamera")
        space: Any = libcamera.ColorSpace
        transform = libcamera.Transform(
            hflip=setup.flip in ("horizontal", "both"), vflip=setup.flip in ("vertical", "both")
        )
        # Gray is the luma of YUV, which an image processor makes anyway; the whole range is what JPEG has.
        size = asked_size(wanted)
        plan = camera.create_video_configuration(
            main={"format": "YUV420" if wanted.gray else "BGR888", "size": size},
            raw=None,
            transform=transform,
            colour_space=space.Sycc(),
            buffer_count=_BUFFERS,
            controls={},
            display=None,
            encode=None,
        )
        # Without that, the smallest mode is taken, which of many sensors sees only the middle.
        if "ColorFilterArrangement" in camera.camera_properties:
            mode = sensor_mode(camera.sensor_modes, setup.rate_hz, size)
            plan["sensor"] = {"output_size": mode["size"], "bit_depth": mode["bit_depth"]}
        camera.configure(plan)
        made = camera.camera_configuration()
        width, height = made["main"]["size"]
        limited = getattr(made["colour_space"], "range", None) == space.Range.Limited
        turned = made["transform"]  # a camera that cannot flip leaves that to be done here
        self._layout = Layout(
            made["main"]["format"],
            width,
            height,
            made["main"]["stride"],
            limited,
            mirrored=bool(turned.hflip) != bool(transform.hflip),
            upside_down=bool(turned.vflip) != bool(transform.vflip),
        )
        camera.set_controls(self._controls())

    def _controls(self) -> dict[str, Any]:
        """Of this camera, as it is configured; what it cannot crop itself is left to be cropped here."""
        there, setup, wanted = self._camera.camera_controls, self._setup, self._setup.wanted
        for name, (option, _) in setup.controls.items():
            if name not in there:
                raise ConfigError(
                    f"{self._url}: option {option!r}",
                    expected=f"a camera with {name}",
                    found=f"one that has {', '.join(sorted(there)) or 'no settings'}",
                )
        chosen = {name: value for name, (_, value) in setup.controls.items()}
        if "FrameDurationLimits" in there:
            shortest, longest = there["FrameDurationLimits"][:2]
            duration = round(_MICROSECONDS / setup.rate_hz)
            if duration < shortest * SLACK:
                raise ConfigError(
                    f"{self._url}: option 'rate_hz'",
                    expected=f"at most {_MICROSECONDS / shortest:.4g}, the camera's rate at this size",
                    found=f"{setup.rate_hz:g}",
                )
            # One that cannot be so slow gives more, of which some are left out.
            chosen["FrameDurationLimits"] = (max(duration, shortest), max(shortest, min(duration, longest)))
        if wanted.crop is not None and "ScalerCrop" in there:
            x, y, width, height = there["ScalerCrop"][1]
            box = corners(Layout("", width, height, 0), wanted)
            left, top, right, bottom = (round(edge) for edge in box)
            part = (x + left, y + top, right - left, bottom - top)
            chosen |= {"ScalerCrops": [part]} if "ScalerCrops" in there else {"ScalerCrop": part}
            self._wanted = Wanted(wanted.width, wanted.height, wanted.gray)
        return chosen


def _closed(url: str, camera: Any) -> None:
    try:
        camera.close()
    except Exception as error:  # noqa: BLE001 - it was in trouble already, which was said
        _LOG.warning("%s: closing failed: %s", url, one_line(error))
