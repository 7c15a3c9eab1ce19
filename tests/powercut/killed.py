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


def main(folder: Path, seed: int, first: int, durability: Any) -> None:
    chance = random.Random(seed)
    oracle = os.open(folder / "oracle", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(*words: object) -> None:
        os.write(oracle, (" ".join(map(str, words)) + "\n").encode())

    def deliver(lane: Lane, limit: int, timeout_s: float | None) -> bool:
        letters = lane.take(limit, timeout_s)
        for letter in letters:
            say("got", lane.name, letter.prediction.sequence)
        lane.acknowledge(letters)
        say("acked", lane.name, *(letter.prediction.sequence for letter in letters))
        return bool(letters)

    def serve(lane: Lane) -> None:
        while deliver(lane, chance.randrange(1, 30), None):
            pass

    choice = OutboxSettings(
        folder / "o.db",
        durability=durability,
        commit_s=0.01,
        commit_rows=16,
        memory_rows=50,
        when_full="block",  # a disk that is slow for a second must not look like a loss
    )
    outbox = Outbox(choice, NAMES)
    for name in NAMES:
        say("lost", name, outbox.recovered.lost_in_crash.get(name, 0))
    threading.Thread(target=serve, args=[outbox.lanes[0]], daemon=True).start()
    for sequence in range(first, first + 1_000_000):
        say("putting", sequence)
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
        say("put", sequence)
        if sequence % 50 == 0:
            outbox.sync()
            say("synced", sequence)
            for lane in outbox.lanes:
                for reason in lane.account.dropped:
                    say("dropped", lane.name, reason)
        if sequence % 100 == 0:
            deliver(outbox.lanes[1], 40, 0.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
