"""One process on the machine that is measured takes all models, and times them in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_sdk import resident
from edge_sdk.bench.machine import Conditions
from edge_sdk.bench.plan import Plan
from edge_sdk.bench.record import Record, Turn
from edge_sdk.bench.subject import Subject
from edge_sdk.device import Device, Place, Placed
from edge_sdk.errors import ChildError, ModelError
from edge_sdk.targets import Key

_WORKER = "edge_sdk.bench.worker"
#: A machine that slows itself down may take so many times as long as it did at first.
_SLOWER = 4
#: Rounds that are told of, about.
_TOLD = 10
Tell = Callable[[str], None]


def run(
    place: Place, subjects: Mapping[Key, Subject], plan: Plan, tell: Tell
) -> dict[Key, Record | ModelError]:
    """Measure models.

    Args:
        place: where.
        subjects: the models.
        plan: how long.
        tell: told of each step.

    Returns:
        What was found of each, or why it is refused there; one that dies there does not spoil the others.

    Raises:
        DeviceError: the machine cannot be reached, or lacks something.
    """
    refused: dict[Key, Record | ModelError] = {}
    while True:
        tell(f"starting on {place}")
        with Device(place) as device:
            trials: dict[Key, _Trial] = {}
            for key, subject in subjects.items():
                if key in refused:
                    continue
                tell(f"loading {subject.file.name}")
                others = sum(trial.model_bytes for trial in trials.values())
                try:
                    trials[key] = _begin(device, subject, plan, others)
                except ModelError as error:
                    refused[key] = error
                    if device.ended:  # it took the others with it
                        break
            else:
                return {**refused, **_measure(device, trials, plan, tell)}


@dataclass(frozen=True, slots=True)
class _Trial:
    """A model that is loaded, has answered once, and is warm.

    Attributes:
        placed: where it lies.
        facts: what `worker.begin` found.
        model_bytes: memory that came with it.
        rss_bytes: memory of the process, had it no other model.
    """

    placed: Placed
    facts: Mapping[str, Any]
    model_bytes: int
    rss_bytes: int


def _begin(device: Device, subject: Subject, plan: Plan, others: int) -> _Trial:
    before: int = device.call(f"{_WORKER}:memory", timeout_s=device.place.timeout_s)
    placed = device.take(subject.file, subject.data, subject.contract)
    try:
        facts = device.call(
            f"{_WORKER}:begin",
            timeout_s=device.place.timeout_s + plan.warmup_s,
            name=placed.name,
            inputs=[resident.pack(array) for array in subject.inputs],
            warmup_s=plan.warmup_s,
        )
    except ChildError as error:
        raise ModelError(
            f"{subject.file} on {device.place}: the model does not get through {subject.basis}",
            found=error.found or error.what,
            remedy="update the runtime there or convert the model again",
        ) from error
    after: int = facts["rss_bytes"]
    return _Trial(placed, facts, after - before, after - others)


def _measure(
    device: Device, trials: Mapping[Key, _Trial], plan: Plan, tell: Tell
) -> dict[Key, Record | ModelError]:
    if not trials:
        return {}
    once_s = max(trial.facts["once_s"] for trial in trials.values())
    expected_s = len(trials) * plan.seconds(once_s)

    def on_progress(facts: Mapping[str, Any]) -> None:
        done, rounds = facts["round"], facts["rounds"]
        if done % max(1, rounds // _TOLD) == 0:
            tell(f"round {done} of {rounds}: {facts['p50_us']:,.2f} µs")

    tell(f"measuring for about {expected_s:,.0f} s")
    found = device.call(
        f"{_WORKER}:measure",
        timeout_s=device.place.timeout_s + _SLOWER * expected_s,
        on_progress=on_progress,
        names=[trial.placed.name for trial in trials.values()],
        plan=plan.as_dict(),
        once_s=once_s,
    )
    return {
        key: _record(device.place, trial, facts, found)
        for (key, trial), facts in zip(trials.items(), found["models"], strict=True)
    }


def _record(place: Place, trial: _Trial, facts: Mapping[str, Any], found: Mapping[str, Any]) -> Record:
    return Record(
        runtime=place.runtime,
        version=trial.placed.version,
        threads=place.threads,
        outputs=tuple(resident.unpack(packed) for packed in trial.facts["outputs"]),
        n=facts["n"],
        latency_us=facts["latency_us"],
        curve_us=tuple(facts["curve_us"]),
        turns=tuple(map(Turn.of, facts["turns"])),
        rss_bytes=trial.rss_bytes,
        model_bytes=trial.model_bytes,
        cpu_share=facts["cpu_share"],
        before=Conditions.of(found["before"]),
        machine=found["machine"],
        arena_bytes=trial.facts["arena_bytes"],
    )
