"""What a training says of confidence, events and champion when it is over, and whether its gates held."""

from __future__ import annotations

from typing import Any

from train_host.judging.alarms import short

#: Groups that a line has room for.
_GROUPS = 12


def groups(result: dict[str, Any]) -> str:
    """How good a model is with each group; of many groups the worst ones.

    Args:
        result: as `train_host.training.train` returns it.
    """
    figures = list(result["per_group"].items())
    more = len(figures) - _GROUPS
    if more > 0:
        figures = sorted(figures, key=lambda pair: pair[1], reverse="error" in result)[:_GROUPS]
    listed = ", ".join(f"{name} {figure:.3g}" for name, figure in figures)
    return f"worst {listed}, … (+{more})" if more > 0 else listed


def lines(result: dict[str, Any]) -> list[str]:
    """For people.

    Args:
        result: as `train_host.training.train` returns it.
    """
    said = []
    if calibration := result.get("calibration"):
        said.append(_confidence(calibration))
    if decision := result.get("decision"):
        said += _events(decision)
    if challenge := result.get("challenge"):
        said += _challenge(challenge)
    return said


def failed(result: dict[str, Any]) -> bool:
    """Whether a rate of false alarms was not kept, or a champion not beaten."""
    decision, challenge = result.get("decision"), result.get("challenge")
    return bool((decision and not decision["kept"]) or (challenge and not challenge["better"]))


def _confidence(calibration: dict[str, Any]) -> str:
    before, after = calibration["before"]["ece"]["value"], calibration["after"]["ece"]["value"]
    if not calibration["applied"]:
        return f"confidence off by {after:.3f} (ECE), as trained: {calibration['reason']}"
    temperatures = sorted(calibration["temperature"])
    values = f"{temperatures[0]:.2f}"
    if len(temperatures) > 1:
        values += f" to {temperatures[-1]:.2f}"
    return f"confidence off by {after:.3f} (ECE), {before:.3f} without the temperature {values}"


def _events(decision: dict[str, Any]) -> list[str]:
    found, rate, share = (
        decision[key] for key in ("detection", "false_alarms_per_hour", "recordings_with_false_alarms")
    )
    parts = []
    if found is not None:
        parts.append(f"{found['value']:.3f} of {decision['events']} events found ({_span(found)})")
    if rate is not None:
        low, high = rate["interval"]
        span = f"95 %: {short(low)} to {short(high)}"
        parts.append(f"{short(rate['value'])} false alarms an hour ({span})")
    parts.append(f"one in {share['value']:.1%} of recordings")
    first = f"threshold {decision['threshold']:.3f} for {decision['allowed']}: {', '.join(parts)}"
    if not decision["kept"]:
        return [
            first,
            f"no threshold keeps {decision['allowed']} on the validation side; this is the highest",
        ]
    return [first, *([decision["note"]] if decision["note"] else [])]


def _challenge(challenge: dict[str, Any]) -> list[str]:
    low, high = challenge["gain_interval"]
    span = f"(95 %, paired: {100 * low:+.1f} to {100 * high:+.1f})"
    where = f"on {challenge['n']} windows of {', '.join(challenge['per_group'])}"
    gain = f"{100 * challenge['gain']:+.1f} points {span} against {challenge['champion']} {where}"
    if challenge["better"]:
        place = challenge.get("replaced")
        ending = f"{place} is the new champion, {challenge['previous']} the old" if place else "better"
        said = [gain, ending]
    else:
        said = [gain, *(f"the champion stays: {reason}" for reason in challenge["reasons"])]
    if challenge["left_out"]:
        said.append(f"not judged by, as the champion was trained on: {', '.join(challenge['left_out'])}")
    return said


def _span(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"95 %: {low:.3f} to {high:.3f}"
