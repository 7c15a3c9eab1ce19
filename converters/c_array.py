"""A .tflite as C source for TensorFlow Lite Micro: the model as an array, and all that its user must know.

Three files: `NAME.h` has sizes, scales and labels as constants, `NAME.c` the bytes, `NAME_ops.h` registers
exactly the operators that the model uses. The same model gives the same bytes.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

from converters import advice, arena, boards, rewrite
from converters.c_text import array, comment, dimensions, generated, identifier, meaning, number, string
from converters.costs import check
from edge_sdk.contract import Contract
from edge_sdk.errors import DeviceError, ModelError, first_of, one_line
from edge_sdk.graph import Graph, Tensor, read_graph
from edge_sdk.modelfile import digest_of
from edge_sdk.operators import NAMES

_INCLUDE = '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"'
#: Operators whose method is not their name in camel case.
_METHODS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_C_TYPES = {"float32": "float", "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t"}


def render(flatbuffer: bytes, contract: Contract | None, name: str) -> dict[str, str]:
    """The C files of a model.

    Args:
        flatbuffer: the model, without what is packed behind it.
        contract: for labels, channels and rate; None for a foreign model.
        name: of the model; what C does not allow in a name is replaced.

    Returns:
        File name → text.

    Raises:
        ModelError: damaged, or TFLite Micro cannot run it.
    """
    graph = read_graph(flatbuffer)
    check(graph)
    used = _operators(flatbuffer, graph)
    _refuse(flatbuffer, used)
    stem = identifier(name)
    banner = _banner(flatbuffer, name)
    return {
        f"{stem}.h": _header(flatbuffer, graph, contract, stem, banner),
        f"{stem}.c": _source(flatbuffer, contract, stem, banner),
        f"{stem}_ops.h": _resolver(used, stem, banner),
    }


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Put the files into a folder, which is made if need be: all of them, or none if the disk is full.

    Names may lead into folders inside.

    Raises:
        DeviceError: they cannot be written; files of the same name stay as they were.
    """
    is_new = not folder.exists()
    stage: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder, prefix=".edgeml-"))
        for name, text in files.items():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            with (stage / name).open("wb") as file:
                file.write(text.encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).replace(folder / name)
        shutil.rmtree(stage)
    except OSError as error:
        with contextlib.suppress(OSError):
            if stage is not None:
                shutil.rmtree(stage)
            if is_new:
                folder.rmdir()
        raise DeviceError(
            f"cannot write {folder}",
            found=error.strerror or error,
            remedy="check the folder, its rights and the disk",
        ) from error


