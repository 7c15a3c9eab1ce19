"""Text with the fields of a prediction in it: ``{device}: {label} {score:.2f}``."""

from __future__ import annotations

import math
import re
import string
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_sdk.errors import ConfigError, printable, suggestion
from edge_sdk.prediction import Prediction

_EXAMPLE = Prediction(
    "fall", 0.5, 0.5, np.zeros(1, np.float32), "press-7", "r", 1, event="start", fault="stuck"
)
#: As in a format specification, but of a size that fits a message: ``>8``, ``.2f``, ``+08.3f``.
_SPECIFICATION = re.compile(r"(.?[<>=^])?[-+ ]?0?\d{0,2}[,_]?(\.\d{1,2})?[a-zA-Z%]?")


class Template:
    """A text that is filled in for each prediction; nothing in it is evaluated.

    Beside the fields of a `Prediction` there are ``what``, its label and score or its value, and ``time``,
    for people. A field that a prediction does not have is empty.

    >>> Template("{label} {score:.0%}", "text").fill(Prediction("fall", 0.91, None, np.zeros(2)))
    'fall 91%'

    Args:
        text: with fields in braces; ``{{`` is a brace.
        option: whose text it is, for messages.

    Raises:
        ConfigError: an unknown field, or a format that does not suit it.
    """

    def __init__(self, text: str, option: str) -> None:
        known = _fields(_EXAMPLE)
        try:
            self._parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ConfigError(
                f"{option}: {text!r}: {error}", expected="fields in braces, such as {label}"
            ) from error
        for _, name, form, conversion in self._parts:
            if name is None:
                continue
            if name not in known:
                raise ConfigError(
                    f"{option}: unknown field {name!r}",
                    expected="one of " + ", ".join(known),
                    remedy=suggestion(name, known),
                )
            try:
                fits = not conversion and bool(_SPECIFICATION.fullmatch(form or ""))
                format(known[name], form or "")
            except ValueError:
                fits = False
            if not fits:
                raise ConfigError(
                    f"{option}: the format of {{{name}}}",
                    expected="one that suits it, such as {score:.2f} or {label:>8}",
                    found=f"{'!' + conversion if conversion else ''}:{form}",
                )

    def fill(self, prediction: Prediction) -> str:
        """The text for a prediction; a field's value never has line ends or control characters in it."""
        fields = _fields(prediction)
        return "".join(
            literal + ("" if name is None or fields[name] is None else format(fields[name], form or ""))
            for literal, name, form, _ in self._parts
        )


def _fields(prediction: Prediction) -> dict[str, Any]:
    fields = prediction.as_dict()
    del fields["outputs"]
    fields |= {"what": _what(fields), "time": _time(prediction)}
    return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}


def _what(fields: Mapping[str, Any]) -> str:
    """The label and its score, or the value."""
    label, score, value = fields["label"], fields["score"], fields["value"]
    if label is None:
        return "" if value is None else f"{value:.6g}"
    return label if score is None else f"{label} {score:.2f}"


def _time(prediction: Prediction) -> str:
    """The wall clock's, local, and whether it can be believed."""
    if not math.isfinite(prediction.wall_s):
        return ""
    try:
        said = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(prediction.wall_s))
    except (OverflowError, ValueError, OSError):
        return ""
    return said if prediction.clock_synced else f"{said} (clock not set)"
