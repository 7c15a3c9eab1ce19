"""From the options of a config to the arguments of a `build`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from edge_sdk.errors import ConfigError, suggestion
from train_host.architectures import kinds


def of(
    function: Callable[..., Any],
    name: str,
    shape: tuple[int, ...],
    options: Mapping[str, Any],
    rate_hz: float | None,
) -> dict[str, Any]:
    """The keyword arguments of a `build`; those of a spectrogram become one, `sound`.

    Args:
        function: the `build`.
        name: of the architecture, for errors.
        shape: of one window, without the batch axis.
        options: what the user says.
        rate_hz: of the recordings.

    Raises:
        ConfigError: an option that it has not.
    """
    parameters = list(inspect.signature(function).parameters.values())
    known = [
        p.name for n, p in enumerate(parameters) if n > 2 and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    hears = "sound" in known and kinds.of(shape, rate_hz) == kinds.SOUND
    spectrogram: list[str] = []
    if "sound" in known:
        known.remove("sound")
    if hears:
        from train_host.architectures.log_mel import LogMel

        spectrogram = [field.name for field in dataclasses.fields(LogMel)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for key in options:
        if key not in (*known, *spectrogram) and not open_ended:
            every = [*known, *spectrogram]
            expected = "one of " + ", ".join(every)
            raise ConfigError(
                f"architecture {name!r}: option {key!r}", expected=expected, remedy=suggestion(key, every)
            )
    given: dict[str, Any] = {"rate_hz": rate_hz} if "rate_hz" in known else {}
    given |= {key: value for key, value in options.items() if key not in spectrogram}
    if hears:
        asked = {key: value for key, value in options.items() if key in spectrogram}
        rate = float(asked.pop("rate_hz", rate_hz))
        given["sound"] = LogMel(**{"rate_hz": rate, "highest_hz": 0.475 * rate, **asked})
    return given
