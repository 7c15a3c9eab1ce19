"""``postgresql:`` is ``postgres:``, as libpq spells it."""

from edge_sdk.sinks.postgres import Sink

__all__ = ["Sink"]
