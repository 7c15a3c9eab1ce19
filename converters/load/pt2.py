"""Reads a .pt2 without letting it run anything.

`torch.export.load` of PyTorch 2.13 has many doors for code. It unpickles weights, constants and example data
with ``weights_only=False`` where the archive asks for it, gives expressions to sympy, which evaluates them,
looks operators up by attribute from the module ``torch`` (which has ``torch.os.system``), writes names into
Python source that it executes, and imports modules for containers. So it never sees the file, but a copy that
is put together here from what is plain: tensors as raw bytes, operators that compute, names that are names.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_sdk.errors import ModelError, one_line
from edge_sdk.modelfile import sniff

_JSON_BYTES = 64 << 20
_STRING = 10_000
_NAME = re.compile(r"[\w.]*")
_PLAIN = re.compile(r"[\w.:+\- ]*")
_OPERATORS = (
    re.compile(r"torch\.ops\.(aten|prims)\.(?!from_file)\w+(\.\w+)?"),
    re.compile(
        r"torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|wrap_with_(set_grad_enabled|autocast))"
    ),
    re.compile(r"_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|getitem|[gl][et]|eq|ne|and_|or_|not_)"),
    re.compile(r"math\.(ceil|floor|trunc|sqrt)"),
    re.compile(r"torch\.sym_(int|float|max|min|not|sqrt|ite|sum)"),
)
_SYMBOL = re.compile(r"Symbol\('(\w+)'(?:, \w+=(?:True|False))*\)")
_EXPRESSION = re.compile(r"[\w\s+\-*/%(),<>=!&|~.]*")
#: A point that is not inside a number asks for an attribute, through which all of Python can be reached.
_ATTRIBUTE = re.compile(r"\.(?!\d)|(?<!\d)\.|__")
_FUNCTIONS = set(
    """
    Integer Rational Add Mul Pow Max Min Mod PythonMod FloorDiv CleanDiv CeilDiv ModularIndexing Where
    CeilToInt FloorToInt PowByNatural FloatPow FloatTrueDiv IntTrueDiv TruncToInt TruncToFloat RoundToInt
    ToFloat Identity LShift RShift Eq Ne And Or Not floor ceiling Equality Unequality StrictLessThan LessThan
    StrictGreaterThan GreaterThan
    """.split()  # noqa: SIM905 - a table reads better than a column of strings
)
_CONTAINERS = {"builtins.tuple", "builtins.list", "builtins.dict"}
_REMEDY = "export it again: torch.export.save(torch.export.export(model.eval(), (example,)), 'm.pt2')"


def load(path: str) -> Any:
    """The exported program (`torch.export.ExportedProgram`), without its example inputs.

    Raises:
        ModelError: damaged, of an older format, or anything in it could run code.
    """
    import torch

    copy = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as archive:
            _copy(archive, Path(path).stat().st_size, copy)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
        with Path(path).open("rb") as file:
            found = sniff(file.read(64))
        raise ModelError(f"{path} is not a .pt2, or is damaged", found=found, remedy=_REMEDY) from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise error.within(path) from error
        raise ModelError(
            f"{path} is not what this PyTorch exports", found=one_line(error)[:200], remedy=_REMEDY
        ) from error
    copy.seek(0)
    try:
        return torch.export.load(copy)
    except Exception as error:  # whatever PyTorch makes of a damaged program
        raise ModelError(
            f"{path}: PyTorch cannot read it", found=one_line(error)[:300], remedy=_REMEDY
        ) from error


def _copy(archive: zipfile.ZipFile, size: int, target: io.BytesIO) -> None:
    import torch

    infos = {info.filename: info for info in archive.infolist()}
    root = next(
        (name.removesuffix("/models/model.json") for name in infos if name.endswith("/models/model.json")),
        None,
    )
    if root is None or len(infos) != len(archive.infolist()):
        raise ModelError("no exported program in it", expected="models/model.json", remedy=_REMEDY)
    if sum(info.file_size for info in infos.values()) > size:
        raise ModelError(
            "it unpacks to more than its size", expected="plain members", remedy="do not trust it"
        )

    def read(name: str, limit: int | None = None) -> bytes:
        info = infos[f"{root}/{name}"]
        if info.compress_type != zipfile.ZIP_STORED or (limit and info.file_size > limit):
            raise ModelError(f"{name} in it is packed or too large", remedy=_REMEDY)
        return archive.read(info)

    if read("archive_format", 64) != b"pt2":
        raise ModelError("not an exported program", remedy=_REMEDY)
    nothing = io.BytesIO()
    torch.save(((), {}), nothing)
    members = {
        "archive_format": b"pt2",
        "archive_version": read("archive_version", 64),
        "byteorder": read("byteorder", 64),
        ".data/version": read(".data/version", 64),
        "models/model.json": json.dumps(
            _program(json.loads(read("models/model.json", _JSON_BYTES)))
        ).encode(),
        "data/sample_inputs/model.pt": nothing.getvalue(),
        **_tensors("weights", read),
        **_tensors("constants", read),
    }
    with zipfile.ZipFile(target, "w") as copy:
        for name, data in members.items():
            copy.writestr(f"model/{name}", data)


def _tensors(kind: str, read: Callable[..., bytes]) -> dict[str, bytes]:
    """Weights or constants and the list of them: raw bytes only."""
    listed = f"data/{kind}/model_{kind}_config.json"
    facts = json.loads(read(listed, _JSON_BYTES))
    members = {}
    for name, entry in facts["config"].items():
        file = entry["path_name"]
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", file):
            raise ModelError(
                f"{name!r} in it is a pickle, which can run any code when it is read",
                expected="tensors as plain bytes",
                remedy="export it on the CPU, without objects of your own",
            )
        _check_strings({name: entry})
        members[f"data/{kind}/{file}"] = read(f"data/{kind}/{file}")
        if not members[f"data/{kind}/{file}"] and all(
            size.get("as_int") for size in entry["tensor_meta"]["sizes"]
        ):
            raise ModelError(f"{name!r} in it has no data", remedy=_REMEDY)
    return {listed: json.dumps({"config": facts["config"]}).encode(), **members}


def _program(program: Mapping[str, Any]) -> dict[str, Any]:
    """The program as read, without what PyTorch would run and the conversion does not need."""
    plain = {**program, "guards_code": []}
    plain["graph_module"] = {**program["graph_module"], "metadata": {}, "treespec_namedtuple_fields": {}}
    _check_strings(plain)
    return plain


def _check_strings(value: Any) -> None:
    pending = [("", value)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, dict):
            if "target" in value and "metadata" in value:
                value["metadata"] = {}  # stack traces and the like
            for name, item in value.items():
                _check_string("", name)
                pending.append((name, item))
        elif isinstance(value, list):
            pending.extend((key, item) for item in value)
        elif isinstance(value, str):
            _check_string(key, value)


def _check_string(key: str, text: str) -> None:
    if key in ("in_spec", "out_spec"):
        _check_container(json.loads(text)[1])
    elif key in ("target", "as_operator"):
        if not any(pattern.fullmatch(text) for pattern in _OPERATORS):
            raise ModelError(
                f"the operator {text[:80]!r} in it is none of PyTorch's own",
                expected="torch.ops.aten.…",
                remedy="express it with PyTorch's own operations",
            )
    elif key == "expr_str":
        plain = _SYMBOL.sub(r"\1", text[: _STRING + 1])
        called = set(re.findall(r"([A-Za-z_]\w*)\s*\(", plain))
        strange = not _EXPRESSION.fullmatch(plain) or _ATTRIBUTE.search(plain) or called - _FUNCTIONS
        if len(text) > _STRING or strange:
            raise ModelError("a size in it is not a plain expression", found=repr(text[:80]), remedy=_REMEDY)
    elif key == "as_string":
        if len(text) > _STRING:
            raise ModelError("a text in it is too long", remedy=_REMEDY)
    elif not (_NAME if key == "name" else _PLAIN).fullmatch(text):
        raise ModelError("a name in it is not a name", found=repr(text[:80]), remedy=_REMEDY)


def _check_container(spec: Mapping[str, Any]) -> None:
    """How inputs and outputs are grouped: tuples, lists and dictionaries by name."""
    kind, context = spec["type"], json.loads(spec["context"] or "null")
    names = context if isinstance(context, list) else []
    plain = context is None or (context is names and all(isinstance(n, str | int) for n in names))
    if (kind is not None and kind not in _CONTAINERS) or not plain:
        raise ModelError(
            "its inputs or outputs are grouped in a class",
            expected="tuples, lists and dictionaries",
            found=str(kind)[:80],
            remedy="wrap the model in a module that returns a tuple",
        )
    for child in spec["children_spec"]:
        _check_container(child)
