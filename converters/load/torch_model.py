"""A PyTorch model as it was given: an exported program, or what the user's own function returns.

A .pt2 cannot run code. ``module:function`` is the user's own code and runs: a function without arguments that
returns the model and its example inputs,

    def trained():
        model = Net()
        model.load_state_dict(torch.load("net.pt", weights_only=True))
        return model, torch.zeros(1, 3, 96, 96)      # or a tuple, or a dictionary by argument

or the model alone, with its example inputs as its attribute ``example_inputs``. The current folder is
searched first.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.load import arrays, pt2
from converters.load.shapes import settle
from edge_sdk.errors import ModelError, one_line

_CHUNK = 64


@dataclass(frozen=True)
class Original:
    """The model in PyTorch.

    Attributes:
        module: takes its inputs one after the other, gives a tuple.
        inputs: names by argument.
        outputs: names by place or key.
        shapes: by input, None for what is open; the batch is open where the model takes any.
        dtypes: by input, torch's.
    """

    module: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    dtypes: tuple[Any, ...]

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""
        return sum(each.numel() for each in self.module.parameters())

    def examples(self, given: Mapping[str, Sequence[int]] | None) -> tuple[Any, ...]:
        """A tensor for each input at a batch of one."""
        import torch

        settled = settle(dict(zip(self.inputs, self.shapes, strict=True)), given, 1)
        shapes = ([1, *(size or 1 for size in settled[name][1:])] for name in self.inputs)
        return tuple(
            torch.zeros(shape, dtype=dtype) for shape, dtype in zip(shapes, self.dtypes, strict=True)
        )

    def run(self, values: arrays.Arrays) -> list[NDArray[Any]]:
        """One batch, in the order of `inputs` and `outputs`."""
        import torch

        torch.set_num_threads(1)
        tensors = [
            torch.from_numpy(value).to(dtype) for value, dtype in zip(values, self.dtypes, strict=True)
        ]
        try:
            with torch.no_grad():
                results = self.module(*tensors)
        except Exception as error:  # the user's code, or an operation that rejects its input
            raise ModelError("PyTorch cannot run the model", found=reason(error)) from error
        return [(each.float() if each.is_floating_point() else each).detach().numpy() for each in results]

    def run_all(self, values: arrays.Arrays) -> list[NDArray[Any]]:
        """Any number of windows [n, …]; one by one where the model does not take them together."""
        size = 1 if any(shape[:1] == (1,) for shape in self.shapes) else _CHUNK
        parts = []
        for start in range(0, len(values[0]), size):
            chunk = [value[start : start + size] for value in values]
            try:
                part = self.run(chunk)
            except ModelError:
                if size == 1:
                    raise
                part = []
            if not part or any(each.ndim == 0 or len(each) != len(chunk[0]) for each in part):
                each = [self.run([value[n : n + 1] for value in chunk]) for n in range(len(chunk[0]))]
                part = [np.concatenate(list(map(np.atleast_1d, ys))) for ys in zip(*each, strict=True)]
            parts.append(part)
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


def open_model(model: str) -> Original:
    """Read a .pt2, or call ``module:function``.

    Raises:
        ModelError: it cannot be read or exported, or has NaN among its weights.
    """
    original = _from_file(model) if Path(model).is_file() else _from_function(model)
    for name, value in original.module.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ModelError(
                f"{model}: {name.removeprefix('inner.')} has NaN or infinity among its values",
                remedy="look at the training: it diverged",
            )
    return original


def _from_file(path: str) -> Original:
    program = pt2.load(path)
    return _described(program, program.module(check_guards=False))


def _from_function(name: str) -> Original:
    import torch

    model, example = _called(name)
    arguments, named = ((), example) if isinstance(example, dict) else (example, {})
    arguments = tuple(arguments) if isinstance(arguments, tuple | list) else (arguments,)
    tensors = [*arguments, *named.values()]
    if not tensors or not all(isinstance(each, torch.Tensor) and each.ndim for each in tensors):
        raise ModelError(
            f"{name}: its example inputs", expected="tensors with a batch axis, in a tuple or by argument"
        )
    arguments = tuple(each[:1] for each in arguments)
    named = {argument: each[:1] for argument, each in named.items()}
    try:
        program = torch.export.export(model, arguments, named)
    except Exception as error:  # the user's code, or what torch.export cannot follow
        raise ModelError(
            f"{name}: PyTorch cannot export the model",
            found=reason(error),
            remedy="see that torch.export.export(model, example) works: no control flow that depends on data",
        ) from error
    # What runs is the model itself, which takes any batch; the program is for a batch of one.
    original = _described(program, model)
    return replace(original, shapes=tuple((None, *shape[1:]) for shape in original.shapes))


def _called(name: str) -> tuple[Any, Any]:
    """The model and its example inputs, from the user's function."""
    import torch

    module, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module), function)()
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{name} cannot be imported",
            found=one_line(error),
            remedy=f"start in its folder; install what it needs with: {sys.executable} -m pip install NAME",
        ) from error
    except Exception as error:  # the user's code
        raise ModelError(f"{name} failed", found=reason(error)) from error
    model, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    example = getattr(model, "example_inputs", None) if example is None else example
    if not isinstance(model, torch.nn.Module) or example is None:
        raise ModelError(
            f"{name} returns something else",
            expected="(model, example inputs), or a model with the attribute example_inputs",
            found=type(model).__name__ + ("" if example is not None else " without example inputs"),
        )
    return model.eval(), example


def _described(program: Any, module: Any) -> Original:
    """What an exported program says of a module's inputs and outputs."""
    import torch
    from torch.utils import _pytree

    names = tuple(program.graph_signature.user_inputs)
    known = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    values: list[Any] = [known.get(name) for name in names]
    if not names or not all(isinstance(value, torch.Tensor) for value in values):
        raise ModelError(
            "the model takes something other than tensors",
            remedy="wrap it in a module that takes tensors only",
        )
    spec = program.call_spec
    results = _pytree.tree_unflatten(list(range(spec.out_spec.num_leaves)), spec.out_spec)
    paths = [path for path, _ in _pytree.tree_flatten_with_path(results)[0]]
    return Original(
        module=_flattened(module, spec.in_spec),
        inputs=names,
        outputs=tuple(_output_name(path) for path in paths),
        shapes=tuple(
            tuple(size if isinstance(size, int) else None for size in value.shape) for value in values
        ),
        dtypes=tuple(value.dtype for value in values),
    )


def _flattened(inner: Any, spec: Any) -> Any:
    """A module that takes tensors one after the other and gives a tuple of them."""
    import torch
    from torch.utils import _pytree

    class Flattened(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *tensors: Any) -> tuple[Any, ...]:
            arguments, named = _pytree.tree_unflatten(list(tensors), spec)
            return tuple(_pytree.tree_leaves(self.inner(*arguments, **named)))

    return Flattened()


def _output_name(path: Sequence[Any]) -> str:
    """``zone`` for a key, ``output_0`` for a place."""
    parts = [getattr(each, "key", getattr(each, "idx", 0)) for each in path] or [0]
    named = any(isinstance(part, str) for part in parts)
    return "_".join(map(str, parts if named else ["output", *parts]))


def reason(error: BaseException) -> str:
    """What PyTorch says, without where it says it."""
    text = re.split(r" (?:While executing|Caused by|Original traceback)", one_line(error))[0]
    return f"{type(error).__name__}: {text}"[:300]
