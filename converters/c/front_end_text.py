"""The C text of a front end that streams: sound in pieces of any size becomes the input of a model."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from converters.c.emit import Subject, banner
from converters.c.layers import LogMel
from converters.c.structure import Tables, initializer
from converters.c_text import number

#: What is the same for every front end.
ENGINE = Path(__file__).parent / "streaming"


def render(subject: Subject, layer: LogMel) -> Mapping[str, str]:
    """File name → text.

    Args:
        subject: the model behind, whose only input is the features.
        layer: what the features are.
    """
    engine = {file.name: file.read_text(encoding="ascii") for file in sorted(ENGINE.glob("edgeml_*.[ch]"))}
    return {**engine, "front_end.h": _header(subject, layer), "front_end.c": _source(subject, layer)}


def table_bytes(layer: LogMel) -> int:
    """Size of its tables, bytes."""
    tables = Tables()
    _structure(layer, tables)
    return tables.bytes


def every(subject: Subject, layer: LogMel) -> int:
    """Frames from one window to the next: the contract's hop, to the nearest frame; else half a window."""
    if subject.contract is None:
        return max(1, layer.frames // 2)
    return max(1, round(subject.contract.input.hop / layer.hop))


def _header(subject: Subject, layer: LogMel) -> str:
    stem, big = subject.stem, subject.big
    rate_hz = subject.contract.input.rate_hz if subject.contract else None
    known = rate_hz is not None and math.isfinite(rate_hz)
    rate = f"#define {big}_FRONT_END_RATE_HZ {number(rate_hz or 0)}\n" if known else ""
    return (
        f"{banner(subject, 'sound becomes the input of the model')}\n"
        f"#ifndef {big}_FRONT_END_H\n#define {big}_FRONT_END_H\n\n#include <stdint.h>\n\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
        f"{rate}"
        f"#define {big}_FRONT_END_WINDOW {layer.window} /* samples that one inference hears */\n"
        f"#define {big}_FRONT_END_FRAME {len(layer.spectrum.window)} /* samples */\n"
        f"#define {big}_FRONT_END_HOP {layer.hop} /* samples from one frame to the next */\n"
        f"#define {big}_FRONT_END_FRAMES {layer.frames} /* in a window */\n"
        f"#define {big}_FRONT_END_BANDS {layer.bands}\n"
        f"#if !defined({big}_FRONT_END_EVERY)\n"
        f"#define {big}_FRONT_END_EVERY {every(subject, layer)} /* frames from one window to the next"
        f"{_rounded(subject, layer)} */\n"
        "#endif\n\n"
        "/*\n"
        f" * Call {stem}_init() and {stem}_front_end_init() once, then hand over samples as they come, one\n"
        " * channel of int16 at full scale:\n *\n"
        " *   while (count > 0) {\n"
        f" *     const int32_t taken = {stem}_front_end_push(samples, count);\n"
        " *     samples += taken;\n"
        " *     count -= taken;\n"
        f" *     if ({stem}_front_end_ready()) {{\n"
        f" *       {stem}_run();\n"
        f" *       ... {stem}_output() ...\n"
        " *     }\n"
        " *   }\n *\n"
        " * push() takes what it is given up to the end of a window, and says how many samples that were.\n"
        f" * When a window is complete its features are in {stem}_input(), and ready() is 1 until the next\n"
        " * push().\n"
        " */\n"
        f"void {stem}_front_end_init(void);\n"
        f"int32_t {stem}_front_end_push(const int16_t *samples, int32_t count);\n"
        f"int {stem}_front_end_ready(void);\n\n"
        "#ifdef __cplusplus\n}\n#endif\n\n"
        f"#endif /* {big}_FRONT_END_H */\n"
    )


def _rounded(subject: Subject, layer: LogMel) -> str:
    """A remark where windows cannot begin where the host's begin."""
    hop = layer.hop if subject.contract is None else subject.contract.input.hop
    return f": {hop} samples, to the nearest frame" if hop % layer.hop else ""


def _source(subject: Subject, layer: LogMel) -> str:
    stem, big = subject.stem, subject.big
    tables = Tables()
    frame = _structure(layer, tables)
    room = f"{big}_FRONT_END_FRAME"
    return "\n".join(
        [
            banner(subject, "the tables of its front end"),
            '#include "front_end.h"\n\n#include "edgeml_front_end.h"\n#include "model.h"\n',
            *tables.text,
            f"static const edgeml_log_mel_t frame = {frame};\n",
            f"static int16_t samples[{room}];\n"
            f"static float work[{room} + {layer.spectrum.length}];\n"
            f"static float features[{big}_FRONT_END_FRAMES * {big}_FRONT_END_BANDS];\n",
            "static const edgeml_front_end_t front_end = {\n"
            f"  .frame = &frame, .start = {layer.start}, .frames = {big}_FRONT_END_FRAMES,\n"
            f"  .every = {big}_FRONT_END_EVERY, .samples = samples, .work = work, .features = features,\n"
            "};\nstatic edgeml_front_end_state_t state;\n",
            f"void {stem}_front_end_init(void) {{ edgeml_front_end_init(&front_end, &state); }}\n",
            f"int32_t {stem}_front_end_push(const int16_t *pcm, int32_t count) {{\n"
            f"  return edgeml_front_end_push(&front_end, &state, pcm, count, {stem}_input());\n}}\n",
            f"int {stem}_front_end_ready(void) {{ return (int)state.ready; }}\n",
        ]
    )


def _structure(layer: LogMel, tables: Tables) -> str:
    """The kernel's constants for one frame."""
    return initializer(replace(layer, frames=1, start=0), functools.partial(_named, tables))


def _named(tables: Tables, values: NDArray[Any], field: str) -> str:
    return tables.name(values, f"frame_{field}")
