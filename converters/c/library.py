"""A model as a folder of C that compiles anywhere: nothing but the model and the kernels that it needs."""

from __future__ import annotations

import re
from pathlib import Path

from converters.c import emit, front_end, front_end_text, memory
from converters.c.cut import cut as cut_off
from converters.c.layers import LogMel
from converters.c.lower import Program, lower
from converters.c_text import comment, identifier
from edge_sdk.contract import Contract
from edge_sdk.errors import ModelError, first_of
from edge_sdk.modelfile import digest_of

KERNELS = Path(__file__).parent / "kernels"
_HEADER = "edgeml_kernels.h"
#: Ends of the names of files that hold a kernel for cores with certain instructions.
_CORES = ("_dsp", "_mve")
_INCLUDED = re.compile(r'^#include "(edgeml_\w+\.h)"', re.MULTILINE)


def render(flatbuffer: bytes, contract: Contract | None, name: str, *, cut: bool = False) -> dict[str, str]:
    """The files of a model's C library.

    Args:
        flatbuffer: the model, without what is packed behind it.
        contract: for labels, channels and rate; None for a foreign model.
        name: of the model; what C does not allow in a name is replaced.
        cut: begin at the last float tensor. Where that is a log-mel spectrogram of sound, a front end that
            streams stands beside the model.

    Returns:
        Path within the folder → text; the same model gives the same bytes.

    Raises:
        ModelError: damaged, something in it has no kernel here, or there is nothing to cut off.
    """
    program, sound = _begun(flatbuffer, cut)
    graph = program.graph
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    odd = [f"{t.name} ({t.dtype})" for t in ends if t.dtype not in ("int8", "float32") or t.constant]
    if odd or not ends:
        raise ModelError(
            "this model cannot become a C library",
            expected="inputs and outputs of int8 or float32",
            found=first_of(odd) or "neither",
            remedy="convert it with --recipe int8",
        )
    stem = identifier(name)
    subject = emit.Subject(program, memory.place(program), contract, stem, digest_of(flatbuffer))
    layers = [step.layer for step in program.steps] + ([] if sound is None else [sound])
    sources = _sources({kernel for layer in layers for kernel in layer.kernels()})
    if sound is not None:
        sources |= front_end_text.render(subject, sound)
    files = {
        # Arduino lists a library by the headers that it finds, and every library has a model.h. It comes
        # first: a model may be called as another of these files is.
        f"src/{stem}.h": f'{emit.banner(subject, "as an Arduino library")}\n#include "model.h"\n',
        "src/model.h": emit.header(subject),
        "src/model.c": emit.source(subject),
        "CMakeLists.txt": _cmake(stem, sorted(name for name in sources if name.endswith(".c"))),
        "library.properties": _arduino(stem, contract),
    }
    return files | {f"src/{name}": text for name, text in sources.items()}


def figures(flatbuffer: bytes, *, cut: bool = False) -> dict[str, int]:
    """What a library needs: ``flash_bytes`` of constants (kernels come to a few kB), ``arena_bytes`` of RAM.

    A front end that streams adds its tables, and has memory of its own.

    Raises:
        ModelError: as `render`.
    """
    program, sound = _begun(flatbuffer, cut)
    planned = memory.place(program)
    return {
        "flash_bytes": emit.constant_bytes(program)
        + (0 if sound is None else front_end_text.table_bytes(sound)),
        "arena_bytes": planned.arena_bytes,
        "floor_bytes": planned.floor_bytes,
        "kernel_calls": len(program.steps),
    }


def _begun(flatbuffer: bytes, cut: bool) -> tuple[Program, LogMel | None]:
    """The kernel calls of a model, and what makes its input from sound where that was cut off."""
    if not cut:
        return lower(flatbuffer), None
    program, found = lower(cut_off(flatbuffer)), front_end.read(flatbuffer)
    streams = found is not None and program.graph.inputs == [found.output]
    return program, found.layer if found is not None and streams else None


def _sources(kernels: set[str]) -> dict[str, str]:
    """The files of kernels, those for certain cores among them, and the headers that they include."""
    names = {f"{kernel}{core}.c" for kernel in kernels for core in ("", *_CORES)}
    waiting = [name for name in names if (KERNELS / name).exists()] + [_HEADER]
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        found[name] = (KERNELS / name).read_text(encoding="ascii")
        waiting += [header for header in _INCLUDED.findall(found[name]) if header not in found]
    return dict(sorted(found.items()))


def _cmake(stem: str, kernels: list[str]) -> str:
    sources = "\n  ".join(["src/model.c", *(f"src/{kernel}" for kernel in kernels)])
    return (
        f"# add_subdirectory({stem})\n# target_link_libraries(firmware {stem})\n"
        "cmake_minimum_required(VERSION 3.13)\n"
        f"project({stem} C)\n"
        f"add_library({stem} STATIC\n  {sources})\n"
        f"target_include_directories({stem} PUBLIC src)\n"
        f"set_target_properties({stem} PROPERTIES C_STANDARD 99)\n"
    )


def _arduino(stem: str, contract: Contract | None) -> str:
    release = contract.version if contract and re.fullmatch(r"\d+(\.\d+){0,2}", contract.version) else "1.0.0"
    return (
        f"name={stem}\nversion={release}\nauthor=edgeml\nmaintainer=edgeml\n"
        f"sentence=A neural network in plain C: {comment(contract.name if contract else stem, 40)}\n"
        "paragraph=Generated; no runtime is needed.\ncategory=Data Processing\nurl=\narchitectures=*\n"
        f"includes={stem}.h\ndot_a_linkage=true\n"
    )
