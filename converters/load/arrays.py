"""Arrays between processes, and a .tflite run on them: what every loader's `load` and `score` need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.load import Port
from edge_sdk.errors import ModelError, one_line

Arrays = Sequence[NDArray[Any]]


def read(path: str) -> list[NDArray[Any]]:
    """The arrays of an .npz named "0", "1", …: one for each input or output, in the .tflite's order."""
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[str(index)] for index in range(len(arrays.files))]


def write(path: str, arrays: Iterable[NDArray[Any]]) -> None:
    """What `read` reads."""
    named: dict[str, Any] = {str(index): array for index, array in enumerate(arrays)}
    with Path(path).open("wb") as file:
        np.savez(file, **named)


def to_original(arrays: Arrays, ports: Sequence[Port]) -> list[NDArray[Any]]:
    """Arrays as the .tflite has them, as the original wants them."""
    return [
        np.ascontiguousarray(array if port.permute is None else array.transpose(port.permute), port.dtype)
        for array, port in zip(arrays, ports, strict=True)
    ]


def from_original(arrays: Arrays, ports: Sequence[Port]) -> list[NDArray[Any]]:
    """The opposite of `to_original`."""
    return [
        np.ascontiguousarray(array if port.permute is None else array.transpose(np.argsort(port.permute)))
        for array, port in zip(arrays, ports, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Details:
    """An input or output of a .tflite, as its interpreter tells."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Runner:
    """A .tflite in LiteRT, as a device runs it.

    Raises:
        ModelError: the runtime refuses it.
    """

    def __init__(self, flatbuffer: bytes, *, plain: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
        try:
            self.interpreter = Interpreter(
                model_content=flatbuffer, num_threads=1, experimental_op_resolver_type=kind
            )
            self.interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError("LiteRT cannot run what became of it", found=one_line(error)[:300]) from error
        self.inputs = [_details(each) for each in self.interpreter.get_input_details()]
        self.outputs = [_details(each) for each in self.interpreter.get_output_details()]

    def resize(self, batch: int) -> None:
        """Give every input another batch.

        Raises:
            RuntimeError: an operator cannot take it.
            ValueError: likewise.
        """
        for each in self.inputs:
            self.interpreter.resize_tensor_input(each.index, (batch, *each.shape[1:]))
        self.interpreter.allocate_tensors()

    def shapes(self) -> dict[int, tuple[int, ...]]:
        """Of every tensor by its index, at the batch that it has now."""
        details = self.interpreter.get_tensor_details()
        return {int(each["index"]): tuple(map(int, each["shape"])) for each in details}

    def __call__(self, arrays: Arrays) -> list[NDArray[Any]]:
        """Run it once; inputs must have the shape that it has now."""
        for each, array in zip(self.inputs, arrays, strict=True):
            self.interpreter.set_tensor(each.index, array)
        self.interpreter.reset_all_variables()  # a recurrent layer would go on from the window before
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(each.index) for each in self.outputs]


def _details(facts: dict[str, Any]) -> Details:
    shape = tuple(map(int, facts["shape"]))
    return Details(int(facts["index"]), str(facts["name"]), shape, np.dtype(facts["dtype"]))


def probe(inputs: Sequence[Details], seed: int, batch: int | None = None) -> list[NDArray[Any]]:
    """Random inputs; integers stay small, so that an embedding's table is not left.

    Args:
        inputs: of the .tflite.
        seed: of the generator.
        batch: instead of the first axis.
    """
    rng = np.random.default_rng(seed)
    shapes = [each.shape if batch is None else (batch, *each.shape[1:]) for each in inputs]
    return [
        (rng.normal(size=shape) if each.dtype.kind == "f" else rng.integers(0, 2, shape)).astype(each.dtype)
        for each, shape in zip(inputs, shapes, strict=True)
    ]


def run_file(model: str, inputs: str, outputs: str) -> None:
    """Run a .tflite that was made here, one input at a time, in a child process.

    Args:
        model: path of the .tflite.
        inputs: path of an .npz that `write` wrote: [n, …] for each input.
        outputs: path of the .npz to write, likewise; float32 in the units of the outputs.
    """
    from edge_sdk.runtimes.litert import Runtime

    runtime = Runtime(Path(model).read_bytes())
    rows = []
    for sample in zip(*read(inputs), strict=True):
        fed = [port.quantize(array[None]) for port, array in zip(runtime.inputs, sample, strict=True)]
        raw = runtime.invoke(fed)
        rows.append([port.dequantize(array) for port, array in zip(runtime.outputs, raw, strict=True)])
    write(outputs, (np.concatenate(column) for column in zip(*rows, strict=True)))
