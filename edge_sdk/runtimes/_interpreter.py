"""What LiteRT, tflite-runtime and tf.lite have in common: the same interpreter class in three packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        self._forgets = any("SEQUENCE" in op["op_name"] for op in self._interpreter._get_ops_details())
        if len(inputs) == len(outputs) == 1 and not self._forgets:
            self.invoke = self._one_to_one()  # type: ignore[method-assign, assignment]

    @property
    def version(self) -> str:
        """The installed package's version; importlib.metadata costs time, so it is asked only here."""
        from importlib.metadata import version

        return version(self.package)

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference; arrays with their batch axis, in the interpreter's order."""
        if self._forgets:
            # A fused recurrent layer keeps its state in the interpreter: a window must not see the last one.
            self._interpreter.reset_all_variables()
        for index, array in zip(self._input_indices, inputs, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def close(self) -> None:
        """Release the interpreter and its arena."""
        self.__dict__.pop("invoke", None)
        self._interpreter = None

    def _one_to_one(self) -> Callable[[Sequence[NDArray[Any]]], list[NDArray[Any]]]:
        """`invoke` for the usual model, without loops and look-ups: a small model notices the microsecond."""
        interpreter, source, result = self._interpreter, self._input_indices[0], self._output_indices[0]
        set_tensor, run, get_tensor = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor

        def invoke(inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
            set_tensor(source, inputs[0])
            run()
            return [get_tensor(result)]

        return invoke


def _port(detail: dict[str, Any]) -> Port:
    return Port(detail["name"], detail["shape"], detail["dtype"].__name__, detail["quantization"])
