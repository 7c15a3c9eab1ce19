"""Looks into a Keras file before Keras does: a foreign file must not fill the disk, read others, or run code.

Keras has checks of its own and is called in its safe mode; these come first and depend on none of them.
"""

from __future__ import annotations

import builtins
import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from converters.load import heaps
from edge_sdk.errors import ModelError, one_line
from edge_sdk.modelfile import sniff

#: A file may unpack to this much, bytes, or to this many times its own size: Keras stores weights unpacked.
_UNPACKED_BYTES, _UNPACKED_TIMES = 256 << 20, 20
_CONFIG_BYTES = 64 << 20
#: h5py's own error for a name that is no text is lost on its way and becomes a SystemError.
_BAD_HDF5 = (OSError, ValueError, KeyError, RuntimeError, SystemError)
#: What a layer has weights for, one at least for each; Keras would make room for all of them first.
_SIZES = ("units", "filters", "input_dim", "output_dim", "key_dim", "num_heads")
_LEAST_STORED = 1 << 20
#: Layers that run what is in a file or read another one.
_RUNS_CODE = {"Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_READS_FILES = {"TFSMLayer"}
#: Parts of Keras that a model has no business with: downloads, file access, code.
_NO_PART_OF_A_MODEL = {
    "utils",
    "saving",
    "datasets",
    "config",
    "callbacks",
    "export",
    "backend",
    "applications",
}
#: Functions of TensorFlow that Keras 2's TFOpLambda may name: pure ones.
_PURE_SPACES = ("math.", "nn.", "linalg.", "signal.", "image.", "__operators__.", "bitwise.", "quantization.")
_PURE = set(
    """
    abs add argmax argmin broadcast_to cast ceil clip_by_value concat cond constant cos cumsum
    divide equal exp expand_dims eye fill floor gather gather_nd greater greater_equal identity less
    less_equal linspace logical_and logical_not logical_or matmul maximum minimum multiply negative
    norm not_equal one_hot ones ones_like pad pow range reduce_all reduce_any reduce_max reduce_mean
    reduce_min reduce_prod reduce_sum repeat reshape reverse roll round rsqrt scatter_nd shape
    sigmoid sign sin size slice split sqrt square squeeze stack stop_gradient strided_slice subtract
    tan tanh tensordot tile transpose truediv unstack where zeros zeros_like
    """.split()  # noqa: SIM905 - a table reads better than a column of strings
)


def check_keras(path: Path) -> str:
    """Check a .keras file; gives the version of the Keras that wrote it.

    Raises:
        ModelError: it is damaged, a zip bomb, has members that lead elsewhere, or holds code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            with archive.open("config.json") as member:
                config = _parse(path, member.read(_CONFIG_BYTES + 1))
            metadata: dict[str, Any] = {}
            if "metadata.json" in archive.namelist():
                with archive.open("metadata.json") as member:
                    metadata = _parse(path, member.read(_CONFIG_BYTES + 1))
            stored = 0
            for name in archive.namelist():
                if name.endswith(".h5"):
                    size = archive.getinfo(name).file_size
                    with archive.open(name) as member:
                        stored += _check_hdf5(path, member, size)  # type: ignore[arg-type]
    except KeyError as error:
        raise ModelError(f"{path} is not a .keras file", found="a zip archive without config.json") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"PK\x03\x04"):
            raise ModelError(
                f"{path} is truncated or damaged",
                found=one_line(error),
                remedy="copy or save the model again",
            ) from error
        raise ModelError(
            f"{path} is not a .keras file", expected="a zip archive", found=sniff(head)
        ) from error
    _check_config(path, config, stored)
    return str(metadata.get("keras_version", ""))


def check_h5(path: Path) -> str:
    """Check an .h5 file; gives the version of the Keras that wrote it.

    Raises:
        ModelError: it is not a whole model, refers to other files, or holds code.
    """
    with path.open("rb") as file:
        stored = _check_hdf5(path, file, path.stat().st_size)
    import h5py

    try:
        with h5py.File(path, "r") as opened:
            found, written_by = opened.attrs.get("model_config"), opened.attrs.get("keras_version", "")
    except _BAD_HDF5 as error:
        raise _damaged(path, error) from error
    if found is None:
        raise ModelError(
            f"{path} has no model in it",
            expected="architecture and weights",
            found="weights only",
            remedy="save it with model.save('NAME.keras')",
        )
    config = _parse(path, found)
    _check_config(path, config, stored)
    return str(written_by)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [info.filename for info in members]
    if len(set(names)) < len(names):
        raise ModelError(f"{path}: a member of the archive is there twice")
    for info in members:
        posix, windows = PurePosixPath(info.filename), PureWindowsPath(info.filename)
        outside = posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            what = "leads out of it" if outside else "is a symbolic link"
            raise ModelError(f"{path}: a member of the archive {what}", found=repr(info.filename))
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise ModelError(f"{path}: cannot read {info.filename!r}", expected="a plain or deflated member")
    _check_size(path, sum(info.file_size for info in members), path.stat().st_size)
    for (
        info
    ) in members:  # the declared size is an upper limit to zipfile; reading on shows whether it is true
        with archive.open(info) as member:
            while member.read(1 << 20):
                pass


def _check_size(path: Path, unpacked: int, packed: int) -> None:
    limit = max(_UNPACKED_BYTES, _UNPACKED_TIMES * packed)
    if unpacked > limit:
        raise ModelError(
            f"{path} unpacks to more than a model of its size could",
            expected=f"at most {limit >> 20} MB",
            found=f"{unpacked >> 20} MB",
            remedy="do not trust it",
        )


def _check_hdf5(path: Path, file: BinaryIO, size: int) -> int:
    """Sizes and links of an HDF5 file: it can declare terabytes, and refer to any file of this machine.

    Returns:
        What its arrays take, bytes.
    """
    import h5py

    sizes: list[int] = []

    def leads_away(name: str, link: Any) -> str | None:
        return name if isinstance(link, h5py.ExternalLink | h5py.SoftLink) else None

    def lies_elsewhere(name: str, item: Any) -> str | None:
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                return name
            sizes.append(int(item.nbytes))
        return None

    if not heaps.are_whole(file):
        raise _damaged(path, "texts that do not end")
    file.seek(0)
    try:
        with h5py.File(file, "r") as opened:
            # Visitors answer and do not raise: exceptions get lost on their way through HDF5.
            away = opened.visititems_links(leads_away) or opened.visititems(lies_elsewhere)
    except _BAD_HDF5 as error:
        raise _damaged(path, error) from error
    if away is not None:
        raise ModelError(f"{path}: {away!r} refers to something else", expected="weights in the file")
    _check_size(path, sum(sizes), size)
    return sum(sizes)


def _damaged(path: Path, error: BaseException | str) -> ModelError:
    found = error if isinstance(error, str) else one_line(error)[:200]
    return ModelError(f"{path}: the weights are damaged", found=found, remedy="copy or save it again")


def _parse(path: Path, text: Any) -> dict[str, Any]:
    if len(text) > _CONFIG_BYTES:
        raise ModelError(f"{path}: its configuration is too large", expected=f"{_CONFIG_BYTES >> 20} MB")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its configuration is damaged", found=one_line(error)[:200]) from error
    if not isinstance(config, dict):
        raise ModelError(f"{path}: its configuration is damaged", found=f"a {type(config).__name__}")
    return config


def _check_config(path: Path, config: dict[str, Any], stored_bytes: int) -> None:
    most = max(stored_bytes, _LEAST_STORED)
    for part in _parts(config):
        kind, inner = str(part.get("class_name")), part.get("config")
        inner = inner if isinstance(inner, dict) else {}
        if kind in _RUNS_CODE:
            name = "Lambda" if kind == "__lambda__" else kind
            raise ModelError(
                f"{path}: a {name} layer holds code, which is not run from a file",
                remedy="express it with Keras' own layers or operations",
            )
        if kind in _READS_FILES or isinstance(inner.get("vocabulary"), str):
            raise ModelError(f"{path}: a {kind} layer reads another file", expected="a model in one file")
        if kind in ("TFOpLambda", "SlicingOpLambda"):
            function = str(inner.get("function", ""))
            if not (function in _PURE or function.startswith(_PURE_SPACES)):
                raise ModelError(
                    f"{path}: calls tf.{function}, which may do more than compute",
                    remedy="express it with Keras' own layers",
                )
        _check_reference(path, part)
        _check_layer(path, kind, inner, most)


def _check_layer(path: Path, kind: str, config: dict[str, Any], most: int) -> None:
    for name in _SIZES:
        if isinstance(config.get(name), int) and config[name] > most:
            raise ModelError(
                f"{path}: {name} of a {kind} layer are more than the weights in the file",
                expected=f"at most {most:,}",
                found=f"{config[name]:,}",
                remedy="do not trust it",
            )


def _check_reference(path: Path, part: dict[str, Any]) -> None:
    """A class or function by module and name: Keras' own, and of it what a model is made of."""
    module, kind, inner = part.get("module"), part.get("class_name"), part.get("config")
    if not isinstance(module, str) or kind is None:
        return
    root, *rest = module.split(".")
    name = str(inner if kind == "function" and isinstance(inner, str) else kind)
    if root not in ("keras", "tf_keras", "builtins"):
        raise ModelError(
            f"{path}: custom layer {name!r}",
            expected="Keras' own layers",
            found=f"one of {module}",
            remedy="rebuild the model with Keras' own layers, or hand over model.export(FOLDER)",
        )
    if _NO_PART_OF_A_MODEL & set(rest) or (root == "builtins" and hasattr(builtins, name)):
        raise ModelError(f"{path}: refers to {module}.{name}", expected="layers and their functions")


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a configuration, however deep."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
