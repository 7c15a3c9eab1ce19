"""Who trains together, as a config and the variable TF_CONFIG say it. No TensorFlow here."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

from edge_sdk.errors import ConfigError

MIRRORED, MULTI_WORKER = "mirrored", "multi-worker"
_VARIABLE = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["a:4000", "b:4000"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Member:
    """One worker among several.

    Attributes:
        workers: addresses of all, ``host:port``.
        index: of this one; 0 is the chief, who writes the model.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def chief(self) -> bool:
        """Whether it writes the model."""
        return self.index == 0


def parse(distribute: str) -> tuple[str, int | None]:
    """``mirrored``, ``mirrored:N`` or ``multi-worker``, and N.

    Raises:
        ConfigError: anything else.
    """
    match = re.fullmatch(rf"({MIRRORED}|{MULTI_WORKER})(?::([1-9]\d{{0,2}}))?", distribute)
    if match is None or (match[1] == MULTI_WORKER and match[2]):
        raise ConfigError(
            "distribute", expected=f"{MIRRORED}, {MIRRORED}:N or {MULTI_WORKER}", found=repr(distribute)
        )
    return match[1], int(match[2]) if match[2] else None


def member(distribute: str | None) -> Member | None:
    """Which worker this is; None where there is but one process.

    Raises:
        ConfigError: TF_CONFIG does not say it.
    """
    if distribute is None or parse(distribute)[0] == MIRRORED:
        return None
    text = os.environ.get(_VARIABLE, "")
    try:
        facts = json.loads(text)
        workers, task = tuple(facts["cluster"]["worker"]), facts["task"]
        index, kind = task["index"], task["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(text or "nothing") from error
    addresses = all(isinstance(each, str) and re.fullmatch(r"\S+:\d{1,5}", each) for each in workers)
    if kind != "worker" or not addresses or isinstance(index, bool) or index not in range(len(workers)):
        raise _refused(text)
    return Member(workers, index)


def _refused(found: str) -> ConfigError:
    return ConfigError(
        f"distribute: the environment variable {_VARIABLE}",
        expected=f"who works together, and which one this is, such as {_EXAMPLE}",
        found=found,
        remedy="give each machine the same list and an index of its own",
    )
