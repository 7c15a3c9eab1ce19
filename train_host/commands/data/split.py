"""``edgeml data split``: which groups train, and which ones judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import first_of

if TYPE_CHECKING:
    from train_host.data.splitting import Division

#: Groups of a side that are named; all of them stand in --json.
_NAMED = 24


@click.command(
    "split",
    epilog="\b\nExample:\n"
    "  edgeml data split data --validation 0.1 --test 0.2\n"
    "  edgeml data split data --folds 5 --dry-run\n"
    "  edgeml data split data --leave-one-group-out && edgeml train data --folds 6",
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--validation", type=float, default=0.1, show_default=True, help="Share that decides when to stop."
)
@click.option(
    "--test", type=float, default=0.2, show_default=True, help="Share that only the final figures see."
)
@click.option("--folds", type=click.IntRange(min=2), help="Divide into so many folds instead.")
@click.option("--leave-one-group-out", is_flag=True, help="Make each group a fold.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides between equals."
)
@click.option("--dry-run", is_flag=True, help="Show, and write nothing.")
@click.option("--force", is_flag=True, help="Replace a split or folds that manifest.csv has already.")
@json_option
def command(folder: Path, dry_run: bool, force: bool, as_json: bool, **how: Any) -> None:
    """Divide the groups of a dataset and write that into its manifest.csv.

    Whole groups go to a side, so that each has its share of every label as far as that is possible. What is
    written wins over the seed and the shares of edgeml train.
    """
    from edge_sdk.dataset import Dataset
    from edge_sdk.dataset.manifest import MANIFEST, write_manifest
    from edge_sdk.errors import DatasetError
    from train_host.data import splitting

    _check(**how)
    dataset = Dataset.load(folder)
    what = "fold" if how["folds"] or how["leave_one_group_out"] else "split"
    if not (force or dry_run) and any(getattr(recording, what) for recording in dataset.recordings):
        remedy = "give --force to replace it, or --dry-run to look"
        raise DatasetError(f"{folder / MANIFEST}: has a {what} already", remedy=remedy)
    with click.progressbar(length=len(dataset.recordings), label="measuring", file=sys.stderr) as bar:
        amounts = splitting.measure(dataset, lambda file: bar.update(1))
    if how["leave_one_group_out"]:
        division = splitting.one_group_each(amounts)
    elif how["folds"]:
        division = splitting.folded(amounts, how["folds"], how["seed"], dataset.group)
    else:
        shares = {"validation": how["validation"], "test": how["test"]}
        shares = {"train": 1 - sum(shares.values()), **shares}
        division = splitting.divide(amounts, shares, how["seed"], dataset.group)
    if not dry_run:
        write_manifest(folder / MANIFEST, splitting.recordings(dataset, division), dataset.target_names)
    if as_json:
        facts = {"dataset": str(folder), "by": dataset.group, "written": not dry_run}
        print_json({**facts, **division.as_dict()})
        return
    click.echo("\n".join(_lines(division)))
    if not dry_run:
        click.echo(f"written: {folder / MANIFEST}")


def _check(
    *, validation: float, test: float, folds: int | None, leave_one_group_out: bool, seed: int
) -> None:
    from edge_sdk.errors import ConfigError

    del seed
    if folds and leave_one_group_out:
        raise ConfigError("--folds, --leave-one-group-out", expected="one of the two", found="both")
    if not (0 <= validation < 1 and 0 < test < 1 and validation + test < 1):
        expected = "shares that leave some for training, --test more than 0"
        raise ConfigError("--validation, --test", expected=expected, found=f"{validation:g}, {test:g}")


def _lines(division: Division) -> list[str]:
    """A row a label, a column a side: how much, and what share of the label that is."""
    table = division.table
    whole = table.sum(axis=0)
    rows = [["", *division.sides]]
    for column, label in enumerate(division.amounts.labels):
        cells = [f"{amount:,.0f}  {_share(amount, whole[column])}" for amount in table[:, column]]
        rows.append([label, *cells])
    sums = division.whole
    rows.append([f"all, {division.amounts.unit}", *(f"{v:,.0f}  {_share(v, sums.sum())}" for v in sums)])
    rows.append(["groups", *(str(len(division.groups_of(side))) for side in division.sides)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    lines += [f"{side}: {first_of(division.groups_of(side), _NAMED)}" for side in division.sides]
    missing = [
        f"note: {side} has nothing of {label!r}: no whole group was left for it"
        for i, side in enumerate(division.sides)
        for j, label in enumerate(division.amounts.labels)
        if whole[j] and not table[i, j]
    ]
    return [*lines, *missing]


def _share(amount: float, whole: float) -> str:
    return f"{amount / whole:4.0%}" if whole else "   –"
