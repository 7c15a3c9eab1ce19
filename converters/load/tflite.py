"""A float32 .tflite that exists already, from whatever tool; needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from converters import rewrite
from converters.load import Loaded, Port, _proof, arrays, memory
from converters.load.arrays import Runner
from converters.load.shapes import Shape, settle
from converters.plan import floor_bytes
from edge_sdk.child import progress
from edge_sdk.errors import ModelError, first_of, one_line, suggestion
from edge_sdk.graph import Graph, Signature, Tensor, read_graph
from edge_sdk.modelfile import split
from edge_sdk.verify import check_file

#: An unrolled GRU of some hundred steps has some thousand operators.
_MOST_OPERATORS = 20_000
_MOST_ACTIVATION_BYTES = 512 << 20
#: The runtime keeps weights in the order that its kernels want, besides those in the file.
_TIMES_PACKED = 4
_INTEGERS = ("int8", "uint8", "int16", "int4", "uint4", "int2")


def load(
    model: str,
    output: str,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
) -> dict[str, Any]:
    """Write the flatbuffer of a .tflite, without the archive behind it.

    Args:
        model: path of the .tflite.
        output: path of the .tflite to write.
        signature: its name, where there are several.
        shapes: of inputs whose sizes are open, by name, batch axis included.
        batch: 1 to fix the batch.

    Returns:
        `Loaded.as_dict()`.

    Raises:
        ModelError: the file is damaged, not float32, or does not run.
    """
    progress(step="reading the model")
    flatbuffer, graph, chosen = _read(model, signature)
    _refuse_quantized(model, graph)
    _check_sizes(model, graph)
    _proof.check_constants(flatbuffer)
    inputs = _named(graph, graph.inputs, chosen.inputs)
    outputs = _named(graph, graph.outputs, chosen.outputs)
    own = {name: _sizes(tensor) for name, tensor in inputs.items()}
    settled = settle(own, shapes, batch)
    if settled != own or any(_is_placeholder(tensor) for tensor in inputs.values()):
        flatbuffer = _resized(flatbuffer, [settled[name] for name in inputs])
    progress(step="running it once")
    try:
        with memory.limited(memory.ONCE_BYTES + _TIMES_PACKED * len(flatbuffer)):
            runner = Runner(flatbuffer)
            runner(arrays.probe(runner.inputs, 1))
    except ModelError:
        raise
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{model} does not run", found=one_line(error)[:200]) from error
    Path(output).write_bytes(flatbuffer)
    return Loaded(
        inputs=tuple(Port(name=name, dtype=tensor.dtype) for name, tensor in inputs.items()),
        outputs=tuple(Port(name=name, dtype=tensor.dtype) for name, tensor in outputs.items()),
        versions={"ai-edge-litert": version("ai-edge-litert")},
        batch=1 if next(iter(settled.values()))[0] == 1 else None,
        signature=chosen.name or None,
    ).as_dict()


def score(model: str, loaded: Mapping[str, Any], inputs: str, outputs: str) -> None:
    """Run the file itself in LiteRT, one window at a time.

    Args:
        model: path of the .tflite.
        loaded: what `load` gave.
        inputs: path of an .npz with an array [n, …] for each input of the .tflite.
        outputs: path of the .npz to write, likewise.
    """
    flatbuffer, _, _ = _read(model, Loaded.from_dict(loaded).signature)
    given = arrays.read(inputs)
    flatbuffer = _resized(flatbuffer, [(1, *array.shape[1:]) for array in given])
    runner = Runner(flatbuffer)
    rows = []
    for window in zip(*given, strict=True):
        # A recurrent layer would go on from the window before.
        runner.interpreter.reset_all_variables()
        rows.append(runner([array[None] for array in window]))
    arrays.write(outputs, (np.concatenate(column) for column in zip(*rows, strict=True)))


def _read(model: str, signature: str | None) -> tuple[bytes, Graph, Signature]:
    try:
        parts = split(Path(model).read_bytes())
    except OSError as error:
        raise ModelError(f"{model}: cannot be read", found=error.strerror) from error
    check_file(parts, model)
    graph = read_graph(parts.flatbuffer)
    names = list(graph.signatures)
    if signature is not None and signature not in names:
        raise ModelError(
            f"{model} has no signature {signature!r}",
            expected="one of " + first_of(names, 8) if names else "a model with signatures",
            remedy=suggestion(signature, names),
        )
    name = signature or next(iter(names), "")
    return parts.flatbuffer, graph, graph.signatures.get(name, Signature("", {}, {}))


def _refuse_quantized(model: str, graph: Graph) -> None:
    found = [t for t in graph.tensors if t.dtype in _INTEGERS and t.scale.size]
    half = [t for t in graph.tensors if t.dtype in ("float16", "bfloat16")]
    if not found and not half:
        return
    computed = [t for t in found if not t.constant]
    if computed:
        kind = f"already {computed[0].dtype}"
    elif found:
        kind = f"already quantized: weights in {found[0].dtype}"
    else:
        kind = f"already {half[0].dtype}"
    raise ModelError(
        f"{model} is not a float32 model",
        expected="a float32 .tflite",
        found=kind,
        remedy="convert the model that it was made from",
    )


def _check_sizes(model: str, graph: Graph) -> None:
    """What would take minutes, or all memory, to run once; the file itself may be small."""
    if len(graph.ops) > _MOST_OPERATORS:
        raise ModelError(
            f"{model} has too many operators",
            expected=f"at most {_MOST_OPERATORS:,}",
            found=f"{len(graph.ops):,}",
        )
    needed = floor_bytes(graph)
    if needed > _MOST_ACTIVATION_BYTES:
        raise ModelError(
            f"{model} needs too much memory for one inference",
            expected=f"at most {_MOST_ACTIVATION_BYTES >> 20} MB",
            found=f"{needed >> 20:,} MB",
        )
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[index]
        if tensor.dtype in ("string", "resource", "variant"):
            raise ModelError(f"{model}: {tensor.name!r} is {tensor.dtype}", expected="numbers")
        if index in graph.outputs and (tensor.constant or index in graph.inputs):
            what = "a constant" if tensor.constant else "an input"
            raise ModelError(f"{model}: the output {tensor.name!r} is {what}", expected="something computed")


def _named(graph: Graph, indices: Sequence[int], signature: Mapping[str, int]) -> dict[str, Tensor]:
    """Tensors by the signature's names, or their own where it has none."""
    by_index = {index: name for name, index in signature.items()}
    named: dict[str, Tensor] = {}
    for index in indices:
        name = by_index.get(index) or graph.tensors[index].name or f"tensor_{index}"
        named[name if name not in named else f"{name}_{index}"] = graph.tensors[index]
    return named


def _sizes(tensor: Tensor) -> Shape:
    return tuple(None if size < 0 else size for size in tensor.shape_signature)


def _is_placeholder(tensor: Tensor) -> bool:
    """Whether the stored shape is not one to allocate: LiteRT may crash of it."""
    return any(size < 1 for size in tensor.shape)


def _resized(flatbuffer: bytes, shapes: Sequence[Shape]) -> bytes:
    """The same model with other input shapes; a dynamic batch is stored as 1 and stays dynamic."""
    model = rewrite.unpack(flatbuffer)
    graph = model.subgraphs[0]
    for index, shape in zip(graph.inputs, shapes, strict=True):
        tensor = graph.tensors[index]
        tensor.shape = np.array([size or 1 for size in shape], np.int32)
        tensor.shapeSignature = np.array([-1 if size is None else size for size in shape], np.int32)
    return rewrite.repack(model)
