"""``mqtt://BROKER[:PORT]/TOPIC`` publishes predictions as JSON."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, Fatal, MissingExtraError, Retry, one_line
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction

_PORT = 1883
#: CONNACK reasons that no further attempt will change: bad protocol, client id, user or rights.
_FOR_GOOD = {
    "Unsupported protocol version",
    "Client identifier not valid",
    "Bad user name or password",
    "Not authorized",
}


class Sink(Closing):
    """One JSON message a prediction; delivered once the broker has acknowledged it.

    What was not acknowledged is sent again after the pipeline has reopened the connection, so a message may
    come twice: deduplicate on (device, run_id, sequence). What waits meanwhile waits in memory.

    Args:
        location: the broker's name or address, its port where it is not 1883, and the topic.
        qos: 0 counts as delivered once it is sent, 1 and 2 once the broker acknowledged it.
        retain: the broker keeps the last message for those who subscribe later.
        client_id: stable name of this client; empty lets the broker choose one.
        timeout_s: for the connection and for the acknowledgements of a batch, s.
    """

    delivery: Delivery = "direct"

    def __init__(
        self,
        location: str,
        *,
        qos: Annotated[int, msgspec.Meta(ge=0, le=2)] = 1,
        retain: bool = False,
        client_id: str = "",
        timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0,
    ) -> None:
        self._host, self._port, self._topic = _place(location)
        self._qos, self._retain, self._timeout_s = qos, retain, timeout_s
        self._answered, self._reason = threading.Event(), ""
        self._lost = False
        try:
            from paho.mqtt import client
        except ModuleNotFoundError as error:
            raise MissingExtraError("sink 'mqtt'", "mqtt", error.name) from error
        # The pipeline reopens a lost connection; paho must not do so behind its back.
        self._client = client.Client(
            client.CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False
        )
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._connect()

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Publish them and wait until the broker has acknowledged all.

        Raises:
            Retry: the connection is lost or the broker does not acknowledge in time.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            sent = [
                self._client.publish(self._topic, _payload(prediction), self._qos, self._retain)
                for prediction in predictions
            ]
            for message in sent:
                while not message.is_published():
                    left = deadline - time.monotonic()
                    if self._lost or left <= 0:
                        raise Retry(
                            f"mqtt: {self._host}:{self._port} did not acknowledge",
                            expected=f"within {self._timeout_s:g} s",
                            found="the connection was lost" if self._lost else "silence",
                        )
                    message.wait_for_publish(min(left, 0.1))
        except (RuntimeError, ValueError, OSError) as error:
            if isinstance(error, Retry):
                raise
            raise Retry(
                f"mqtt: {self._host}:{self._port} cannot be reached", found=one_line(error)
            ) from error

    def close(self) -> None:
        """Say goodbye to the broker; may be called twice."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connect(self) -> None:
        self._client.connect_timeout = self._timeout_s
        try:
            self._client.connect(self._host, self._port)
        except (OSError, ValueError) as error:
            raise Retry(
                f"mqtt: {self._host}:{self._port} cannot be reached", found=one_line(error)
            ) from error
        self._client.loop_start()
        if not self._answered.wait(self._timeout_s):
            self.close()
            raise Retry(f"mqtt: {self._host}:{self._port} accepts connections but does not answer")
        if self._reason:
            self.close()
            verdict = Fatal if self._reason in _FOR_GOOD else Retry
            raise verdict(f"mqtt: {self._host}:{self._port} refuses this client", found=self._reason)

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._reason = str(reason) if reason.is_failure else ""
        self._answered.set()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._lost = True


def _place(location: str) -> tuple[str, int, str]:
    server, _, topic = location.partition("/")
    host, colon, port = server.partition(":")
    if not host or not topic or (colon and not port.isdecimal()) or "+" in topic or "#" in topic:
        raise ConfigError(
            f"mqtt: {location!r}",
            expected="mqtt://BROKER[:PORT]/TOPIC, a topic without + and #",
            remedy="such as mqtt://broker.local/plant/press-7",
        )
    return host, int(port) if colon else _PORT, topic


def _payload(prediction: Prediction) -> str:
    return json.dumps(prediction.as_dict(), ensure_ascii=False, allow_nan=False)
