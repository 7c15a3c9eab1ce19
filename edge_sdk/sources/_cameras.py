"""The cameras of this machine, and Picamera2, which opens them.

Picamera2 and libcamera come with the system and not from an index: they are built for the system's Python and
its numpy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from edge_sdk.errors import Fatal, MissingExtraError, Retry, one_line

WHERE = "rpicam-hello --list-cameras shows what is there: see to the cable, and to the group video"


def opened(url: str, which: str) -> Any:
    """A Picamera2 of that camera.

    Args:
        url: the source, for messages.
        which: its number, or a part of its name.

    Raises:
        Retry: it is not there now, or another program has it.
        Fatal: the camera's software on this machine does not work.
        MissingExtraError: it is not installed.
    """
    picamera2, dma_heap = _software(url)
    try:
        there = picamera2.Picamera2.global_camera_info()
    except RuntimeError as error:  # a machine without any device of that kind, or that lets nobody look
        raise Retry(f"{url}: no camera", found=one_line(error), remedy=WHERE) from error
    number = _number(which, there)
    if number is None:
        picamera2.Picamera2._cm.reset()  # else what is plugged in later is never seen
        names = [f"{at} ({facts.get('Model', facts['Id'])})" for at, facts in enumerate(there)]
        raise Retry(
            f"{url}: no such camera" if there else f"{url}: no camera",
            expected=f"camera {which or '0'}",
            found=", ".join(names) or "none",
            remedy=WHERE,
        )
    try:
        dma_heap.DmaHeap().close()  # where that fails, a Picamera2 is left half made, and the camera busy
    except (RuntimeError, OSError) as error:
        raise Retry(
            f"{url}: no memory for pictures", found=one_line(error), remedy="see to the group video"
        ) from error
    camera = picamera2.Picamera2.__new__(picamera2.Picamera2)
    try:
        camera.__init__(number)
    except Exception as error:
        with contextlib.suppress(AttributeError, OSError):  # it leaves that open, once for each try
            camera.notifymeread.close()
            os.close(camera.notifyme_w)
        cause = error.__cause__.__cause__ or error.__cause__ if error.__cause__ else error
        raise Retry(
            f"{url}: the camera cannot be opened",
            found=one_line(cause),
            remedy="does another program use it? sudo fuser -v /dev/video* /dev/media*",
        ) from error
    return camera


def _software(url: str) -> tuple[ModuleType, ModuleType]:
    """The modules `picamera2` and `picamera2.dma_heap`."""
    # Else each start is a page in the journal, and with colours.
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:WARN")
    os.environ.setdefault("LIBCAMERA_LOG_NO_COLOR", "1")
    try:
        return import_module("picamera2"), import_module("picamera2.dma_heap")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{url}: the camera's software",
            "",
            error.name,
            remedy="sudo apt install python3-picamera2; a virtual environment sees it where it was made "
            "with --system-site-packages",
        ) from error
    except (ImportError, ValueError) as error:  # a ValueError is what a package of another numpy raises
        raise Fatal(
            f"{url}: the camera's software does not start",
            expected=f"the numpy that it was built for; this is {np.__version__} in {np.__path__[0]}",
            found=one_line(error),
            remedy="sudo apt install python3-numpy python3-picamera2, and let no other numpy come before it",
        ) from error


def _number(which: str, there: Sequence[Mapping[str, Any]]) -> int | None:
    """Of the camera that is meant, among those that are there."""
    if not which or which.isdecimal():
        number = int(which or 0)
        return number if number < len(there) else None
    wanted = which.lower()
    named = [f"{facts.get('Model', '')} {facts['Id']}".lower() for facts in there]
    return next((at for at, name in enumerate(named) if wanted in name), None)
