"""``/metrics``, ``/health`` and ``/ready`` of a running pipeline over HTTP.

Whoever asks, however often and however slowly, takes no more from the loop than a snapshot every tenth of a
second.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from edge_sdk import openmetrics
from edge_sdk.closing import Closing
from edge_sdk.errors import one_line
from edge_sdk.openmetrics import CONTENT_TYPES, Format
from edge_sdk.responder import TEXT, Answer, Responder
from edge_sdk.snapshot import Snapshot

_LOG = logging.getLogger("edgeml")

#: The port of the metrics of everything that has no other: OpenTelemetry's Prometheus exporters take it, too.
DEFAULT_ADDRESS: Final = "127.0.0.1:9464"
#: How old an answer may be, s.
_FRESH_S = 0.1


class Status(Closing):
    """Tells how a pipeline is to whoever asks over HTTP.

    Args:
        take: the pipeline's state now, None while it does not run; called from another thread when somebody
            asks.
        listen: ``HOST:PORT`` or a port, which is loopback's; port 0 is one that the system picks.
    """

    def __init__(self, take: Callable[[], Snapshot | None], listen: str = DEFAULT_ADDRESS) -> None:
        self._take, self._listen = take, listen
        self._responder: Responder | None = None
        self._answers: dict[tuple[str, Format], tuple[float, Answer]] = {}

    def start(self) -> None:
        """Listen from now on.

        Raises:
            ConfigError: no such address.
            DeviceError: the address is taken or is not this machine's.
        """
        self._responder = Responder(self._answer, self._listen, "status")
        if not ipaddress.ip_address(self._responder.host).is_loopback:
            _LOG.warning("status: everyone who reaches %s may read it", self.address)

    @property
    def address(self) -> str:
        """``HOST:PORT``, with the port that the system picked."""
        if self._responder is None:
            return self._listen
        host, port = self._responder.host, self._responder.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Stop listening; may be called twice."""
        if self._responder is not None:
            self._responder.close()

    def _answer(self, path: str, accept: str) -> Answer:
        """What a path says; what it said a moment ago is said again."""
        if path not in ("/metrics", "/health", "/ready"):
            return Answer(404, TEXT, b"there are /metrics, /health and /ready\n")
        key = path, wanted(accept)
        made_s, answer = self._answers.get(key, (0.0, None))
        now = time.monotonic()
        if answer is None or now - made_s > _FRESH_S:
            try:
                answer = _say(*key, self._take())
            except Exception as error:  # noqa: BLE001 - a bug here must not end what it reports on
                text = f"{path} failed: {type(error).__name__}: {one_line(error)}\n"
                answer = Answer(500, TEXT, text.encode("utf-8", "backslashreplace"))
            self._answers[key] = now, answer
        return answer


def _say(path: str, form: Format, now: Snapshot | None) -> Answer:
    if now is None:
        return Answer(503, TEXT, b"the pipeline does not run now\n")
    if path == "/metrics":
        return Answer(200, CONTENT_TYPES[form], openmetrics.render(now, form))
    facts = {"ready": now.ready} if path == "/ready" else health(now)
    fine = now.ready if path == "/ready" else now.health != "failing"
    text = json.dumps(facts, ensure_ascii=False) + "\n"
    return Answer(200 if fine else 503, "application/json", text.encode("utf-8", "backslashreplace"))


def health(now: Snapshot) -> dict[str, Any]:
    """The object that ``/health`` gives."""
    books, box = now.ledger, now.outbox
    return {
        "health": now.health,
        "problems": now.problems,
        "device": now.device,
        "ready": now.ready,
        "uptime_s": round(now.uptime_s, 3),
        "clock_synced": now.clock_synced,
        "sources": [
            {
                "name": source.name,
                "connected": source.connected,
                "silent_s": None if source.silent_s is None else round(source.silent_s, 3),
                "devices": source.devices,
                "faults": dict(source.faults),
                "reopened": source.reopened,
                "problem": source.problem,
            }
            for source in now.sources
        ],
        "sinks": [
            {
                "name": sink.name,
                "connected": sink.connected,
                "delivered": sink.account.delivered,
                "queued": sink.account.queued,
                "dropped": dict(sink.account.dropped),
                "retries": sink.retries,
                "problem": sink.problem,
            }
            for sink in now.sinks
        ],
        "outbox": None if box is None else {"rows": box.rows, "bytes": box.bytes, "dead": box.dead},
        "ledger": {
            "balanced": books.balanced,
            "samples": books.samples.read,
            "received": books.received.read if books.received else 0,
            "predictions": books.predictions,
            "delivered": books.delivered,
            "queued": books.queued,
            "lost": books.lost,
        },
    }


def sentence(now: Snapshot) -> str:
    """How a pipeline is, for `systemctl status` and for logs: the worst problem first."""
    books, problems = now.ledger, now.problems
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    lost = f", {books.lost} lost" if books.lost else ""
    counts = f"{books.predictions} predictions, {books.queued} queued{lost}"
    return f"{now.health}: {problems[0]}{more}; {counts}" if problems else f"{now.health}: {counts}"


def wanted(accept: str) -> Format:
    """The format that an ``Accept`` header prefers: OpenMetrics, unless it likes text or a page better."""
    likings = {"openmetrics": 0.0, "text": 0.0, "any": 0.0}
    for part in accept.lower().split(",") if accept.strip() else ["*/*"]:
        kind, *parameters = (word.strip() for word in part.split(";"))
        name = {"application/openmetrics-text": "openmetrics", "*/*": "any"}.get(kind)
        if name is None and kind.startswith("text/"):
            name = "text"
        try:
            liking = float(next((word[2:] for word in parameters if word.startswith("q=")), "1"))
        except ValueError:
            continue
        if name is not None:
            likings[name] = max(likings[name], liking)
    return "prometheus" if likings["text"] > (likings["openmetrics"] or likings["any"]) else "openmetrics"
