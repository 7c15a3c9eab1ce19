"""The report of a conversion in a real browser: nothing is fetched or sticks out, everything can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from converters.report import Report
from tests import reports

pytestmark = pytest.mark.integration
sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
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

#: Boxes of the texts of every plot that is shown, and whether any two of them share more than a hair.
OVERLAPS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    if (!svg.getBoundingClientRect().width) continue;
    const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 0.5 && high > 2) found.push(`${a} / ${b}`);
    }));
  }
  return found;
}"""
#: Texts that stick out of the page without a scrollbar of their own.
STICKING_OUT = """() => {
  const all = [...document.querySelectorAll('svg text, h1, h2, p, .tile div, .card *')];
  return all.filter(e => {
    const box = e.getBoundingClientRect();
    if (!box.width || e.closest('.scroll')) return false;
    return box.right > innerWidth + 0.5 || box.left < -0.5;
  }).map(e => e.textContent);
}"""
#: Texts whose contrast with what is painted behind them is below 4.5; all boxes are laid over each other.
FAINT = """() => {
  const parse = c => { const v = c.match(/[\\d.]+/g).map(Number); return [v[0], v[1], v[2], v[3] ?? 1]; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = c => { const f = c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const layers = e => { const s = getComputedStyle(e); const found = [];
    const shade = s.backgroundImage.match(/rgba?\\([^)]*\\)/); if (shade) found.push(parse(shade[0]));
    found.push(parse(s.backgroundColor)); return found; };
  const behind = e => { const all = []; for (let p = e; p; p = p.parentElement) all.push(...layers(p));
    return all.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    const words = walk.currentNode.textContent.trim();
    if (!words || !e.getBoundingClientRect().width || e.tagName === 'title') continue;
    const style = getComputedStyle(e);
    const ink = parse(e instanceof SVGElement ? style.fill : style.color), paper = behind(e);
    const [a, b] = [light(over(ink, paper)), light(paper)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${words.slice(0, 40)}`);
  }
  return faint;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    written = {name: folder / f"{name}.html" for name in CASES}
    for name, file in written.items():
        file.write_text(CASES[name]().html(), encoding="utf-8")
    return written


@pytest.fixture
def show(browser: Any, files: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    """Opens a page; whatever it says on the console or asks of the network is an error at the end."""
    complaints: list[str] = []
    pages = []

    def open_page(name: str, width: int, scheme: str = "light") -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def look(route: Any) -> None:
            address = route.request.url
            if address == files[name].as_uri():
                route.continue_()
            else:
                complaints.append(address)
                route.abort()

        page.route("**/*", look)
        page.goto(files[name].as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("name", CASES)
def test_nothing_sticks_out_and_no_names_overlap(show: Callable[..., Any], name: str, width: int) -> None:
    page = show(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(STICKING_OUT) == []
    assert page.locator("h2").count() >= 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", CASES)
def test_every_text_stands_out_from_what_is_behind_it(
    show: Callable[..., Any], name: str, scheme: str
) -> None:
    page = show(name, 1200, scheme)
    assert page.evaluate(FAINT) == []
    paper = page.evaluate("getComputedStyle(document.querySelector('.edgeml-report')).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(17, 22, 27)")


@pytest.mark.parametrize("width", [400, 1200])
def test_text_in_drawings_stays_large_enough_to_read(show: Callable[..., Any], width: int) -> None:
    page = show("auto", width)
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect())
                 .filter(box => box.width).map(box => box.height)"""
    )
    assert min(sizes) >= 11


def test_the_plot_has_every_trial_that_gave_a_model(show: Callable[..., Any]) -> None:
    page = show("auto", 1200)
    sizes = page.locator("figure").first.locator(".wide")
    shown = sizes.locator("text").all_text_contents()
    for trial in reports.several().trials:
        named = [text for text in shown if text.split(" ")[0] == trial.recipe.name]
        assert len(named) == (trial.verdict is not None), trial.recipe.name
    assert sizes.locator("circle.ring").count() == 1
    assert sizes.locator("circle.hollow").count() == 2


def test_links_lead_to_their_sections(show: Callable[..., Any]) -> None:
    page = show("classifier", 1200)
    page.get_by_role("link", name="Boards").click()
    assert page.evaluate("document.querySelector(location.hash).querySelector('h2').textContent") == "Boards"


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
def test_it_prints_on_paper(show: Callable[..., Any], name: str) -> None:
    page = show(name, 718)  # A4 with margins of 10 mm, at 96 dots an inch
    page.emulate_media(media="print")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.edgeml-report')).color") == "rgb(24, 34, 44)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert page.pdf(format="A4").startswith(b"%PDF")
