"""The head of the page: what there is, whether it is fit to learn from, and the figures that matter most."""

from __future__ import annotations

from collections.abc import Iterator

from converters.page import wording
from converters.page.markup import Html, join, tag
from converters.page.tiles import tile
from train_host.data.report import figures
from train_host.data.report.content import Content


def render(content: Content) -> Html:
    """Name, verdict and headline figures."""
    dataset = content.dataset
    about = ", ".join(part for part in (dataset.source, dataset.licence) if part)
    return join(
        (
            tag("h1", wording.clipped(dataset.name, 80)),
            tag("p", about, class_="soft") if about else Html(),
            _verdict(content),
            tag("div", *_tiles(content), class_="tiles"),
        )
    )


def _verdict(content: Content) -> Html:
    checked = content.checked
    errors, warnings, hints = (checked.count(kind) for kind in ("error", "warning", "hint"))
    if errors:
        word, kind = f"{wording.counted(errors, 'error')}.", "bad"
        said = "Whatever is learned from this is wrong, or looks better than it is, until they are mended."
    elif warnings or content.unlike or hints:
        word, kind = "No errors.", "good"
        looked = warnings + hints + len(content.unlike)
        said = f"{wording.counted(looked, 'thing')} may be worth a look."
    else:
        word, kind, said = "No errors.", "good", "Nothing odd was found."
    return tag(
        "div",
        tag("p", tag("span", word, class_=kind), " ", said),
        class_="gate refused" if errors else "gate",
    )


def _tiles(content: Content) -> Iterator[Html]:
    dataset = content.dataset
    lengths = [one.length for one in content.portraits]
    total = sum(lengths)
    recordings = len(dataset.recordings)
    unread = recordings - len(lengths)
    note = f"{unread} could not be read" if unread else "all could be read"
    yield tile("Images" if content.is_images else "Recordings", f"{recordings:,}", note)
    yield tile(
        wording.counted(2, dataset.group).split(" ", 1)[1].capitalize(),
        f"{len(dataset.groups):,}",
        "divided between training and test as a whole",
    )
    if dataset.task == "regression":
        names = ", ".join(dataset.target_names)
        yield tile("Targets", str(len(dataset.target_names)), wording.clipped(names, 60))
    else:
        yield tile("Labels", str(len(dataset.labels)), wording.clipped(", ".join(dataset.labels), 110))
    if not content.is_images and lengths:
        spread = " to ".join(dict.fromkeys(f"{one:.3g}" for one in (min(lengths), max(lengths))))
        spread = f"{spread} {content.unit} each"
        yield tile("In all", figures.amount(total, content.unit), spread)
    rate = f"{dataset.rate_hz:g} Hz" if dataset.rate_hz else wording.NOTHING
    names = ", ".join(channel.name for channel in dataset.channels)
    count = wording.counted(len(dataset.channels), "channel")
    if content.is_images:
        yield tile("Channels", str(len(dataset.channels)), names)
    else:
        yield tile("Rate", rate, wording.clipped(f"{count}: {names}", 60))
    yield tile("Digest", dataset.digest.removeprefix("sha256:")[:12], "of facts and content")
