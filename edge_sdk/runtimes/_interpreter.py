"""What LiteRT, tflite-runtime and tf.lite have in common: the same interpreter class in three packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from numpy.typing import NDArray

from edge_sdk.errors import ModelError, one_line
from edge_sdk.runtimes import Port

Shapes = Sequence[Sequence[int]]
#: Operators that keep something in the interpreter from one inference to the next.
_REMEMBER = ("SEQUENCE", "LSTM", "RNN", "SVDF")


class InterpreterRuntime:
    """Plain set_tensor, invoke, get_tensor: measured as the fastest of the interpreter's interfaces.

    Args:
        flatbuffer: the model.
        threads: that it may use.
        shapes: of the inputs, where they are others than the file says.

    Raises:
        ModelError: the interpreter refuses the model.
    """

    name = ""
    package = ""

    @classmethod
    def probe(cls) -> Any:
        """The package's interpreter class, imported now."""
        raise NotImplementedError

    def __init__(self, flatbuffer: bytes, threads: int = 1, *, shapes: Shapes | None = None) -> None:
        self._flatbuffer, self._threads = flatbuffer, threads
        self._interpreter = self._new()
        self._signature, self._names = self._signed()
        self.inputs = self._ports("inputs", self._interpreter.get_input_details())
        self.outputs: tuple[Port, ...] = ()
        if shapes is not None or not any(port.unsettled for port in self.inputs):
            self.settle(shapes)

    @property
    def version(self) -> str:
        """The installed package's version; importlib.metadata costs time, so it is asked only here."""
        from importlib.metadata import version

        return version(self.package)

    def settle(self, shapes: Shapes | None) -> None:
        """Give every input its shape and allocate: some models crash if they are allocated before.

        Args:
            shapes: one for each input; None for those in the file.

        Raises:
            ModelError: the interpreter refuses them.
        """
        self._shapes = shapes
        self._allocate()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs, self.outputs = self._ports("inputs", inputs), self._ports("outputs", outputs)
        self._input_indices = [detail["index"] for detail in inputs]
        self._output_indices = [detail["index"] for detail in outputs]
        ops = [op["op_name"] for op in self._interpreter._get_ops_details()]
        self._forgets = any(name in op for op in ops for name in _REMEMBER)
        self._starts_over = "ASSIGN_VARIABLE" in ops
        if len(inputs) == len(outputs) == 1 and not self._forgets and not self._starts_over:
            self.invoke = self._one_to_one()  # type: ignore[method-assign, assignment]

    def batched(self, size: int) -> Self:
        """Another engine of the same model, for so many windows at once.

        Raises:
            ModelError: the interpreter refuses them.
        """
        shapes = [(size, *port.shape[1:]) for port in self.inputs]
        return type(self)(self._flatbuffer, self._threads, shapes=shapes)

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference; arrays with their batch axis, in the interpreter's order."""
        if self._forgets:
            # A fused recurrent layer keeps its state in the interpreter: a window must not see the last one.
            self._interpreter.reset_all_variables()
        if self._starts_over:
            # Nothing resets a resource variable but a new interpreter.
            self._interpreter = self._new()
            self._allocate()
        for index, array in zip(self._input_indices, inputs, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def close(self) -> None:
        """Release the interpreter and its arena."""
        self.__dict__.pop("invoke", None)
        self._interpreter = None

    def _new(self) -> Any:
        interpreter_class = self.probe()
        try:
            return interpreter_class(model_content=self._flatbuffer, num_threads=self._threads)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self.name} refuses the model", found=one_line(error)[:300]) from error

    def _allocate(self) -> None:
        interpreter = self._interpreter
        try:
            for detail, shape in zip(interpreter.get_input_details(), self._shapes or (), strict=False):
                if tuple(detail["shape"]) != tuple(shape):
                    interpreter.resize_tensor_input(detail["index"], list(shape))
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{self.name} refuses the model", found=one_line(error)[:300], remedy=self._remedy()
            ) from error

    def _remedy(self) -> str | None:
        unsettled = next((port for port in self.inputs if port.unsettled), None)
        if unsettled is None:
            return None
        return f"its input {unsettled.name!r} leaves a length open, which a contract says; see docs/models.md"

    def _ports(self, side: str, details: Sequence[dict[str, Any]]) -> tuple[Port, ...]:
        """The tensors of one side, named as in the main graph's signature; names that are none are unlike."""
        ports: list[Port] = []
        taken: set[str] = set()
        for detail in details:
            name = stem = self._names[side].get(detail["index"], detail["name"])
            copies = 0
            while name in taken:
                copies += 1
                name = f"{stem}_{copies}"
            taken.add(name)
            shape, numbers = detail["shape"], detail["dtype"].__name__
            open_axes = [axis for axis, n in enumerate(detail["shape_signature"].tolist()) if n < 0]
            ports.append(
                Port(
                    name,
                    shape,
                    numbers,
                    detail["quantization"],
                    open_axes=open_axes,
                    signature=self._signature,
                )
            )
        return tuple(ports)

    def _signed(self) -> tuple[str, dict[str, dict[int, str]]]:
        """The first signature that is the main graph's, and its names by the index of the tensor.

        A signature runner would tell as well, but while one lives the interpreter refuses to run.
        """
        sides = {
            "inputs": self._interpreter.get_input_details(),
            "outputs": self._interpreter.get_output_details(),
        }
        own = {side: {detail["index"] for detail in details} for side, details in sides.items()}
        for key, signature in self._interpreter._get_full_signature_list().items():
            names = {side: {index: name for name, index in signature[side].items()} for side in sides}
            if all(set(names[side]) <= own[side] for side in sides):
                return key, names
        return "", {side: {} for side in sides}

    def _one_to_one(self) -> Callable[[Sequence[NDArray[Any]]], list[NDArray[Any]]]:
        """`invoke` for the usual model, without loops and look-ups: a small model notices the microsecond."""
        interpreter, source, result = self._interpreter, self._input_indices[0], self._output_indices[0]
        set_tensor, run, get_tensor = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor

        def invoke(inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
            set_tensor(source, inputs[0])
            run()
            return [get_tensor(result)]

        return invoke
