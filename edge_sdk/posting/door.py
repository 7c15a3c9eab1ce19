"""Where devices may post to, and which of them may."""

from __future__ import annotations

import errno
import hashlib
import hmac
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from edge_sdk.errors import ConfigError, DeviceError, Fatal, Retry
from edge_sdk.posting.request import Head, Refused
from edge_sdk.secret import read_secret

_PORT = 8080
_BACKLOG = 512
#: Of a connection, in the system, each way.
_BUFFER_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Door:
    """An address to listen on, a path, a token and a certificate.

    Attributes:
        host: name or address.
        port: 0 lets the system choose.
        path: its segments.
        authorization: digest of the header that lets a request in; None lets all in.
        context: of TLS; None speaks plain HTTP.
    """

    host: str
    port: int
    path: tuple[str, ...]
    authorization: bytes | None
    context: ssl.SSLContext | None

    @classmethod
    def build(cls, location: str, token_env: str, token_file: str, cert: str, key: str) -> Self:
        """Check what the options say.

        Raises:
            ConfigError: no such address, one that others can reach without a token, or no certificate.
            Retry: the file of the token cannot be read now.
        """
        host, port, path = _place(location)
        where = f"http: {host}:{port}"
        token = read_secret(f"{where}: token", env=token_env, file=token_file)
        if not token and not _is_here(host):
            raise ConfigError(
                f"{where}: other machines can connect",
                expected="a token that they must know",
                remedy="token_env = 'NAME' or token_file = 'FILE'; or leave the address out",
            )
        return cls(host, port, path, _digest(f"Bearer {token}") if token else None, _tls(where, cert, key))

    def listen(self) -> socket.socket:
        """A socket that devices can connect to.

        Raises:
            Retry: the port is taken, or the machine has no such address yet.
            Fatal: the system does not allow it.
        """
        is_v6 = ":" in self.host
        family = socket.AF_INET6 if is_v6 else socket.AF_INET
        both = self.host == "::" and socket.has_dualstack_ipv6()
        try:
            listener = socket.create_server(
                (self.host, self.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
            )
        except OSError as error:
            raise self._verdict(error) from error
        # Requests and answers are short: a client that hangs holds this much, and no megabytes.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        listener.setblocking(False)
        return listener

    def admit(self, head: Head) -> None:
        """Let a request in.

        Raises:
            Refused: no token or a wrong one, another path or method, a compressed body.
        """
        if self.authorization is not None:
            given = _digest(head.headers.get("authorization", ""))
            if not hmac.compare_digest(given, self.authorization):
                raise Refused(401, "expected Authorization: Bearer and the token", "WWW-Authenticate: Bearer")
        rest = head.path[len(self.path) :]
        if head.path[: len(self.path)] != self.path or len(rest) > 1:
            raise Refused(404, f"expected /{'/'.join((*self.path, 'DEVICE'))}")
        if head.method != "POST":
            raise Refused(405, "expected POST", "Allow: POST")
        if head.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "expected a body that is not compressed")

    def device_of(self, head: Head) -> str:
        """Who posts, as the path of a request says; empty where it does not."""
        return "".join(head.path[len(self.path) :])

    def __str__(self) -> str:
        return f"http: {self.host}:{self.port}"

    def _verdict(self, error: OSError) -> DeviceError:
        if error.errno == errno.EADDRINUSE:
            return Retry(
                f"{self}: the port is taken", remedy="another program listens there, or ends just now"
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            remedy = "choose a port above 1023" if self.port < 1024 else None
            return Fatal(f"{self}: may not be listened on", found=os.strerror(error.errno), remedy=remedy)
        return Retry(f"{self}: cannot be listened on", found=error.strerror or error)


def _place(location: str) -> tuple[str, int, tuple[str, ...]]:
    try:
        parts = urlsplit(f"//{location}")
        host, port = parts.hostname or "127.0.0.1", parts.port
        host.encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise _wrong(location) from error
    if "@" in parts.netloc or "#" in location or " " in host:
        raise _wrong(location)
    path = tuple(unquote(part) for part in parts.path.strip("/").split("/")) if parts.path.strip("/") else ()
    return host, _PORT if port is None else port, path


def _wrong(location: str) -> ConfigError:
    return ConfigError(
        f"http:{location}",
        expected="http://ADDRESS:PORT/PATH",
        remedy="such as http://:8080/readings for this machine, http://0.0.0.0:8080/readings for all",
    )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(text: str) -> bytes:
    """Of one length, so that comparing tells nothing about the token."""
    return hashlib.sha256(text.encode()).digest()


def _tls(where: str, cert: str, key: str) -> ssl.SSLContext | None:
    def no_passphrase() -> str:
        raise ConfigError(f"{where}: key {key or cert}", expected="a key without a passphrase")

    if not cert:
        if key:
            raise ConfigError(f"{where}: key without cert", expected="both, or cert with both in it")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key or None, no_passphrase)
    except ConfigError:
        raise
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"{where}: cert {cert}",
            expected="a PEM file that this user may read, and its key",
            found=getattr(error, "reason", None) or error.strerror or error,
        ) from error
    return context
