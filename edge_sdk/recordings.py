"""Recording files: CSV, npz, wav and png, read into a `Signal` and written from one.

Nothing here knows about dataset folders. Nothing is unpickled, and every malformed file ends in a
`DatasetError` that names the file, and the line where there are lines.
"""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DatasetError, EdgeError, MissingExtraError, first_of, one_line

#: Time columns of a CSV and how many of their units make a second.
TIME_COLUMNS = {"time_s": 1.0, "time_ms": 1e3, "time_us": 1e6}
#: No recording is read that unpacks to more; a crafted npz could otherwise fill the memory.
MAX_BYTES = 2 << 30
_NEGLIGIBLE_S = 1e-9


@dataclass(frozen=True, slots=True)
class Signal:
    """What one recording holds.

    Attributes:
        samples: float32 [n, channels]; an image is float32 [height, width, channels], 0..255.
        rate_hz: as the file says (time column, npz field, wav header); None where it says nothing.
        channels: names in column order; empty where the file has none (wav).
        time_s: float64 [n], s, the time column of a CSV; None where there is none.
    """

    samples: NDArray[np.float32]
    rate_hz: float | None = None
    channels: tuple[str, ...] = ()
    time_s: NDArray[np.float64] | None = None

    @property
    def is_image(self) -> bool:
        """Whether `samples` is one [height, width, channels] picture."""
        return self.samples.ndim == 3

    @property
    def duration_s(self) -> float | None:
        """Length in seconds; None for an image or an unknown rate."""
        return None if self.is_image or not self.rate_hz else len(self.samples) / self.rate_hz


def read(path: str | Path, channels: Sequence[str] = ()) -> Signal:
    """Read one recording; the suffix says which kind it is.

    Args:
        path: a .csv, .npz, .wav or .png file.
        channels: names for a CSV that has no header; otherwise the file's own names are kept.

    Returns:
        A signal with at least one sample.

    Raises:
        DatasetError: the file is missing, unreadable, empty, malformed, or of another kind.
        MissingExtraError: a png without pillow.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        _refuse(path, "not a kind of recording", "one of " + " ".join(SUFFIXES), path.suffix or "no suffix")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read", found=error.strerror or error) from error
    if not content:
        _refuse(path, "the file is empty", remedy="record it again or remove it")
    try:
        return reader(path, content, tuple(channels))
    except EdgeError:
        raise
    except (ValueError, KeyError, EOFError, OSError, MemoryError, RecursionError, struct.error) as error:
        raise DatasetError(f"{path}: malformed {path.suffix}", found=one_line(error)) from error
    except Exception as error:
        raise DatasetError(f"{path}: malformed {path.suffix}", found=one_line(error)) from error


def write(path: str | Path, signal: Signal) -> None:
    """Write a signal as .csv (with ``time_s`` where the rate is known), .npz or .png, by the suffix."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".csv" and not signal.is_image:
        path.write_text(_csv_text(signal), encoding="utf-8")
    elif kind == ".npz" and not signal.is_image:
        fields: dict[str, Any] = {"samples": signal.samples, "channels": np.array(signal.channels, dtype=str)}
        if signal.rate_hz:
            fields["rate_hz"] = np.float64(signal.rate_hz)
        np.savez_compressed(path, **fields)
    elif kind == ".png" and signal.is_image:
        pixels = np.clip(np.rint(signal.samples), 0, 255).astype(np.uint8)
        _pillow().fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)
    else:
        what = "an image" if signal.is_image else "a signal"
        _refuse(path, f"cannot write {what} here", "a .png" if signal.is_image else "a .csv or .npz", kind)


def _refuse(
    path: Path, what: str, expected: object = None, found: object = None, remedy: str | None = None
) -> NoReturn:
    raise DatasetError(f"{path}: {what}", expected=expected, found=found, remedy=remedy)


# --- CSV -------------------------------------------------------------------------------------------------


