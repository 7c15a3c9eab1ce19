"""What a posted message means: samples for the pipeline, and an answer for the device."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_sdk.blocks import Block, Fault
from edge_sdk.contract import Input
from edge_sdk.errors import one_line
from edge_sdk.posting.door import Door
from edge_sdk.posting.request import Head, reply
from edge_sdk.posting.seen import Seen
from edge_sdk.posting.server import Parcel
from edge_sdk.sources._payload import Format, Payloads

_LOG = logging.getLogger("edgeml")


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
    """Unpacks requests, in the thread that reads the source: a long message must not keep the server waiting.

    Args:
        door: who may post, and where.
        layout: of messages.
        wanted: what the model was trained with, where that is known.
        device: name of who posts without one.
    """

    def __init__(self, door: Door, layout: Layout, wanted: Input | None, device: str) -> None:
        self._where, self._device = str(door), device
        self._usual, self._raw = layout.payloads(self._where, wanted)
        self._seen = Seen()

    def unpack(self, parcel: Parcel) -> Iterator[Block | Fault]:
        """What is in a parcel; once all of it was taken, the parcel has its answer."""
        if parcel.head is None:
            yield from parcel.faults
            return
        items = self._items(parcel.head, parcel.device, parcel.body)
        key = parcel.head.headers.get("idempotency-key")
        request = items[0].device, key or "", parcel.body
        if key and request in self._seen:
            parcel.answer = reply(200, {"taken": 0, "repeated": True})
            return
        taken = refused = 0
        error = ""
        for item in items:
            if isinstance(item, Fault):
                refused += item.samples
                error = error or item.detail.removeprefix(f"{self._where}: ")
            else:
                taken += len(item.samples)
            yield item
        facts: dict[str, Any] = {"taken": taken}
        if error:
            facts |= {"refused": refused, "error": error}
        parcel.answer = reply(202 if taken else 400, facts)
        if key and taken:
            self._seen.add(request)

    def _items(self, head: Head, device: str, body: bytes) -> list[Block | Fault]:
        """At least one."""
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        payloads = self._raw if kind == "application/octet-stream" else self._usual
        if payloads is None:
            detail = "raw numbers need the option channels, or a model that names them"
            return [Fault("garbage", detail=detail, device=device)]
        try:
            items = list(payloads.blocks(device, body))
        except Exception as error:  # noqa: BLE001 - a bug that one message shows must not hurt the others
            _LOG.error(
                "%s: a message made it fail: %s: %s", self._where, type(error).__name__, one_line(error)
            )
            return [Fault("failed", detail="this message makes the gateway fail", device=device)]
        for item in items:
            item.device = item.device or self._device
        return items or [Fault("garbage", detail="no samples", device=device)]
