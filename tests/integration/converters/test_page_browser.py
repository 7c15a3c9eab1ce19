"""The report of a conversion in a real browser: nothing is fetched or sticks out, everything can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.report import Report
from tests import pages, reports
from tests.pages import Viewer

pytestmark = pytest.mark.integration
pytest_plugins = ["tests.browser"]

CASES: dict[str, Callable[[], Report]] = {
    "classifier": reports.report,
    "auto": reports.several,
    "refused": reports.refused,
    "unlabelled": reports.unlabelled,
    "pictures": reports.pictures,
    "deep": reports.deep,
    "large": reports.large,
    "hostile": reports.hostile,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return pages.written(folder, ((name, make().html()) for name, make in CASES.items()))


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("name", CASES)
def test_nothing_sticks_out_and_no_names_overlap(show: Viewer, name: str, width: int) -> None:
    page = show(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(pages.OVERLAPS) == []
    assert page.evaluate(pages.STICKING_OUT) == []
    assert page.locator("h2").count() >= 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", CASES)
def test_every_text_stands_out_from_what_is_behind_it(show: Viewer, name: str, scheme: str) -> None:
    page = show(name, 1200, scheme)
    assert page.evaluate(pages.FAINT) == []
    paper = page.evaluate("getComputedStyle(document.querySelector('.edgeml-report')).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(17, 22, 27)")


@pytest.mark.parametrize("width", [400, 1200])
def test_text_in_drawings_stays_large_enough_to_read(show: Viewer, width: int) -> None:
    page = show("auto", width)
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect())
                 .filter(box => box.width).map(box => box.height)"""
    )
    assert min(sizes) >= 11


def test_the_plot_has_every_trial_that_gave_a_model(show: Viewer) -> None:
    page = show("auto", 1200)
    sizes = page.locator("figure").first.locator(".wide")
    shown = sizes.locator("text").all_text_contents()
    for trial in reports.several().trials:
        named = [text for text in shown if text.split(" ")[0] == trial.recipe.name]
        assert len(named) == (trial.verdict is not None), trial.recipe.name
    assert sizes.locator("circle.ring").count() == 1
    assert sizes.locator("circle.hollow").count() == 2


def test_links_lead_to_their_sections(show: Viewer) -> None:
    assert pages.follow(show("classifier", 1200), "Boards") == "Boards"


def test_a_notebook_keeps_its_looks(browser: Any) -> None:
    """As a notebook shows it: put into a page that has rules of its own, without html, head and body."""
    page = browser.new_page(viewport={"width": 1000, "height": 900}, color_scheme="dark")
    page.set_content(
        "<style>body { margin: 9px; color: rgb(1, 2, 3) } td { text-align: right }</style>"
        "<p id=before>before</p><table><tr><td id=cell>1</td></tr></table><div id=out></div>"
    )
    looks = """() => ['body', '#before', '#cell'].map(q => {
        const s = getComputedStyle(document.querySelector(q));
        return [s.margin, s.color, s.font, s.textAlign, s.backgroundColor, s.display];
    })"""
    before = page.evaluate(looks)
    page.evaluate(
        "html => { document.querySelector('#out').innerHTML = html }", reports.several()._repr_html_()
    )
    assert page.locator("#out h1").text_content() == "motion"
    assert page.evaluate(looks) == before
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    page.close()


@pytest.mark.parametrize("name", ["auto", "large"])
def test_it_prints_on_paper(show: Viewer, name: str) -> None:
    page = show(name, 718)  # A4 with margins of 10 mm, at 96 dots an inch
    page.emulate_media(media="print")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.edgeml-report')).color") == "rgb(24, 34, 44)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert page.pdf(format="A4").startswith(b"%PDF")
