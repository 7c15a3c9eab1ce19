"""The page of a dataset in a real browser: nothing is fetched or sticks out, all can be read and heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import dataset_pages, pages, task_folders
from tests.pages import Viewer
from train_host.data.check import check
from train_host.data.report import render

pytestmark = pytest.mark.integration

CASES = {
    "spoilt": dataset_pages.spoilt,
    "sounds": dataset_pages.sounds,
    "pictures": dataset_pages.pictures,
    "hostile": dataset_pages.hostile,
    "values": task_folders.pump,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with pages.browsing() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, make in CASES.items():
        (folder / f"{name}.html").write_text(render(check(make(folder / name).folder)), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in CASES}


@pytest.fixture
def show(browser: Any, files: dict[str, Path]) -> Iterator[Viewer]:
    viewer = Viewer(browser, files)
    yield viewer
    viewer.close()


@pytest.mark.parametrize("name", CASES)
def test_nothing_sticks_out_and_every_text_can_be_read(show: Viewer, name: str) -> None:
    for width, scheme in ((400, "light"), (1200, "dark")):
        opened = show(name, width, scheme)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate(pages.STICKING_OUT) == []
        assert opened.evaluate(pages.OVERLAPS) == []
        assert opened.evaluate(pages.FAINT) == []


def test_sounds_can_be_listened_to(show: Viewer) -> None:
    opened = show("sounds", 1200)
    opened.wait_for_function(
        "() => [...document.querySelectorAll('audio')].every(one => one.readyState >= 1)"
    )
    lengths = opened.evaluate("[...document.querySelectorAll('audio')].map(one => one.duration)")
    assert lengths == pytest.approx([dataset_pages.SOUND_S] * 6)
    assert opened.locator("img.stretched").count() == 6


def test_links_lead_to_their_sections(show: Viewer) -> None:
    opened = show("spoilt", 1200)
    for title in ("Balance", "Suspects", "Findings", "Origin"):
        opened.get_by_role("link", name=title).click()
        assert (
            opened.evaluate("document.querySelector(location.hash).querySelector('h2').textContent") == title
        )


def test_hostile_names_stay_text(show: Viewer) -> None:
    opened = show("hostile", 1200)
    assert opened.locator("h1").text_content() == dataset_pages.HOSTILE
    assert opened.locator("img[onerror]").count() == 0
