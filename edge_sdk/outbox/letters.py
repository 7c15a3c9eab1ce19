"""Letters: predictions on their way, and the bytes that they are on disk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from edge_sdk.prediction import Prediction

Durability = Literal["none", "batch", "each"]
WhenFull = Literal["drop_oldest", "drop_newest", "block"]

#: An empty database is 24 KiB.
LEAST_BYTES = 1 << 16
#: What a letter takes in memory beside its outputs, and on disk beside them, roughly.
_BESIDE_BYTES = 256


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How an outbox keeps what waits.

    Attributes:
        file: the database; its folder must be there.
        durability: ``batch`` has what was put on the disk within `commit_s` (survives a power cut), ``each``
            before `Outbox.put` returns, ``none`` leaves the moment to the system (survives a crash of the
            program only, after `commit_s`).
        commit_s: a prediction is committed at most so long after it was put, s.
        commit_rows: or when so many wait.
        spill: memory first, for SD cards: nothing is written while every sink acknowledges within twice
            `commit_s`; what is owed then is, until all sinks have caught up.
        max_bytes: that the database may take.
        max_age_s: what is older is dropped, s of powered time; None keeps it.
        when_full: at `max_bytes`, or when the disk fails and memory is full: drop what waited longest, refuse
            what is new, or let the model wait.
        memory_rows: predictions that are kept in memory at a time; what else waits is only on the disk.
        memory_bytes: that they may take, by their outputs.
    """

    file: Path
    durability: Durability = "batch"
    commit_s: float = 1.0
    commit_rows: int = 64
    spill: bool = False
    max_bytes: int = 64 << 20
    max_age_s: float | None = 7 * 86400.0
    when_full: WhenFull = "drop_oldest"
    memory_rows: int = 4096
    memory_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        for name, least in (("max_bytes", LEAST_BYTES), ("commit_rows", 1), ("memory_rows", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, found {getattr(self, name)}")
        if not self.commit_s > 0:
            raise ValueError(f"commit_s: expected more than 0, found {self.commit_s}")


@dataclass(slots=True, eq=False, weakref_slot=True)
class Letter:
    """One prediction on its way to sinks.

    Attributes:
        id: counts up over the life of the file; never given out twice.
        prediction: the content.
        arrived_s: monotonic time at which the block came that completed its window; None when it was read
            back from disk.
        current: of this session, not of an earlier run.
        lost: something gave it up.
        wanted: the bits of the sinks that it is for.
        put_s: when it was put, on the outbox's own clock.
        size: what it takes, about, bytes.
    """

    id: int
    prediction: Prediction
    arrived_s: float | None
    current: bool = True
    lost: bool = False
    wanted: int = 0
    put_s: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Dead:
    """A letter that one sink will never have, kept for a person to look at.

    `row` is its bytes as `encode` gave them, or as they were found where they make no prediction any more.
    """

    letter_id: int
    sink: str
    put_s: float
    reason: str
    detail: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found when the outbox was opened, by sink.

    Attributes:
        carried: predictions that earlier runs owed.
        lost_in_crash: what the run before had put and neither committed nor delivered when it was killed.
            After a power cut a bound only: the books are not forced to the disk.
        redelivering: of `carried`, what a sink was working on at that moment; it may come twice.
        quarantined: where a damaged database was moved to.
    """

    carried: Mapping[str, int] = field(default_factory=dict)
    lost_in_crash: Mapping[str, int] = field(default_factory=dict)
    redelivering: Mapping[str, int] = field(default_factory=dict)
    quarantined: Path | None = None


def size_of(prediction: Prediction) -> int:
    """About what it takes, in memory or on disk, bytes."""
    return _BESIDE_BYTES + prediction.outputs.nbytes


def encode(prediction: Prediction) -> bytes:
    """The bytes that `decode` reads: a MessagePack array, outputs as they are in memory (little endian)."""
    outputs = prediction.outputs
    fields = [
        1,
        prediction.device,
        prediction.run_id,
        prediction.sequence,
        prediction.time_s,
        prediction.wall_s,
        prediction.clock_synced,
        prediction.model,
        prediction.label,
        prediction.score,
        prediction.value,
        prediction.event,
        prediction.fault,
        prediction.latency_us,
        outputs.shape,
        outputs.astype("<f4", copy=False).tobytes(),
    ]
    try:
        return _ENCODER.encode(fields)
    except UnicodeEncodeError:  # a name that is not text, from a file's name perhaps
        return _ENCODER.encode([_as_text(value) for value in fields])


def decode(body: bytes) -> Prediction:
    """The prediction; raises ValueError where the bytes make none."""
    try:
        version, device, run_id, sequence, time_s, wall_s, synced, model, *rest = _DECODER.decode(body)
        label, score, value, event, fault, latency_us, shape, outputs = rest[:8]
        if version != 1:
            raise ValueError(f"version {version}")
        return Prediction(
            label=label,
            score=score,
            value=value,
            outputs=np.frombuffer(outputs, "<f4").astype(np.float32).reshape(shape),
            device=device,
            run_id=run_id,
            sequence=sequence,
            time_s=time_s,
            wall_s=wall_s,
            clock_synced=synced,
            latency_us=latency_us,
            event=event,
            model=model,
            fault=fault,
        )
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise ValueError(f"no prediction: {error}") from error


def checksum(letter_id: int, wanted: int, put_s: float, body: bytes) -> int:
    """CRC-32 of a whole row: one that is right but in another's place does not hold either."""
    return zlib.crc32(body, zlib.crc32(_ROW.pack(letter_id, wanted, put_s)))


_ROW = struct.Struct("<qqd")


def _plain(value: Any) -> Any:
    """A numpy number as Python's own."""
    return value.item()


def _as_text(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
_DECODER = msgspec.msgpack.Decoder()
