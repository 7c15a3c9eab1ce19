"""Generated C, compiled for the host with every warning an error and every sanitizer on, and run."""

from __future__ import annotations

import atexit
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import library
from converters.c.lower import Program, lower

STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")
#: With every sanitizer on.
GCC = ("gcc", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_MAIN = """
#include <stdio.h>
#include "model.h"
int main(void) {{
  m_init();
  for (;;) {{
{read}
    m_run();
{write}
  }}
}}
"""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """The files of a library in a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="ascii")
    return folder


class Compiled:
    """A model as a program that reads inputs and writes outputs.

    Args:
        flatbuffer: the model.
        folder: for what is built.
        compiler: words of a command.
    """

    def __init__(self, flatbuffer: bytes, folder: Path, compiler: tuple[str, ...] = GCC) -> None:
        self.program: Program = lower(flatbuffer)
        graph = self.program.graph
        self._outputs = [graph.tensors[index] for index in graph.outputs]
        files = library.render(flatbuffer, None, "m")
        source = write(folder, files) / "src"
        (folder / "main.c").write_text(_main(len(graph.inputs), len(graph.outputs)))
        self.path = folder / "program"
        kernels = [
            _object(Path(name).stem, compiler)
            for name in files
            if name.startswith("src/edgeml_") and name.endswith(".c")
        ]
        kernels = [kernel for kernel in kernels if kernel is not None]
        sources = ["main.c", source / "model.c"]
        command = [*compiler, *STRICT, "-I", source, *sources, *kernels, "-o", self.path]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs [n, …] of inputs [n, …]."""
        count = len(inputs[0])
        stream = b"".join(array[n].tobytes() for n in range(count) for array in inputs)
        done = subprocess.run([self.path], input=stream, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        sizes = [tensor.bytes for tensor in self._outputs]
        rows = np.frombuffer(done.stdout, np.uint8).reshape(count, sum(sizes))
        parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        return [
            np.ascontiguousarray(part).view(tensor.dtype).reshape(count, *tensor.shape)
            for part, tensor in zip(parts, self._outputs, strict=True)
        ]


def _main(inputs: int, outputs: int) -> str:
    read, write_out = [], []
    for n in range(inputs):
        name = f"input_{n}" if n else "input"
        size = f"M_{name.upper()}_BYTES"
        read.append(f"    if (fread(m_{name}(), 1, {size}, stdin) != {size}) return 0;")
    for n in range(outputs):
        name = f"output_{n}" if n else "output"
        write_out.append(f"    fwrite(m_{name}(), 1, M_{name.upper()}_BYTES, stdout);")
    return _MAIN.format(read="\n".join(read), write="\n".join(write_out))


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where compiled kernels lie until the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="edgeml-kernels-")
    atexit.register(folder.cleanup)
    return folder


@cache
def _object(name: str, compiler: tuple[str, ...]) -> Path | None:
    """A kernel, compiled once for all models of a run."""
    source = library.KERNELS / f"{name}.c"
    if not source.exists():
        return None
    target = Path(_folder().name) / f"{name}-{Path(compiler[0]).name}.o"
    subprocess.run([*compiler, *STRICT, "-c", source, "-o", target], check=True)
    return target
