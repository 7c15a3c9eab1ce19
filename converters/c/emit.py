"""The C text of a model: its header, and a source of const tables and a flat list of kernel calls."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c.lower import Program
from converters.c.memory import Memory
from converters.c.operation import Step
from converters.c.structure import Tables, initializer
from converters.c_text import comment, dimensions, generated, meaning, number, string
from converters.costs import title
from edge_sdk.contract import Contract
from edge_sdk.errors import ModelError
from edge_sdk.graph import Tensor

_C_TYPES = {"int8": "int8_t", "int16": "int16_t", "float32": "float"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is written down.

    Attributes:
        program: the kernel calls.
        memory: where tensors lie.
        contract: for labels, channels and rate; None for a foreign model.
        stem: the model's name as a C identifier.
        digest: of the flatbuffer.
    """

    program: Program
    memory: Memory
    contract: Contract | None
    stem: str
    digest: str

    @property
    def big(self) -> str:
        """The stem in capitals."""
        return self.stem.upper()

    def inputs(self) -> list[tuple[str, Tensor]]:
        """Name and tensor of every input: ``input``, ``input_1`` and so on."""
        return self._named("input", self.program.graph.inputs)

    def outputs(self) -> list[tuple[str, Tensor]]:
        """Name and tensor of every output: ``output``, ``output_1`` and so on."""
        return self._named("output", self.program.graph.outputs)

    def _named(self, what: str, indices: list[int]) -> list[tuple[str, Tensor]]:
        tensors = self.program.graph.tensors
        return [(f"{what}_{n}" if n else what, tensors[index]) for n, index in enumerate(indices)]


def banner(subject: Subject, what: str) -> str:
    """The comment at the head of a generated file."""
    return generated(f"{subject.stem}: {what}", subject.digest)


def header(subject: Subject) -> str:
    """``model.h``: how the model is used, and all that its user must know of it."""
    stem, big = subject.stem, subject.big
    parts = [
        banner(subject, "a neural network in plain C"),
        f"#ifndef {big}_MODEL_H\n#define {big}_MODEL_H\n\n#include <stdint.h>\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        f"#define {big}_DIGEST {string(subject.digest)}\n"
        f"#define {big}_ARENA_BYTES {subject.memory.arena_bytes} /* static; the rest is stack */\n",
        _usage(stem),
    ]
    for name, tensor in [*subject.inputs(), *subject.outputs()]:
        parts.append(_tensor(tensor, f"{big}_{name.upper()}"))
        const = "const " if name.startswith("output") else ""
        parts.append(f"{const}{_C_TYPES[tensor.dtype]} *{stem}_{name}(void);\n")
    if subject.contract is not None:
        parts.append(meaning(subject.contract, stem))
    parts += ["#ifdef __cplusplus\n}\n#endif\n", f"#endif /* {big}_MODEL_H */\n"]
    return "\n".join(parts)


def source(subject: Subject) -> str:
    """``model.c``: tables, one constant structure a kernel call, and the calls."""
    stem, big = subject.stem, subject.big
    tables = Tables()
    parts = [
        banner(subject, "its weights, and the kernels that it calls"),
        f'#include "model.h"\n\n{_headers(subject.program)}',
        "/* Every tensor has its place here while it is needed; the member beside it aligns it. */\n"
        f"static union {{\n  uint64_t alignment;\n  uint8_t bytes[{big}_ARENA_BYTES];\n}} arena;\n"
        "#define AT(offset) ((void *)(arena.bytes + (offset)))\n",
    ]
    if subject.contract is not None and subject.contract.output.labels:
        labels = "\n".join(f"  {string(label)}," for label in subject.contract.output.labels)
        parts.append(f"const char *const {stem}_labels[{big}_LABELS] = {{\n{labels}\n}};\n")
    calls = []
    for n, step in enumerate(subject.program.steps):
        before = len(tables.text)
        structure, call = _call(subject, step, tables, n)
        parts += [*tables.text[before:], structure]
        calls.append(call)
    for name, tensor in [*subject.inputs(), *subject.outputs()]:
        const = "const " if name.startswith("output") else ""
        place = _pointer(subject, tensor.index)
        parts.append(f"{const}{_C_TYPES[tensor.dtype]} *{stem}_{name}(void) {{ return {place}; }}\n")
    parts += _state(subject, tables)
    body = "\n".join(calls)
    parts.append(f"void {stem}_run(void) {{\n{body}\n}}\n" if body else f"void {stem}_run(void) {{}}\n")
    return "\n".join(parts)


