from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest

from tests import trainings
from tests.reports import HOSTILE
from train_host import page
from train_host.page import errors, spans
from train_host.page.report import Report


class Checker(HTMLParser):
    """Elements that were opened and not closed, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img", "br", "col"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(report: Report) -> tuple[str, Checker]:
    text, checker = page.render(report), Checker()
    checker.feed(text)
    assert checker.open == []
    return text, checker


@pytest.mark.parametrize("make", [trainings.alarmed, trainings.refused, trainings.sound, trainings.hostile])
def test_a_page_is_whole_and_loads_nothing(make: Callable[[], Report]) -> None:
    text, checker = checked(make())
    assert all(address.startswith(("#", "data:")) for address in checker.addresses)
    assert not checker.names & {"script", "link", "iframe", "object", "form"}
    assert "default-src &#x27;none&#x27;" in text
    assert text == page.render(make())


def test_names_out_of_files_never_become_markup() -> None:
    text, _ = checked(trainings.hostile())
    assert HOSTILE not in text
    assert "<script" not in text


def test_a_perfect_model_has_no_errors_to_show() -> None:
    text, _ = checked(trainings.perfect())
    assert "None of 174 windows was decided wrong." in text
    assert "which is too few to measure confidence by" in text


def test_without_champion_and_threshold_there_are_no_such_sections() -> None:
    text, _ = checked(trainings.report())
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles == ["Confusion", "Accuracy", "Errors", "Confidence", "Training", "Data", "Lineage"]
    text, _ = checked(trainings.alarmed())
    assert {"Champion and challenger", "Events"} <= set(re.findall("<h2>(.*?)</h2>", text))


def test_one_test_group_and_a_validation_side_that_is_too_short_are_warned_of() -> None:
    made = trainings.alarmed()
    run = {**made.run, "split": {**made.run["split"], "test": ["p1"]}}
    text, _ = checked(dataclasses.replace(made, run=run))
    assert "Judged on one person only" in text
    assert "cannot promise 200/h" in text


def test_errors_are_the_surest_ones_of_unlike_recordings_first() -> None:
    recordings = np.array([0, 0, 0, 1, 1, 2])
    assert errors.spread_out([2, 1, 3, 5, 0], recordings, most=3) == [2, 3, 5]
    assert errors.spread_out([2, 1, 3, 5, 0], recordings, most=4) == [2, 3, 5, 1]
    assert errors.spread_out([], recordings) == []


def test_what_the_errors_say_is_what_the_model_said() -> None:
    made = trainings.report(sure=2.0)
    judged = made.judged
    said = judged.outputs.argmax(axis=1)
    wrong = np.flatnonzero(said != judged.windows.y)
    worst = wrong[judged.outputs[wrong, said[wrong]].argmax()]
    text, _ = checked(made)
    labels = judged.dataset.labels
    title = f"{labels[judged.windows.y[worst]]}, decided as {labels[said[worst]]}"
    card = text[text.index('class="card"') :]
    assert card.index(title) < card.index(judged.place(int(worst)))
    assert f"{judged.outputs[worst].max():.3f}" in card[: card.index(judged.place(int(worst)))]


def test_a_figure_is_drawn_at_its_place_between_its_bounds() -> None:
    drawn = spans.table("group", [spans.Span("p1", 0.5, (0.25, 0.75), 9)], 0.5, figure="accuracy")
    first, last = (float(x) for x in re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%" y1="9"', drawn)[0])
    middle = float(re.findall(r'cx="([\d.]+)%"', drawn)[0])
    assert first < middle < last
    assert middle - first == pytest.approx(last - middle, abs=0.1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pump", ["R²", "said over true", "instead of"]),
        ("kitchen", ["average precision", "precision over recall", "taken to hold", "Confidence"]),
        ("bearing", ["area under the ROC curve", "anomalies found over false alarms", "not noticed"]),
    ],
)
def test_other_tasks_show_what_counts_for_them(name: str, expected: list[str]) -> None:
    text, _ = checked(trainings.task(name))
    for words in expected:
        assert words in text
    assert "Worst windows" in text
