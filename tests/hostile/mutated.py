"""Good files with accidental damage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tests.hostile import Case


def cases(seeds: Mapping[str, Path], folder: Path, count: int, seed: int = 0) -> Iterator[Case]:
    """Files cut short, with bits flipped, blocks overwritten or moved: in turn over all seeds and damages."""
    rng = np.random.default_rng(seed)
    damages = (cut, flip, overwrite, swap)
    names = list(seeds)
    for i in range(count):
        name, damage = names[i % len(names)], damages[(i // len(names)) % len(damages)]
        source = seeds[name]
        target = folder / f"{i}{source.suffix}"
        if source.is_dir():
            shutil.copytree(source, target)
            files = sorted(file for file in target.rglob("*") if file.is_file() and file.stat().st_size)
            victim = files[int(rng.integers(len(files)))]
        else:
            victim = target
            shutil.copy(source, target)
        victim.write_bytes(damage(victim.read_bytes(), rng))
        yield Case(f"{damage.__name__} {name} {i}", target, may_pass=True)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(len(data), size=int(rng.integers(1, 20))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    length = min(int(rng.integers(1, 200)), len(data) - start)
    filling = (bytes(length), b"\xff" * length, rng.bytes(length))[int(rng.integers(3))]
    return data[:start] + filling + data[start + length :]


def swap(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(int(place) for place in rng.integers(len(data), size=2))
    return data[b:] + data[a:b] + data[:a]
