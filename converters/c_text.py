"""Text that is safe inside generated C: names, strings and comments, whoever wrote what they are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = frozenset(
    """
    alignas alignof and asm auto bool break case catch char class compl concept const constexpr continue
    decltype default delete do double else enum explicit export extern false float for friend goto if import
    inline int long main module mutable namespace new noexcept not nullptr operator or private protected
    public register requires restrict return short signed sizeof static struct switch template this throw true
    try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor
    """.split()  # noqa: SIM905 - a table reads better than a column of strings
)
_LONGEST_NAME = 64


def identifier(name: str) -> str:
    """A C and C++ identifier that resembles `name`; always the same for the same name."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:_LONGEST_NAME].strip("_")
    if not plain or plain[0].isdigit() or plain.lower() in _WORDS:
        plain = f"model_{plain}".rstrip("_")
    return plain


def string(text: str) -> str:
    """A C string literal of the text's UTF-8 bytes, quotes included.

    Whatever is not a plain character is written as three octal digits, which no digit behind them can
    prolong; so are the question marks of trigraphs.
    """
    plain = re.compile(rb"[A-Za-z0-9 _.,:;()<>=+*/%#@!&|~^$'\-\[\]{}]")
    pieces = (
        chr(byte) if plain.fullmatch(bytes([byte])) else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "replace")
    )
    return '"' + "".join(pieces) + '"'


def comment(text: str, longest: int = 100) -> str:
    """Text for the inside of a block comment: nothing that could end it, nest in it or splice its lines."""
    flat = " ".join(text.split())
    safe = re.sub(r"[^A-Za-z0-9 _.,:;()\[\]<>=+%#@!/-]", "_", flat)
    return safe if len(safe) <= longest else safe[: longest - 3] + "..."


def number(value: float) -> str:
    """A float32 as a C constant: the shortest text that gives the same float32 back."""
    import numpy as np

    text = str(np.float32(value))
    return text + ("f" if "." in text or "e" in text else ".0f")


def array(data: bytes, width: int = 12) -> str:
    """The initializer of an array of bytes, in lines of one width."""
    lines = (data[at : at + width] for at in range(0, len(data), width))
    return "\n".join("  " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)


def dimensions(shape: Iterable[int]) -> str:
    """The initializer of a shape; a scalar has one dimension of 1, because C has no empty array."""
    return "{ " + ", ".join(str(axis) for axis in (tuple(shape) or (1,))) + " }"
