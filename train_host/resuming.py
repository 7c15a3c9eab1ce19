"""Whether a training may go on from a checkpoint: only if nothing has changed that decides its outcome."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError
from edge_sdk.modelfile import digest_of
from train_host import record
from train_host.config import Config
from train_host.fitting.checkpoints import Unfinished, differences, unfinished
from train_host.workspace import Workspace

#: So many differences are told.
_SHOWN = 3


def identity(dataset: Dataset, config: Config) -> dict[str, Any]:
    """What must be the same: the data, every option, the versions of what computes.

    Args:
        dataset: what is trained on.
        config: completed by `Config.for_dataset`.
    """
    facts = {"config": config.as_dict(), "dataset": dataset.digest, "versions": record.versions()}
    if config.init_from is not None:
        facts["init_from"] = digest_of(Path(config.init_from).read_bytes())
    plain: dict[str, Any] = json.loads(json.dumps(facts))  # as a checkpoint gives it back
    return plain


def interrupted(output: Path) -> Unfinished | None:
    """The training of a model that was interrupted; None where there is none to go on from."""
    return unfinished(Workspace(output).checkpoints)


def config_of(before: Unfinished) -> dict[str, Any]:
    """The options that it began with."""
    found: dict[str, Any] = before.facts["identity"]["config"]
    return found


def where(before: Unfinished) -> str:
    """How far it was, in words."""
    course = before.facts["course"]
    return f"epoch {min(course['epoch'] + 1, course['epochs'])} of {course['epochs']}"


def run_number(before: Unfinished | None, *, resume: bool) -> int:
    """The number of the run that begins, or goes on; a later run has a higher one."""
    if before is None:
        return time.time_ns()
    return before.run if resume else max(time.time_ns(), before.run + 1)


def check(output: Path | str, before: Unfinished, now: dict[str, Any]) -> None:
    """Find out whether a run may go on.

    Args:
        output: the model.
        before: the run.
        now: `identity` of what is asked for.

    Raises:
        ConfigError: naming what is not as it was.
    """
    changed = differences(before.facts["identity"], {**before.facts["identity"], **now})
    if not changed:
        return
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    names = [name.removeprefix("config.") for name, _, _ in changed[:_SHOWN]]
    raise ConfigError(
        f"{output}: its training cannot go on with another {', '.join(names)}{more}",
        expected=", ".join(_value(old) for _, old, _ in changed[:_SHOWN]) + ", as it began",
        found=", ".join(_value(new) for _, _, new in changed[:_SHOWN]),
        remedy="give what it began with, or leave out --resume to begin anew",
    )


def _value(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    return text[:19] + "…" if text.startswith("sha256:") else text
