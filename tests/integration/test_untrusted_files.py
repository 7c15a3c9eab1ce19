"""Damaged model files never crash the process that is asked to load them, and never hang it."""

import random

import pytest

from edge_sdk import child, verify
from edge_sdk.errors import EdgeError
from tests.models import flatbuffer, packed

pytestmark = [pytest.mark.integration, pytest.mark.slow]
COUNT = 2000


@pytest.mark.parametrize("tail", [False, True], ids=["bare", "with-contract"])
def test_mutated_files_never_crash_and_never_hang(tmp_path, tail):
    """Bit flips, truncations and junk behind the file, each through the child process."""
    good = packed() if tail else flatbuffer()
    chance = random.Random(7)
    path = tmp_path / "mutated.tflite"
    refused = []
    with child.Worker() as worker:
        for _ in range(COUNT):
            path.write_bytes(mutate(good, chance))
            try:
                verify.verify(path, "litert", worker=worker)
            except EdgeError as error:
                refused.append(str(error))
    assert len(refused) > COUNT // 2
    assert not any("\n" in message for message in refused)


def mutate(good, chance):
    data = bytearray(good)
    kind = chance.choice(["flip", "cut", "junk", "flip"])
    if kind == "flip":
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del data[chance.randrange(len(data)) :]
    else:
        data[chance.randrange(len(data)) :] = chance.randbytes(chance.randint(1, 400))
    return bytes(data)
