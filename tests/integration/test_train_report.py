"""The report of a training in a real browser: nothing is fetched or sticks out, everything can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import pages, trainings
from tests.pages import Viewer
from train_host import page

pytestmark = pytest.mark.integration

CASES: dict[str, Callable[[], page.Report]] = {
    "champion": trainings.alarmed,
    "refused": trainings.refused,
    "pictures": lambda: trainings.report("pictures"),
    "sound": trainings.sound,
    "perfect": trainings.perfect,
    "hostile": trainings.hostile,
    "pump": lambda: trainings.task("pump"),
    "kitchen": lambda: trainings.task("kitchen"),
    "bearing": lambda: trainings.task("bearing"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with pages.browsing() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    written = {name: folder / f"{name}.html" for name in CASES}
    for name, file in written.items():
        file.write_text(page.render(CASES[name]()), encoding="utf-8")
    return written


@pytest.fixture
def show(browser: Any, files: dict[str, Path]) -> Iterator[Viewer]:
    viewer = Viewer(browser, files)
    yield viewer
    viewer.close()


@pytest.mark.parametrize("name", CASES)
def test_nothing_sticks_out_no_names_overlap_and_every_text_can_be_read(show: Viewer, name: str) -> None:
    for width, scheme in ((400, "light"), (1200, "dark")):
        opened = show(name, width, scheme)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate(pages.OVERLAPS) == []
        assert opened.evaluate(pages.STICKING_OUT) == []
        assert opened.evaluate(pages.FAINT) == []
        assert opened.locator("h2").count() >= 6


def test_errors_can_be_listened_to(show: Viewer) -> None:
    opened = show("sound", 1200)
    players = opened.locator("audio")
    assert players.count() == len(trainings.sound().sections[2][1].split("<audio")) - 1 > 3
    opened.wait_for_function(
        "() => [...document.querySelectorAll('audio')].every(one => one.readyState >= 1)"
    )
    lengths = opened.evaluate("[...document.querySelectorAll('audio')].map(one => one.duration)")
    assert lengths == pytest.approx([trainings.SOUND / trainings.SOUND_HZ] * len(lengths))
    assert opened.locator("img.stretched").count() == len(lengths)


def test_links_lead_to_their_sections(show: Viewer) -> None:
    opened = show("champion", 1200)
    for title in ("Champion and challenger", "Confidence", "Events", "Lineage"):
        opened.get_by_role("link", name=title).click()
        shown = "document.querySelector(location.hash).querySelector('h2').textContent"
        assert opened.evaluate(shown) == title


def test_the_verdict_stands_at_the_head(show: Viewer) -> None:
    assert "Better than the champion." in show("champion", 1200).locator(".gate").first.text_content()
    refused = show("refused", 1200).locator(".gate.refused").text_content()
    assert refused.startswith("The champion stays. it is worse: ")


def test_other_tasks_have_charts_and_windows_of_their_own(show: Viewer) -> None:
    for name, charts in (("pump", 2), ("kitchen", 1), ("bearing", 1)):
        opened = show(name, 1200)
        first = opened.locator("section").first
        assert first.locator("figure .wide").count() == charts, name
        assert opened.locator(".card").count() > 3, name


def test_it_prints_on_paper(show: Viewer) -> None:
    opened = show("sound", 718)
    opened.emulate_media(media="print")
    assert opened.locator("audio").first.is_hidden()
    assert opened.evaluate("document.documentElement.scrollWidth") <= 718
    assert opened.pdf(format="A4").startswith(b"%PDF")
