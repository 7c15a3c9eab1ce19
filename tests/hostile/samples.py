"""A good model with .npz files that do not fit it."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile import Case, Touch


def cases(model: Path, shape: tuple[int, ...], folder: Path) -> Iterator[Case]:
    """Arrays of wrong shapes and types, and files that are damaged or hostile.

    Args:
        model: a classifier with one input and four classes.
        shape: of its input, without the batch axis.
        folder: where the files go.
    """
    rng = np.random.default_rng(0)
    good = rng.normal(size=(20, *shape)).astype(np.float32)
    for name, arrays in (_inputs(good, folder) | _labels(good, folder)).items():
        path = folder / f"{name}.npz"
        np.savez(path, **arrays)
        yield Case(f"data {name}", model, path)
    for name, content in _contents(good, folder).items():
        path = folder / f"data_{name}.npz"
        path.write_bytes(content)
        yield Case(f"data {name}", model, path)
    link = folder / "device.npz"
    link.symlink_to("/dev/zero")
    yield Case("data of a device", model, link)
    yield Case("data nowhere", model, folder / "no.npz")


def _inputs(good: Any, folder: Path) -> dict[str, dict[str, Any]]:
    wide = np.concatenate([good, good], axis=-1)
    evil = np.array([Touch(folder / "escaped.txt")] * len(good), dtype=object)
    return {
        "wrong_shape": {"x": wide},
        "wrong_rank": {"x": good.reshape(20, -1)[:, :, None, None]},
        "scalar": {"x": np.float32(1)},
        "none": {"x": good[:0]},
        "one": {"x": good[:1]},
        "nan": {"x": np.full_like(good, np.nan)},
        "infinite": {"x": np.full_like(good, np.inf)},
        "beyond_float32": {"x": np.full_like(good, 1e300, dtype=np.float64)},
        "texts": {"x": np.array(["a"] * 20)},
        "dates": {"x": np.zeros(20, "datetime64[s]")},
        "complex": {"x": good.astype(np.complex64)},
        "records": {"x": np.zeros(20, [("a", "f4"), ("b", "f4")])},
        "empty_axis": {"x": np.zeros((20, *good.shape[1:-1], 0), np.float32)},
        "objects": {"x": evil},
        "no_input": {"z": good},
        "nothing": {},
    }


def _labels(good: Any, folder: Path) -> dict[str, dict[str, Any]]:
    evil = np.array([Touch(folder / "escaped.txt")] * len(good), dtype=object)
    return {
        "few_labels": {"x": good, "labels": np.zeros(3, np.int64)},
        "float_labels": {"x": good, "labels": np.zeros(20)},
        "text_labels": {"x": good, "labels": np.array(["a"] * 20)},
        "object_labels": {"x": good, "labels": evil},
        "scalar_labels": {"x": good, "labels": np.int64(3)},
        "negative_labels": {"x": good, "labels": np.full(20, -1)},
        "large_labels": {"x": good, "labels": np.full(20, 1 << 40)},
        "unsigned_labels": {"x": good, "labels": np.full(20, (1 << 64) - 1, np.uint64)},
        "empty_labels": {"x": good, "labels": np.zeros((20, 0), np.int64)},
        "few_groups": {"x": good, "groups": np.array(["a"])},
        "scalar_groups": {"x": good, "groups": np.array("a")},
        "wide_groups": {"x": good, "groups": np.zeros((20, 3), np.int64)},
        "object_groups": {"x": good, "groups": evil},
        "all_calibration": {"x": good, "calibration": np.ones(20, bool)},
        "no_calibration": {"x": good, "calibration": np.zeros(20, bool)},
        "text_calibration": {"x": good, "calibration": np.array(["yes"] * 20)},
        "wide_calibration": {"x": good, "calibration": np.ones((20, 2), bool)},
        "few_calibration": {"x": good, "calibration": np.ones(3, bool)},
    }


def _contents(good: Any, folder: Path) -> dict[str, bytes]:
    whole = io.BytesIO()
    np.savez(whole, x=good)
    rest = good.shape[1:]
    return {
        "empty": b"",
        "pickle": pickle.dumps(Touch(folder / "escaped.txt")),
        "cut": whole.getvalue()[:200],
        "no_header": whole.getvalue().replace(b"NUMPY", b"NUMBY", 1),
        "bomb": _declared(((1100 << 20) // good[0].nbytes, *rest), 1100 << 20),
        "huge_header": _declared((1 << 40, *rest), 1 << 20),
        "overflowing_header": _declared((1 << 62, 1 << 62, *rest), 1 << 20),
        "negative_header": _declared((-1, *rest), 1 << 20),
    }


def _declared(shape: tuple[int, ...], size: int) -> bytes:
    """An .npz with zeros in it, `size` bytes, under a header that speaks of `shape`."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("x.npy")
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, size, 1 << 24):
                file.write(bytes(min(1 << 24, size - start)))
    return whole.getvalue()
