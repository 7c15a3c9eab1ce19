"""PyTorch: litert-torch makes the .tflite, PyTorch runs the original. In the environment of that name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from converters.load import Loaded, Port, arrays, ports, tidy, torch_graph, torch_model
from converters.load.batch import open_batch
from edge_sdk import child
from edge_sdk.errors import ModelError, first_of
from edge_sdk.graph import read_graph

_PACKAGES = ("litert-torch", "torch")


def load(
    model: str,
    output: str,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
) -> dict[str, Any]:
    """Write the float32 .tflite of a PyTorch model.

    Args:
        model: path of a .pt2, or ``module:function``.
        output: path of the .tflite.
        signature: PyTorch has none; must be None.
        shapes: sizes for inputs that leave some open, in PyTorch's layout, the batch included.
        batch: 1 to fix it; None leaves it open where the model can.

    Returns:
        `Loaded.as_dict()`.

    Raises:
        ModelError: it cannot be read, exported or converted, or became another model.
    """
    if signature is not None:
        raise ModelError(f"{model}: a PyTorch model has no signatures", remedy="leave out --signature")
    child.progress(step="reading the PyTorch model")
    original = torch_model.open_model(model)
    examples = original.examples(shapes)
    child.progress(step="converting it with litert-torch")
    flatbuffer, inputs = _convert(original, examples)
    flatbuffer = tidy.tidy(flatbuffer)
    _check_operators(flatbuffer, model)
    opened = None if batch == 1 else open_batch(flatbuffer)
    child.progress(step="comparing it with the original")
    runner = arrays.Runner(opened or flatbuffer)
    if len(runner.inputs) != len(inputs):
        raise ModelError("an input has no effect on the outputs", remedy="export the model without it")
    outputs = [ports.Tensor(name) for name in original.outputs]
    taken, given = ports.match(runner, inputs, outputs, original.run)
    named = tidy.rename(opened or flatbuffer, [port.name for port in taken], [port.name for port in given])
    Path(output).write_bytes(named)
    return Loaded(
        inputs=taken,
        outputs=given,
        versions={name: metadata.version(name) for name in _PACKAGES},
        parameters=original.parameters,
        batch=None if opened else 1,
        notes=tuple(_notes(taken, runner)),
    ).as_dict()


def score(model: str, loaded: Mapping[str, Any], inputs: str, outputs: str) -> None:
    """Run the PyTorch model itself, on one thread of the CPU.

    Args:
        model: path of a .pt2, or ``module:function``.
        loaded: what `load` returned.
        inputs: .npz with one array [n, …] for each input of the .tflite, in its layout, named "0", "1", …
        outputs: .npz to write, likewise for its outputs.
    """
    facts = Loaded.from_dict(loaded)
    original = torch_model.open_model(model)
    values = dict(
        zip(
            (port.name for port in facts.inputs),
            arrays.to_original(arrays.read(inputs), facts.inputs),
            strict=True,
        )
    )
    results = dict(zip(original.outputs, original.run_all([values[n] for n in original.inputs]), strict=True))
    arrays.write(outputs, arrays.from_original([results[p.name] for p in facts.outputs], facts.outputs))


def _convert(original: torch_model.Original, examples: tuple[Any, ...]) -> tuple[bytes, list[ports.Tensor]]:
    """The .tflite that litert-torch makes for a batch of one, and what its inputs were."""
    import litert_torch
    import torch

    try:
        module = torch.export.export(original.module, examples).module(check_guards=False)
        module = torch.fx.GraphModule(module, module.graph)  # without the check of its inputs' shapes
        nodes = [node for node in module.graph.nodes if node.op == "placeholder"]
        turned = {n.name for n, e in zip(nodes, examples, strict=True) if _is_turned(module.graph, n, e)}
        torch_graph.channels_last(module, sorted(turned))
        given = tuple(
            each.movedim(1, -1) if node.name in turned else each
            for node, each in zip(nodes, examples, strict=True)
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.tflite"
            litert_torch.convert(module, given).export(str(file))
            flatbuffer = file.read_bytes()
    except Exception as error:  # whatever it was, this model is the cause
        raise ModelError(
            "litert-torch cannot convert the model",
            found=torch_model.reason(error),
            remedy="replace the operation that it names",
        ) from error
    inputs = [
        ports.Tensor(name, tuple(each.shape), str(each.dtype).removeprefix("torch."), node.name not in turned)
        for name, each, node in zip(original.inputs, examples, nodes, strict=True)
    ]
    return flatbuffer, inputs


def _is_turned(graph: Any, node: Any, example: Any) -> bool:
    return example.ndim > 2 and torch_graph.is_channels_first(graph, node)


def _check_operators(flatbuffer: bytes, model: str) -> None:
    custom = read_graph(flatbuffer).custom_ops
    if custom:
        raise ModelError(
            f"{model}: no TFLite operator for {first_of(custom)}",
            remedy="replace it in the model, or take it out and do its work after the model",
        )


def _notes(inputs: Sequence[Port], runner: arrays.Runner) -> Iterator[str]:
    for port, ours in zip(inputs, runner.inputs, strict=True):
        if port.permute is not None:
            theirs = [ours.shape[axis] for axis in port.permute]
            yield f"input {port.name} is {list(ours.shape)} now, it was {theirs} in PyTorch"
