"""What the tests of the loaders that live in other environments have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters import environments
from converters.load import LOADERS, Loaded, arrays
from edge_sdk.child import Worker
from edge_sdk.errors import MissingExtraError
from edge_sdk.graph import Graph, read_graph
from edge_sdk.runtimes.litert import Runtime

TIMEOUT_S = 250.0
Arrays = list[NDArray[Any]]


@contextmanager
def loader(name: str) -> Iterator[Loading]:
    """A loader in its environment; without one the test is skipped, with the command that installs it."""
    try:
        worker = environments.worker(name, ["tests"])
    except MissingExtraError as error:
        pytest.skip(str(error))
    with worker:
        yield Loading(name, worker)


@dataclass(frozen=True)
class Converted:
    """A model that was loaded."""

    model: str
    facts: dict[str, Any]
    flatbuffer: bytes

    @property
    def loaded(self) -> Loaded:
        return Loaded.from_dict(self.facts)

    @property
    def graph(self) -> Graph:
        return read_graph(self.flatbuffer)

    @property
    def operators(self) -> Counter[str]:
        return Counter(op.name for op in self.graph.ops)

    def inputs(self, count: int = 6, seed: int = 9) -> Arrays:
        """Random windows [count, …] for each input."""
        rng = np.random.default_rng(seed)
        made = []
        for tensor in (self.graph.tensors[i] for i in self.graph.inputs):
            shape = (count, *tensor.shape[1:])
            values = rng.normal(size=shape) if tensor.dtype == "float32" else rng.integers(0, 20, shape)
            made.append(values.astype(tensor.dtype))
        return made

    def run(self, inputs: Arrays) -> Arrays:
        """As a device does, one window after the other; each starts anew, also in a recurrent layer."""
        results = []
        for n in range(len(inputs[0])):
            runtime = Runtime(self.flatbuffer)
            results.append([np.array(y) for y in runtime.invoke([x[n : n + 1] for x in inputs])])
            runtime.close()
        return [np.concatenate(each) for each in zip(*results, strict=True)]

    def run_together(self, inputs: Arrays) -> Arrays:
        """All windows in one batch."""
        runner = arrays.Runner(self.flatbuffer)
        runner.resize(len(inputs[0]))
        return [np.array(y) for y in runner(inputs)]


@dataclass(frozen=True)
class Loading:
    """A loader, its environment and its test models."""

    name: str
    worker: Worker

    def build(self, folder: Path, model: str, **arguments: Any) -> Path:
        """A test model of `tests.onnx_models` or `tests.torch_models` as a file."""
        suffix, function = {"onnx": ("onnx", "build"), "torch": ("pt2", "export")}[self.name]
        path = folder / f"{model}.{suffix}"
        place = f"tests.{self.name}_models:{function}"
        self.worker.call(place, timeout_s=TIMEOUT_S, name=model, path=str(path), **arguments)
        return path

    def load(self, model: Path | str, folder: Path, **options: Any) -> Converted:
        """Convert a model."""
        output = folder / "loaded.tflite"
        facts = self.worker.call(
            f"{LOADERS[self.name].module}:load",
            timeout_s=TIMEOUT_S,
            model=str(model),
            output=str(output),
            **options,
        )
        return Converted(str(model), facts, output.read_bytes())

    def score(self, converted: Converted, inputs: Arrays, folder: Path) -> Arrays:
        """What the original gives."""
        given, got = folder / "inputs.npz", folder / "outputs.npz"
        arrays.write(str(given), inputs)
        self.worker.call(
            f"{LOADERS[self.name].module}:score",
            timeout_s=TIMEOUT_S,
            model=converted.model,
            loaded=converted.facts,
            inputs=str(given),
            outputs=str(got),
        )
        return arrays.read(str(got))

    def check(self, converted: Converted, folder: Path, tolerance: float = 1e-4) -> None:
        """Every output equals the original's, window by window and, where the batch is open, together."""
        inputs = converted.inputs()
        expected = self.score(converted, inputs, folder)
        ways = [converted.run] if converted.loaded.batch == 1 else [converted.run, converted.run_together]
        for run in ways:
            for ours, theirs in zip(run(inputs), expected, strict=True):
                assert ours.shape == theirs.shape
                assert np.abs(ours - theirs).max() <= tolerance * max(1.0, float(np.abs(theirs).max()))
