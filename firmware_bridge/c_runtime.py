"""The generated C of an int8 model, compiled for this machine: ``host:?runtime=c``.

Bit for bit what the same model computes on a microcontroller, and so the reference of tests on hardware.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import library
from converters.c.lower import lower
from converters.c_text import version
from edge_sdk.errors import ConfigError, ModelError, SpecError
from edge_sdk.graph import Graph
from edge_sdk.runtimes import Port
from firmware_bridge import tensors
from firmware_bridge.shared_library import Library, build, find_compiler

_STEM = "net"


class Runtime:
    """A model as a compiled C library.

    Args:
        flatbuffer: the model.
        threads: 1; the C has no threads.

    Attributes:
        inputs: named as LiteRT's runtime names them; the batch is 1.
        outputs: likewise.
        steps: of each output, one step of its quantization in its units; 0.0 where it has none.

    Raises:
        ModelError: the model is damaged, or something in it has no kernel.
        ConfigError: more than one thread.
        MissingExtraError: there is no C compiler.
        DeviceError: the compiler fails.
    """

    name = "c"
    package = "edgeml-kit"

    def __init__(self, flatbuffer: bytes, threads: int = 1) -> None:
        if threads != 1:
            raise ConfigError("runtime c: threads", expected="1: the generated C has none", found=threads)
        program = lower(flatbuffer)
        graph = program.graph
        _check_lengths(graph)
        files = library.render(flatbuffer, None, _STEM)
        sources = {name.removeprefix("src/"): text for name, text in files.items() if name.startswith("src/")}
        compiler = find_compiler()
        self.version = f"{version()}, {compiler.version}"
        self._library = Library(build(sources, compiler))
        self.inputs, self.outputs = tensors.ports(graph, "inputs"), tensors.ports(graph, "outputs")
        self.steps = tensors.steps(graph)
        self._feeds = [self._view("input", n, port) for n, port in enumerate(self.inputs)]
        self._results = [self._view("output", n, port) for n, port in enumerate(self.outputs)]
        self._start, self._run = (self._library.function(f"{_STEM}_{name}") for name in ("init", "run"))
        self._remembers = bool(program.state)
        self._flatbuffer = flatbuffer
        self._start()

    @classmethod
    def probe(cls) -> None:
        """Find out whether there is a compiler; raises MissingExtraError where there is none."""
        find_compiler()

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference: arrays with their batch axis, in the order of `inputs`; outputs are copies.

        A model that keeps something from one inference to the next starts over, as in the other runtimes: a
        window must not see the last one.

        Raises:
            SpecError: an array of another shape or dtype.
        """
        if self._remembers:
            self._start()
        for port, feed, array in zip(self.inputs, self._feeds, inputs, strict=True):
            if array.shape != feed.shape or array.dtype != feed.dtype:
                raise SpecError(
                    f"input {port.name!r}",
                    expected=f"{port.dtype} {list(port.shape)}",
                    found=f"{array.dtype} {list(array.shape)}",
                )
            feed[...] = array
        self._run()
        return [result.copy() for result in self._results]

    def figures(self) -> dict[str, int]:
        """What the library needs wherever it runs: ``arena_bytes``."""
        return {"arena_bytes": library.figures(self._flatbuffer)["arena_bytes"]}

    def close(self) -> None:
        """Unload the library; its memory goes with it, so that nothing here may reach into it any more."""
        self._feeds, self._results, self._remembers = [], [], False
        self._library.close()

    def _view(self, side: str, number: int, port: Port) -> NDArray[Any]:
        """A tensor where it lies in the arena."""
        name = f"{_STEM}_{side}" + (f"_{number}" if number else "")
        address = self._library.function(name, ctypes.c_void_p)()
        size = math.prod(port.shape) * np.dtype(port.dtype).itemsize
        memory = (ctypes.c_uint8 * size).from_address(address)
        return np.ctypeslib.as_array(memory).view(port.dtype).reshape(port.shape)


def _check_lengths(graph: Graph) -> None:
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if any(size < 0 for size in tensor.shape_signature[1:]):
            raise ModelError(
                "this model cannot become a C library",
                expected="inputs whose lengths are fixed, but for the batch",
                found=f"{tensor.name} {list(tensor.shape_signature)}",
                remedy="convert it with --shape NAME=1,SIZE,…",
            )
