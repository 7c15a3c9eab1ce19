"""What goes wrong with a synthetic sensor: by chance or by the clock, and for a seed always the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault
from edge_sdk.errors import ConfigError

#: How bad they are where nothing else is said: amplitudes, share of the rate, s.
_SIZES = {"range": 10.0, "rate": 0.8, "jitter": 2.0}


@dataclass(frozen=True, slots=True)
class Mishap:
    """One kind of fault.

    Attributes:
        name: its option.
        chance: that it begins with a block; 0 where it comes by the clock.
        every: blocks from one beginning to the next; 0 where it comes by chance.
        lasts: blocks.
        size: how bad it is, in units of its own.
    """

    name: str
    chance: float = 0.0
    every: int = 0
    lasts: int = 1
    size: float = 0.0

    @classmethod
    def parse(cls, name: str, text: float | str, block_s: float) -> Mishap | None:
        """An option's text: ``0.01`` of the blocks or every ``30s``, ``/2s`` long, with ``/5`` as its size.

        Raises:
            ConfigError: it says anything else.
        """
        when, *more = str(text).split("/")
        try:
            facts: dict[str, float] = {}
            for part in more:
                key = "lasts" if part.endswith("s") else "size"
                if key in facts:
                    raise ValueError(part)
                facts[key] = _positive(part.removesuffix("s"))
            lasts, size = (
                max(1, round(facts.get("lasts", 0.0) / block_s)),
                facts.get("size", _SIZES.get(name, 1.0)),
            )
            if when.endswith("s"):
                every = max(1, round(_positive(when.removesuffix("s")) / block_s))
                return cls(name, every=every, lasts=lasts, size=size)
            chance = float(when)
            if not 0 <= chance <= 1:
                raise ValueError(when)
        except ValueError as error:
            raise ConfigError(
                f"synthetic: option {name!r}",
                expected="a chance or a period, a duration, a size: 0.01, 30s, 0.01/2s, 30s/2s/5",
                found=text,
            ) from error
        return cls(name, chance=chance, lasts=lasts, size=size) if chance else None


class Course:
    """The mishaps of one kind that one device has.

    Args:
        mishap: what happens.
        key: whose, and by which seed.
    """

    def __init__(self, mishap: Mishap, key: str) -> None:
        self.mishap = mishap
        self._key = f"{key}/{mishap.name}"
        self._count = 0
        self._start = self._stop = 0
        self._advance()

    def holds(self, block: int) -> bool:
        """Whether it does at a block; to be asked about later and later ones."""
        while block >= self._stop:
            self._advance()
        return block >= self._start

    def begins(self, block: int) -> bool:
        """Whether it begins with a block; likewise."""
        return self.holds(block) and block == self._start

    def random(self, block: int) -> float:
        """0 to 1, for this block always the same."""
        return _drawn(f"{self._key}/{block}")

    def _advance(self) -> None:
        self._count += 1
        mishap = self.mishap
        if mishap.every:
            self._start = self._count * mishap.every
        elif mishap.chance == 1:
            self._start = self._stop
        else:  # how many blocks go well before the next one: geometric
            luck = 1.0 - _drawn(f"{self._key}#{self._count}")
            self._start = self._stop + int(math.log(luck) / math.log1p(-mishap.chance))
        self._stop = self._start + mishap.lasts


class Victim:
    """One device of a synthetic source, and what becomes of its blocks.

    Args:
        name: the device's.
        courses: its mishaps.
        reach: float32 [channels], how far the values go from the middle.

    Attributes:
        shift: where in the signal it begins, samples.
        begins_s: when it begins.
        block_s: length of a block.
        block: number of the next block.
        gap: samples were lost before it.
    """

    def __init__(self, name: str, courses: tuple[Course, ...], reach: NDArray[np.float32]) -> None:
        self.name, self.courses = name, courses
        self.shift, self.begins_s, self.block_s = 0, 0.0, 1.0
        self.block, self.gap = 0, False
        self._reach = reach
        self._timing = tuple(course for course in courses if course.mishap.name in ("rate", "jitter"))
        self._drift_s = self._last_due_s = 0.0
        self._held: NDArray[np.float32] | None = None

    def due_s(self) -> float:
        """When the next block is complete; to be asked once for each."""
        due_s = self.begins_s + (self.block + 1) * self.block_s
        if not self._timing:
            return due_s
        late_s = 0.0
        for course in self._timing:
            if course.holds(self.block):
                if course.mishap.name == "rate":
                    self._drift_s += self.block_s * (1 / course.mishap.size - 1)
                else:
                    late_s = course.mishap.size * course.random(self.block)
        # What is late holds back what comes after it.
        self._last_due_s = max(self._last_due_s, due_s + self._drift_s + late_s)
        return self._last_due_s

    def spoiled(self, block: Block) -> Block | Fault | None:
        """What comes instead of a block; nothing where it is silent."""
        found: Block | Fault | None = block
        last, stuck = block.samples[-1:], False
        for course in self.courses:
            if isinstance(found, Block) and course.holds(self.block):
                found = self._struck(found, course.mishap)
                stuck = stuck or course.mishap.name == "stuck"
        self.gap = not isinstance(found, Block)
        if not stuck:
            self._held = last
        return found

    def _struck(self, block: Block, mishap: Mishap) -> Block | Fault | None:
        if mishap.name == "silence":
            return None
        if mishap.name == "garbage":
            return Fault("garbage", len(block.samples), "as the option garbage says", block.device)
        if mishap.name == "nan":
            block.samples = np.full_like(block.samples, np.nan)
        elif mishap.name == "stuck" and self._held is not None:
            block.samples = np.repeat(self._held, len(block.samples), axis=0)
        elif mishap.name == "range":
            block.samples = block.samples + np.float32(mishap.size) * self._reach
        return block


def _drawn(key: str) -> float:
    """0 to below 1, from nothing but a name: no state to keep for each of thousands of devices."""
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest(), "little") / 2**48


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError(text)
    return number