def _read_csv(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    text = _decode(path, content)
    first, _, rest = text.partition("\n")
    separator = max(",;\t", key=first.count)
    names = tuple(cell.strip().strip('"') for cell in first.split(separator))
    skip = 1
    if all(_is_number(name) for name in names):
        if not channels:
            _refuse(
                path,
                "line 1: no header",
                "channel names such as ax,ay,az",
                first_of(names),
                "add a header line",
            )
        if len(channels) != len(names):
            _refuse(
                path, "line 1", f"{len(channels)} columns ({first_of(channels)})", f"{len(names)} columns"
            )
        names, rest, skip = channels, text, 0
    _check_names(path, names)
    table = _parse(path, rest, separator, len(names), skip)
    clocks = [index for index, name in enumerate(names) if name in TIME_COLUMNS]
    if not clocks:
        return Signal(_float32(table), None, names)
    if len(clocks) > 1 or len(names) == 1:
        _refuse(path, "line 1", "one time column at most, and at least one channel", ", ".join(names))
    time_s = table[:, clocks[0]] / TIME_COLUMNS[names[clocks[0]]]
    kept = tuple(name for name in names if name not in TIME_COLUMNS)
    return Signal(_float32(np.delete(table, clocks[0], axis=1)), _rate_of(path, time_s, skip), kept, time_s)


def _decode(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: not a text file", expected="UTF-8 CSV", found=f"byte {error.start}"
        ) from error
    if "\0" in text:
        _refuse(path, "not a text file", "UTF-8 CSV", "a NUL byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parse(path: Path, text: str, separator: str, columns: int, skip: int) -> NDArray[np.float64]:
    if not text.strip():
        _refuse(path, "no samples below the header", "at least one line of numbers")
    try:
        table = np.loadtxt(io.StringIO(text), delimiter=separator, dtype=np.float64, ndmin=2, comments=None)
    except ValueError:
        _refuse_line(path, text, separator, columns, skip)
    if table.shape[1] != columns:
        _refuse_line(path, text, separator, columns, skip)
    return table


def _rate_of(path: Path, time_s: NDArray[np.float64], skip: int) -> float | None:
    """The rate that a time column shows: its median step, so that a few lost samples do not change it."""
    if len(time_s) < 2:
        return None
    steps = np.diff(time_s)
    wrong = np.flatnonzero(~(steps >= 0))
    if len(wrong):
        line = int(wrong[0]) + 2 + skip
        _refuse(
            path,
            f"line {line}: time goes backwards or is no number",
            "rising times",
            f"{time_s[wrong[0] + 1]:g} s",
        )
    median = float(np.median(steps))
    return 1.0 / median if median > _NEGLIGIBLE_S else None


def _refuse_line(path: Path, text: str, separator: str, columns: int, skip: int) -> NoReturn:
    """Find the first line that is not `columns` numbers, and say so."""
    for number, line in enumerate(text.split("\n"), start=1 + skip):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) != columns:
            _refuse(path, f"line {number}", f"{columns} columns", len(cells), "the file may be truncated")
        for cell in cells:
            if not _is_number(cell):
                _refuse(
                    path, f"line {number}", "a number", repr(cell[:40]), "write nan where a value is missing"
                )
    _refuse(path, "malformed .csv", f"{columns} numbers a line")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    if not all(names):
        _refuse(path, "channel names", "a name for every channel", "an empty one")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(path, "channel names", "unlike names", f"{twice!r} twice")


def _csv_text(signal: Signal) -> str:
    # nine digits give every float32 back exactly
    columns = [[f"{value:.9g}" for value in column.tolist()] for column in signal.samples.T]
    names = list(signal.channels)
    if signal.rate_hz:
        columns.insert(0, [f"{index / signal.rate_hz:.6f}" for index in range(len(signal.samples))])
        names.insert(0, "time_s")
    lines = [",".join(names), *(",".join(row) for row in zip(*columns, strict=True))]
    return "\n".join(lines) + "\n"


# --- npz -------------------------------------------------------------------------------------------------


def _read_npz(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    del channels
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MAX_BYTES:
        _refuse(
            path,
            "too large",
            f"at most {MAX_BYTES} bytes unpacked",
            unpacked,
            "cut it into several recordings",
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        if "samples" not in archive.files:
            _refuse(path, "no array 'samples'", "samples, rate_hz, channels", first_of(archive.files))
        samples = np.asarray(archive["samples"])
        rate = np.asarray(archive["rate_hz"]) if "rate_hz" in archive.files else None
        names = np.asarray(archive["channels"]) if "channels" in archive.files else np.array([], dtype=str)
    if samples.dtype.kind not in "fiu":
        _refuse(path, "samples", "numbers", samples.dtype)
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or not samples.size:
        _refuse(path, "samples", "[n, channels], at least one sample", list(samples.shape))
    if rate is not None and not (
        rate.ndim == 0 and rate.dtype.kind in "fiu" and 0 < float(rate) < float("inf")
    ):
        _refuse(path, "rate_hz", "one positive number", rate.tolist())
    if names.dtype.kind != "U" and names.size:
        _refuse(path, "channels", "text", names.dtype)
    found = tuple(str(name) for name in names.ravel())
    if found:
        _check_names(path, found)
        if len(found) != samples.shape[1]:
            _refuse(path, "channels", f"{samples.shape[1]} names, one for each column of samples", len(found))
    return Signal(_float32(samples), None if rate is None else float(rate), found)


# --- wav -------------------------------------------------------------------------------------------------

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def _read_wav(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    """PCM of 8, 16, 24 or 32 bits, or 32-bit float, as float32 −1..1.

    Read here and not by the module `wave`: before Python 3.12 that one refuses WAVE_FORMAT_EXTENSIBLE, which
    is how most programs write 24 bits, and it takes a truncated file for a short one.
    """
    del channels
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        _refuse(path, "not a wav file", "RIFF … WAVE", content[:12])
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        chunks.setdefault(name, content[at + 8 : at + 8 + size])
        if len(chunks[name]) < size and name in (b"fmt ", b"data"):
            text = name.decode().strip()
            _refuse(
                path, "truncated", f"{size} bytes of {text}", len(chunks[name]), "record or copy it again"
            )
        at += 8 + size + size % 2
    if b"fmt " not in chunks or b"data" not in chunks:
        _refuse(path, "truncated", "a fmt and a data chunk", " ".join(n.decode("latin-1") for n in chunks))
    coding, count, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if coding == _EXTENSIBLE:
        (coding,) = struct.unpack_from("<H", chunks[b"fmt "], 24)
    if (coding, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32)}:
        _refuse(path, "coding", "8, 16, 24, 32-bit PCM or 32-bit float", f"format {coding}, {bits} bits")
    if not count or not rate:
        _refuse(path, "header", "at least one channel and a rate", f"{count} channels at {rate} Hz")
    data = chunks[b"data"]
    width = count * bits // 8
    if not data or len(data) % width:
        _refuse(
            path, "data", f"a multiple of {width} bytes, at least one", len(data), "record or copy it again"
        )
    return Signal(_pcm(data, coding, bits).reshape(-1, count), float(rate))


def _pcm(data: bytes, coding: int, bits: int) -> NDArray[np.float32]:
    if coding == _FLOAT:
        return np.frombuffer(data, "<f4").astype(np.float32)
    if bits == 8:  # the only unsigned one
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / np.float32(128.0)
    if bits == 24:  # into the upper three bytes of an int32, which keeps the sign
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)


# --- png -------------------------------------------------------------------------------------------------


def _read_png(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    """One image as [height, width, 1] gray or [height, width, 3] rgb, 0..255; transparency is dropped."""
    del channels
    image_module = _pillow()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pillow only warns of a decompression bomb
        with image_module.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            if image.mode.startswith("I"):  # 16 bits
                pixels = np.asarray(image, dtype=np.float32)[:, :, None] / 257.0
            else:
                gray = image.mode in {"1", "L", "LA"}
                pixels = np.asarray(image.convert("L" if gray else "RGB"), dtype=np.float32)
                pixels = pixels[:, :, None] if gray else pixels
    return Signal(_float32(pixels), None, ("gray",) if pixels.shape[2] == 1 else ("r", "g", "b"))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("png recordings", "image", error.name) from error
    return Image


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a value beyond float32 becomes inf, which `data check` reports
        return np.ascontiguousarray(values, dtype=np.float32)


_READERS: dict[str, Callable[[Path, bytes, tuple[str, ...]], Signal]] = {
    ".csv": _read_csv,
    ".npz": _read_npz,
    ".wav": _read_wav,
    ".png": _read_png,
}
#: The kinds of recordings there are.
SUFFIXES = tuple(_READERS)
