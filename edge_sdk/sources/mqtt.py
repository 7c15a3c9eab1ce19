"""``mqtt://BROKER[:PORT]/TOPIC`` reads what many devices publish."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from edge_sdk.blocks import Block, Fault
from edge_sdk.broker import Connection, Reading
from edge_sdk.brokeraccess import SHARED_OPTIONS, Protocol, access
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import Retry
from edge_sdk.sources._inbox import Inbox, Letter
from edge_sdk.sources._payload import Format, Payloads
from edge_sdk.sources._topics import DeviceNames

_POLL_S = 0.1
#: Of all messages that wait to be read.
_INBOX_BYTES = 32 << 20
#: What the broker may send beyond max_bytes, so that an oversized message is counted and not only kept away.
_ROOM_BYTES = 1 << 20
#: Characters of a device's name that tell senders apart; longer ones are none.
_SENDER = 129


class Source(Closing):
    """One stream for each device that publishes under a topic, which may hold the wildcards + and #.

    A message holds one or many samples of one device, as JSON, CSV or packed numbers (docs/mqtt.md). It is
    acknowledged to the broker once the pipeline has it: what a killed process had not taken comes again, and
    so do, with a kept session, the messages of the time in which nobody read. What was under way when the
    connection broke may come twice.

    Retained messages are older than the subscription and no samples of now: they are not asked for, and those
    that come all the same are the fault ``retained``.

    Args:
        location: ``[user:password@]BROKER[:PORT]/TOPIC``.
        qos: 0 may lose messages, 1 does not. There is no 2: a process killed in mid-handshake would lose one.
        format: ``auto``, ``json``, ``csv`` or ``raw``; ``auto`` tells JSON from CSV.
        channels: names of the columns, for messages that name none; default: the model's.
        rate_hz: samples a second, for messages that tell none; default: the model's rate.
        dtype: of raw numbers, ``<i2``, ``>f4``, …
        scale: what one unit of a raw number is.
        device: which levels of the topic name the device, such as ``{2}`` or ``{1}-{3}``, or which key of a
            JSON message, ``{id}``, or a fixed name; default: the levels that the wildcards stand for, and
            without any, the message's key ``device``, else the pipeline's device.
        clean: begin without the broker's memory of this client, and leave it none.
        inbox: messages that may wait to be read. The broker keeps what comes on top, or with qos 0 it is the
            fault ``overflow``.
        max_bytes: a longer message is the fault ``oversized``.
        client_id: name of this client; default: one that stays the same on this machine for this topic.
        username: for the broker; may stand in the URL.
        password_env: environment variable that holds the password.
        password_file: file that holds it.
        tls: encrypt, as ``mqtts:`` does; implied by ca and cert.
        ca: PEM file of the authorities that may have signed the broker's certificate; default: the system's.
        cert: PEM file of this client's certificate.
        key: PEM file of its key; default: it is in cert.
        keepalive_s: seconds of silence until the broker is pinged; 0: half of timeout_s.
        timeout_s: for the connection, and until a broker that says nothing more is given up, s.
        protocol: version of MQTT, ``5`` or ``3.1.1``.
    """

    live = many = True
    path_options = ("ca", "cert", "key", "password_file")
    scheme = "mqtt"

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        qos: Annotated[int, msgspec.Meta(ge=0, le=1)] = 1,
        format: Format = "auto",  # noqa: A002 - the option's name
        channels: tuple[str, ...] = (),
        rate_hz: Annotated[float, msgspec.Meta(gt=0)] | None = None,
        dtype: str = "<f4",
        scale: float = 1.0,
        device: str = "",
        clean: bool = False,
        inbox: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 4096,
        max_bytes: Annotated[int, msgspec.Meta(ge=64, le=1 << 24)] = 1 << 18,
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
            "source",
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
        self._qos = qos
        self._names = DeviceNames(self.scheme, self._access.topic, device)
        self._options: dict[str, Any] = {
            "format": format,
            "channels": channels,
            "rate_hz": rate_hz,
            "dtype": dtype,
            "scale": scale,
            "max_bytes": max_bytes,
            "device_key": self._names.key,
        }
        self._expected: Input | None = None
        self._payloads: Payloads | None = None
        self._closing = threading.Event()
        self._inbox = Inbox(inbox, _INBOX_BYTES)
        reading = Reading(self._take_in, not clean, inbox, max_bytes + _ROOM_BYTES)
        self._connection = Connection(self._access, reading=reading)

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for `rate_hz` and `channels`."""
        self._expected = wanted

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """Check topic, files and variables, as `edgeml check` does; connects to nothing."""
        shared = {name: value for name, value in options.items() if name in SHARED_OPTIONS}
        topic = access(cls.scheme, "source", location, **shared).topic
        key = DeviceNames(cls.scheme, topic, options.get("device", "")).key
        own = {name: options[name] for name in _READING & options.keys()}
        if wanted is not None or "rate_hz" in own:
            Payloads(cls.scheme, expected=wanted, device_key=key, **own)

    def __iter__(self) -> Iterator[Block | Fault]:
        self._payloads = Payloads(
            f"{self._access}/{self._access.topic}", expected=self._expected, **self._options
        )
        connection = self._connection
        try:
            connection.subscribe(self._access.topic, self._qos)
            while not self._closing.is_set():
                connection.wait(lambda: self._inbox or self._closing.is_set(), _POLL_S)
                while self._inbox and not self._closing.is_set():
                    yield from self._next()
                connection.check()
        except Retry:
            if not self._closing.is_set():  # else it is lost because it was closed
                raise
        finally:
            connection.close()

    @property
    def resumed(self) -> bool:
        """Whether the broker kept what was published since this client was here last."""
        return self._qos > 0 and self._connection.resumed

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()
        self._connection.close()

    def _next(self) -> Iterator[Block | Fault]:
        """What is in the next message; acknowledges it once that was taken."""
        lost, letter = self._inbox.take()
        for device, count in lost.items():
            yield Fault("overflow", count, f"{self._access}: more came than could be read", device)
        if letter is not None:
            yield from self._read(letter)
            if letter.qos:
                self._connection.acknowledge(letter.mid, letter.qos)

    def _read(self, letter: Letter) -> Iterator[Block | Fault]:
        if self._payloads is None:
            return
        samples = self._payloads.count
        where = f"{self._access}/{letter.topic[:200]}"
        if letter.retained:
            yield Fault("retained", samples(letter.data), f"{where}: older than the subscription")
        elif (device := self._names.of(letter.topic)) is None:
            yield Fault("device", samples(letter.data), f"{where}: is not under {self._access.topic}")
        else:
            yield from self._payloads.blocks(device, letter.data)

    def _take_in(self, message: Any) -> None:
        """Put a message into the inbox; in the network's thread."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        sender = (self._names.of(topic) or "")[:_SENDER]
        letter = Letter(sender, topic, message.payload, message.mid, message.qos, message.retain)
        for gone in self._inbox.put(letter, self._samples):
            if gone.qos:
                self._connection.acknowledge(gone.mid, gone.qos)

    def _samples(self, letter: Letter) -> Counter[str]:
        """How many samples of which device a letter holds."""
        found: Counter[str] = Counter()
        for item in self._read(letter):
            found[item.device] += item.samples if isinstance(item, Fault) else len(item.samples)
        return found


class Secure(Source):  # noqa: D101 - it has the other's
    __doc__ = Source.__doc__
    scheme = "mqtts"


#: Options that `Payloads` takes as they are.
_READING = frozenset({"format", "channels", "rate_hz", "dtype", "scale", "max_bytes"})
