"""``mqtts:`` is ``mqtt:`` over TLS."""

from edge_sdk.sources.mqtt import Secure as Source

__all__ = ["Source"]
