"""How an MQTT broker is reached, from the URL and the options that its source and its sink share."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from edge_sdk.errors import ConfigError, MissingExtraError
from edge_sdk.tls import client_context

Protocol = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a broker; made by `access`."""

    scheme: str
    host: str
    port: int
    topic: str
    client_id: str
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 5
    timeout_s: float = 10.0
    protocol: Protocol = "5"

    def __str__(self) -> str:
        return f"{self.scheme}: {self.host}:{self.port}"


def access(  # noqa: PLR0913 - the options that the source and the sink share
    scheme: str,
    role: str,
    location: str,
    *,
    client_id: str = "",
    username: str = "",
    password_env: str = "",
    password_file: str = "",
    tls: bool = False,
    ca: str = "",
    cert: str = "",
    key: str = "",
    keepalive_s: int = 0,
    timeout_s: float = 10.0,
    protocol: Protocol = "5",
) -> Access:
    """Everything that is needed to connect, checked as far as it can be without connecting.

    Args:
        scheme: ``mqtt``, or ``mqtts`` for TLS.
        role: ``source`` or ``sink``: the two must not share a client id.
        location: ``[user:password@]BROKER[:PORT]/TOPIC``.
        client_id: default: one that this machine, role, broker and topic always give.
        username: instead of the URL's.
        password_env: environment variable with the password.
        password_file: file with the password.
        tls: encrypted; ``mqtts``, `ca` and `cert` imply it.
        ca: file of the authorities to trust instead of the system's.
        cert: file with this client's certificate.
        key: file with its key, where that is another one.
        keepalive_s: seconds of silence until the broker is pinged; 0: half of `timeout_s`.
        timeout_s: as the plug-ins say.
        protocol: version of MQTT.

    Raises:
        ConfigError: an option is wrong, or a file or variable is missing.
        MissingExtraError: paho is not installed.
    """
    _paho(f"{role} {scheme!r}")
    encrypted = scheme == "mqtts" or tls or bool(ca or cert or key)
    user, host, port, topic = _taken_apart(scheme, location)
    password = _password(scheme, user.partition(":")[2], password_env, password_file)
    return Access(
        scheme,
        host,
        port or (8883 if encrypted else 1883),
        topic,
        client_id or _client_id(role, host, str(port), topic),
        username or unquote(user.partition(":")[0]),
        password,
        client_context(scheme, ca, cert, key) if encrypted else None,
        keepalive_s or max(1, int(timeout_s / 2)),
        timeout_s,
        protocol,
    )


#: Options that a plug-in hands on as they are.
SHARED_OPTIONS = frozenset(access.__kwdefaults__ or ())


def _paho(feature: str) -> None:
    try:
        import paho.mqtt.client  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(feature, "mqtt", error.name) from error


def _taken_apart(scheme: str, location: str) -> tuple[str, str, int, str]:
    """User and password, host, port or 0, topic."""
    server, _, topic = location.partition("/")
    user, _, address = server.rpartition("@")
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):  # [::1] is an address without a port
        host, port = address, ""
    if not host.strip("[]") or not topic or "\0" in topic or (port and not _is_port(port)):
        shown = f"{'…@' if user else ''}{address}/{topic}"
        raise ConfigError(
            f"{scheme}: {shown!r}",
            expected=f"{scheme}://BROKER[:PORT]/TOPIC",
            remedy=f"such as {scheme}://broker.local/plant/press-7",
        )
    return user, host.strip("[]"), int(port or 0), topic


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) < 65536


def _password(scheme: str, from_url: str, variable: str, file: str) -> str:
    if sum(map(bool, (from_url, variable, file))) > 1:
        raise ConfigError(
            f"{scheme}: the password is given twice", expected="the URL, password_env or password_file"
        )
    if variable:
        if variable not in os.environ:
            raise ConfigError(f"{scheme}: password_env", expected=f"a variable {variable} in the environment")
        return os.environ[variable]
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            found = getattr(error, "strerror", None) or "not UTF-8"
            raise ConfigError(f"{scheme}: password_file {file} cannot be read", found=found) from error
    return unquote(from_url)


def _client_id(*parts: str) -> str:
    """The same on every start, another on every machine; 22 letters and digits, as every broker takes 23."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        machine = ""
    text = "\0".join((machine or socket.gethostname(), *parts))
    return "edgeml" + hashlib.sha256(text.encode()).hexdigest()[:16]
