"""What is asked of a conversion, and whether it can be asked at all: found out before any long work."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from converters import boards, load, recipes
from edge_sdk import modelfile
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError

_TO = ("tflite", "c-array", "c")
#: What a process of a conversion may allocate, bytes, as a configuration can ask for any size: so much,
#: and so many times the sizes of the model and of the data.
_MEMORY_BYTES, _TIMES_MODEL, _TIMES_DATA = 8 << 30, 20, 8


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversion.

    Attributes:
        model: a file, a SavedModel folder, or ``module:function``.
        output: the .tflite to write; with ``to="c-array"`` or ``"c"`` the folder.
        recipe: name of the recipe, or ``auto``.
        data: dataset folder or .npz, instead of the dataset that the model was trained on.
        max_drop: largest loss of accuracy that passes, as a fraction; of an anomaly detector, of its AUC.
        max_growth: by which part the error of a regression may grow.
        calibration: how many representative inputs.
        per_tensor: one scale a weight tensor instead of one a channel.
        board: name of the board the model is for: recipes that it cannot run do not pass.
        target: where ``auto`` measures latency.
        to: ``tflite``, ``c-array`` for a microcontroller with TFLite Micro, or ``c`` for one without.
        cut: a C library begins at the last float tensor; what is ahead of it is left to its user.
        signature: of a SavedModel that has several.
        shapes: of inputs whose sizes are open, by name, batch axis included, in the original's layout.
        batch: 1 fixes the batch axis; None leaves it dynamic where that works.
        report: whether an HTML page is written beside the model.
        timeout_s: for each step in a child process, s.
        on_progress: called with one line at each step.
    """

    model: str
    output: Path
    recipe: str = "int8"
    data: Path | None = None
    max_drop: float = 0.01
    max_growth: float = 0.05
    calibration: int = 200
    per_tensor: bool = False
    board: str | None = None
    target: str = "host:"
    to: Literal["tflite", "c-array", "c"] = "tflite"
    cut: bool = False
    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch: Literal[1] | None = None
    report: bool = True
    timeout_s: float = 900.0
    on_progress: Callable[[str], None] | None = None

    @property
    def data_is_npz(self) -> bool:
        """Whether `data` is a file of arrays and not a dataset folder."""
        return self.data is not None and self.data.suffix == ".npz" and not self.data.is_dir()

    @property
    def model_bytes(self) -> int | None:
        """Size of the model's file, or of all files of its folder; None for a function."""
        return _size_of(self.model)

    @property
    def model_digest(self) -> str | None:
        """Of a file its own; of a SavedModel that of its files' digests; a function has none."""
        if not Path(self.model).exists():
            return None
        digests = [modelfile.digest_of(file.read_bytes()) for file in _files_of(self.model)]
        return digests[0] if len(digests) == 1 else modelfile.digest_of("\n".join(digests).encode())

    @property
    def memory_bytes(self) -> int | None:
        """What a process of the conversion may allocate; None for a model that the user's own code makes."""
        size = self.model_bytes
        if size is None:
            return None
        data = 0 if self.data is None else _size_of(str(self.data)) or 0
        return _MEMORY_BYTES + _TIMES_MODEL * size + _TIMES_DATA * data


def check(request: Request) -> None:
    """Find out what is wrong with a request that can be known without reading the model.

    Raises:
        ConfigError: an option is out of its range.
        UnknownNameError: no such recipe or board.
        ModelError: no such model, or one of no kind that can be read.
        DeviceError: the output cannot be written.
    """
    load.find(request.model)
    _check_names(request)
    output = request.output
    if request.recipe != recipes.AUTO:
        recipes.find(request.recipe)
    if request.board is not None:
        boards.find(request.board)
    if request.to not in _TO:
        raise ConfigError("to", expected=" or ".join(_TO), found=request.to)
    if request.cut and request.to != "c":
        raise ConfigError("cut", expected="a C library (to c)", found=f"to {request.to}")
    if request.to == "tflite" and output.suffix != ".tflite":
        raise ConfigError(f"output {output}", expected="a name ending in .tflite")
    unfit = output.is_dir() if request.to == "tflite" else output.exists() and not output.is_dir()
    if unfit or not output.parent.is_dir():
        what = "a folder of that name" if output.is_dir() else "a file of that name"
        found = what if unfit else f"no folder {output.parent}"
        raise DeviceError(f"cannot write {output}", found=found, remedy="choose another --output")
    modelfile.check_writable(output.parent, output)
    if not 0 <= request.max_drop < 1:
        raise ConfigError("max_drop", expected="a fraction from 0 to 1", found=request.max_drop)
    if not 0 <= request.max_growth < math.inf:
        raise ConfigError("max_growth", expected="a fraction, 0 or more", found=request.max_growth)
    if request.calibration < 1:
        raise ConfigError("calibration", expected="at least 1 input", found=request.calibration)


def _check_names(request: Request) -> None:
    """Names that no file can have, links to themselves: pathlib raises what it likes about them later."""
    for name, path in (("output", request.output), ("data", request.data)):
        try:
            if path is not None:
                path.stat()
        except FileNotFoundError:
            pass  # for the output as it should be, for data told by who reads them
        except (OSError, ValueError) as error:
            found = getattr(error, "strerror", None) or error
            raise ConfigError(f"{name} {path}", expected="a name that can be opened", found=found) from error


def check_installed(loader: load.Loader) -> None:
    """Find out whether what reads this kind of model is there, without importing it.

    Raises:
        MissingExtraError: it is not; the child's own error would come seconds later.
    """
    if loader.environment is not None:
        from converters import environments  # only models from other frameworks need another interpreter

        environments.python(loader.environment)
    elif loader.package is not None and importlib.util.find_spec(loader.package) is None:
        raise MissingExtraError("edgeml convert", "convert", loader.package)


def _files_of(model: str) -> list[Path]:
    path = Path(model)
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _size_of(model: str) -> int | None:
    return sum(file.stat().st_size for file in _files_of(model)) if Path(model).exists() else None