def _operators(flatbuffer: bytes, graph: Graph) -> list[str]:
    """Names of the operators of all subgraphs, sorted; custom ones by their code."""
    if graph.subgraphs == 1:
        return sorted({op.custom_code or op.name for op in graph.ops})
    # Loops and branches have graphs of their own, whose operators stand in the model's table only.
    try:
        codes = [
            (max(code.builtinCode, code.deprecatedBuiltinCode), code.customCode)
            for code in rewrite.unpack(flatbuffer).operatorCodes
        ]
        return sorted(
            {custom.decode("ascii", "replace") if custom else NAMES[code] for code, custom in codes}
        )
    except (struct.error, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError("the TFLite flatbuffer is damaged", found=one_line(error)) from error


def _refuse(flatbuffer: bytes, used: list[str]) -> None:
    engine = boards.load_engines()["tflm"]
    missing = sorted(set(used) - engine.ops)
    if missing:
        raise ModelError(
            "TFLite Micro cannot run this model",
            expected="operators that it has",
            found=first_of(missing, 5),
            remedy="; ".join(advice.operators(missing)),
        )
    against, remedies = boards.refusals(engine, boards.cost_of(flatbuffer))
    if against:
        raise ModelError("; ".join(against), remedy="; ".join(remedies))


def _banner(flatbuffer: bytes, name: str) -> str:
    return generated(f"{comment(name)}: a model for TensorFlow Lite Micro.", digest_of(flatbuffer))


def _header(flatbuffer: bytes, graph: Graph, contract: Contract | None, stem: str, banner: str) -> str:
    big = stem.upper()
    parts = [
        banner,
        f"#ifndef {big}_H\n#define {big}_H\n\n#include <stddef.h>\n#include <stdint.h>\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        "/* The model, a TFLite flatbuffer, aligned to 16 bytes. */\n"
        f"#define {big}_BYTES {len(flatbuffer)}u\n"
        f"extern const unsigned char {stem}_tflite[{big}_BYTES];\n"
        f"extern const size_t {stem}_tflite_len;\n",
        f"#define {big}_DIGEST {string(digest_of(flatbuffer))}\n",
        _arena(graph, big),
    ]
    parts += [_tensor(graph.tensors[i], f"{big}_INPUT_{n}", f"Input {n}") for n, i in enumerate(graph.inputs)]
    parts += [
        _tensor(graph.tensors[i], f"{big}_OUTPUT_{n}", f"Output {n}") for n, i in enumerate(graph.outputs)
    ]
    if contract is not None:
        parts.append(meaning(contract, stem, unsigned=True))
    parts += ["#ifdef __cplusplus\n}\n#endif\n", f"#endif /* {big}_H */\n"]
    return "\n".join(parts)


def _arena(graph: Graph, big: str) -> str:
    if graph.subgraphs > 1:
        return (
            "/* How large an arena it needs is not known: the model has loops or branches. Start large;\n"
            " * MicroInterpreter::arena_used_bytes() tells what it took. */\n"
        )
    return (
        "/* Enough for TFLite Micro with its reference kernels or CMSIS-NN: an upper estimate.\n"
        " * MicroInterpreter::arena_used_bytes() tells what it takes on your target. */\n"
        f"#define {big}_ARENA_BYTES {arena.tflm_bytes(graph)}u\n"
    )


def _tensor(tensor: Tensor, prefix: str, title: str) -> str:
    """What is known of one tensor, as constants; a dynamic axis counts as 1."""
    dynamic = [str(i) for i, axis in enumerate(tensor.shape_signature) if axis < 0]
    note = f"; axis {', '.join(dynamic)} dynamic, here 1" if dynamic else ""
    rows = [
        f"/* {title}: {comment(tensor.name, 60)}, {tensor.dtype} {list(tensor.shape)}{note} */",
        f"#define {prefix}_TYPE {_C_TYPES.get(tensor.dtype, 'unsigned char')}",
        f"#define {prefix}_ELEMENTS {tensor.elements}u",
        f"#define {prefix}_BYTES {tensor.bytes}u",
        f"#define {prefix}_RANK {max(len(tensor.shape), 1)}u",
        f"#define {prefix}_SHAPE {dimensions(tensor.shape)}",
    ]
    if tensor.scale.size == 1 and tensor.zero_point.size == 1 and tensor.dtype != "float32":
        scale = float(tensor.scale[0])
        if not math.isfinite(scale):
            raise ModelError(f"{title.lower()} has no usable scale", found=scale)
        rows += [
            "/* real = SCALE * (quantized - ZERO_POINT) */",
            f"#define {prefix}_SCALE {number(scale)}",
            f"#define {prefix}_ZERO_POINT ({int(tensor.zero_point[0])})",
        ]
    return "\n".join(rows) + "\n"


def _source(flatbuffer: bytes, contract: Contract | None, stem: str, banner: str) -> str:
    big = stem.upper()
    parts = [
        banner,
        f'#include "{stem}.h"\n',
        f"#if defined(_MSC_VER)\n#define {big}_ALIGNED __declspec(align(16))\n"
        f"#else\n#define {big}_ALIGNED __attribute__((aligned(16)))\n#endif\n",
        f"const size_t {stem}_tflite_len = {big}_BYTES;\n",
    ]
    if contract is not None and contract.output.labels:
        labels = "\n".join(f"  {string(label)}," for label in contract.output.labels)
        parts.append(f"const char *const {stem}_labels[{big}_LABELS] = {{\n{labels}\n}};\n")
    parts.append(
        f"{big}_ALIGNED const unsigned char {stem}_tflite[{big}_BYTES] = {{\n{array(flatbuffer)}\n}};\n"
    )
    return "\n".join(parts)


def _resolver(used: list[str], stem: str, banner: str) -> str:
    big = stem.upper()
    calls = "\n".join(f"  if (resolver->Add{_method(op)}() != kTfLiteOk) return kTfLiteError;" for op in used)
    return (
        f"{banner}\n#ifndef {big}_OPS_H\n#define {big}_OPS_H\n\n{_INCLUDE}\n\n"
        f"#define {big}_OPS {len(used)}\n\n"
        "/* Registers exactly the operators that the model uses, so that no other kernel is linked. */\n"
        f"inline TfLiteStatus {stem}_add_ops(tflite::MicroMutableOpResolver<{big}_OPS> *resolver) {{\n"
        f"{calls}\n  return kTfLiteOk;\n}}\n\n#endif /* {big}_OPS_H */\n"
    )


def _method(op: str) -> str:
    """The part behind ``Add`` of the resolver's method for an operator: CONV_2D → Conv2D."""
    return _METHODS.get(op) or "".join(word.capitalize() for word in op.split("_")).replace("2d", "2D")
