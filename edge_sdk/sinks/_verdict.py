"""What an answer or a failure of a web server means for the predictions that it was sent."""

from __future__ import annotations

import http.client
import math
import socket
import ssl
import time
from email.message import Message
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from edge_sdk.errors import DeviceError, Rejected, Retry, one_line
from edge_sdk.sinks._connection import Answer
from edge_sdk.tls import distrusted

#: A server may not put us off for longer, s.
_LONGEST_WAIT_S = 3600.0
_BUSY = {408, 425, 429}


def judge(where: str, answer: Answer, secrets: tuple[str, ...] = ()) -> DeviceError | None:
    """None for what is delivered, else what to raise.

    Args:
        where: the server, for the message.
        answer: what it said.
        secrets: what must not be shown, should the server repeat it.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    said = answer.text[:1000]
    for secret in secrets:
        said = said.replace(secret, "…")
    found = f"{status} {http.client.responses.get(status, '')}".strip()
    found += f": {said[:200]}" if said.strip() else ""
    if 300 <= status < 400:
        return Retry(
            f"{where} sends elsewhere, which is not followed",
            found=f"{status} to {answer.headers.get('Location', 'nowhere')[:200]}",
            remedy="put the final address into the url",
        )
    if status in {401, 403}:
        return Retry(
            f"{where} refuses this client", found=found, remedy="renew the token, or its rights on the server"
        )
    if status in _BUSY or status >= 500 or status < 200:
        wait_s = _retry_after_s(answer.headers)
        after = "" if wait_s is None else f", to be asked again in {wait_s:g} s"
        busy = Retry(f"{where} cannot take them now{after}", found=found)
        busy.retry_after_s = wait_s
        return busy
    return Rejected(f"{where} refuses them", found=found)


def describe(where: str, error: Exception, timeout_s: float) -> Retry:
    """What a failed exchange was; all of it may work later, when somebody has mended it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return distrusted(where, urlsplit(where).hostname or where, error)
    if isinstance(error, TimeoutError):
        return Retry(
            f"{where} did not answer", expected=f"within {timeout_s:g} s", found="silence or a trickle"
        )
    if isinstance(error, socket.gaierror):
        return Retry(f"{where}: its name cannot be looked up", found=error.strerror or error)
    if isinstance(error, ssl.SSLError):
        return _no_tls(where, error)
    if isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.IncompleteRead)):
        return Retry(f"{where} broke off before its answer was complete")
    if isinstance(error, OSError):
        return Retry(f"{where} cannot be reached", found=error.strerror or error)
    return Retry(f"{where} does not answer in HTTP", found=f"{type(error).__name__}: {one_line(error)}")


def _no_tls(where: str, error: ssl.SSLError) -> Retry:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    remedy = None
    if "wrong version number" in reason or "http request" in reason:
        remedy = "if it does not speak TLS there, use http://"
    elif "certificate required" in reason or "handshake failure" in reason:
        remedy = "if it wants a client certificate: cert = 'FILE', key = 'FILE'"
    return Retry(f"{where}: no TLS connection", found=reason, remedy=remedy)


def _retry_after_s(headers: Message) -> float | None:
    """Seconds or a date, which is compared with the server's own clock, for ours may be in 1970."""
    text = headers.get("Retry-After", "").strip()
    try:
        wait_s = float(text) if not text.endswith("GMT") else _until_s(text, headers.get("Date"))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(_LONGEST_WAIT_S, max(0.0, wait_s)) if math.isfinite(wait_s) else None


def _until_s(date: str, now: str | None) -> float:
    then_s = parsedate_to_datetime(date).timestamp()
    return then_s - (parsedate_to_datetime(now).timestamp() if now else time.time())
