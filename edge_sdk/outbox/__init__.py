"""What waits for sinks that can be away: one file a device, so that neither a crash nor a power cut loses it.

*At least once from durable commit until the sink acknowledges; a power cut loses at most the last commit
window; order holds per source and sink; deduplicate on (device, run id, sequence).*
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_sdk.outbox.letters import Letter, OutboxSettings, Recovered

if TYPE_CHECKING:
    from edge_sdk.outbox.lanes import Lane
    from edge_sdk.outbox.outbox import Outbox

__all__ = ["Lane", "Letter", "Outbox", "OutboxSettings", "Recovered"]


def __getattr__(name: str) -> Any:
    """`Lane` and `Outbox` when they are asked for: a start without an outbox need not pay for SQLite."""
    if name == "Lane":
        from edge_sdk.outbox.lanes import Lane

        return Lane
    if name == "Outbox":
        from edge_sdk.outbox.outbox import Outbox

        return Outbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
