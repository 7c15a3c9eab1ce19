"""TFLite Micro in a process of its own, where it may abort: the reference for what is generated in C."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_sdk.graph import read_graph

_SERVE = """
import io, os, struct, sys
import numpy as np
from tflite_micro import runtime
answers = os.fdopen(os.dup(1), "wb")  # what it prints itself goes elsewhere
os.dup2(2, 1)
while True:
    head = sys.stdin.buffer.read(24)
    if len(head) < 24: break
    size, rest, outputs = struct.unpack("<QQQ", head)
    model = sys.stdin.buffer.read(size)
    sets = np.load(io.BytesIO(sys.stdin.buffer.read(rest)))
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 23)
    found = []
    for n in range(len(sets["0"])):
        for index in range(len(sets.files)):
            interpreter.set_input(sets[str(index)][n], index)
        interpreter.invoke()
        found.append([np.array(interpreter.get_output(index)) for index in range(outputs)])
    buffer = io.BytesIO()
    np.savez(buffer, **{str(i): np.stack([f[i] for f in found]) for i in range(len(found[0]))})
    answers.write(struct.pack("<Q", len(buffer.getvalue())) + buffer.getvalue())
    answers.flush()
"""


class Tflm:
    """Runs models; a new process takes over from one that died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, flatbuffer: bytes, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs [n, …] of inputs [n, …].

        Raises:
            RuntimeError: it does not take this model.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        buffer = io.BytesIO()
        np.savez(buffer, **{str(i): array for i, array in enumerate(inputs)})
        packed = buffer.getvalue()
        outputs = len(read_graph(flatbuffer).outputs)
        to.write(struct.pack("<QQQ", len(flatbuffer), len(packed), outputs) + flatbuffer + packed)
        to.flush()
        head = back.read(8)
        if len(head) < 8:
            self._process.wait()
            raise RuntimeError("TFLite Micro does not take this model")
        answer = np.load(io.BytesIO(back.read(struct.unpack("<Q", head)[0])))
        return [answer[name] for name in sorted(answer.files, key=int)]

    def close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
