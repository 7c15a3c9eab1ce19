"""A release that has to show that it works: it is started, watched, and gone back from if it does not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from edge_sdk.deploy import health, systemd, trial
from edge_sdk.deploy.records import Slot
from edge_sdk.deploy.slots import Slots
from edge_sdk.errors import ConfigError, DeviceError, EdgeError

_LOOK_S = 1.0
_LOCK_S = 600
#: How often systemd is asked whether a trial is watched, looks: each question costs a small board a process.
_LOOKS_BETWEEN = 5
#: So often in a row nobody may be seen watching it: systemd starts who does again after some seconds.
_UNWATCHED = 3


def start(slots: Slots, services: systemd.Services) -> None:
    """Run what was switched to, and have it watched; if systemd refuses, what ran before comes back."""
    try:
        services.restart()
        services.watch()
    except EdgeError as error:
        slots.go_back(str(error))
        try:
            _take_over(slots, services)
        except EdgeError:
            current = slots.current
            raise DeviceError(
                f"{slots.name}: systemd refuses, to go back, too",
                found=error,
                remedy=f"{current.manifest.version if current else 'nothing'} runs from the next boot on",
            ) from error
        raise


def follow(slots: Slots, name: str, services: systemd.Services, step: Callable[..., None]) -> dict[str, Any]:
    """Wait until the trial of a slot has ended.

    Args:
        slots: of the pipeline.
        name: of the slot.
        services: of the pipeline.
        step: is told that it goes on, with ``seconds`` and ``window_s``.

    Returns:
        How it ended, and what runs now.

    Raises:
        DeviceError: the trial is not watched any more, or something else ended it.
    """
    tried = slots.slot(name)
    if tried is None:
        raise ConfigError(f"{slots.name}: no release {name!r}")
    began, looks, unwatched = time.monotonic(), 0, 0
    while (now := slots.trial) is not None and now.slot == name:
        step("watching", seconds=round(time.monotonic() - began), window_s=tried.manifest.window_s)
        looks += 1
        if looks % _LOOKS_BETWEEN == 0:
            unwatched = 0 if services.is_watched() else unwatched + 1
            if unwatched == _UNWATCHED:
                raise DeviceError(
                    f"{slots.name}: nobody watches it any more",
                    remedy=f"journalctl -u {services.name}-trial there says why; then deploy again",
                )
        time.sleep(_LOOK_S)
    ended, current = slots.slot(name) or tried, slots.current
    if ended.verdict == "new":
        raise DeviceError(
            f"{slots.name}: the trial of {tried.manifest.version} was ended by somebody else",
            found=f"{current.manifest.version} runs" if current is not None else "nothing runs",
        )
    return {**ended.as_dict(), "running": current.as_dict() if current is not None else None}


def watch(slots: Slots, services: systemd.Services) -> dict[str, Any]:
    """Watch the release that has to show that it works, and go back if it does not.

    Returns:
        What became of it; empty where there is nothing to watch, or somebody else switched.

    Raises:
        DeviceError: systemd refuses; called again, this goes on where it was.
    """
    if slots.owes_start:
        with _patiently(slots):
            if slots.owes_start:
                _take_over(slots, services)
        return {}
    slot = slots.current
    if slot is None or (slots.trial is None and slot.verdict == "good"):
        return {}
    reason = _judged(slots, slot, services)
    with _patiently(slots):
        current = slots.current
        if current is None or current.name != slot.name:
            return {}
        if not reason:
            slots.confirm()
            slots.prune()
            return {"verdict": "fine"}
        words = services.last_words()
        slots.go_back(reason + (f": {words}" if words else ""))
        _take_over(slots, services)
        slots.prune(slot.name)
    return {"verdict": "refused", "reason": reason}


def recover(slots: Slots, services: systemd.Services) -> dict[str, Any]:
    """At boot: settle what a power cut left, before the service starts."""
    with slots.locked():
        recovery = slots.recover()
    try:
        if recovery.went_back:
            systemd.reload()
    finally:
        if recovery.watch:
            services.watch()
    return {"went_back": recovery.went_back, "watch": recovery.watch, "reason": recovery.reason}


def _take_over(slots: Slots, services: systemd.Services) -> None:
    """Have what was gone back to run; only then the trial has ended."""
    if slots.current is None:
        services.end()
    else:
        services.restart()
    slots.end_trial()


def _judged(slots: Slots, slot: Slot, services: systemd.Services) -> str:
    """Why a release does not work; empty where it does."""
    judge = trial.Trial(window_s=slot.manifest.window_s)
    while True:
        look = services.look()
        if look.state == "active" and (url := health.address(slot)):
            # After a reboot a network may be late; a new release has to show that it reaches everything.
            problem = trial.ask(url, ready=slots.trial is not None)
            look = trial.Look(look.time_s, look.state, look.restarts, look.result, problem)
        reason = judge.take(look)
        if reason is not None:
            return reason
        time.sleep(_LOOK_S)


@contextlib.contextmanager
def _patiently(slots: Slots) -> Iterator[None]:
    """The lock, waited for: a deployment that goes on has switched already, or soon has."""
    deadline = time.monotonic() + _LOCK_S
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(slots.locked())
                break
            except DeviceError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_S)
        yield
