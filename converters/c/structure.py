"""Records and arrays as C text: structures with named fields, tables in lines of one width."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c.layers import Layer
from converters.c_text import number

#: Widest line of a table or structure.
_WIDTH = 108
_GLUE = "\x01"
_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "float32": "float"}


class Tables:
    """The constant tables of a model; equal ones are written once."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.bytes = 0
        self._names: dict[tuple[str, bytes], str] = {}

    def name(self, values: NDArray[Any], name: str) -> str:
        """The name of a table of these values: `name`, or that of an equal one from before."""
        dense = np.ascontiguousarray(values)
        key = dense.dtype.name, dense.tobytes()
        if key not in self._names:
            self._names[key] = name
            self.bytes += dense.nbytes
            shape = " x ".join(str(size) for size in dense.shape) or "1"
            head = f"static const {_TYPES[dense.dtype.name]} {name}[{dense.size}] = {{"
            self.text.append(f"{head} /* {shape} */\n{_numbers(dense)}\n}};\n")
        return self._names[key]


def initializer(layer: Layer, table: Callable[[NDArray[Any], str], str], indent: int = 1) -> str:
    """A C initializer of a record, with a line for each table or record inside and few for the numbers.

    Args:
        layer: the record.
        table: gives the name of a table in C for its values and the name of the field.
        indent: of its lines, in steps of two spaces.
    """
    pad = "  " * indent
    lines: list[str] = []
    plain: list[str] = []

    def flush() -> None:
        if plain:
            # Only between fields may a line end, not within one.
            text = ", ".join(item.replace(" ", _GLUE) for item in plain) + ","
            wrapped = textwrap.wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False)
            lines.extend(pad + line.replace(_GLUE, " ") for line in wrapped)
            plain.clear()

    for name, value in layer.fields().items():
        if isinstance(value, Layer):
            flush()
            inside = functools.partial(_inside, table, name)
            lines.append(f"{pad}.{name} = {initializer(value, inside, indent + 1)},")
        elif isinstance(value, np.ndarray):
            plain.append(f".{name} = {table(value, name)}")
        elif isinstance(value, tuple):
            plain.append(f".{name} = {{ " + ", ".join(str(item) for item in value) + " }")
        else:
            plain.append(f".{name} = {scalar(value)}")
    flush()
    return "{\n" + "\n".join(lines) + "\n" + "  " * (indent - 1) + "}"


def _inside(table: Callable[[NDArray[Any], str], str], record: str, values: NDArray[Any], name: str) -> str:
    """The name of a table of a record within a record."""
    return table(values, f"{record}_{name}")


def scalar(value: int | float) -> str:
    """A number as a C constant of its own type."""
    if isinstance(value, float):
        return number(value)
    # -2147483648 is no constant in C but a minus ahead of a number that is too large.
    return f"(-{(1 << 31) - 1} - 1)" if value == -(1 << 31) else str(int(value))


def _numbers(values: NDArray[Any]) -> str:
    text = ", ".join(scalar(value) for value in values.reshape(-1).tolist()) + ","
    return textwrap.indent(textwrap.fill(text, _WIDTH, break_on_hyphens=False, break_long_words=False), "  ")
