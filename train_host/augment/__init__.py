"""Augmentations: what training changes in windows by chance, and the saved model knows nothing of.

They are layers inside the training step, on whole batches, so that an epoch costs hardly more than without.
This table is the only list of them. No TensorFlow here: a layer's module is imported where it is built.

``auto`` among the names stands for what is known to help with data of that kind.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Channel, Statistics
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, UnknownNameError
from train_host import architectures
from train_host.architectures import kinds
from train_host.architectures.kinds import IMAGES, SIGNALS, SOUND
from train_host.augment.strengths import ROTATION_DEG, Strengths
from train_host.windows.prepare import triplets

AUTO = "auto"
#: Tasks whose answer does not change when a window does: those that say what a window is.
_STEADY_TASKS = ("classification", "multi-label", "multilabel", "multi_label")


@dataclass(frozen=True)
class Facts:
    """What augmentations are built from.

    Attributes:
        strengths: how strong they are.
        channels: of the windows.
        statistics: of the training windows.
        silence: what the spectrogram in the model says of silence; None where it has none.
        background: float32 [k, window, channels], windows to mix in; None where there are none.
    """

    strengths: Strengths
    channels: Sequence[Channel]
    statistics: Statistics
    silence: float | None = None
    background: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Entry:
    """One augmentation.

    Attributes:
        layer: ``module:Class`` here.
        kinds: of windows that it changes.
        about: one line for ``edgeml train --list``.
        arguments: of the class, without the seed.
        changes: windows as they come, or the spectrogram that the model makes of sound.
    """

    layer: str
    kinds: tuple[str, ...]
    about: str
    arguments: Callable[[Facts], tuple[Any, ...]]
    changes: Literal["windows", "spectrogram"] = "windows"

    def build(self, facts: Facts, seed: int) -> Any:
        """The Keras layer."""
        module, _, name = self.layer.partition(":")
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)(
            *self.arguments(facts), seed=seed
        )


TABLE = {
    "rotation": Entry(
        "signals:Rotation",
        (SIGNALS,),
        "turns three-axis sensors by one random rotation, as if the device were worn askew",
        lambda f: (triplets(f.channels, f.strengths.triplets), _angle(f.strengths)),
    ),
    "jitter": Entry(
        "signals:Jitter",
        (SIGNALS, SOUND),
        "adds a little white noise to each channel",
        lambda f: (f.statistics.std, f.strengths.jitter),
    ),
    "scaling": Entry(
        "signals:Scaling",
        (SIGNALS, SOUND, IMAGES),
        "makes whole windows a little weaker or stronger",
        lambda f: (f.strengths.scaling,),
    ),
    "gains": Entry(
        "signals:Gains",
        (SIGNALS,),
        "makes each channel weaker or stronger by itself: other sensors, other places of electrodes",
        lambda f: (f.strengths.gains,),
    ),
    "warp": Entry(
        "signals:TimeWarp",
        (SIGNALS, SOUND),
        "plays parts of a window slower and others faster",
        lambda f: (f.strengths.warp,),
    ),
    "drop": Entry(
        "signals:ChannelDrop",
        (SIGNALS,),
        "holds a channel at its mean in some windows, so that nothing hangs on one sensor",
        lambda f: (f.statistics.mean, f.strengths.drop),
    ),
    "shift": Entry(
        "signals:Shift",
        (SIGNALS, SOUND),
        "moves windows in time; what leaves at one end comes in at the other",
        lambda f: (f.strengths.shift,),
    ),
    "speed": Entry(
        "signals:Speed",
        (SIGNALS, SOUND),
        "plays windows a little slower or faster, which makes voices lower or higher",
        lambda f: (f.strengths.speed,),
    ),
    "gain": Entry(
        "sound:Gain",
        (SOUND,),
        "makes windows louder or quieter: other microphones, other distances",
        lambda f: (f.strengths.gain_db,),
    ),
    "noise": Entry(
        "sound:Noise",
        (SOUND,),
        "adds noise to half of the windows: of random colours, or recordings of a label `background`",
        lambda f: (f.strengths.snr_db, f.background),
    ),
    "tone": Entry(
        "sound:Tone",
        (SOUND,),
        "lifts some bands of the spectrogram and lowers others: other microphones, other rooms",
        lambda f: (f.strengths.tone_db, f.silence),
        "spectrogram",
    ),
    "voice": Entry(
        "sound:Voice",
        (SOUND,),
        "stretches the bands of the spectrogram: longer and shorter vocal tracts",
        lambda f: (f.strengths.voice,),
        "spectrogram",
    ),
    "masks": Entry(
        "sound:Masks",
        (SOUND,),
        "hides stretches of time and of bands of the spectrogram (SpecAugment)",
        lambda f: (f.strengths.mask_time, f.strengths.mask_bands),
        "spectrogram",
    ),
    "flip": Entry(
        "images:Flip",
        (IMAGES,),
        "mirrors half of the images; not for letters",
        lambda f: (),
    ),
    "crop": Entry(
        "images:Crop",
        (IMAGES,),
        "moves images a little; their edges go on",
        lambda f: (f.strengths.crop,),
    ),
    "tilt": Entry(
        "images:Tilt",
        (IMAGES,),
        "turns images a little, and makes them a little larger or smaller",
        lambda f: (f.strengths.tilt_deg,),
    ),
    "light": Entry(
        "images:Light",
        (IMAGES,),
        "changes brightness, contrast and tint",
        lambda f: (f.statistics.mean, f.strengths.light),
    ),
    "cutout": Entry(
        "images:Cutout",
        (IMAGES,),
        "hides a rectangle in half of the images",
        lambda f: (f.statistics.mean, f.strengths.cutout),
    ),
}

#: They are for microphones: a level that has a unit means something, such as how bad a bearing is.
_OF_LEVELS = ("gain", "tone")
#: What ``auto`` stands for. Rotation joins in where there are sensors with three axes.
DEFAULTS = {
    SIGNALS: ("rotation", "jitter", "scaling"),
    SOUND: ("speed", "shift", "gain", "noise", "tone", "voice"),
    IMAGES: ("crop",),
}


def _angle(strengths: Strengths) -> float:
    """The largest one of a rotation, rad."""
    return math.radians(ROTATION_DEG if strengths.rotation_deg is None else strengths.rotation_deg)


def resolve(
    names: Sequence[str], dataset: Dataset, strengths: Strengths, arch: str | None
) -> tuple[str, ...]:
    """These names with ``auto`` replaced by what it stands for: nothing where the answer would change too.

    Args:
        names: of augmentations.
        dataset: for the kind of its windows, and its task.
        strengths: for triplets.
        arch: of the model; one that may make no spectrogram has none to be changed.
    """
    if AUTO not in names:
        return tuple(names)
    meant = DEFAULTS[kinds.of_dataset(dataset)] if dataset.task in _STEADY_TASKS else ()
    if not triplets(dataset.channels, strengths.triplets):
        meant = tuple(name for name in meant if name != "rotation")
    if any(channel.unit for channel in dataset.channels):
        meant = tuple(name for name in meant if name not in _OF_LEVELS)
    if arch is not None and (arch not in architectures.TABLE or arch == "transfer"):
        meant = tuple(name for name in meant if TABLE[name].changes == "windows")
    every = [found for name in names for found in (meant if name == AUTO else (name,))]
    return tuple(dict.fromkeys(every))


def check(names: Sequence[str], dataset: Dataset, strengths: Strengths) -> None:
    """Find out whether these augmentations can work on a dataset.

    Args:
        names: with ``auto`` resolved.
        dataset: that they are for.
        strengths: for triplets and background.

    Raises:
        UnknownNameError: there is no augmentation of that name.
        ConfigError: it is made for other data, rotation without a sensor with three axes, triplets of unknown
            channels, or a background that is no label.
    """
    kind = kinds.of_dataset(dataset)
    for name in names:
        if name not in TABLE:
            raise UnknownNameError("augmentation", name, [AUTO, *TABLE])
        if kind not in TABLE[name].kinds:
            raise ConfigError(
                f"augment: {name} is made for {' or '.join(TABLE[name].kinds)}",
                expected="some of " + ", ".join(key for key, entry in TABLE.items() if kind in entry.kinds),
                found=f"recordings that are {kind}",
            )
    if "rotation" in names and not triplets(dataset.channels, strengths.triplets):
        raise ConfigError(
            "augment: rotation needs a sensor with three axes",
            expected="channels such as ax, ay, az of one unit, or triplets in the config",
            found=", ".join(channel.name for channel in dataset.channels),
        )
    if strengths.background is not None and strengths.background not in dataset.labels:
        raise ConfigError(
            "background", expected="a label: " + ", ".join(dataset.labels), found=strengths.background
        )
