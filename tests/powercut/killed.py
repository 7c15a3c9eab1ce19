"""An outbox that somebody kills: ``python -m tests.powercut.killed FOLDER SEED FIRST DURABILITY``.

It says to the file ``oracle`` what it has done, and goes on until it is killed.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

from edge_sdk.outbox import Lane, Outbox, OutboxSettings
from tests.powercut.writing import NAMES, prediction


class Process:
    """The outbox, and what it says of itself."""

    def __init__(self, folder: Path, seed: int, durability: Any) -> None:
        self._chance = random.Random(seed)
        self._oracle = os.open(folder / "oracle", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        choice = OutboxSettings(
            folder / "o.db",
            durability=durability,
            commit_s=0.01,
            commit_rows=16,
            memory_rows=50,
            when_full="block",  # a disk that is slow for a second must not look like a loss
        )
        self.outbox = Outbox(choice, NAMES)
        for name in NAMES:
            self.say("lost", name, self.outbox.recovered.lost_in_crash.get(name, 0))

    def say(self, *words: object) -> None:
        """One line in one write."""
        os.write(self._oracle, (" ".join(map(str, words)) + "\n").encode())

    def serve(self, lane: Lane) -> None:
        """For ever."""
        while self.deliver(lane, self._chance.randrange(1, 30), None):
            pass

    def deliver(self, lane: Lane, limit: int, timeout_s: float | None) -> bool:
        """Some letters; False without any."""
        letters = lane.take(limit, timeout_s)
        for letter in letters:
            self.say("got", lane.name, letter.prediction.sequence)
        lane.acknowledge(letters)
        self.say("acked", lane.name, *(letter.prediction.sequence for letter in letters))
        return bool(letters)

    def put(self, sequence: int) -> None:
        """A prediction for both sinks."""
        self.say("putting", sequence)
        self.outbox.put(prediction(sequence), 0.0, self.outbox.lanes)
        self.say("put", sequence)

    def sync(self, sequence: int) -> None:
        """Everything up to a prediction is committed."""
        self.outbox.sync()
        self.say("synced", sequence)
        for lane in self.outbox.lanes:
            for reason in lane.account.dropped:
                self.say("dropped", lane.name, reason)


def main(folder: Path, seed: int, first: int, durability: str) -> None:
    process = Process(folder, seed, durability)
    fast, slow = process.outbox.lanes
    threading.Thread(target=process.serve, args=[fast], daemon=True).start()
    for sequence in range(first, first + 1_000_000):
        process.put(sequence)
        if sequence % 50 == 0:
            process.sync(sequence)
        if sequence % 100 == 0:
            process.deliver(slow, 40, 0.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
