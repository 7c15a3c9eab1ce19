"""The report of a training in a real browser: nothing is fetched or sticks out, everything can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import pages, trainings
from tests.pages import Viewer
from train_host import page

pytestmark = pytest.mark.integration
pytest_plugins = ["tests.browser"]

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
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return pages.written(folder, ((name, page.render(make())) for name, make in CASES.items()))


@pytest.mark.parametrize("name", CASES)
def test_nothing_sticks_out_no_names_overlap_and_every_text_can_be_read(show: Viewer, name: str) -> None:
    for width, scheme in ((400, "light"), (1200, "dark")):
        opened = show(name, width, scheme)
        assert pages.faults(opened) == []
        assert opened.locator("h2").count() >= 6


def test_errors_can_be_listened_to(show: Viewer) -> None:
    opened = show("sound", 1200)
    players = opened.locator("audio")
    assert players.count() == len(trainings.sound().sections[2][1].split("<audio")) - 1 > 3
    lengths = pages.sounds_s(opened)
    assert lengths == pytest.approx([trainings.SOUND / trainings.SOUND_HZ] * len(lengths))
    assert opened.locator("img.stretched").count() == len(lengths)


def test_links_lead_to_their_sections(show: Viewer) -> None:
    opened = show("champion", 1200)
    for title in ("Champion and challenger", "Confidence", "Events", "Lineage"):
        assert pages.follow(opened, title) == title


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
