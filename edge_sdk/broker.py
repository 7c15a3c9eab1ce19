"""A connection to an MQTT broker, and the only owner of paho: what refusals mean, and when it is lost.

What an unattended device meets in the network is a `Retry`: a broker that is away, refuses a password or
shows a wrong certificate may be put right by its operator or by the clock, and until then the local
destinations go on. Only what has to be changed here is a `ConfigError` or a `Fatal`.
"""

from __future__ import annotations

import functools
import logging
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge_sdk.brokeraccess import Access
from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError, Fatal, Rejected, Retry, one_line
from edge_sdk.tls import distrusted

_LOG = logging.getLogger("edgeml")
#: How long the broker keeps a session for a client that is away, s.
SESSION_S = 7 * 86400
#: Of a published packet besides its topic and its payload, bytes: headers, identifier, properties.
_FRAME_BYTES = 16
_TICK_S = 0.5
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_FAREWELL_S = 1.0
_BROKE = "the connection broke"
_UNREADABLE = "its answer is no MQTT"
_LOST = {
    "Keep alive timeout": "no answer to pings",
    "Unspecified error": _BROKE,
    "Session taken over": "another client took its name over",
}
_REFUSALS = {
    "Unsupported protocol version": (Fatal, "set protocol to the one that the broker speaks"),
    "Client identifier not valid": (Fatal, "set client_id to a name that the broker takes"),
    "Use another server": (Retry, "name the broker that serves this client"),
    "Server moved": (Retry, "name the broker that serves this client"),
}
_RIGHTS = "check username, password_file or cert here, and the user's rights at the broker"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a client that subscribes asks of the connection.

    Attributes:
        on_message: called in the network's thread with each message; must be quick.
        kept: the broker keeps the session, and what comes meanwhile, while this client is away.
        unacknowledged: messages that the broker may send ahead of their acknowledgement.
        packet_bytes: the broker keeps longer packets to itself.
    """

    on_message: Callable[[Any], None]
    kept: bool
    unacknowledged: int
    packet_bytes: int


class Connection(Closing):
    """One client of a broker. When it is lost it says so and stays lost: the pipeline opens another.

    Args:
        access: how to reach the broker.
        reading: of a client that subscribes.
        will: topic on which the broker says ``offline``, retained, when this client dies.

    Raises:
        Retry: the broker cannot be reached now, or refuses this client.
        Fatal: it does not speak this protocol, or will never take this client id.
    """

    def __init__(self, access: Access, *, reading: Reading | None = None, will: str = "") -> None:
        self._access, self._reading = access, reading
        self._changed = threading.Condition()
        self._lost = ""
        self._ended = threading.Event()
        self._connack: tuple[str, Any] | None = None
        self._answers: dict[int, str] = {}
        #: Of a packet to the broker, bytes; None where the broker does not say.
        self.packet_bytes: int | None = None
        self._window = 20
        #: The broker has kept what came for this client since it was here last.
        self.resumed = False
        self._client = self._new_client(will)
        self._connect()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return bool(self._lost)

    def check(self) -> None:
        """Raise when the connection is gone.

        Raises:
            Retry: it is.
        """
        if self._lost:
            name = self._access.client_id
            taken = {
                _LOST["Session taken over"]: f"give one of the two another client_id than {name}",
                _BROKE: f"where this repeats, another client may be called {name} too: set client_id",
            }
            raise Retry(
                f"{self._access}: the connection was lost", found=self._lost, remedy=taken.get(self._lost)
            )

    def wait(self, ready: Callable[[], Any], timeout_s: float) -> bool:
        """Wait until something is ready, or the connection is lost, which counts as ready."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: ready() or self._lost, timeout_s))

    def fits(self, topic: str, payload: bytes) -> bool:
        """Whether the broker takes a message of that size, as far as it has said."""
        size = len(topic.encode()) + len(payload) + _FRAME_BYTES
        return self.packet_bytes is None or size <= self.packet_bytes

    def publish(self, messages: Sequence[tuple[str, bytes]], *, qos: int, retain: bool) -> list[str]:
        """Publish all and wait until the broker has answered each.

        Args:
            messages: topics and payloads.
            qos: 0, 1 or 2.
            retain: the broker keeps each topic's last one.

        Returns:
            The reasons of those that it refused.

        Raises:
            Retry: the connection is lost, or there was no answer for the time allowed.
            Rejected: the broker answered with what is no MQTT.
        """
        due, waiting, refused = deque(messages), set[int](), list[str]()
        while due or waiting:
            while due and len(waiting) < self._window:
                topic, payload = due.popleft()
                waiting.add(self._client.publish(topic, payload, qos, retain).mid)
            answers = self._answers_to(waiting)
            waiting -= answers.keys()
            refused += [reason for reason in answers.values() if reason]
        return refused

    def leave(self, topic: str) -> None:
        """Say ``offline`` on a topic, retained, as the will would; then `close`."""
        if not self._lost:
            mid = self._client.publish(topic, "offline", 1, retain=True).mid
            self.wait(lambda: mid in self._answers, _FAREWELL_S)
        self.close()

    def subscribe(self, topic: str, qos: int) -> None:
        """Ask for what is published on a topic; not for retained messages, where the protocol allows.

        Raises:
            Retry: the broker refuses, or does not answer.
        """
        from paho.mqtt.subscribeoptions import SubscribeOptions

        if self._access.protocol == "5":
            options = SubscribeOptions(qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            _, mid = self._client.subscribe(topic, options=options)
        else:
            _, mid = self._client.subscribe(topic, qos)
        if not self.wait(lambda: mid in self._answers, self._access.timeout_s):
            raise Retry(f"{self._access} does not answer the subscription to {topic}")
        reason = self._answers.pop(mid or 0, "")
        if reason:
            raise Retry(f"{self._access} refuses the subscription to {topic}", found=reason, remedy=_RIGHTS)
        self.check()

    def acknowledge(self, mid: int, qos: int) -> None:
        """Tell the broker that a message need not be kept; from any thread, also inside ``on_message``."""
        self._client.ack(mid, qos)

    def close(self) -> None:
        """Say goodbye; may be called twice, and from any thread. It waits for nobody longer than a second."""
        self._client.disconnect()
        with self._changed:
            self._lost = self._lost or "closed"
            self._changed.notify_all()
        if not self._ended.wait(_FAREWELL_S):
            held = self._client.socket()
            if held is not None:
                with suppress(OSError):  # past the encryption, which may be what hangs
                    socket.socket.shutdown(held, socket.SHUT_RDWR)
        self._client.loop_stop()
        # Two that hold each other would keep their descriptors until Python looks for such.
        self._reading = self._client.ended = self._client.on_message = None
        self._client.on_connect = self._client.on_disconnect = None
        self._client.on_publish = self._client.on_subscribe = None

    def _answers_to(self, waiting: set[int]) -> dict[int, str]:
        """At least one answer.

        Some brokers, mosquitto 2.0 among them, refuse a message that is too large with a code that MQTT does
        not have there. Paho ends the connection then, and so it would with every attempt.
        """
        timeout_s = self._access.timeout_s
        in_time = self.wait(lambda: waiting & self._answers.keys(), timeout_s)
        answers = {mid: self._answers.pop(mid) for mid in waiting & self._answers.keys()}
        if not answers and self._lost == _UNREADABLE:
            raise Rejected(
                f"{self._access} refuses a message, or speaks no MQTT",
                found=self._lost,
                remedy="is the message larger than the broker takes?",
            )
        if not answers:
            self.check()
        if not in_time:
            expected = f"an answer within {timeout_s:g} s"
            raise Retry(f"{self._access} did not acknowledge", expected=expected, found="silence")
        return answers

    def _new_client(self, will: str) -> Any:
        from paho.mqtt import client as paho

        access, reading = self._access, self._reading
        modern = access.protocol == "5"
        client = _client_class()(
            paho.CallbackAPIVersion.VERSION2,
            client_id=access.client_id,
            clean_session=None if modern else not (reading and reading.kept),
            protocol=paho.MQTTv5 if modern else paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=reading is not None,
        )
        client.connect_timeout = access.timeout_s
        client.max_inflight_messages = 0  # `publish` counts: paho does not know the broker's limit
        if access.tls is not None:
            client.tls_set_context(access.tls)
        if access.username or access.password:
            client.username_pw_set(access.username, access.password or None)
        if will:
            client.will_set(will, "offline", 1, retain=True)
        client.ended, client.on_socket_open = self._on_end, _send_at_once
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_subscribe = self._on_publish, self._on_subscribe
        if reading is not None:
            client.on_message = self._on_message
        return client

    def _connect(self) -> None:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        access, reading = self._access, self._reading
        options: dict[str, Any] = {}
        if access.protocol == "5":
            asked = Properties(PacketTypes.CONNECT)
            if reading is not None:
                asked.ReceiveMaximum = min(reading.unacknowledged, 65535)
                asked.MaximumPacketSize = reading.packet_bytes
            if reading is not None and reading.kept:
                asked.SessionExpiryInterval = SESSION_S
            options = {"clean_start": not (reading and reading.kept), "properties": asked}
        try:
            self._client.connect(access.host, access.port, access.keepalive_s, **options)
        except ssl.SSLCertVerificationError as error:
            raise distrusted(str(access), access.host, error) from error
        except (ssl.SSLError, ConnectionResetError) as error:
            raise Retry(
                f"{access} does not agree to {'TLS' if access.tls else 'MQTT'}",
                found=getattr(error, "reason", None) or error.strerror or one_line(error),
                remedy="is that its TLS port, and does it ask for a certificate (cert=…)?",
            ) from error
        except OSError as error:
            raise Retry(f"{access} cannot be reached", found=error.strerror or one_line(error)) from error
        except ValueError as error:
            raise ConfigError(f"{access}: no address of a broker", found=one_line(error)) from error
        self._client.loop_start()
        try:
            self._await_answer()
        except DeviceError:
            self.close()
            raise

    def _await_answer(self) -> None:
        self.wait(lambda: self._connack, self._access.timeout_s)
        if self._connack is None and self._lost == _UNREADABLE:
            raise Retry(f"{self._access} does not speak MQTT", remedy="is that the port of a broker?")
        if self._connack is None:
            asks = " (does it ask for a certificate: cert=…?)" if self._access.tls else ""
            raise Retry(
                f"{self._access} accepts connections but does not answer",
                expected=f"an answer within {self._access.timeout_s:g} s",
                found=f"{self._lost or 'silence'}{asks}",
            )
        reason, properties = self._connack
        if reason:
            verdict, remedy = _REFUSALS.get(reason, (Retry, _RIGHTS))
            raise verdict(f"{self._access} refuses this client", found=reason, remedy=remedy)
        self.packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self._window = min(getattr(properties, "ReceiveMaximum", 20), 1000)

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._changed:
            self._connack = (str(reason) if reason.is_failure else "", properties)
            self.resumed = bool(flags.session_present)
            self._changed.notify_all()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        ours = str(reason) == "Protocol error" and not flags.is_disconnect_packet_from_server
        self._note_lost(_UNREADABLE if ours else _LOST.get(str(reason), str(reason)))

    def _on_publish(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        _acknowledge_at_once(client)
        self._answer(mid, [reason])

    def _on_subscribe(self, client: Any, data: Any, mid: int, reasons: Any, properties: Any) -> None:
        self._answer(mid, reasons)

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        reading = self._reading
        if reading is not None:
            _acknowledge_at_once(client)
            reading.on_message(message)
            with self._changed:
                self._changed.notify_all()

    def _answer(self, mid: int, reasons: Sequence[Any]) -> None:
        with self._changed:
            self._answers[mid] = next((str(reason) for reason in reasons if reason.is_failure), "")
            self._changed.notify_all()

    def _on_end(self, why: str) -> None:
        self._note_lost(why)
        self._ended.set()

    def _note_lost(self, why: str) -> None:
        with self._changed:
            self._lost = self._lost or why
            self._changed.notify_all()


@functools.cache
def _client_class() -> Any:
    from paho.mqtt import client as paho

    class Client(paho.Client):  # type: ignore[misc] # mypy does not follow paho
        """Its network thread never dies unnoticed, whatever a broker sends."""

        ended: Callable[[str], None] | None = None

        def loop_forever(self, timeout: float = _TICK_S, retry_first_connection: bool = False) -> Any:
            ended, why = self.ended, _BROKE
            try:
                return super().loop_forever(_TICK_S, retry_first_connection=False)
            except Exception as error:  # noqa: BLE001 - a packet that paho cannot read
                _LOG.warning("mqtt: %s", one_line(error))
                why = _UNREADABLE
                return paho.MQTT_ERR_UNKNOWN
            finally:
                if ended is not None:
                    ended(why)

    return Client


def _send_at_once(client: Any, data: Any, held: socket.socket) -> None:
    """Small packets do not wait for the kernel's acknowledgement of the one before."""
    with suppress(OSError):
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _acknowledge_at_once(client: Any) -> None:
    """Nor do the broker's, which hold theirs back otherwise: 40 ms a packet where Linux delays its own.

    It has to be asked for again after every packet.
    """
    held = client.socket()
    if held is not None and _QUICKACK is not None:
        with suppress(OSError):
            held.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
