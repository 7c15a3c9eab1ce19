"""The head of the page: what was made, whether it passed, and the figures that matter most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from converters.page import decisions, judged, tables, tiles, wording
from converters.page.markup import Html, join, tag
from converters.report import Report, allowed

#: Length and number of notes here; the last section has all of them.
_NOTE, _NOTES = 240, 8


def render(report: Report) -> Html:
    """Name, recipe, verdict and headline figures."""
    recipe = report.recipe
    made = f"{wording.clipped(Path(report.source).name, 80)} as {recipe.name}: {recipe.meaning}."
    return join(
        (
            tag("h1", wording.clipped(report.name, 80)),
            tag("p", made, class_="soft"),
            _gate(report),
            tag("div", join(_tiles(report)), class_="tiles"),
        )
    )


def _gate(report: Report) -> Html:
    word, sentences = ("Passed.", [_passed(report)]) if report.passed else ("Refused.", [_refused(report)])
    if report.chosen.kept:
        sentences.append(
            f"{wording.counted(len(report.chosen.kept), 'layer')} computed in float32, which int8 would ruin."
        )
    parts = [tag("p", tag("span", word, class_="good" if report.passed else "bad"), " ", " ".join(sentences))]
    parts += [tag("p", wording.clipped(note, _NOTE), class_="soft") for note in report.notes[:_NOTES]]
    parts.append(tables.and_more(min(len(report.notes), _NOTES), len(report.notes), "note", "see Lineage"))
    return tag("div", *parts, class_="gate" if report.passed else "gate refused")


def _passed(report: Report) -> str:
    verdict = report.verdict
    if verdict.judged is not None:
        return f"{judged.loss(verdict.judged)} lost; asked was {allowed(report)}."
    if verdict.drop is None:
        return (
            f"There are no labels to measure accuracy with; the outputs are within the error that "
            f"{report.recipe.name} may have: {wording.decibels(verdict.difference.sqnr_db)}, at least "
            f"{report.recipe.least_sqnr_db:g} dB were asked."
        )
    lost = (
        "Nothing was lost"
        if verdict.drop <= 0
        else f"{wording.points(verdict.drop, sign=False)} points were lost"
    )
    said = f"{lost}; {_allowed(report)} may be."
    most = verdict.drop_interval[1] if verdict.drop_interval is not None else 0.0
    if most > report.max_drop:
        said += (
            " The loss is not certain to stay below that: its 95 % interval reaches "
            f"{wording.points(most, sign=False)} points. More evaluation inputs would tell."
        )
    return said


def _refused(report: Report) -> str:
    if report.verdict.judged is not None:
        asked = f"asked was {allowed(report)}"
    elif report.verdict.drop is None:
        asked = f"at least {report.recipe.least_sqnr_db:g} dB were asked"
    else:
        asked = f"{_allowed(report)} may be lost"
    return f"{report.chosen.failure}; {asked}. Nothing was written."


def _allowed(report: Report) -> str:
    points = f"{100 * report.max_drop:g}"
    return f"{points} point" if points == "1" else f"{points} points"


def _tiles(report: Report) -> Iterator[Html]:
    verdict = report.verdict
    before, after, apart = verdict.original, verdict.result, verdict.difference
    if before is not None and after is not None:
        yield tiles.tile(
            "Accuracy",
            wording.share(after.accuracy, after.n),
            f"{wording.interval(before.interval)}{tiles.ARROW}{wording.interval(after.interval)}",
            before=wording.share(before.accuracy, before.n),
        )
        yield tiles.tile(
            "Points lost",
            wording.points(verdict.drop, sign=False),
            f"{wording.points_interval(verdict.drop_interval)}, 95 %, paired",
        )
    if verdict.judged is not None:
        reached = verdict.judged.before, verdict.judged.after
        yield tiles.tile(
            judged.name(verdict.judged),
            judged.value(reached[1]),
            tiles.ARROW.join(wording.interval(one.interval) for one in reached),
            before=judged.value(reached[0]),
        )
        yield tiles.tile("Lost", judged.loss(verdict.judged), f"asked was {allowed(report)}")
    same = decisions.agreement(verdict, decisions.deciding(report))
    if same is not None:
        yield tiles.tile("Same label", f"{same:.1%}", f"of {wording.counted(apart.n, 'input')}")
    if before is None or same is None:
        yield tiles.tile(
            "Output above its error",
            wording.decibels(apart.sqnr_db),
            f"largest error {wording.significant(apart.max_error)}",
        )
    yield tiles.tile(
        "File size",
        wording.size(report.size_bytes),
        _size_note(report),
        before=None if report.source_bytes is None else wording.size(report.source_bytes),
    )
    if report.chosen.latency_us is not None:
        reference = next(
            (t for t in report.trials if t.recipe.name == "float32" and t is not report.chosen), None
        )
        first = (
            None
            if reference is None or reference.latency_us is None
            else wording.duration(reference.latency_us)
        )
        what = "float32 → chosen, " if first else ""
        yield tiles.tile(
            "Latency",
            wording.duration(report.chosen.latency_us),
            f"{what}median on {_place(report.target)}",
            before=first,
        )
    if report.chosen.arena_bytes is not None:
        yield tiles.tile("Arena", wording.size(report.chosen.arena_bytes), "planned, for activations")


def _place(target: str) -> str:
    return "this machine" if target == "host:" else target


def _size_note(report: Report) -> str:
    model = f"the model in it {wording.size(len(report.flatbuffer))}"
    if not report.source_bytes:
        return model
    return f"{wording.points(report.size_bytes / report.source_bytes - 1)[:-2]} %; {model}"
