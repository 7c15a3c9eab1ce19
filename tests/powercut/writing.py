"""A process with an outbox, recorded: ``python -m tests.powercut.writing FOLDER MODE SEED``.

What it promises it writes into the file ``oracle`` of the same folder, so that the record has promises and
operations in one order.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.outbox import Outbox, OutboxSettings
from edge_sdk.prediction import Prediction

NAMES = ("mqtt", "http")
ROWS = 400


def prediction(sequence: int) -> Prediction:
    return Prediction("walk", 0.5, None, np.full(20, sequence, np.float32), "d", "run", sequence)


def main(folder: Path, mode: str, seed: int) -> None:
    chance = random.Random(seed)
    oracle = os.open(folder / "oracle", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(*words: object) -> None:
        os.write(oracle, (" ".join(map(str, words)) + "\n").encode())

    durability: Any = mode if mode in {"none", "batch", "each"} else "batch"
    choice = OutboxSettings(folder / "o.db", durability=durability, commit_s=0.005, commit_rows=16)
    with Outbox(choice, NAMES) as outbox:
        writer = outbox._writer.store._writer
        if mode == "off":
            writer.execute("PRAGMA synchronous=OFF")
        writer.execute("PRAGMA wal_autocheckpoint=20")  # many in a short record
        for sequence in range(ROWS):
            wanted = [lane for lane in outbox.lanes if chance.random() < 0.8] or outbox.lanes[:1]
            outbox.put(prediction(sequence), 0.0, wanted)
            say("put", sequence, *(lane.name for lane in wanted))
            if chance.random() < 0.2:
                lane = outbox.lanes[0]
                letters = lane.take(chance.randrange(1, 12), timeout_s=0.0)
                for letter in letters:
                    say("acked", letter.prediction.sequence, lane.name)
                lane.acknowledge(letters)
            if chance.random() < 0.03:
                outbox.sync()
                say("synced", sequence)
            if chance.random() < 0.1:
                say("books", (folder / "o.db.books").read_bytes().hex())
    say("closed", ROWS - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
