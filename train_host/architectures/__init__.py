"""Architectures by name. A family is a file; this table is the only list of them.

A name with a colon is one's own function, ``package.module:function``, called as a family's `build` is.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_sdk.contract import Statistics
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, UnknownNameError
from train_host.architectures import arguments, kinds, sources
from train_host.architectures.head import Head
from train_host.architectures.kinds import IMAGES, SIGNALS, SOUND


@dataclass(frozen=True, slots=True)
class Architecture:
    """One entry of the table; ``build(shape, head, statistics, **options)`` of its file makes the model.

    Attributes:
        takes: kinds of windows (`kinds`); of sound all learn from a log-mel spectrogram.
        about: one line for ``edgeml train --list``.
        only: tasks that it alone is for; empty for those that learn from labels or targets.
    """

    takes: tuple[str, ...]
    about: str
    only: tuple[str, ...] = ()


TABLE = {
    "mlp": Architecture(
        (SIGNALS, SOUND, IMAGES),
        "dense layers over the whole window: the least that learns, for short windows",
    ),
    "cnn1d": Architecture(
        (SIGNALS, SOUND), "1-D convolutions over time: motion, vibration, other sensor signals"
    ),
    "tcn": Architecture(
        (SIGNALS, SOUND), "causal dilated convolutions with ways around them: events long ago in a window"
    ),
    "crnn": Architecture(
        (SIGNALS, SOUND), "convolutions and an LSTM: what comes after what; slower to train than all others"
    ),
    "ds_cnn": Architecture(
        (SOUND,), "keyword spotting: separable convolutions over a log-mel spectrogram in the graph"
    ),
    "cnn2d": Architecture((IMAGES, SOUND), "2-D convolutions over images of any size, or over a spectrogram"),
    "resnet8": Architecture((IMAGES, SOUND), "MLPerf Tiny's residual network: small images, audio events"),
    "mobilenet": Architecture(
        (IMAGES, SOUND), "separable convolutions, as wide as alpha says: images of any size, audio events"
    ),
    "mobilenet_v2": Architecture(
        (IMAGES,), "inverted residuals, Keras' own, untrained: larger images, many of them"
    ),
    "mobilenet_v3": Architecture((IMAGES,), "V3-Small: the same with hard swish and squeeze-and-excitation"),
    "autoencoder": Architecture(
        (SIGNALS, SOUND, IMAGES),
        "anomalies: learns to say normal windows again, and scores what it cannot",
        ("anomaly",),
    ),
    "gmm": Architecture(
        (SIGNALS, SOUND), "anomalies: a mixture of Gaussians over the spectrum, for few data", ("anomaly",)
    ),
    "kmeans": Architecture(
        (SIGNALS, SOUND),
        "anomalies: the distance to the nearest of a few spectra, the least that detects",
        ("anomaly",),
    ),
    "transfer": Architecture(
        (SIGNALS, SOUND, IMAGES), "what a .keras of yours has learned, and a new last layer: --base FILE"
    ),
}
#: What is taken where nothing is asked for, kind by kind.
DEFAULTS = {SIGNALS: "cnn1d", SOUND: "ds_cnn", IMAGES: "cnn2d"}


def choose(name: str | None, dataset: Dataset, options: Mapping[str, Any] | None = None) -> str:
    """The architecture of that name, or the best bet for a dataset where no name is given.

    Args:
        name: from the table, or ``package.module:function``.
        dataset: what it must fit.
        options: of the architecture; what they name must be there.

    Raises:
        UnknownNameError: there is none of that name.
        ConfigError: it takes other data, or what it is made from is not there.
    """
    if name is not None and sources.is_function(name):
        sources.of(name, options or {})
        return name
    kind = kinds.of_dataset(dataset)
    fitting = names(kind, dataset.task)
    if name is None:
        return default(kind, dataset.task)
    if name not in TABLE:
        raise UnknownNameError("architecture", name, TABLE)
    if name not in fitting:
        made_for = " or ".join(TABLE[name].only or TABLE[name].takes)
        found = (
            f"a dataset for {dataset.task}" if kind in TABLE[name].takes else f"recordings that are {kind}"
        )
        raise ConfigError(
            f"architecture {name!r} is made for {made_for}",
            expected="one of " + ", ".join(fitting),
            found=found,
        )
    sources.of(name, options or {})
    return name


def origin(name: str | None, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json says of an architecture: its name, chosen or given, and the file that it needs, if any.

    Raises:
        As `choose`.
    """
    chosen = choose(name, dataset, options)
    source = sources.of(chosen, options)
    return {"name": chosen, **({} if source is None else {"source": source.as_dict()})}


def default(kind: str, task: str) -> str:
    """The best bet for windows of a kind and a task."""
    fitting = names(kind, task)
    return DEFAULTS[kind] if DEFAULTS[kind] in fitting else fitting[0]


def names(kind: str, task: str) -> list[str]:
    """The architectures for windows of a kind and a task, in the order of the table."""
    claimed = {task for entry in TABLE.values() for task in entry.only}
    return [
        name
        for name, entry in TABLE.items()
        if kind in entry.takes and (task in entry.only if entry.only or task in claimed else True)
    ]


def fitter(name: str) -> Callable[[Any, Any, int], None] | None:
    """What finds the weights of a family without gradients, given model, batches and seed; None for most."""
    if name not in ("gmm", "kmeans"):
        return None
    found: Callable[[Any, Any, int], None] = importlib.import_module(f"{__name__}.{name}").fit
    return found


def build(
    name: str,
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    options: Mapping[str, Any] | None = None,
    *,
    rate_hz: float | None = None,
) -> Any:
    """An uncompiled Keras model with normalisation at its start and the head at its end.

    Args:
        name: what `choose` gave.
        shape: of one window, without the batch axis.
        head: the last layer.
        statistics: of the training windows, for the normalisation.
        options: keyword options of the family's `build`; of sound those of `log_mel.LogMel` as well.
        rate_hz: of the recordings, for a family that has an option of that name.

    Raises:
        ConfigError: an unknown option, or a window too short for it.
    """
    own = sources.is_function(name)
    if own:
        from train_host.architectures import own as functions

        function = functions.load(name)
    else:
        function = importlib.import_module(f"{__name__}.{name}").build
    try:
        given = arguments.of(function, name, shape, options or {}, rate_hz)
        if own:
            return functions.call(function, name, shape, head, statistics, given)
        return function(shape, head, statistics, **given)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"architecture {name!r} cannot be built", found=error, remedy="see [model]"
        ) from error
