"""Where a webhook is and what every request to it carries, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from edge_sdk.errors import ConfigError

#: What a path or a query may hold as it is.
_PLAIN = "/%:@!$&'()*+,;=~-._?"
_OWN_HEADERS = {
    "connection", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """``HOST[:PORT]/PATH``.

    Attributes:
        scheme: ``http`` or ``https``.
        host: name or address, without brackets.
        port: of the server.
        target: path and query, as a request's first line has them.
    """

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, scheme: str, location: str, query: str) -> Self:
        """Take a location apart.

        Raises:
            ConfigError: it has no host, an impossible port, a user's name or a fragment.
        """
        if "@" in location.split("/")[0]:  # not shown: there may be a password
            raise ConfigError(
                f"{scheme}: a user before the host",
                expected=f"{scheme}://HOST/PATH",
                remedy="secrets: token_env, token_file, or header = ['Authorization: $VARIABLE']",
            )
        try:
            parts = urlsplit(f"//{location}")
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError as error:  # UnicodeError is one
            raise _wrong(scheme, location) from error
        if not host or not host.isprintable() or " " in host or port == 0 or "#" in location + query:
            raise _wrong(scheme, location)
        target = parts.path or "/"
        if query:
            target += f"?{query}"
        return cls(scheme, host, port or (443 if scheme == "https" else 80), quote(target, safe=_PLAIN))

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, so that nobody can listen on the way."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        """For messages; without the path, which may hold a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def headers_of(scheme: str, lines: Sequence[str]) -> tuple[dict[str, str], bool]:
    """Headers from ``Name: value`` lines, and whether there may be a secret among them.

    Raises:
        ConfigError: not a header, one that is not free to choose, or a variable that is not set.
    """
    headers, secret = {}, False
    for line in lines:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not name.replace("-", "").isalnum() or not name.isascii():
            raise ConfigError(f"{scheme}: header", expected="Name: value", found=f"{name[:40]!r} …")
        if name.lower() in _OWN_HEADERS:
            raise ConfigError(f"{scheme}: header {name}", expected="one that is not set by edgeml")
        if value.startswith("$"):
            secret = True
            if (variable := value[1:]) not in os.environ:
                raise ConfigError(f"{scheme}: header {name}: the variable {variable!r} is not set")
            value = os.environ[variable].strip()
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"{scheme}: header {name}", expected="a value of printable ASCII characters")
        secret = secret or name.lower() in {"authorization", "cookie"}
        headers[name] = value
    return headers, secret


def _wrong(scheme: str, location: str) -> ConfigError:
    return ConfigError(
        f"{scheme}:{location}",
        expected=f"{scheme}://HOST[:PORT]/PATH",
        remedy=f"such as {scheme}://example.org/hook; what follows a ? there is the option query",
    )
