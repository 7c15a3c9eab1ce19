"""What waits for sinks that can be away: one file a device, so that neither a crash nor a power cut loses it.

*At least once from durable commit until the sink acknowledges; a power cut loses at most the last commit
window; order holds per source and sink; deduplicate on (device, run id, sequence).*
"""

from edge_sdk.outbox.lanes import Lane
from edge_sdk.outbox.letters import Letter, OutboxSettings, Recovered
from edge_sdk.outbox.outbox import Outbox

__all__ = ["Lane", "Letter", "Outbox", "OutboxSettings", "Recovered"]
