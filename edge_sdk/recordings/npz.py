"""npz: arrays ``samples``, ``rate_hz`` and ``channels``; nothing is unpickled."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.errors import first_of
from edge_sdk.recordings.signal import Signal, check_names, float32, refuse

#: No recording is read that unpacks to more; a crafted npz could otherwise fill the memory.
MAX_BYTES = 2 << 30


def read(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    """The arrays of the file; `channels` is not needed."""
    del channels
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MAX_BYTES:
        refuse(
            path,
            "too large",
            f"at most {MAX_BYTES} bytes unpacked",
            unpacked,
            "cut it into several recordings",
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        if "samples" not in archive.files:
            refuse(path, "no array 'samples'", "samples, rate_hz, channels", first_of(archive.files))
        samples = np.asarray(archive["samples"])
        rate = np.asarray(archive["rate_hz"]) if "rate_hz" in archive.files else None
        names = np.asarray(archive["channels"]) if "channels" in archive.files else np.array([], dtype=str)
    if samples.dtype.kind not in "fiu":
        refuse(path, "samples", "numbers", samples.dtype)
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or not samples.size:
        refuse(path, "samples", "[n, channels], at least one sample", list(samples.shape))
    if rate is not None and not (
        rate.ndim == 0 and rate.dtype.kind in "fiu" and 0 < float(rate) < float("inf")
    ):
        refuse(path, "rate_hz", "one positive number", rate.tolist())
    if names.dtype.kind != "U" and names.size:
        refuse(path, "channels", "text", names.dtype)
    found = tuple(str(name) for name in names.ravel())
    if found:
        check_names(path, found)
        if len(found) != samples.shape[1]:
            refuse(path, "channels", f"{samples.shape[1]} names, one for each column of samples", len(found))
    return Signal(float32(samples), None if rate is None else float(rate), found)


def write(path: Path, signal: Signal) -> None:
    """The same three arrays."""
    fields: dict[str, Any] = {"samples": signal.samples, "channels": np.array(signal.channels, dtype=str)}
    if signal.rate_hz:
        fields["rate_hz"] = np.float64(signal.rate_hz)
    np.savez_compressed(path, **fields)
