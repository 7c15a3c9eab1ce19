"""Architectures by name. A family is a file; this table is the only list of them."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Any

from edge_sdk.contract import Statistics
from edge_sdk.errors import ConfigError, UnknownNameError, suggestion
from train_host.architectures.head import Head


@dataclass(frozen=True, slots=True)
class Architecture:
    """One entry of the table.

    Attributes:
        module: its file here; `build(shape, head, statistics, **options)` makes an uncompiled Keras model.
        layout: the windows it takes: ``TC`` or ``HWC``.
        about: one line for ``edgeml train --list``.
    """

    module: str
    layout: str
    about: str


TABLE = {
    "cnn1d": Architecture(
        "cnn1d", "TC", "1-D convolutions over time: motion, vibration, other sensor signals"
    ),
    "ds_cnn": Architecture(
        "ds_cnn", "TC", "keyword spotting: separable convolutions over a log-mel spectrogram in the graph"
    ),
    "cnn2d": Architecture("cnn2d", "HWC", "2-D convolutions over small images"),
}


def choose(name: str | None, layout: str) -> str:
    """The architecture of that name, or the first for a layout where no name is given.

    Raises:
        UnknownNameError: there is none of that name.
        ConfigError: it takes another layout.
    """
    fitting = [key for key, entry in TABLE.items() if entry.layout == layout]
    if name is None:
        return fitting[0]
    if name not in TABLE:
        raise UnknownNameError("architecture", name, TABLE)
    if name not in fitting:
        kind = {"TC": "signals", "HWC": "images"}
        raise ConfigError(
            f"architecture {name!r} is made for {kind[TABLE[name].layout]}",
            expected="one of " + ", ".join(fitting),
            found=f"recordings that are {kind[layout]}",
        )
    return name


def build(
    name: str,
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    options: dict[str, Any] | None = None,
    *,
    rate_hz: float | None = None,
) -> Any:
    """An uncompiled Keras model with normalisation at its start and the head at its end.

    Args:
        name: from the table.
        shape: of one window, without the batch axis.
        head: the last layer.
        statistics: of the training windows, for the normalisation.
        options: keyword options of the family's `build`.
        rate_hz: of the recordings, for a family that has an option of that name.

    Raises:
        ConfigError: an unknown option, or a window too short for it.
    """
    function = importlib.import_module(f"{__name__}.{TABLE[name].module}").build
    known = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for key in options or {}:
        if key not in known:
            expected = "one of " + ", ".join(known)
            raise ConfigError(
                f"architecture {name!r}: option {key!r}", expected=expected, remedy=suggestion(key, known)
            )
    given = {"rate_hz": rate_hz} if "rate_hz" in known else {}
    try:
        return function(shape, head, statistics, **{**given, **(options or {})})
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"architecture {name!r} cannot be built", found=error, remedy="see [model]"
        ) from error
