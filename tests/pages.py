"""HTML reports in a real browser: what is asked of every page, whatever it shows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

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


@contextlib.contextmanager
def browsing() -> Iterator[Any]:
    """A Chromium for as long as the context lasts; skips without one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip("apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


class Viewer:
    """Opens files; whatever a page says on the console or asks of the network is a complaint.

    Args:
        browser: of `browsing`.
        files: by name.
    """

    def __init__(self, browser: Any, files: dict[str, Path]) -> None:
        self.browser, self.files = browser, files
        self.complaints: list[str] = []
        self._pages: list[Any] = []

    def __call__(self, name: str, width: int, scheme: str = "light") -> Any:
        page = self.browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self._pages.append(page)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        home = self.files[name].as_uri()

        def look(route: Any) -> None:
            if route.request.url == home:
                route.continue_()
            else:
                self.complaints.append(route.request.url)
                route.abort()

        page.route("**/*", look)
        page.goto(home)
        return page

    def close(self) -> None:
        """Close all pages; there must have been no complaint."""
        for page in self._pages:
            page.close()
        assert self.complaints == []


def written(folder: Path, texts: Iterable[tuple[str, str]]) -> dict[str, Path]:
    """Pages of these names and texts, written into a folder."""
    files = {}
    for name, text in texts:
        files[name] = folder / f"{name}.html"
        files[name].write_text(text, encoding="utf-8")
    return files


def faults(opened: Any) -> list[str]:
    """What no page may have: texts that stick out, that lie over each other, or that can hardly be read."""
    found = []
    if (width := opened.evaluate("document.documentElement.scrollWidth")) > opened.viewport_size["width"]:
        found.append(f"{width} px wide")
    for what, script in (("sticks out", STICKING_OUT), ("overlap", OVERLAPS), ("faint", FAINT)):
        found += [f"{what}: {text}" for text in opened.evaluate(script)]
    return found


def sounds_s(opened: Any) -> list[float]:
    """How long each sound of a page plays, s."""
    opened.wait_for_function(
        "() => [...document.querySelectorAll('audio')].every(one => one.readyState >= 1)"
    )
    return opened.evaluate("[...document.querySelectorAll('audio')].map(one => one.duration)")


def follow(opened: Any, title: str) -> str:
    """Click a link; the title of the section that it leads to."""
    opened.get_by_role("link", name=title).click()
    return opened.evaluate("document.querySelector(location.hash).querySelector('h2').textContent")
