"""png: one image is one recording and one window; needs pillow."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.errors import MissingExtraError
from edge_sdk.recordings.signal import Signal, float32


def read(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    """One image as [height, width, 1] gray or [height, width, 3] rgb, 0..255; transparency is dropped."""
    del channels
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pillow only warns of a decompression bomb
        with pillow().open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            return signal_of(image)


def signal_of(image: Any) -> Signal:
    """What an image of pillow's holds."""
    if image.mode.startswith("I"):  # 16 bits
        pixels = np.asarray(image, dtype=np.float32)[:, :, None] / 257.0
    else:
        gray = is_gray(image)
        pixels = np.asarray(image.convert("L" if gray else "RGB"), dtype=np.float32)
        pixels = pixels[:, :, None] if gray else pixels
    return Signal(float32(pixels), None, ("gray",) if pixels.shape[2] == 1 else ("r", "g", "b"))


def is_gray(image: Any) -> bool:
    """Whether an image of pillow's has no colours."""
    return image.mode in {"1", "L", "LA"} or image.mode.startswith("I")


def write(path: Path, signal: Signal) -> None:
    """Gray or rgb, 8 bits a channel."""
    pixels = np.clip(np.rint(signal.samples), 0, 255).astype(np.uint8)
    pillow().fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)


def pillow() -> Any:
    """Its module `Image`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("images", "image", error.name) from error
    return Image
