"""``http://HOST/PATH`` is `https` without TLS."""

from __future__ import annotations

from edge_sdk.sinks import https


class Sink(https.Sink):  # noqa: D101 - the same
    __doc__ = https.Sink.__doc__
    scheme = "http"
