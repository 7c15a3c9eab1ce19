"""TLS with a server: what this side trusts and shows, and why a certificate was not believed."""

from __future__ import annotations

import os
import ssl
import time

from edge_sdk.clock import ClockState
from edge_sdk.errors import ConfigError, Retry, one_line

_ISSUER_CODES = {2, 18, 19, 20, 21}
_NAME_CODES = {62, 64}
_NOT_YET_VALID, _EXPIRED = 9, 10


class _Socket(ssl.SSLSocket):
    """Closed when the two sides do not come to terms; Python leaves that to whoever made it."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


def client_context(what: str, ca: str = "", cert: str = "", key: str = "") -> ssl.SSLContext:
    """What a client trusts and shows.

    Args:
        what: the part, for messages.
        ca: PEM file of the authorities to trust instead of the system's.
        cert: PEM file of the client's own certificate.
        key: PEM file of its key, where that is not in `cert`.

    Raises:
        ConfigError: a file cannot be read or is none of these, or the key is not that of the certificate.
    """

    def no_passphrase() -> str:
        raise ConfigError(f"{what}: key {key or cert}", expected="a key without a passphrase")

    if key and not cert:
        raise ConfigError(f"{what}: option 'key'", expected="a cert that it belongs to", found="no cert")
    for name, file in (("ca", ca), ("cert", cert), ("key", key)):
        if file and not os.access(file, os.R_OK):
            raise ConfigError(f"{what}: {name} {file}", expected="a file that this user may read")
    try:
        context = ssl.create_default_context(cafile=ca or None)
        context.sslsocket_class = _Socket
        if cert:
            context.load_cert_chain(cert, key or None, no_passphrase)
    except (ssl.SSLError, OSError) as error:
        if isinstance(error, ConfigError):
            raise
        found = getattr(error, "reason", None) or error.strerror or one_line(error)
        raise ConfigError(
            f"{what}: ca, cert or key",
            expected="PEM files, and the key of that certificate",
            found=found,
        ) from error
    return context


def distrusted(server: str, host: str, error: ssl.SSLCertVerificationError) -> Retry:
    """Why a server's certificate was not believed, and what to do.

    It is a `Retry`, whatever the reason: a clock that says 1970, a portal that puts itself between, and a
    certificate that is renewed too late all pass, and a device that gave up would have to be visited.

    Args:
        server: for messages.
        host: what it was called.
        error: what `ssl` said.
    """
    code, today = error.verify_code, time.strftime("%Y-%m-%d", time.gmtime())
    expected, remedy = "one that can be verified", "look at it with: openssl s_client -connect HOST:PORT"
    if code in (_NOT_YET_VALID, _EXPIRED):
        expected = f"one that is valid on {today}, as this clock says"
        if not ClockState().synced():
            remedy = "this clock is not set by NTP: it is tried again until it is"
        elif code == _EXPIRED:
            remedy = "have it renewed at the server"
        else:
            remedy = "set the clock here, or have one made that is valid now"
    elif code in _ISSUER_CODES:
        expected, remedy = "one signed by an authority that is trusted here", "name that authority: ca=FILE"
    elif code in _NAME_CODES:
        expected = f"one made out to {host}"
        remedy = "write the name as in its certificate, or have one made out to this name"
    return Retry(
        f"{server}: its certificate is not trusted",
        expected=expected,
        found=error.verify_message,
        remedy=remedy,
    )
