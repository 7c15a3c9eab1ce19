"""The page of a dataset in a real browser: nothing is fetched or sticks out, all can be read and heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import dataset_pages, pages, task_folders
from tests.pages import Viewer
from train_host.data.check import check
from train_host.data.report import render

pytestmark = pytest.mark.integration
pytest_plugins = ["tests.browser"]

CASES = {
    "spoilt": dataset_pages.spoilt,
    "sounds": dataset_pages.sounds,
    "pictures": dataset_pages.pictures,
    "hostile": dataset_pages.hostile,
    "values": task_folders.pump,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return pages.written(
        folder, ((name, render(check(make(folder / name).folder))) for name, make in CASES.items())
    )


@pytest.mark.parametrize("name", CASES)
def test_nothing_sticks_out_and_every_text_can_be_read(show: Viewer, name: str) -> None:
    for width, scheme in ((400, "light"), (1200, "dark")):
        opened = show(name, width, scheme)
        assert pages.faults(opened) == []


def test_sounds_can_be_listened_to(show: Viewer) -> None:
    opened = show("sounds", 1200)
    assert pages.sounds_s(opened) == pytest.approx([dataset_pages.SOUND_S] * 6)
    assert opened.locator("img.stretched").count() == 6


def test_links_lead_to_their_sections(show: Viewer) -> None:
    opened = show("spoilt", 1200)
    for title in ("Balance", "Suspects", "Findings", "Origin"):
        assert pages.follow(opened, title) == title


def test_hostile_names_stay_text(show: Viewer) -> None:
    opened = show("hostile", 1200)
    assert opened.locator("h1").text_content() == dataset_pages.HOSTILE
    assert opened.locator("img[onerror]").count() == 0
