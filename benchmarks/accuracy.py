"""What one gets on the three public sets, by the commands of docs/accuracy.md. It takes minutes.

Run it by name:

    python -m benchmarks.accuracy FOLDER [motion|digits|fashion …]

The sets come from ../shared/data, or from where EDGEML_PUBLIC_DATA says. Dataset folders and results stay in
FOLDER; a folder that is there already is taken as it is. With ``--epochs 1`` it takes a few minutes and says
whether all of it runs, and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from edge_sdk.contract import Channel
from edge_sdk.dataset import Facts, NewRecording, Signal, write
from train_host.demo import watch

ROOT = Path(__file__).parents[1]
PUBLIC = Path(os.environ.get("EDGEML_PUBLIC_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "accuracy.md"
#: Training images of Fashion-MNIST are put into so many groups, of which one decides when to stop.
_SHELVES = 10


def commands(name: str) -> list[str]:
    """The words of the command on the page that trains on the dataset folder of that name."""
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    line = next(line for line in text.splitlines() if line.startswith(f"edgeml train {name} "))
    return shlex.split(line, comments=True)[1:]


def files() -> dict[str, str]:
    """The configs on the page by name: each block of TOML whose first line is a comment with it."""
    blocks = re.findall(r"^```toml\n# (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)


def motion(folder: Path) -> None:
    """The watch set that `edgeml demo` uses."""
    write(folder, watch.facts(), watch.recordings())


def digits(folder: Path) -> None:
    """The recordings of the Free Spoken Digit Dataset, imported as docs/keyword-spotting.md says."""
    wavs = folder.with_name("fsdd")
    wavs.mkdir(exist_ok=True)
    with zipfile.ZipFile(_public("audio_fsdd/fsdd.zip")) as archive:
        for member in archive.namelist():
            if member.endswith(".wav"):
                (wavs / Path(member).name).write_bytes(archive.read(member))
    pattern = r"(?P<label>\d)_(?P<group>\w+)_(?P<id>\d+)$"
    given = ["-o", str(folder), "--pattern", pattern, "--pad-s", "1", "--group-is", "speaker"]
    _edgeml(["data", "import", str(wavs), *given], folder.parent)


def fashion(folder: Path) -> None:
    """12,000 and 3,000 images of Fashion-MNIST, on the sides that its authors gave them."""
    with np.load(_public("image_fashion/fashion_small.npz")) as arrays:
        labels = tuple(re.sub(r"\W+", "-", str(name)).strip("-") for name in arrays["label_names"])
        facts = Facts(
            name="fashion",
            channels=(Channel("gray", "", (0.0, 255.0)),),
            labels=labels,
            group="shelf",
            licence="MIT, Zalando SE",
            source="Fashion-MNIST, Debian dataset-fashion-mnist",
        )
        sides = {side: (arrays[f"x_{side}"], arrays[f"y_{side}"]) for side in ("train", "test")}

    def images() -> Iterator[NewRecording]:
        for side, (pixels, kinds) in sides.items():
            for number, (image, kind) in enumerate(zip(pixels, kinds, strict=True)):
                shelf = f"train{number % _SHELVES}" if side == "train" else "test"
                content = Signal(image[:, :, None].astype(np.float32), None, ("gray",))
                yield NewRecording(content, labels[kind], shelf, f"{number}", split=side, suffix=".png")

    write(folder, facts, images())


def _public(name: str) -> Path:
    path = PUBLIC / name
    if not path.is_file():
        raise click.ClickException(
            f"{path}: no such file; EDGEML_PUBLIC_DATA says in which folder the sets are"
        )
    return path


#: As the table on the page, with what a run takes.
_HEAD = "| set | windows | float32 | int8 | lost, points (95 %, paired) | minutes |\n" + 6 * "| --- " + "|"
SETS = {"motion": motion, "digits": digits, "fashion": fashion}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.argument("names", nargs=-1, type=click.Choice(list(SETS)))
@click.option("--epochs", type=click.IntRange(min=1), help="Of each training, instead of the page's.")
def main(folder: Path, names: tuple[str, ...], epochs: int | None) -> None:
    """Make the dataset folders in FOLDER, run the commands of the page, print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text)
    more = [] if epochs is None else ["--epochs", str(epochs)]
    click.echo(_HEAD)
    for name in names or SETS:
        if not (folder / name).exists():
            click.echo(f"{name}: making the dataset folder", err=True)
            SETS[name](folder / name)
        began_s = time.monotonic()
        said = _edgeml([*commands(name), *more, "--json"], folder)
        (folder / f"{name}.json").write_text(said)
        click.echo(_row(name, json.loads(said), (time.monotonic() - began_s) / 60))


def _edgeml(words: list[str], folder: Path) -> str:
    command = [sys.executable, "-m", "edge_sdk", *words]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        raise click.ClickException(f"edgeml {shlex.join(words)} in {folder}: status {done.returncode}")
    return done.stdout


def _row(name: str, said: dict[str, Any], minutes: float) -> str:
    folds = said.get("folds")
    if folds:
        before, after = folds, folds["converted"]
        figures = [f"{part['mean']:.3f} ± {part['sd']:.3f}" for part in (before, after)]
    else:
        after = said["converted"]
        low, high = said["interval"]
        figures = [f"{said['accuracy']:.3f} ({low:.3f} to {high:.3f})", f"{after['accuracy']:.3f}"]
    low, high = (100 * edge for edge in after["drop_interval"])
    lost = f"{round(100 * after['drop'], 1) + 0.0:.1f} ({low:.1f} to {high:.1f})"  # not -0.0
    return f"| {name} | {said['n']:,} | {' | '.join(figures)} | {lost} | {minutes:.0f} |"


if __name__ == "__main__":
    main()
