"""The contract: everything that must travel with a model, kept inside the model file.

Plain dataclasses, so that a device reads a contract without importing anything but the standard library.
A file seen for the first time is checked field by field in `edge_sdk.schema`; one verified before is trusted
by its digest and read with `Contract.trusted`. The classes are values and nobody changes one, but they are
not ``frozen``: making them so would double what this module adds to a device's start, 5 ms of 150.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 1
Task = Literal["classification", "multilabel", "regression", "anomaly"]


@dataclass
class Channel:
    """One column of the input: its name, unit (``g``, ``dps``, ``Pa``) and physical range in that unit."""

    name: str
    unit: str = ""
    range: tuple[float, float] | None = None


@dataclass
class Input:
    """What a window is.

    Attributes:
        channels: in column order.
        rate_hz: sampling rate the model was trained at; None for still images.
        window: samples in a window.
        hop: samples between the starts of two windows.
        rate_tolerance: how far a source's rate may be off, as a fraction.
        layout: ``TC`` (time, channels) or ``HWC`` (image).
    """

    channels: tuple[Channel, ...]
    rate_hz: float | None
    window: int
    hop: int
    rate_tolerance: float = 0.05
    layout: Literal["TC", "HWC"] = "TC"

    @property
    def names(self) -> tuple[str, ...]:
        """Channel names in column order."""
        return tuple(channel.name for channel in self.channels)

    def takes_rate(self, rate_hz: float) -> bool:
        """Whether a source of this rate may feed the model; NaN may not."""
        return self.rate_hz is None or abs(rate_hz / self.rate_hz - 1) <= self.rate_tolerance


@dataclass
class Tensor:
    """One tensor of the model's interface; a dynamic axis is written as 1.

    Attributes:
        role: ``input`` or ``output``.
        name: of the argument in that signature of the model.
        dtype: numpy's name.
        shape: with the batch axis.
        signature: that the name is from.
        state: of an input, the output that it is given when the next window of the same stream comes.
    """

    role: Literal["input", "output"]
    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: str = "serving_default"
    state: str | None = None


@dataclass
class Output:
    """What the numbers that the model says stand for.

    Attributes:
        labels: in the order of the scores; of an anomaly detector, which says one score, what is normal and
            what is not; empty for a regression.
        scores: ``probability`` (0..1) or ``value``.
        values: of a regression: name and unit of each value, and the range that was learned from.
    """

    labels: tuple[str, ...] = ()
    scores: Literal["probability", "value"] = "probability"
    values: tuple[Channel, ...] | None = None


@dataclass
class DecisionSettings:
    """How single predictions become events; the keys of ``[decision]`` in an edgeml.toml.

    Attributes:
        threshold: smoothed score from which an event may start.
        smooth: number of windows whose scores are averaged.
        hold_s: for how long the score must stay above (below) before an event starts (ends), s.
        release: smoothed score under which an event ends; None means the threshold.
        background: labels that are never an event, such as ``rest``.
    """

    threshold: float = 0.5
    smooth: int = 1
    hold_s: float = 0.0
    release: float | None = None
    background: tuple[str, ...] = ()


@dataclass
class Statistics:
    """Per-channel mean and standard deviation of the training inputs, in the channels' units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass
class Reference:
    """What the model saw and said in training, for drift checks: inputs, and the share of each label."""

    input: Statistics
    predictions: tuple[float, ...] = ()


@dataclass
class Lineage:
    """Where the model comes from and how good it was when it was made.

    Attributes:
        dataset: digest of the dataset folder.
        split: what the split was made by.
        seed: the seed of split and training.
        recipe: the conversion recipe.
        source: digest of the file that was converted.
        accuracy_original: accuracy of that file on the evaluation split.
        accuracy: accuracy of this file on the same.
        interval: 95 % confidence interval of `accuracy`, `error` or `auc`.
        n: windows in the evaluation split.
        temperature: that the scores were calibrated with in training, one a label for sigmoids; it is in the
            weights. None where they are as the network was trained.
        calibration_error: how far confidence and accuracy were apart on that split, in the mean.
        versions: of the packages that made it.
        error_original: of a regression, instead of an accuracy: mean absolute error of that file.
        error: mean absolute error of this file.
        auc_original: of an anomaly detector: area under the ROC curve of that file.
        auc: of this file.
    """

    dataset: str | None = None
    split: str | None = None
    seed: int | None = None
    recipe: str | None = None
    source: str | None = None
    accuracy_original: float | None = None
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    n: int | None = None
    temperature: tuple[float, ...] | None = None
    calibration_error: float | None = None
    versions: dict[str, str] | None = None
    error_original: float | None = None
    error: float | None = None
    auc_original: float | None = None
    auc: float | None = None


@dataclass
class Contract:
    """The whole contract, schema 1; see docs/contract.md for the file it is kept in."""

    name: str
    task: Task
    input: Input
    output: Output
    schema: int = SCHEMA
    version: str = "1.0.0"
    digest: str | None = None
    tensors: tuple[Tensor, ...] = ()
    decision: DecisionSettings = field(default_factory=DecisionSettings)
    reference: Reference | None = None
    lineage: Lineage | None = None

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys in declaration order, without optional ones that are None; always the same."""
        return json.dumps(_plain(self), indent=1, ensure_ascii=False).encode() + b"\n"

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers; optional fields that are None are left out."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def trusted(cls, data: dict[str, Any]) -> Contract:
        """Build from decoded JSON that was checked before; nothing is checked again."""
        built: Contract = _build(cls, data)
        return built


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        items = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
        # A field that must be there is there, even as null: the rate of a still image.
        return {f.name: _plain(x) for f, x in items if x is not None or f.default is dataclasses.MISSING}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _build(kind: Any, value: Any) -> Any:
    """`value`, made into the dataclass, tuple or plain type that `kind` names."""
    if value is None or kind is Any:
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{key: _build(hints[key], item) for key, item in value.items() if key in hints})
    origin = typing.get_origin(kind)
    if origin is types.UnionType:
        return _build(next(arm for arm in typing.get_args(kind) if arm is not type(None)), value)
    if origin is tuple:
        item_kind = typing.get_args(kind)[0]
        return tuple(_build(item_kind, item) for item in value)
    return value


def _hints(kind: type) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


_HINTS: dict[type, dict[str, Any]] = {}
