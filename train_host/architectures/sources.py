"""What a model is made from besides data: one's own Keras function, or the model that a transfer starts from.

No TensorFlow here: whether they are there is found out before it starts.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sdk.errors import ConfigError, UnknownNameError, one_line
from edge_sdk.modelfile import digest_of

_SIGNATURE = "build(shape, head, statistics, **options)"
_BASES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that decides what a model is.

    Attributes:
        file: its path.
        digest: of its bytes.
    """

    file: Path
    digest: str

    def as_dict(self) -> dict[str, str]:
        """As run.json holds it."""
        return {"file": str(self.file), "digest": self.digest}


def is_function(name: str) -> bool:
    """Whether an architecture is one's own: ``package.module:function``."""
    return ":" in name


def of(name: str, options: Mapping[str, Any]) -> Source | None:
    """The file that an architecture needs; None for those of the table that need none.

    Args:
        name: of the architecture.
        options: its options.

    Raises:
        ConfigError: there is no such file, or it cannot be what it should be.
        UnknownNameError: the module has no function of that name.
    """
    if is_function(name):
        return _module(name)
    return _base(options) if name == "transfer" else None


def _base(options: Mapping[str, Any]) -> Source:
    given = options.get("base")
    if not isinstance(given, str):
        raise ConfigError(
            "architecture 'transfer': base",
            expected="a model to start from",
            found="nothing" if given is None else repr(given),
            remedy='give --base base.keras, or base = "base.keras" in [model]',
        )
    file = Path(given)
    if file.suffix.lower() not in _BASES:
        raise ConfigError(f"{file}: base", expected="a .keras or .h5 file", found=file.suffix or "no suffix")
    return _read(file, "the base of a transfer")


def _module(name: str) -> Source:
    module, _, function = name.partition(":")
    parts = module.split(".")
    if not all(part.isidentifier() for part in [*parts, function]):
        raise ConfigError(f"architecture {name!r}", expected="package.module:function")
    file = next((path for path in _places(parts) if path.is_file()), None)
    if file is None:
        raise ConfigError(
            f"architecture {name!r}: no module {module!r}",
            expected=f"{'/'.join(parts)}.py in the current folder or on PYTHONPATH",
            remedy="run edgeml in the folder that it lies in",
        )
    found = _read(file, "the module of an architecture")
    _check_function(file, function)
    return found


def _read(file: Path, what: str) -> Source:
    try:
        return Source(file.resolve(), digest_of(file.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read", expected=what, found=error.strerror or error) from error


def _places(parts: list[str]) -> Iterator[Path]:
    for folder in (Path.cwd(), *(Path(path) for path in sys.path if path)):
        yield folder.joinpath(*parts).with_suffix(".py")
        yield folder.joinpath(*parts, "__init__.py")


def _check_function(file: Path, function: str) -> None:
    """What the source tells without running it; names that come from elsewhere are left to the import."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{file}: no Python", found=one_line(error)) from error
    made = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    if function not in made:
        others = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.ClassDef, ast.If, ast.Try)
        if not any(isinstance(node, others) and function in ast.unparse(node) for node in body):
            raise UnknownNameError(f"function in {file}:", function, made)
        return
    arguments = made[function].args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    if (len(positional) < 3 and not arguments.vararg) or required > 3:
        raise ConfigError(
            f"{file}: {function}",
            expected=_SIGNATURE,
            found=f"{function}({ast.unparse(arguments)})",
            remedy="options are keyword arguments with defaults",
        )
