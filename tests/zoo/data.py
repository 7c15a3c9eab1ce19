"""What the zoo's models learn: public recordings where present, else generated ones of the same shape.

Everything is numpy, float32, split into a training and an evaluation part that share no recording.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PUBLIC = Path(__file__).parents[3] / "shared" / "data"
WINDOW, RATE_HZ = 64, 50.0
SAMPLES, AUDIO_RATE_HZ = 8000, 8000
FRAME, HOP, MELS = 256, 160, 32
#: Half of them judge: one point of accuracy is five windows.
EVALUATED = 1000


@dataclass(frozen=True)
class Split:
    """One task.

    Attributes:
        x: float32 [n, …], to train on.
        y: int64 [n], classes of `x`.
        test_x: float32 [m, …], to evaluate on.
        test_y: int64 [m], classes of `test_x`.
        groups: str [m], whom each of `test_x` comes from.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]
    groups: NDArray[np.str_]


@cache
def motion() -> Split:
    """float32 [n, 64, 6], each channel near unit spread: seven exercises; three subjects evaluate."""
    recordings = _public().load_watch()[0] if PUBLIC.is_dir() else _exercises()
    spread = np.concatenate([samples for samples, *_ in recordings]).std(axis=0)
    windows, labels, subjects = [], [], []
    for samples, label, subject, _ in recordings:
        count = len(samples) // WINDOW
        windows.append((samples[: count * WINDOW] / spread).reshape(count, WINDOW, 6))
        labels += [label] * count
        subjects += [subject] * count
    x, y, who = np.concatenate(windows).astype(np.float32), np.array(labels, np.int64), np.array(subjects)
    return _split(x, y, who, who > np.unique(who)[-4])


@cache
def spoken() -> list[tuple[NDArray[np.int16], int, str, int]]:
    """Recordings of ten spoken digits at 8 kHz: samples, digit, speaker, number."""
    return list(_public().load_fsdd() if PUBLIC.is_dir() else _tones())


@cache
def speech() -> Split:
    """float32 [n, 8000], one second at 8 kHz, -1 to 1: `spoken` digits; every fifth recording evaluates."""
    recordings = spoken()
    x = np.zeros((len(recordings), SAMPLES), np.float32)
    for row, (samples, *_) in zip(x, recordings, strict=True):
        n = min(len(samples), SAMPLES)
        row[:n] = samples[:n] / 32768
    y = np.array([digit for _, digit, _, _ in recordings], np.int64)
    speakers = np.array([speaker for _, _, speaker, _ in recordings])
    return _split(x, y, speakers, np.array([index % 5 == 0 for *_, index in recordings]))


@cache
def spoken_features() -> Split:
    """float32 [n, 49, 32, 1], natural log of mel energies, scaled to about -1 to 1: `speech` as features."""
    sound = speech()
    return Split(log_mel(sound.x), sound.y, log_mel(sound.test_x), sound.test_y, sound.groups)


def log_mel(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [n, 8000] to float32 [n, 49, 32, 1]."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm, FRAME, axis=1)[:, ::HOP]
    energy = np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32), axis=2)) ** 2
    features = (np.log(energy @ _mel_filters() + 1e-5) + 4) / 6
    return features[..., None].astype(np.float32)


@cache
def clothes() -> Split:
    """float32 [n, 28, 28, 1], 0 to 1: ten kinds of clothes."""
    if PUBLIC.is_dir():
        x, y, test_x, test_y, _ = _public().load_fashion()
        x, y, test_x, test_y = x[:4000], y[:4000], test_x[:EVALUATED], test_y[:EVALUATED]
    else:
        x, y = _gratings(4000, seed=1)
        test_x, test_y = _gratings(EVALUATED, seed=2)
    shelves = np.array([f"shelf{n % 8}" for n in range(len(test_y))])
    return Split(_image(x), y.astype(np.int64), _image(test_x), test_y.astype(np.int64), shelves)


def enlarged(images: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Every pixel `factor` times in both directions."""
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def _image(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (pixels[..., None] / 255).astype(np.float32)


def _split(x: Any, y: Any, groups: Any, evaluates: Any) -> Split:
    kept = np.flatnonzero(evaluates)
    chosen = np.random.default_rng(5).permutation(kept)[:EVALUATED]
    names = np.array([f"p{group}" for group in groups[chosen]])
    return Split(x[~evaluates], y[~evaluates], x[chosen], y[chosen], names)


@cache
def _public() -> Any:
    spec = importlib.util.spec_from_file_location("load_public", PUBLIC / "load_public.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _mel_filters() -> NDArray[np.float32]:
    """float32 [129, 32]: triangles whose corners are evenly spaced in mel from 60 to 3800 Hz."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (60.0, 3800.0))
    corners = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    bins = np.linspace(0, AUDIO_RATE_HZ / 2, FRAME // 2 + 1)[:, None]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


def _exercises() -> list[tuple[NDArray[np.float32], int, int, int]]:
    """As `load_watch`: each exercise swings at a rate and along axes of its own."""
    rng = np.random.default_rng(11)
    axes = rng.normal(size=(7, 6))
    recordings = []
    for subject in range(1, 11):
        for side in (0, 1):
            for label in range(7):
                time_s = np.arange(1920) / RATE_HZ
                swing = np.sin(2 * np.pi * (0.6 + 0.25 * label) * rng.uniform(0.9, 1.1) * time_s)
                samples = swing[:, None] * axes[label] * rng.uniform(0.7, 1.3) + 0.4 * rng.normal(
                    size=(1920, 6)
                )
                recordings.append((samples.astype(np.float32), label, subject, side))
    return recordings


def _tones() -> list[tuple[NDArray[np.int16], int, str, int]]:
    """As `load_fsdd`: each digit is two tones, one after the other, in a voice's pitch."""
    rng = np.random.default_rng(12)
    recordings = []
    for voice in range(6):
        for digit in range(10):
            for index in range(50):
                n = int(rng.integers(2500, 5500))
                first, second = 300 + 150 * digit, 2200 - 170 * digit
                hertz = np.where(np.arange(n) < n // 2, first, second) * (0.9 + 0.04 * voice)
                wave = np.sin(2 * np.pi * np.cumsum(hertz) / AUDIO_RATE_HZ) + 0.3 * rng.normal(size=n)
                recordings.append(((wave * 6000).astype(np.int16), digit, f"voice{voice}", index))
    return recordings


def _gratings(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """uint8 [n, 28, 28]: stripes whose direction and width are the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    angle, period = np.pi * (labels % 5) / 5, 4 + 4 * (labels // 5)
    rows, columns = np.mgrid[:28, :28]
    along = rows * np.cos(angle)[:, None, None] + columns * np.sin(angle)[:, None, None]
    wave = np.sin(2 * np.pi * along / period[:, None, None] + rng.uniform(0, 6, count)[:, None, None])
    noisy = 128 + 90 * wave + rng.normal(0, 25, wave.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), labels.astype(np.int64)
