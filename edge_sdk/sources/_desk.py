"""What a posted message means: samples for the pipeline, and an answer for the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_sdk.blocks import Block, Fault
from edge_sdk.contract import Input
from edge_sdk.sources._door import Door
from edge_sdk.sources._payload import Format, Payloads
from edge_sdk.sources._request import Head, Refused, busy, reply
from edge_sdk.sources._seen import Seen
from edge_sdk.sources._server import Parcel


@dataclass(frozen=True, slots=True)
class Layout:
    """How messages look, as `Payloads` takes it."""

    format: Format = "auto"
    channels: tuple[str, ...] = ()
    rate_hz: float | None = None
    dtype: str = "<f4"
    scale: float = 1.0
    max_bytes: int = 1 << 18

    def payloads(self, where: str, wanted: Input | None) -> tuple[Payloads, Payloads | None]:
        """What reads messages, and what reads raw ones: None where nothing names their channels."""
        options: dict[str, Any] = {
            "channels": self.channels, "rate_hz": self.rate_hz, "dtype": self.dtype, "scale": self.scale,
            "max_bytes": self.max_bytes, "expected": wanted,
        }  # fmt: skip
        usual = Payloads(where, format=self.format, **options)
        if self.format != "auto":
            return usual, usual
        named = self.channels or wanted is not None
        return usual, Payloads(where, format="raw", **options) if named else None


class Desk:
    """Turns requests into parcels, in the server's thread.

    Args:
        door: who may post, and where.
        layout: of messages.
        wanted: what the model was trained with, where that is known.
        device: name of who posts without one.
    """

    def __init__(self, door: Door, layout: Layout, wanted: Input | None, device: str) -> None:
        self._door, self._device = door, device
        self._usual, self._raw = layout.payloads(str(door), wanted)
        self._seen = Seen()

    def admit(self, head: Head) -> None:
        """See whether the body is worth reading.

        Raises:
            Refused: it is not.
        """
        self._door.admit(head)
        if head.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "expected a body that is not compressed")
        if self._payloads(head) is None:
            raise Refused(415, "raw numbers need the option channels, or a model that names them")

    def take(self, head: Head, body: bytes) -> Parcel | bytes:
        """What is in a request, or the answer where there is nothing to be taken.

        Raises:
            Refused: the same request is on its way.
        """
        payloads = self._payloads(head)
        assert payloads is not None
        items = list(payloads.blocks(self._door.device_of(head), body))
        taken = refused = 0
        error = ""
        for item in items:
            if isinstance(item, Fault):
                refused += item.samples
                error = error or item.detail.removeprefix(f"{self._door}: ")
            else:
                item.device = item.device or self._device
                taken += len(item.samples)
        if not taken:
            items = items or [Fault("garbage", detail=f"{self._door}: a message without samples")]
            facts = {"taken": 0, "refused": refused, "error": error or "no samples"}
            return Parcel(items, reply(400, facts))
        facts = {"taken": taken, "refused": refused, "error": error} if error else {"taken": taken}
        parcel = Parcel(items, reply(202, facts))
        if key := head.headers.get("idempotency-key"):
            device = next(item.device for item in items if isinstance(item, Block))
            known = self._seen.was_taken(device, key, body)
            if known:
                return reply(200, {"taken": 0, "repeated": True})
            if known is False:
                raise busy("the same request is on its way")
            parcel.begun = lambda: self._seen.expect(device, key, body)
            parcel.taken = lambda: self._seen.confirm(device, key, body)
        return parcel

    def _payloads(self, head: Head) -> Payloads | None:
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        return self._raw if kind == "application/octet-stream" else self._usual
