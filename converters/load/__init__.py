"""What can be converted: one module a kind of model, each run in a child process.

Every loader makes the same thing of what it reads, a float32 .tflite, so that everything behind it (recipes,
proof, report) knows one format only. A loader's module has two functions, called through `edge_sdk.child`:

    load(model, output, *, signature, shapes, batch)   writes the float32 .tflite; returns `Loaded.as_dict()`
    score(model, loaded, inputs, outputs)              runs the original itself, in its own framework

Both take and give arrays as the .tflite has them: its order, its layout. Whatever the original wants instead
(NCHW, other names) is the loader's affair, told from `load` to `score` by `Loaded`. Frameworks are imported
inside these two functions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_sdk.errors import ModelError
from edge_sdk.modelfile import sniff


@dataclass(frozen=True, slots=True)
class Loader:
    """A kind of model.

    Attributes:
        name: as in lineage and messages.
        title: for people.
        module: that has `load` and `score`.
        environment: name of the environment it needs (`converters.environments`); None for this interpreter.
        package: that this interpreter needs for it, besides those of a device; None for nothing.
    """

    name: str
    title: str
    module: str
    environment: str | None = None
    package: str | None = None


KERAS = Loader("keras", "a Keras model (.keras, .h5)", "converters.load.keras", package="tensorflow")
SAVED_MODEL = Loader(
    "saved_model", "a TensorFlow SavedModel folder", "converters.load.saved_model", package="tensorflow"
)
TFLITE = Loader("tflite", "a float .tflite", "converters.load.tflite")
ONNX = Loader("onnx", "an ONNX model (.onnx)", "converters.load.onnx", "onnx")
TORCH = Loader("torch", "a PyTorch program (.pt2, or module:function)", "converters.load.torch", "torch")
LOADERS = {loader.name: loader for loader in (KERAS, SAVED_MODEL, TFLITE, ONNX, TORCH)}
_BY_SUFFIX = {".keras": KERAS, ".h5": KERAS, ".hdf5": KERAS, ".tflite": TFLITE, ".onnx": ONNX, ".pt2": TORCH}
_PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".bin")
#: A sparse file can claim any size without taking room on a disk.
_MOST_BYTES = 2 << 30
_READABLE = ".keras, .h5, .onnx, .pt2, .tflite, a SavedModel folder, or module:function"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One input or output: how the original's tensor relates to the .tflite's.

    Attributes:
        name: in the original, or of the argument in its signature.
        permute: axes that bring a .tflite's array into the original's layout (``original =
            array.transpose(permute)``, the batch axis included); None where they are alike.
        dtype: of the original, numpy's name.
    """

    name: str
    permute: tuple[int, ...] | None = None
    dtype: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a loader says of the model it read.

    Attributes:
        inputs: in the order of the .tflite's inputs.
        outputs: in the order of the .tflite's outputs.
        versions: of the packages that read it.
        parameters: numbers that training found; None where the format does not say.
        batch: 1 where the batch axis had to be fixed, None where it is dynamic.
        preprocessing: names of layers that only prepare the input, whatever operators they became.
        ranges: whether the model brings its own quantization ranges (quantization-aware training).
        signature: the SavedModel's signature that was taken.
        notes: what the user should know, one line each.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    versions: Mapping[str, str]
    parameters: int | None = None
    batch: int | None = None
    preprocessing: tuple[str, ...] = ()
    ranges: bool = False
    signature: str | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the way through a child process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Loaded:
        """What `as_dict` gave."""
        ports = {
            side: tuple(
                Port(**{**port, "permute": None if port["permute"] is None else tuple(port["permute"])})
                for port in facts[side]
            )
            for side in ("inputs", "outputs")
        }
        listed = {name: tuple(facts[name]) for name in ("preprocessing", "notes")}
        return cls(**{**facts, **ports, **listed})


def find(model: str) -> Loader:
    """Which loader reads this model.

    Args:
        model: a file, a SavedModel folder, or ``module:function``.

    Raises:
        ModelError: there is no such file, or it is of no kind that can be read.
    """
    path = Path(model)
    try:
        path.stat()
    except FileNotFoundError:
        pass  # module:function, or a slip of the pen
    except (OSError, ValueError) as error:
        raise ModelError(f"{model}: cannot be read", found=getattr(error, "strerror", error)) from error
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            check_size(model, sum(each.stat().st_size for each in path.rglob("*") if each.is_file()))
            return SAVED_MODEL
        raise ModelError(f"{model} is a folder", expected=_READABLE, found="no saved_model.pb in it")
    if not path.exists():
        module, colon, function = model.partition(":")
        if colon and function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
            return TORCH
        raise ModelError(f"{model}: no such file", expected=_READABLE)
    if not path.is_file():
        raise ModelError(f"{model} is not a file", expected=_READABLE)
    check_size(model, path.stat().st_size)
    loader = _BY_SUFFIX.get(path.suffix.lower())
    if loader is not None:
        return loader
    if path.suffix.lower() in _PICKLES:
        raise ModelError(
            f"{model} may hold a pickle, which can run any code when it is read",
            expected="an exported program",
            remedy="in PyTorch: torch.export.save(torch.export.export(model.eval(), (example,)), 'm.pt2')",
        )
    with path.open("rb") as file:
        found = sniff(file.read(64))
    raise ModelError(f"{model}: unknown kind of model", expected=_READABLE, found=found)


def check_size(model: str, size: int) -> None:
    """Refuse what no device could hold, before it is read.

    Raises:
        ModelError: it is larger than 2 GiB.
    """
    if size > _MOST_BYTES:
        raise ModelError(
            f"{model} is too large", expected=f"at most {_MOST_BYTES:,} bytes", found=f"{size:,}"
        )
