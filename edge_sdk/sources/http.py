"""``http://ADDRESS:PORT/PATH`` takes the readings that devices post."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import Retry, one_line
from edge_sdk.posting.desk import Desk, Layout
from edge_sdk.posting.door import Door
from edge_sdk.posting.server import Limits, Server
from edge_sdk.sources._payload import Format

_POLL_S = 0.2
_END_S = 0.7


class Source(Closing):
    """One message a request, of one device: JSON, CSV lines or packed numbers.

    Devices post to ``/PATH/DEVICE``, or to ``/PATH`` with a key ``device`` in a JSON message. The answer 202
    says that the pipeline has the samples; a device keeps them until then. While the pipeline is busy the
    answer is 503. A request with an ``Idempotency-Key`` is taken once, however often it is sent.

    Args:
        location: address, port (8080) and path; without an address only this machine can connect.
        format: ``json``, ``csv``, ``raw`` or ``auto``: raw where the content type is
            ``application/octet-stream``, else by the first character.
        channels: names of the columns; default: the message's, else the model's.
        rate_hz: samples a second; default: the message's, else the model's.
        dtype: of raw numbers, ``<f4``, ``<i2``, ``>i2``, …
        scale: what one unit of a raw number is.
        device: name of who posts without one; default: the pipeline's device.
        token_env: name of the variable with the token that devices send as ``Authorization: Bearer``.
        token_file: file with that token.
        cert: file of the certificate to show; turns TLS on.
        key: file of its key, where it is not in the same file.
        max_bytes: of one message.
        max_connections: open at a time; one more closes the one that has been of no use for the longest.
        waiting: requests that may wait for the pipeline.
        timeout_s: for a whole request to come, s.
    """

    live = many = True
    path_options = ("cert", "key", "token_file")
    #: Its devices are named by whoever posts.
    many = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        format: Format = "auto",  # noqa: A002 - the option's name
        channels: tuple[str, ...] = (),
        rate_hz: float | None = None,
        dtype: str = "<f4",
        scale: float = 1.0,
        device: str = "",
        token_env: str = "",
        token_file: str = "",
        cert: str = "",
        key: str = "",
        max_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 1 << 18,
        max_connections: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 512,
        waiting: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 256,
        timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 20.0,
    ) -> None:
        self._door = Door.build(location, token_env, token_file, cert, key)
        self._limits = Limits(max_connections, waiting, max_bytes, timeout_s)
        self._device = device
        self._layout = Layout(format, channels, rate_hz, dtype, scale, max_bytes)
        self._expected: Input | None = None
        self._closing = threading.Event()
        self._server: Server | None = None
        self._listener = self._door.listen()
        #: The one that the system chose, where the location says 0.
        self.port: int = self._listener.getsockname()[1]

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that the address, the token, the certificate and the format can be used; listens to nothing."""
        Door.build(location, *(options.get(name, "") for name in ("token_env", "token_file", "cert", "key")))
        facts = {name: options[name] for name in Layout.__slots__ if name in options}
        Layout(**facts).payloads(f"http:{location}", wanted)

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for `rate_hz` and `channels`."""
        self._expected = wanted

    def __iter__(self) -> Iterator[Block | Fault]:
        desk = Desk(self._door, self._layout, self._expected, self._device)
        server = Server(self._listener, self._limits, self._door)
        self._server = server
        server.thread.start()
        try:
            while not self._closing.is_set():
                try:
                    parcel = server.parcels.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if parcel is None:
                    break
                yield from desk.unpack(parcel)
                server.done(parcel)
        finally:
            server.stop()
            server.thread.join(_END_S)
        if server.failure is not None:
            raise Retry(
                f"{self._door}: the server failed", found=one_line(server.failure)
            ) from server.failure

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()
        if self._server is None:
            self._listener.close()
        else:
            self._server.parcels.put(None)
