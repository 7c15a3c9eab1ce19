"""A converted graph that can be changed: operators by what they read and write, constants as arrays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters import rewrite


class Editable:
    """The main subgraph of a model, for changing it."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.subgraphs[0]
        self.ops: list[Any] = list(self.graph.operators)
        for op in self.ops:
            op.inputs, op.outputs = [int(i) for i in op.inputs], [int(i) for i in op.outputs]
        self.graph.operators = self.ops

    def code(self, op: Any) -> int:
        """Of schema.fbs's BuiltinOperator."""
        return rewrite.code_of(self.model, op)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """As stored in the file."""
        shape = self.graph.tensors[tensor].shape
        return () if shape is None else tuple(map(int, shape))

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """A constant's values, float32 or integers; None for what is computed."""
        kinds = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT32: np.int32}
        facts = self.graph.tensors[tensor]
        data = self.model.buffers[facts.buffer].data
        if data is None or not len(data) or facts.type not in kinds:
            return None
        return np.frombuffer(bytes(bytearray(data)), kinds[facts.type]).reshape(self.shape(tensor))

    def add_constant(self, name: str, values: NDArray[Any]) -> int:
        """A new constant, float32 or int32; gives its index."""
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.name, tensor.shape, tensor.buffer = (
            name.encode(),
            list(values.shape),
            len(self.model.buffers) - 1,
        )
        tensor.type = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add_activation(self, like: int, name: str, shape: tuple[int, ...]) -> int:
        """A new computed tensor of another's type; gives its index."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), self.graph.tensors[like].type
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def name(self, tensor: int) -> str:
        """As stored in the file."""
        return bytes(self.graph.tensors[tensor].name or b"").decode(errors="replace")

    def operator(self, code: int, inputs: list[int], output: int, options: Any = None, kind: int = 0) -> Any:
        """A new operator, not yet in the graph."""
        entries = self.model.operatorCodes
        wanted = [i for i, e in enumerate(entries) if max(e.builtinCode, e.deprecatedBuiltinCode) == code]
        if not wanted:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            entries.append(entry)
            wanted = [len(entries) - 1]
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = wanted[0], inputs, [output]
        op.builtinOptions, op.builtinOptionsType = options, kind
        return op

    @property
    def results(self) -> list[int]:
        """The outputs of the model."""
        return [int(i) for i in self.graph.outputs]

    def readers(self, tensor: int) -> list[Any]:
        """The operators that read a tensor."""
        return [op for op in self.ops if tensor in op.inputs]

    def writer(self, tensor: int) -> Any:
        """The operator that computes a tensor; None for inputs and constants."""
        return next((op for op in self.ops if tensor in op.outputs), None)

    def only_reader(self, tensor: int) -> Any:
        """The operator that alone reads a tensor; None where several do, or the caller of the model."""
        readers = self.readers(tensor)
        if len(readers) != 1 or tensor in self.results or readers[0].inputs.count(tensor) != 1:
            return None
        return readers[0]

    def drop_unread(self, codes: Collection[int]) -> None:
        """Remove operators of some kinds that nobody reads any more."""
        for op in reversed(list(self.ops)):
            if (
                self.code(op) in codes
                and op.outputs[0] not in self.results
                and not self.readers(op.outputs[0])
            ):
                self.ops.remove(op)

    def replace(self, old: list[Any], new: list[Any]) -> None:
        """Put operators in the place of the last of others."""
        at = self.ops.index(old[-1])
        self.ops[at : at + 1] = new
        for op in old[:-1]:
            self.ops.remove(op)

    def drop_unused(self) -> None:
        """Leave out tensors, constants and operator codes that nothing refers to."""
        used = {*map(int, self.graph.inputs), *map(int, self.graph.outputs)}
        for op in self.ops:
            used |= {i for i in (*op.inputs, *op.outputs, *_intermediates(op)) if i >= 0}
        kept = sorted(used)
        place = {old: new for new, old in enumerate(kept)} | {-1: -1}
        buffers = {self.graph.tensors[i].buffer for i in kept}
        for tensor in (self.graph.tensors[i] for i in range(len(self.graph.tensors)) if i not in used):
            if tensor.buffer not in buffers:
                self.model.buffers[tensor.buffer].data = None
        self.graph.tensors = [self.graph.tensors[i] for i in kept]
        self.graph.inputs = [place[int(i)] for i in self.graph.inputs]
        self.graph.outputs = [place[int(i)] for i in self.graph.outputs]
        for op in self.ops:
            op.inputs, op.outputs = [place[i] for i in op.inputs], [place[i] for i in op.outputs]
            if _intermediates(op):
                op.intermediates = [place[i] for i in _intermediates(op)]
        for signature in self.model.signatureDefs or []:
            for each in (*(signature.inputs or []), *(signature.outputs or [])):
                each.tensorIndex = place[int(each.tensorIndex)]
        # The calibrator refuses a code that no operator has.
        codes = sorted({int(op.opcodeIndex) for op in self.ops})
        self.model.operatorCodes = [self.model.operatorCodes[code] for code in codes]
        for op in self.ops:
            op.opcodeIndex = codes.index(int(op.opcodeIndex))

    def drop_metadata(self) -> None:
        """Leave out what the converter says of itself."""
        kept = [each for each in self.model.metadata or [] if bytes(each.name) == b"min_runtime_version"]
        for each in self.model.metadata or []:
            if each not in kept:
                self.model.buffers[each.buffer].data = None
        self.model.metadata = kept

    def call(self, tensor: int, name: str) -> None:
        """Name a tensor, unless its name says something already."""
        if "<locals>" in self.name(tensor) or not self.name(tensor):
            self.graph.tensors[tensor].name = name.encode()


def _intermediates(op: Any) -> list[int]:
    return [] if op.intermediates is None else [int(i) for i in op.intermediates]
