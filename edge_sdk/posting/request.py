"""The head of an HTTP/1.1 request, read strictly: what could be read in two ways is refused."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

#: Request line and headers together.
MAX_HEAD_BYTES = 8192
_MAX_HEADERS = 64
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: A tab and what ISO 8859-1 shows.
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
#: Of these a second one would make two requests of one.
_SINGLE = {b"content-length", b"transfer-encoding", b"authorization", b"host", b"idempotency-key"}


class Refused(Exception):  # noqa: N818 - an answer, named as one
    """The answer to a request that cannot be taken.

    Args:
        status: such as 404.
        why: one line.
        header: a further header of the answer, ``Allow: POST``.
        reason: what it is counted as; empty counts nothing.
    """

    def __init__(self, status: int, why: str, header: str = "", reason: str = "refused") -> None:
        self.status, self.why, self.header, self.reason = status, why, header, reason
        super().__init__(f"{status} {why}")


def busy(why: str) -> Refused:
    """The device is to come again, and not all devices at the same moment."""
    return Refused(503, why, f"Retry-After: {random.randint(1, 3)}", reason="")


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a request before its body.

    Attributes:
        method: ``POST``.
        path: decoded segments, without the query; ``/a/b%2Fc`` is ``("a", "b/c")``.
        headers: by lower-case name.
        length: of the body, bytes; None where it does not say.
        keep_alive: the client will ask again over the same connection.
    """

    method: str
    path: tuple[str, ...]
    headers: dict[str, str]
    length: int | None
    keep_alive: bool

    @classmethod
    def parse(cls, data: bytes) -> Head:
        """Read a head without its empty last line.

        Raises:
            Refused: it is none, or says what cannot be relied on.
        """
        first, *lines = data.split(b"\r\n")
        words = first.split(b" ")
        if len(words) != 3 or not _NAME.fullmatch(words[0]):
            raise Refused(400, "not an HTTP request", reason="garbage")
        if words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            is_http = words[2].startswith(b"HTTP/")
            raise Refused(505 if is_http else 400, "expected HTTP/1.1", reason="garbage")
        headers = _headers(lines)
        return cls(
            words[0].decode(),
            _path(words[1]),
            headers,
            _length(headers),
            _keeps_alive(headers.get("connection", ""), words[2]),
        )

    @property
    def expects(self) -> bool:
        """The client waits for leave to send the body."""
        return "expect" in self.headers


def reply(status: int, facts: dict[str, Any], header: str = "", *, close: bool = False) -> bytes:
    """A whole answer: a JSON object, one further header, and whether the connection ends with it."""
    body = json.dumps(facts).encode() + b"\n"
    lines = [
        f"HTTP/1.1 {status} {_PHRASES.get(status, '')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if header:
        lines.append(header)
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def refused(refusal: Refused, *, close: bool = False) -> bytes:
    """The answer to what was refused."""
    return reply(refusal.status, {"taken": 0, "error": refusal.why}, refusal.header, close=close)


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > _MAX_HEADERS:
        raise Refused(431, f"more than {_MAX_HEADERS} headers", reason="garbage")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Refused(400, "a line that is no header", reason="garbage")
        key = name.lower().decode()
        if key in headers and name.lower() in _SINGLE:
            raise Refused(400, f"{key} is given twice", reason="garbage")
        headers[key] = value.decode("latin-1")
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise Refused(417, "expected 100-continue or nothing")
    return headers


def _path(target: bytes) -> tuple[str, ...]:
    """Of ``/a/b?c`` or ``http://host/a/b?c``."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        scheme, _, rest = path.partition(b"://")
        path = b"/" + rest.partition(b"/")[2] if scheme.lower() in (b"http", b"https") else b""
    try:
        return tuple(unquote(part, errors="strict") for part in path.decode("ascii").split("/")[1:])
    except UnicodeDecodeError as error:
        raise Refused(400, "a path that is not UTF-8, percent-encoded", reason="garbage") from error


def _length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length")
    if "transfer-encoding" in headers:
        if text is not None:
            raise Refused(400, "both content-length and transfer-encoding", reason="garbage")
        raise Refused(411, "expected a content-length, found transfer-encoding")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Refused(400, "content-length is no number", reason="garbage")
    return int(text)


def _keeps_alive(connection: str, version: bytes) -> bool:
    words = {word.strip().lower() for word in connection.split(",")}
    return "close" not in words and (version == b"HTTP/1.1" or "keep-alive" in words)
