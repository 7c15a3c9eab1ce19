"""The page of a dataset, without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.page import sound
from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write
from tests import dataset_pages, folders, task_folders
from tests.markup import Balanced
from train_host.data import versioning
from train_host.data.check import check
from train_host.data.report import figures, render

pytest.importorskip("PIL.Image", reason="pip install 'edgeml-kit[image]'")

EVERY: dict[str, Callable[[Path], Dataset]] = {
    "spoilt": dataset_pages.spoilt,
    "sounds": dataset_pages.sounds,
    "pictures": dataset_pages.pictures,
    "hostile": dataset_pages.hostile,
    "values": task_folders.pump,
    "several labels": task_folders.kitchen,
}


def titles(document: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", document)


@pytest.mark.parametrize("name", EVERY)
def test_a_page_is_well_formed_reaches_for_nothing_and_is_always_the_same(tmp_path: Path, name: str) -> None:
    folder = EVERY[name](tmp_path / "d").folder
    document = render(check(folder))
    parsed = Balanced(document)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(parsed.names)
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert parsed.handlers == []
    assert document == render(check(folder))
    assert {"Balance", "Groups", "Examples", "Channels", "Origin"} <= set(titles(document))
    document.encode()


def test_what_is_wrong_is_drawn_with_its_reasons(tmp_path: Path) -> None:
    document = render(check(dataset_pages.spoilt(tmp_path / "d").folder))
    suspects = document.split("<h2>Suspects</h2>")[1].split("<h2>Findings</h2>")[0]
    for reason in (
        "NaN or inf in",
        "s is the same as in recordings/shake/p2_1.csv from 0.00 s on, of another person",
        "times stronger than is usual for",
        "times shorter than is usual for",
        "cannot be read",
    ):
        assert reason in suspects, reason
    assert "errors.</span>" in document
    assert "Sides of the split" in document


def test_a_good_dataset_has_no_suspects(tmp_path: Path) -> None:
    document = render(check(folders.motion(tmp_path / "d").folder))
    assert "Nothing odd was found." in document
    assert not {"Suspects", "Findings"} & set(titles(document))


def test_values_to_learn_are_drawn(tmp_path: Path) -> None:
    document = render(check(task_folders.pump(tmp_path / "d").folder))
    assert "The values of 48 recordings." in document
    assert "flow, l/min: " in document
    assert "Values" not in titles(render(check(folders.motion(tmp_path / "m").folder)))


def test_saved_versions_are_listed(tmp_path: Path) -> None:
    dataset = folders.motion(tmp_path / "d")
    versioning.save(dataset.folder, "march", versioning.snapshot(dataset))
    assert "version march" in render(check(dataset.folder))


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (3.21, "s", "3.2 s"),
        (192, "s", "3 min 12 s"),
        (7384, "s", "2 h 3 min"),
        (1, "images", "1 image"),
        (12000, "images", "12,000 images"),
    ],
)
def test_amounts_are_readable(value: float, unit: str, words: str) -> None:
    assert figures.amount(value, unit) == words


def test_a_spectrogram_is_bright_where_the_tone_is() -> None:
    import base64
    import io

    from PIL import Image

    rate = 8000.0
    time_s = np.arange(8000) / rate
    html = sound.spectrogram(np.sin(2 * np.pi * 3000 * time_s)[:, None], rate)
    content = base64.b64decode(html.split("base64,")[1].split('"')[0])
    pixels = np.asarray(Image.open(io.BytesIO(content)), float).sum(axis=2)
    rows = pixels.mean(axis=1)
    mel = [2595 * np.log10(1 + hz / 700) for hz in (3000, 4000)]
    expected = len(rows) * (1 - mel[0] / mel[1])
    assert abs(int(rows.argmax()) - expected) <= 2
    assert sound.spectrogram(np.zeros((20, 1)), rate) == ""


def test_slow_and_wide_signals_are_no_sound() -> None:
    assert sound.is_sound(np.zeros((100, 2)), 8000)
    assert not sound.is_sound(np.zeros((100, 2)), 100)
    assert not sound.is_sound(np.zeros((100, 6)), 8000)
    assert not sound.is_sound(np.zeros((100, 1)), None)
    assert not sound.is_sound(np.full((100, 1), np.nan), 8000)


HUGE = np.float32([0, 1, np.inf, -np.inf, np.nan, 3e38, -3e38])


@pytest.mark.parametrize(
    ("samples", "rate_hz"),
    [
        (np.zeros((1, 2)), 50.0),
        (np.ones((100, 2)), None),
        (np.full((100, 2), np.nan), 50.0),
        (np.full((100, 2), 3e38), 50.0),
        (np.random.default_rng(0).choice(HUGE, (120, 2)), 50.0),
        (np.zeros((1, 1)), 8000.0),
        (np.zeros((900, 1)), 8000.0),
    ],
    ids=["one sample", "no rate", "NaN", "huge", "everything", "a click", "silence"],
)
@pytest.mark.parametrize("label", ["p", None])
def test_whatever_a_recording_holds_there_is_a_page(
    tmp_path: Path, samples: np.ndarray, rate_hz: float | None, label: str | None
) -> None:
    names = ("x", "y")[: samples.shape[1]]
    facts = Facts(name="d", channels=tuple(Channel(name) for name in names), rate_hz=rate_hz)
    signal = Signal(samples.astype(np.float32), rate_hz, names)
    new = [NewRecording(signal, label, group, "1", suffix=".npz") for group in "abc"]
    Balanced(render(check(write(tmp_path / "d", facts, new).folder)))
