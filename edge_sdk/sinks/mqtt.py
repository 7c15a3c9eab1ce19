"""``mqtt://BROKER[:PORT]/TOPIC`` publishes predictions as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from string import Formatter
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from edge_sdk.broker import Connection
from edge_sdk.brokeraccess import SHARED_OPTIONS, Protocol, access
from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, Rejected, Retry, suggestion
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction

#: Of a prediction, what a topic may name.
_FIELDS = ("device", "label", "event", "model", "fault", "run_id")
_MAX_TOPIC_BYTES = 65535
#: Refusals of one message that another attempt may not meet.
_PASSING = {"Unspecified error", "Implementation specific error", "Quota exceeded"}


class Sink(Closing):
    """One JSON message a prediction; delivered once the broker has acknowledged it.

    What was not acknowledged is sent again after the pipeline has reopened the connection, so a message may
    come twice: deduplicate on (device, run_id, sequence).

    Args:
        location: ``[user:password@]BROKER[:PORT]/TOPIC``. The topic may hold ``{device}``, ``{label}``,
            ``{event}``, ``{model}``, ``{fault}`` and ``{run_id}``; what a topic level cannot hold is written
            as in a URL, ``%2F`` for a slash, and what a prediction has not as ``none``.
        qos: 0 counts as delivered once it is sent, 1 and 2 once the broker acknowledged it.
        retain: the broker keeps each topic's last message for those who subscribe later.
        availability: topic that says ``online`` or ``offline``, retained, also when this process was killed.
        client_id: name of this client; default: one that stays the same on this machine for this topic.
        username: for the broker; may stand in the URL.
        password_env: environment variable that holds the password.
        password_file: file that holds it.
        tls: encrypt, as ``mqtts:`` does; implied by ca and cert.
        ca: PEM file of the authorities that may have signed the broker's certificate; default: the system's.
        cert: PEM file of this client's certificate.
        key: PEM file of its key; default: it is in cert.
        keepalive_s: seconds of silence until the broker is pinged; 0: half of timeout_s.
        timeout_s: for the connection and for each acknowledgement, s.
        protocol: version of MQTT, ``5`` or ``3.1.1``; before 5 a broker cannot say that it refuses a message.
    """

    delivery: Delivery = "outbox"
    path_options = ("ca", "cert", "key", "password_file")
    scheme = "mqtt"

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        qos: Annotated[int, msgspec.Meta(ge=0, le=2)] = 1,
        retain: bool = False,
        availability: str = "",
        client_id: str = "",
        username: str = "",
        password_env: str = "",
        password_file: str = "",
        tls: bool = False,
        ca: str = "",
        cert: str = "",
        key: str = "",
        keepalive_s: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0,
        timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0,
        protocol: Protocol = "5",
    ) -> None:
        self._access = access(
            self.scheme,
            "sink",
            location,
            client_id=client_id,
            username=username,
            password_env=password_env,
            password_file=password_file,
            tls=tls,
            ca=ca,
            cert=cert,
            key=key,
            keepalive_s=keepalive_s,
            timeout_s=timeout_s,
            protocol=protocol,
        )
        self._qos, self._retain, self._availability = qos, retain, availability
        self._topic = _template(self.scheme, self._access.topic)
        _check_topic(self.scheme, availability or "none")
        self._connection = Connection(self._access, will=availability)
        if availability:
            self._announce()

    @classmethod
    def preflight(cls, location: str, wanted: Any, **options: Any) -> None:
        """Check topic, files and variables, as `edgeml check` does; connects to nothing."""
        shared = {name: value for name, value in options.items() if name in SHARED_OPTIONS}
        _template(cls.scheme, access(cls.scheme, "sink", location, **shared).topic)
        _check_topic(cls.scheme, options.get("availability") or "none")

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Publish them and wait until the broker has acknowledged all.

        Raises:
            Retry: the connection is lost or the broker does not acknowledge in time.
            Rejected: it refuses one of them for good: too large, or not allowed.
        """
        messages = [(self._topic_of(prediction), _payload(prediction)) for prediction in predictions]
        for topic, payload in messages:
            if not self._connection.fits(topic, payload) or len(topic.encode()) > _MAX_TOPIC_BYTES:
                raise Rejected(
                    f"{self._access}: a message is too large",
                    expected=f"at most {self._connection.packet_bytes or _MAX_TOPIC_BYTES} bytes",
                    found=f"{len(payload)} on {topic[:200]}",
                )
        refused = self._connection.publish(messages, qos=self._qos, retain=self._retain)
        if refused:
            verdict = Retry if set(refused) & _PASSING else Rejected
            raise verdict(f"{self._access} refuses a message to {self._access.topic}", found=refused[0])

    def idle(self) -> None:
        """Notice a lost connection before the next prediction.

        Raises:
            Retry: it is lost.
        """
        self._connection.check()

    def close(self) -> None:
        """Say goodbye to the broker; may be called twice."""
        if self._availability:
            self._connection.leave(self._availability)
        else:
            self._connection.close()

    def _announce(self) -> None:
        try:
            refused = self._connection.publish([(self._availability, b"online")], qos=1, retain=True)
        except Retry:
            self._connection.close()
            raise
        if refused:
            self._connection.close()
            raise Retry(
                f"{self._access} refuses a message to {self._availability}",
                found=refused[0],
                remedy="name another topic for availability, or allow it at the broker",
            )

    def _topic_of(self, prediction: Prediction) -> str:
        return "".join(
            text if field is None else text + _level(getattr(prediction, field))
            for text, field in self._topic
        )


class Secure(Sink):  # noqa: D101 - it has the other's
    __doc__ = Sink.__doc__
    scheme = "mqtts"


def _template(scheme: str, topic: str) -> list[tuple[str, str | None]]:
    """Pieces of text, each followed by a field of the prediction or by nothing."""
    try:
        pieces = list(Formatter().parse(topic))
    except ValueError as error:
        raise ConfigError(f"{scheme}: topic {topic!r}", found=error) from error
    for _, field, form, conversion in pieces:
        if field is not None and (field not in _FIELDS or form or conversion):
            raise ConfigError(
                f"{scheme}: topic {topic!r}",
                expected="{" + "}, {".join(_FIELDS) + "}",
                found="{" + field + "}",
                remedy=suggestion(field, _FIELDS),
            )
    _check_topic(scheme, topic)
    return [(text, field) for text, field, _, _ in pieces]


def _check_topic(scheme: str, topic: str) -> None:
    if "+" in topic or "#" in topic:
        raise ConfigError(
            f"{scheme}: topic {topic!r}", expected="one without + and #: those are for who subscribes"
        )


def _level(value: str | None) -> str:
    """A value as one level of a topic, and different values as different levels."""
    text = value or "none"
    return "".join(
        c if c.isprintable() and c not in "+#/%$" else quote(c, "", errors="replace") for c in text
    )


def _payload(prediction: Prediction) -> bytes:
    text = json.dumps(prediction.as_dict(), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="replace")
