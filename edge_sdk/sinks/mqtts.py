"""``mqtts:`` is ``mqtt:`` over TLS."""

from edge_sdk.sinks.mqtt import Secure as Sink

__all__ = ["Sink"]
