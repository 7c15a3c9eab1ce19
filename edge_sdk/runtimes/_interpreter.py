"""What LiteRT, tflite-runtime and tf.lite have in common: the same interpreter class in three packages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from edge_sdk.errors import ModelError, one_line
from edge_sdk.runtimes import Port


class InterpreterRuntime:
    """Plain set_tensor, invoke, get_tensor: measured as the fastest of the interpreter's interfaces."""

    name = ""
    package = ""

    @classmethod
    def probe(cls) -> Any:
        """The package's interpreter class, imported now."""
        raise NotImplementedError

    def __init__(self, flatbuffer: bytes, threads: int = 1) -> None:
        interpreter_class = self.probe()
        try:
            self._interpreter = interpreter_class(model_content=flatbuffer, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self.name} refuses the model", found=one_line(error)[:300]) from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self.inputs = tuple(_port(detail) for detail in inputs)
        self.outputs = tuple(_port(detail) for detail in outputs)
        self._input_indices = [detail["index"] for detail in inputs]
        self._output_indices = [detail["index"] for detail in outputs]
        self._set, self._get = self._interpreter.set_tensor, self._interpreter.get_tensor
        self._invoke = self._interpreter.invoke

    @property
    def version(self) -> str:
        """The installed package's version; importlib.metadata costs time, so it is asked only here."""
        from importlib.metadata import version

        return version(self.package)

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference; arrays with their batch axis, in the interpreter's order."""
        for index, array in zip(self._input_indices, inputs, strict=True):
            self._set(index, array)
        self._invoke()
        return [self._get(index) for index in self._output_indices]

    def close(self) -> None:
        """Release the interpreter and its arena."""
        self._interpreter = self._set = self._get = self._invoke = None


def _port(detail: dict[str, Any]) -> Port:
    return Port(detail["name"], detail["shape"], detail["dtype"].__name__, detail["quantization"])
