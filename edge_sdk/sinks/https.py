"""``https://HOST/PATH`` posts predictions to a web server (a webhook)."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.secret import read_secret
from edge_sdk.sinks._address import Address, headers_of
from edge_sdk.sinks._connection import Connection
from edge_sdk.sinks._verdict import describe, judge
from edge_sdk.tls import client_context

T = TypeVar("T")


class Sink(Closing):
    """One JSON object a request, or an array of several; delivered once the server has answered 2xx.

    Every request has an ``Idempotency-Key``, the same each time it is sent, because an answer may be lost:
    deduplicate on it, or on the (device, run_id, sequence) of each object. Redirects are not followed.

    Args:
        location: host, port where it is not 443 (http: 80), and path.
        batch: predictions a request; more than 1 are sent as an array.
        query: is appended to the address, ``a=1&b=2``.
        header: further headers, ``Name: value``; ``Name: $VARIABLE`` takes the value from the environment.
        token_env: name of the variable with the token that is sent as ``Authorization: Bearer``.
        token_file: file with that token; it may be replaced while the pipeline runs.
        sign_env: name of the variable with the key for the header ``Edgeml-Signature``.
        ca: file of the certificates to trust instead of the system's.
        cert: file of this client's certificate, for a server that asks for one.
        key: file of its key, where it is not in the same file.
        timeout_s: for a whole request, from connecting to the answer's last byte, s.
        insecure: lets a secret travel to another machine without TLS.
    """

    delivery: Delivery = "outbox"
    path_options = ("ca", "cert", "key", "token_file")
    scheme = "https"

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1,
        query: str = "",
        header: tuple[str, ...] = (),
        token_env: str = "",
        token_file: str = "",
        sign_env: str = "",
        ca: str = "",
        cert: str = "",
        key: str = "",
        timeout_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 10.0,
        insecure: bool = False,
    ) -> None:
        address = Address.parse(self.scheme, location, query)
        self._where, self._target = str(address), address.target
        self._headers, secret = headers_of(self.scheme, header)
        token = read_secret(f"{self._where}: token", env=token_env, file=token_file)
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._sign_key = read_secret(f"{self._where}: key to sign with", env=sign_env).encode()
        if self.scheme == "http":
            _refuse_in_the_clear(address, bool(secret or token) and not insecure, bool(ca or cert or key))
        self._secrets = tuple(filter(None, (token, *(self._headers.values() if secret else ()))))
        context = client_context(self._where, ca, cert, key) if self.scheme == "https" else None
        self._connection = Connection(address.host, address.port, context, timeout_s)
        self._timeout_s = timeout_s
        self._met = False
        #: Most predictions that one `write` stores all or nothing of.
        self.at_once = batch

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that the address, the secrets and the certificates can be used."""
        cls(location, **options)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Post them and wait for the server's word.

        Raises:
            Retry: the server cannot be reached or trusted, is busy, fails, or wants what a person must mend;
                its ``retry_after_s`` is how long the server wants to be left alone, where it says so.
            Rejected: the server refuses these for good.
        """
        for start in range(0, len(predictions), self.at_once):
            self._post(predictions[start : start + self.at_once])

    def idle(self) -> None:
        """Connect once, so that a server that cannot be reached is known before the first prediction."""
        if not self._met:
            self._attempt(self._connection.open)

    def close(self) -> None:
        """Hang up; may be called twice, and from any thread."""
        self._connection.hang_up()

    def _post(self, predictions: Sequence[Prediction]) -> None:
        objects = [prediction.as_dict() for prediction in predictions]
        body = json.dumps(objects if self.at_once > 1 else objects[0], allow_nan=False).encode()
        headers = {
            "User-Agent": "edgeml",
            **self._headers,
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key(predictions),
        }
        if self._sign_key:
            headers["Edgeml-Signature"] = signature(self._sign_key, int(time.time()), body)
        answer = self._attempt(lambda: self._connection.post(self._target, body, headers))
        if verdict := judge(self._where, answer, self._secrets):
            raise verdict

    def _attempt(self, action: Callable[[], T]) -> T:
        try:
            result = action()
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._connection.close()
            raise describe(self._where, error, self._timeout_s) from error
        self._met = True
        return result


def idempotency_key(predictions: Sequence[Prediction]) -> str:
    """32 hexadecimal digits: of the names of these predictions, and of nothing else."""
    names = [[p.device, p.run_id, p.sequence] for p in predictions]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]


def signature(key: bytes, now_s: int, body: bytes) -> str:
    """``t=SECONDS,v1=HEX``: HMAC-SHA256 of ``SECONDS.BODY``, so that an old request cannot be sent anew."""
    digest = hmac.new(key, b"%d.%s" % (now_s, body), hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


def _refuse_in_the_clear(address: Address, has_secret: bool, wants_tls: bool) -> None:
    if wants_tls:
        raise ConfigError(f"{address}: ca, cert and key", expected="https://")
    if has_secret and not address.is_here:
        raise ConfigError(
            f"{address}: a secret would travel in the clear",
            remedy="use https://, or insecure = true where you trust the network",
        )
