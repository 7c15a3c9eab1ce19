"""A front end that streams and the model behind it, compiled with every sanitizer on, and run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import library
from edge_sdk.contract import Contract
from tests.c_library import GCC, STRICT, write

_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "front_end.h"
#include "model.h"
static int16_t sound[1 << 22];
int main(int count, char **words) {
  const int32_t piece = count > 1 ? atoi(words[1]) : 1;
  const int32_t total = (int32_t)fread(sound, sizeof(int16_t), sizeof sound / sizeof *sound, stdin);
  m_init();
  m_front_end_init();
  for (int32_t at = 0; at < total;) {
    const int32_t left = total - at;
    at += m_front_end_push(sound + at, left < piece ? left : piece);
    if (m_front_end_ready()) {
      const int32_t when = at;
      fwrite(&when, sizeof when, 1, stdout);
      fwrite(m_input(), 1, M_INPUT_BYTES, stdout);
      m_run();
      fwrite(m_output(), 1, M_OUTPUT_BYTES, stdout);
    }
  }
  return 0;
}
"""


@dataclass(frozen=True)
class Heard:
    """What came of a stream.

    Attributes:
        when: int32 [n], samples that were taken when a window was complete.
        features: float32 [n, frames * bands], what the model was given.
        scores: float32 [n, classes].
    """

    when: NDArray[np.int32]
    features: NDArray[np.float32]
    scores: NDArray[np.float32]


class Streaming:
    """A program that hears int16 samples."""

    def __init__(self, flatbuffer: bytes, contract: Contract | None, folder: Path) -> None:
        files = library.render(flatbuffer, contract, "m", cut=True)
        source = write(folder, files) / "src"
        (folder / "main.c").write_text(_MAIN)
        self._path = folder / "program"
        sources = [folder / "main.c", *sorted(source.glob("*.c"))]
        subprocess.run([*GCC, *STRICT, "-I", source, *sources, "-o", self._path], check=True)
        header = (source / "model.h").read_text()
        self._sizes = [_defined(header, f"M_{name}_ELEMENTS") for name in ("INPUT", "OUTPUT")]

    def hear(self, samples: NDArray[np.int16], piece: int) -> Heard:
        """Windows of a stream that comes in pieces of so many samples."""
        command = [self._path, str(piece)]
        done = subprocess.run(command, input=samples.tobytes(), capture_output=True, check=True)
        features, scores = self._sizes
        row = np.dtype([("when", "<i4"), ("features", "<f4", features), ("scores", "<f4", scores)])
        rows: Any = np.frombuffer(done.stdout, row)
        return Heard(rows["when"], rows["features"], rows["scores"])


def _defined(header: str, name: str) -> int:
    (value,) = (line.split()[2] for line in header.splitlines() if line.startswith(f"#define {name} "))
    return int(value)


def listener(samples: NDArray[np.int16], piece: int, windows: int) -> str:
    """The text of inputs.h for `tests.emulated`: it hears up to a window, runs the model on it, and so on."""
    values = ",".join(str(sample) for sample in samples.tolist())
    return f"""
#include <string.h>
#include "front_end.h"
#include "model.h"
#define INPUTS {2 * windows}
#define MODEL(name) hearing_##name
static const int16_t sound[] = {{{values}}};
static int32_t at, turn;
static void hearing_init(void) {{
  m_init();
  m_front_end_init();
}}
static void feed(size_t n) {{ turn = (int32_t)n; }}
static void hearing_run(void) {{
  if (turn % 2 != 0) {{
    m_run();
    return;
  }}
  do {{
    const int32_t left = (int32_t)(sizeof sound / sizeof *sound) - at;
    at += m_front_end_push(sound + at, left < {piece} ? left : {piece});
  }} while (!m_front_end_ready());
}}
static void tell(void (*say)(const uint8_t *, size_t)) {{ say((const uint8_t *)m_output(), M_OUTPUT_BYTES); }}
"""
