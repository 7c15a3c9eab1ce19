"""The watch set: real motion data for the demo, out of the file that the PyPI package seglearn carries.

The file is a pickle. A pickle can run any code when it is read, so this one is read by an unpickler that
knows the four functions which rebuild numpy arrays, and nothing else. The package itself is never imported.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.contract import Channel
from edge_sdk.dataset import Facts, NewRecording, Signal
from edge_sdk.errors import DatasetError, MissingExtraError, one_line

RATE_HZ = 50.0
_FIELDS = ("X", "y", "subject", "side", "X_labels", "y_labels")
_SIDES = ("left", "right")
#: All that a pickled numpy array needs; numpy 2 moved numpy.core to numpy._core.
_ALLOWED = {
    *(("numpy" + core + ".multiarray", "_reconstruct") for core in (".core", "._core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
LICENCE = "BSD-3-Clause, David M. Burns; D. Burns et al. 2018, arXiv:1802.01489"
SOURCE = (
    "Shoulder exercises recorded by a smartwatch, from the PyPI package seglearn; "
    "units are not documented; values look like g and rad/s"
)


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds numpy arrays; anything else in the pickle is refused before it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a numpy array")
        return super().find_class(module, name)


def find() -> Path:
    """Where the installed package keeps the file.

    Raises:
        MissingExtraError: seglearn is not installed.
    """
    spec = importlib.util.find_spec("seglearn")
    path = Path(spec.origin).parent / "data" / "watch_dataset.npy" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingExtraError("the watch set", "demo", "seglearn")
    return path


def facts() -> Facts:
    """What dataset.toml says about the watch set."""
    units = {"a": "g", "w": "rad/s"}
    names = ("ax", "ay", "az", "wx", "wy", "wz")
    return Facts(
        name="watch",
        channels=tuple(Channel(name, units[name[0]]) for name in names),
        rate_hz=RATE_HZ,
        labels=("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"),
        group="subject",
        licence=LICENCE,
        source=SOURCE,
    )


def recordings(path: Path | None = None) -> Iterator[NewRecording]:
    """The 140 recordings: 10 subjects, two arms, 7 exercises; groups are ``s01`` to ``s10``.

    Args:
        path: the file; None means the one in the installed package.

    Raises:
        DatasetError: the file is not the watch set, or holds anything but arrays.
        MissingExtraError: seglearn is not installed.
    """
    path = path or find()
    data = _load(path)
    about = facts()
    names = tuple(channel.name for channel in about.channels)
    same = tuple(data["X_labels"]) == names and tuple(data["y_labels"]) == about.labels
    lengths = {len(data[field]) for field in ("X", "y", "subject", "side")}
    if not same or len(lengths) != 1:
        raise DatasetError(
            f"{path}: not the watch set", expected=", ".join(names), found=list(data["X_labels"])[:6]
        )
    for samples, label, subject, side in zip(
        data["X"], data["y"], data["subject"], data["side"], strict=True
    ):
        yield NewRecording(
            Signal(np.asarray(samples, np.float32), RATE_HZ, names),
            about.labels[int(label)],
            f"s{int(subject):02d}",
            _SIDES[int(side)],
        )


def _load(path: Path) -> dict[str, Any]:
    content = io.BytesIO(path.read_bytes())
    try:
        version = np.lib.format.read_magic(content)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(content)
        if shape != () or dtype != np.dtype(object):
            raise ValueError(f"an array of {dtype} {list(shape)}")
        data = _ArraysOnly(content).load().item()
    except Exception as error:  # garbage makes pickle raise almost anything
        raise DatasetError(
            f"{path}: not the watch set",
            expected="a pickled dict of numpy arrays, and nothing else",
            found=one_line(error),
            remedy="install the locked seglearn again",
        ) from error
    if not isinstance(data, dict) or not set(_FIELDS) <= set(data):
        raise DatasetError(
            f"{path}: not the watch set", expected=", ".join(_FIELDS), found=type(data).__name__
        )
    return data