def _headers(program: Program) -> str:
    """The lines that include what declares the kernels."""
    names = {"edgeml_kernels.h", *(step.layer.header for step in program.steps)}
    return "".join(f'#include "{name}"\n' for name in sorted(names))


def constant_bytes(program: Program) -> int:
    """Size of all tables of the model, bytes; structures and kernels come on top."""
    tables = Tables()
    for n, step in enumerate(program.steps):
        initializer(step.layer, functools.partial(_named, tables, f"t{n}"))
        for index in step.inputs:
            data = program.graph.tensors[index].data
            if data is not None:
                tables.name(data, f"t{n}_operand")
    return tables.bytes


def _state(subject: Subject, tables: Tables) -> list[str]:
    """The variables, and the function that sets them up."""
    graph, parts, lines = subject.program.graph, [], ["  memset(&arena, 0, sizeof arena);"]
    for tensor, values in subject.program.state.items():
        name = f"state_{tensor}"
        parts.append(
            f"/* {describe(graph.tensors[tensor])}: kept from one inference to the next */\n"
            f"static union {{\n  uint64_t alignment;\n  uint8_t bytes[{values.size}];\n}} {name};\n"
        )
        if len(set(values.tolist())) == 1:
            lines.append(f"  memset({name}.bytes, {int(values[0])}, sizeof {name}.bytes);")
        else:
            before = len(tables.text)
            table = tables.name(values.view(np.int8), f"{name}_first")
            parts += tables.text[before:]
            lines.append(f"  memcpy({name}.bytes, {table}, sizeof {name}.bytes);")
    body = "\n".join(lines)
    return [*parts, f"void {subject.stem}_init(void) {{\n{body}\n}}\n"]


def _usage(stem: str) -> str:
    return (
        f"/*\n * Call {stem}_init() once. For each inference write the input, call {stem}_run(), read the\n"
        " * output. They share their memory: an output is there until the next input is written, an input\n"
        " * is gone once the model has run.\n */\n"
        f"void {stem}_init(void);\nvoid {stem}_run(void);\n"
    )


def _tensor(tensor: Tensor, prefix: str) -> str:
    rows = [
        f"/* {describe(tensor)} */",
        f"#define {prefix}_ELEMENTS {tensor.elements}",
        f"#define {prefix}_BYTES {tensor.bytes}",
        f"#define {prefix}_SHAPE {dimensions(tensor.shape)}",
    ]
    if tensor.dtype == "int8":
        rows += [
            f"#define {prefix}_SCALE {number(float(tensor.scale[0]))}",
            f"#define {prefix}_ZERO_POINT ({int(tensor.zero_point[0])})",
        ]
    return "\n".join(rows) + "\n"


def describe(tensor: Tensor) -> str:
    """One line for a comment: name, dtype, shape, scale and zero point."""
    text = f"{comment(tensor.name, 60)}: {tensor.dtype} {list(tensor.shape)}"
    if tensor.dtype != "int8" or tensor.scale.size != 1:
        return text
    scale = float(tensor.scale[0])
    if not math.isfinite(scale):
        raise ModelError(f"tensor {tensor.index} has no usable scale", found=scale)
    return f"{text}, {number(scale)} * (q - {int(tensor.zero_point[0])})".replace("- -", "+ ")


def _call(subject: Subject, step: Step, tables: Tables, n: int) -> tuple[str, str]:
    """The constant structure of one call, and the call."""
    graph = subject.program.graph
    short = re.sub(r"^edgeml_", "", step.layer.kernel)
    name = f"{short}_{n}"
    text = initializer(step.layer, functools.partial(_named, tables, name))
    structure = f"static const {step.layer.structure} {name} = {text};\n"
    arguments = [f"&{name}"]
    for index in step.inputs:
        data = graph.tensors[index].data
        if data is None:
            arguments.append(_pointer(subject, index))
        else:
            arguments.append(tables.name(data, f"{name}_operand"))
    arguments += [_pointer(subject, index) for index in (*step.state, step.output)]
    if step.scratch_bytes:
        arguments.append(f"AT({subject.memory.scratch[step.op]})")
    output = graph.tensors[step.output]
    note = f"  /* {title(graph.ops[step.op])} -> {describe(output)} */"
    return structure, f"{note}\n  {step.layer.kernel}({', '.join(arguments)});"


def _named(tables: Tables, call: str, values: NDArray[Any], field: str) -> str:
    return tables.name(values, f"{call}_{field}")


def _pointer(subject: Subject, tensor: int) -> str:
    """Where a tensor lies, as a C expression that becomes a pointer to any type."""
    if tensor in subject.program.state:
        return f"(void *)state_{tensor}.bytes"
    return f"AT({subject.memory.offset[tensor]})"
