"""What is to be imported, and one piece of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_sdk.channels import parse_channels
from edge_sdk.contract import Channel
from edge_sdk.errors import ConfigError
from edge_sdk.recordings import Signal

#: Called with bytes of the sources that have been read since the last call.
Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a long table that are no channels; None where it has no such column.

    Attributes:
        label: what a row shows.
        group: who or what was recorded.
        recording: which recording of the group a row belongs to.
        time: when, as ``NAME`` or ``NAME:UNIT`` with unit s, ms, us or ns.
        split: train, validation or test.
        targets: values to learn, as ``NAME`` or ``NAME:UNIT``; a recording gets the mean of its rows.
    """

    label: str | None = None
    group: str | None = None
    recording: str | None = None
    time: str | None = None
    split: str | None = None
    targets: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.label, self.group, self.recording, self.time, self.split, self.targets))

    def target_channels(self) -> tuple[Channel, ...]:
        """Names and units of what is to be learned.

        Raises:
            ConfigError: a target that is no ``NAME[:UNIT[:LOWEST:HIGHEST]]``.
        """
        if not self.targets:
            return ()
        try:
            return parse_channels(",".join(self.targets))
        except ConfigError as error:
            raise ConfigError("--target-column", expected=error.expected, found=error.found) from error


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to import and what is known about it.

    Attributes:
        sources: files, and folders that hold ``<label>/<group>_<id>.<suffix>`` somewhere below.
        output: the dataset folder to make.
        channels: which columns to take, in this order; empty means all of the first file.
        rate_hz: None means as the files say.
        label: of all recordings; None means as the source says, else the folder's name.
        group: of all recordings; None means as the source says, else as the file's name does.
        pattern: a regular expression with groups named label, group, id, searched in the path without suffix.
        group_is: what a group is.
        task: what is learned from it; with columns of targets always a regression.
        pad_s: what is shorter is filled up to so many seconds, with zeros at both ends; None: nothing is.
        fill_s: values that are missing for up to so many seconds become a straight line; None: none do.
        replace: an existing dataset folder may be replaced.
        columns: of CSV and Parquet files that are long tables; empty means that a file is a recording.
        resample: recordings of other rates are brought to `rate_hz`, or to that of the first.
        mono: the channels of a sound are mixed into one.
        size: height and width that images are brought to.
        colour: what images become; None means as they are.
        kind: what signals are written as; None means as they came where a folder can hold that.
    """

    sources: Sequence[Path]
    output: Path
    channels: tuple[Channel, ...] = ()
    rate_hz: float | None = None
    label: str | None = None
    group: str | None = None
    pattern: str | None = None
    name: str | None = None
    group_is: str = "group"
    task: Literal["classification", "multilabel", "regression", "anomaly"] = "classification"
    licence: str = ""
    replace: bool = False
    pad_s: float | None = None
    fill_s: float | None = None
    columns: Columns = Columns()
    resample: bool = False
    mono: bool = False
    size: tuple[int, int] | None = None
    colour: Literal["gray", "rgb"] | None = None
    kind: Literal["csv", "npz", "parquet"] | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One recording as a source holds it.

    Attributes:
        path: of the source, for errors and for what its place says.
        signal: what was recorded.
        label: as the source says.
        knows_label: whether the source says at all; else the place of the file does.
        group: as the source says; None where it does not.
        id: what tells it from the others of its label and group; None: the file's name does.
        split: side that the source puts it on.
        target: values to learn.
        units: of channels, by name.
        whole: whether it is a whole file that a dataset folder can hold as it is.
    """

    path: Path
    signal: Signal
    label: str | None = None
    knows_label: bool = False
    group: str | None = None
    id: str | None = None
    split: str | None = None
    target: tuple[float, ...] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
