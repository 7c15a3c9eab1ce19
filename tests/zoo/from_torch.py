"""The models of `tests.torch_models` with last layers that know something; inside the torch environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.foreign import Arrays, Task, solve, task
from tests.zoo.training import Evidence


def torch_mlp(folder: str) -> str:
    return _build("mlp", folder, {"scores": "4"})


def torch_sensor(folder: str) -> str:
    return _build("sensor", folder, {"logits": "9"})


def torch_recurrent(folder: str) -> str:
    return _build("recurrent", folder, {"logits": "head"})


def torch_image(folder: str) -> str:
    return _build("image", folder, {"scores": "head"})


def torch_flattened(folder: str) -> str:
    return _build("flattened", folder, {"logits": "3"})


def torch_depthwise(folder: str) -> str:
    return _build("depthwise", folder, {"mask": "15"})


def torch_several(folder: str) -> str:
    return _build("several", folder, {"zone": "zone", "heat": "heat", "alarm": "alarm"})


def run(model: str, data: str, target: str) -> None:
    """As `tests.zoo.original.run`."""
    import torch

    work = task(Path(model).stem.removeprefix("torch_"))
    outputs = _run(torch.export.load(model).module(), work, work.test_inputs, batch=1)
    np.savez(target, **{f"output_{n}": array for n, array in enumerate(outputs)})


def _build(name: str, folder: str, heads: dict[str, str]) -> str:
    """Solve the layer, given by its place in the model, behind each output."""
    import torch

    from tests import torch_models

    path, work = str(Path(folder) / f"torch_{name}.pt2"), task(name)
    model, example = getattr(torch_models, name)()
    for output, place in heads.items():
        _solve(model, model.get_submodule(place), work.truths[output], work)
    torch.export.save(torch.export.export(model.eval(), example), path)
    single = len(work.test_inputs) == 1
    inputs = {"x" if single else key: array for key, array in work.test_inputs.items()}
    truths = [work.test_truths[output] for output in heads]
    Evidence(inputs, truths, work.labels, work.groups).write(folder, f"torch_{name}")
    return path


def _solve(model: Any, layer: Any, truths: Any, work: Task) -> None:
    """Replace the weights of a linear layer or a 1x1 convolution."""
    import torch

    seen: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(work.last(given[0].numpy())))
    _run(model, work, work.inputs, batch=256)
    hook.remove()
    rows = len(layer.weight)
    places = truths if truths.ndim == 2 and truths.shape[1] == rows else truths.reshape(-1)
    features = np.concatenate(seen)
    weight, bias = solve(features.reshape(-1, features.shape[-1]), places, rows, bias=True)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.reshape(layer.weight.shape)))
        layer.bias.copy_(torch.from_numpy(bias))


def _run(model: Any, work: Task, inputs: Arrays, batch: int) -> list[Any]:
    import torch

    given = [torch.from_numpy(np.ascontiguousarray(array)) for array in work.given(inputs).values()]
    rows = []
    with torch.no_grad():
        for start in range(0, len(given[0]), batch):
            outputs = model(*(array[start : start + batch] for array in given))
            listed = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
            rows.append([work.last(output.numpy()) for output in listed])
    return [np.concatenate(column) for column in zip(*rows, strict=True)]
