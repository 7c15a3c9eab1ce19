"""Pictures of any usual format, turned upright, brought to one size and colour where asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.errors import DatasetError, one_line
from edge_sdk.recordings import check_size, png
from train_host.data.importing.request import Advance, Piece, Request

#: Besides png, which a dataset folder holds itself.
SUFFIXES = (".jpg", ".jpeg", ".webp", ".bmp")
_FORMATS = ["PNG", "JPEG", "WEBP", "BMP"]
_MODES = {"gray": "L", "rgb": "RGB"}


def read(path: Path, request: Request, advance: Advance) -> Iterator[Piece]:
    """One picture; a moving one gives its first frame."""
    module = png.pillow()
    check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", module.DecompressionBombWarning)
            with module.open(path, formats=_FORMATS) as image:
                signal = png.signal_of(_shaped(image, request))
    except MemoryError:
        raise
    except Exception as error:  # pillow raises whatever it likes
        raise DatasetError(f"{path}: malformed {path.suffix}", found=one_line(error)) from error
    as_it_is = path.suffix.lower() == ".png" and request.size is None and request.colour is None
    yield Piece(path=path, signal=signal, whole=as_it_is)
    advance(path.stat().st_size)


def _shaped(image: Any, request: Request) -> Any:
    from PIL import ImageOps
    from PIL.Image import Resampling

    image.load()
    image = ImageOps.exif_transpose(image)  # cameras note how they were held
    if request.size is None and request.colour is None:
        return image
    if image.mode.startswith("I"):  # 16 bits, which pillow would cut off instead of scaling
        image = png.pillow().fromarray((np.asarray(image) // 257).astype(np.uint8))
    image = image.convert(_MODES[request.colour or ("gray" if png.is_gray(image) else "rgb")])
    if request.size is not None and image.size != request.size[::-1]:
        image = image.resize(request.size[::-1], Resampling.BILINEAR)
    return image
