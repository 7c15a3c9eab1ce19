"""Whether a release that runs now works, judged from what systemd and the release itself say."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from socket import SHUT_RDWR, socket
from typing import Literal

from edge_sdk.errors import one_line

State = Literal["starting", "active", "ended"]

#: For a start, s. It is systemd that ends one: after its TimeoutStartSec, which a busy service extends.
START_S = 3600.0
#: How long it may be unhealthy without a break, s: a sensor that reconnects is no reason to go back.
PATIENCE_S = 15.0
#: For windows that are shorter than that, s.
_LEAST_PATIENCE_S = 5.0
#: How many windows it has from when it is ready: one that is well and ill by turns would never be judged.
_MOST_WINDOWS, _LEAST_LIMIT_S = 5, 60.0
#: For an answer, s: a small board that is busy with its start takes seconds.
_ASK_S = 10.0
_MOST_BYTES = 1 << 20
_OK = 200


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a service at one time.

    Attributes:
        time_s: on a clock that nobody sets, s.
        state: as systemd says; ``active`` once it has said that it is ready.
        restarts: how often systemd started it again since it was told to start it.
        result: how it ended last, in systemd's words.
        problem: why it is unhealthy; None where it is healthy, or does not tell.
    """

    time_s: float
    state: State
    restarts: int = 0
    result: str = ""
    problem: str | None = None


@dataclass
class Trial:
    """Takes looks until it knows.

    Args:
        window_s: it must be active and healthy for so long, at a stretch, s.
        start_s: to become ready, s.
        patience_s: that it may be unhealthy at a stretch, s; no longer than a window.
    """

    window_s: float
    start_s: float = START_S
    patience_s: float = PATIENCE_S
    _began_s: float | None = field(default=None, init=False)
    _ready_s: float | None = field(default=None, init=False)
    _well_since_s: float | None = field(default=None, init=False)
    _ill_since_s: float | None = field(default=None, init=False)

    def take(self, look: Look) -> str | None:
        """What one more look tells.

        Returns:
            None where it is not known yet; an empty text where the release works, else why it does not.
        """
        if self._began_s is None:
            self._began_s = look.time_s
        if look.restarts:
            return f"it ended and was started again ({look.result or 'no reason given'})"
        if look.state == "ended":
            return f"it ended ({look.result or 'no reason given'})"
        if look.state == "starting":
            late = look.time_s - self._began_s > self.start_s
            return f"it was not ready within {self.start_s:g} s" if late else None
        if self._ready_s is None:
            self._ready_s = look.time_s
        if look.problem is not None:
            self._well_since_s = None
            since = self._ill_since_s = look.time_s if self._ill_since_s is None else self._ill_since_s
            patience_s = min(self.patience_s, max(self.window_s, _LEAST_PATIENCE_S))
            limit_s = max(_MOST_WINDOWS * self.window_s, _LEAST_LIMIT_S)
            gone = look.time_s - since >= patience_s or look.time_s - self._ready_s >= limit_s
            return f"it is unhealthy: {look.problem}" if gone else None
        self._ill_since_s = None
        since = self._well_since_s = look.time_s if self._well_since_s is None else self._well_since_s
        return "" if look.time_s - since >= self.window_s else None


def ask(url: str, *, ready: bool = False) -> str | None:
    """Why the release at a health address is unhealthy; None where it is healthy.

    Args:
        url: of ``/health``.
        ready: it is unhealthy, too, as long as a source or sink of it was never there.
    """
    try:
        status, body = _get(url)
    except (OSError, ValueError) as error:
        return f"{url} does not answer: {error}"
    if status != _OK:
        return _problems(body) or f"{url} says {status}"
    return _unready(body) if ready else None


def _get(url: str) -> tuple[int, bytes]:
    """Status and body, however slowly they come; whatever it says, nothing else is asked."""
    import http.client  # what few commands of the agent need takes a small board its time
    import threading
    from urllib.parse import urlsplit

    place, began_s = urlsplit(url), time.monotonic()
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_ASK_S)
    with contextlib.closing(connection):
        connection.connect()
        # The socket's own limit is for each piece, of which one could come now and then for ever.
        end = threading.Timer(_ASK_S, _hang_up, (connection.sock,))
        end.start()
        try:
            connection.request("GET", place.path)
            with connection.getresponse() as answer:
                body = answer.read(_MOST_BYTES)
            if time.monotonic() - began_s >= _ASK_S:
                raise TimeoutError(f"timed out after {_ASK_S:g} s")
            return answer.status, body
        except http.client.HTTPException as error:
            raise OSError(one_line(error) or "it ended") from error
        finally:
            end.cancel()


def _hang_up(connection: socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(SHUT_RDWR)


def _unready(body: bytes) -> str | None:
    """What it still waits for."""
    try:
        ready = json.loads(body)["ready"]
    except (ValueError, KeyError, TypeError):
        return None
    return None if ready else _problems(body) or "it is not ready"


def _problems(body: bytes) -> str:
    try:
        facts = json.loads(body)
        problems = facts.get("problems", [])
        return "; ".join(str(problem) for problem in problems)[:500] or str(facts["health"])
    except (ValueError, AttributeError, KeyError, TypeError):
        return ""
