"""The generated file that tells the bridge about a model: names, digest, tensors."""

from __future__ import annotations

from textwrap import indent

from converters.c_text import array, dimensions, generated, identifier, number, string
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, Tensor
from edge_sdk.runtimes import Port
from firmware_bridge.tensors import ports

#: Of `edgeml_tensor` in edgeml_bridge.h.
_MAX_RANK, _MAX_SIZE = 6, 0xFFFF
_DTYPES = {"int8": "EDGEML_INT8", "float32": "EDGEML_FLOAT32"}


def render(graph: Graph, name: str, digest: str) -> str:
    """The C source that defines `edgeml_firmware`.

    Args:
        graph: of the model.
        name: of the model; what `converters.c.library.render` was given.
        digest: ``sha256:…`` of the flatbuffer.

    Raises:
        ModelError: a tensor has more axes than the bridge describes, or a longer one.
    """
    stem = identifier(name)
    functions, tensors = [], []
    for side, described, indices in (
        ("input", ports(graph, "inputs"), graph.inputs),
        ("output", ports(graph, "outputs"), graph.outputs),
    ):
        for n, (port, index) in enumerate(zip(described, indices, strict=True)):
            function = f"{side}_{n}" if n else side
            functions.append(f"static void *{function}(void) {{ return (void *){stem}_{function}(); }}\n")
            tensors.append(_tensor(port, graph.tensors[index], function))
    digits = indent(array(bytes.fromhex(digest.removeprefix("sha256:"))), "    ")
    return "\n".join(
        [
            generated(f"{stem}: what the firmware bridge tells of it", digest),
            '#include "board.h"\n#include "model.h"\n',
            *functions,
            "static const edgeml_tensor tensors[] = {\n" + "\n".join(tensors) + "\n};\n",
            "const edgeml_model edgeml_firmware = {",
            f"    .name = {string(name)},",
            f"    .digest = {{\n{digits}\n    }},",
            f"    .init = {stem}_init,\n    .run = {stem}_run,",
            f"    .arena_bytes = {stem.upper()}_ARENA_BYTES,",
            f"    .inputs = {len(graph.inputs)},\n    .outputs = {len(graph.outputs)},",
            "    .tensors = tensors,\n};\n",
        ]
    )


def _tensor(port: Port, tensor: Tensor, function: str) -> str:
    shape = tensor.shape
    if len(shape) > _MAX_RANK or max(shape, default=0) > _MAX_SIZE:
        raise ModelError(
            f"the firmware bridge cannot describe tensor {port.name}",
            expected=f"at most {_MAX_RANK} axes of at most {_MAX_SIZE}",
            found=list(shape),
        )
    scale, dtype = number(port.scale), _DTYPES[tensor.dtype]
    return (
        f"    {{ .name = {string(port.name)}, .data = {function}, .bytes = {tensor.bytes},\n"
        f"      .scale = {scale}, .zero_point = {port.zero_point}, .dtype = {dtype},\n"
        f"      .rank = {len(shape)}, .shape = {dimensions(shape)} }},"
    )
