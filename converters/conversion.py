"""From any model to a verified .tflite: the one function behind ``edgeml convert``, notebooks and the demo.

load            any format becomes a float32 .tflite, in a child process            load
evidence        inputs to measure ranges on, others to judge with                   evidence, representative
score           the original says what it says, in its own framework               load
recipes         each is made, run beside the original and judged                   trials, mixed, auto
gate            nothing is left in place where it fails                            verify
pack            contract, golden vectors, lineage; whole or not at all              pack, report, page
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters import (
    auto,
    boards,
    compare,
    evidence,
    layers,
    load,
    mixed,
    pack,
    prefix,
    recipes,
    representative,
    verify,
)
from converters.evidence import Evidence
from converters.load import Loaded
from converters.report import DropError, Report, Trial
from converters.trials import Subject, Trials
from converters.workshop import Workshop
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, ModelError, first_of
from edge_sdk.graph import Graph, read_graph
from edge_sdk.modelfile import CONTRACT
from edge_sdk.schema import parse_contract

#: How close the float32 .tflite must be to the original, dB: less is no rounding but another function.
_SAME_FUNCTION_DB = 50.0
#: A class that loses more than this is worth a note even where the gate passes, as a fraction.
_CLASS_DROP = 0.05
_TO = ("tflite", "c-array")
#: What a process of a conversion may allocate, bytes: a file's configuration can ask for any size. So much, and
#: so many times the sizes of the model and of the data.
_MEMORY_BYTES, _TIMES_MODEL, _TIMES_DATA = 3 << 30, 20, 8


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversion.

    Attributes:
        model: a file, a SavedModel folder, or ``module:function``.
        output: the .tflite to write; with ``to="c-array"`` the folder.
        recipe: name of the recipe, or ``auto``.
        data: dataset folder or .npz, instead of the dataset that the model was trained on.
        max_drop: largest loss of accuracy that passes, as a fraction.
        calibration: how many representative inputs.
        per_tensor: one scale a weight tensor instead of one a channel.
        board: name of the board the model is for: recipes that it cannot run do not pass.
        target: where ``auto`` measures latency.
        to: ``tflite``, or ``c-array`` for a microcontroller with TFLite Micro.
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
    calibration: int = 200
    per_tensor: bool = False
    board: str | None = None
    target: str = "host:"
    to: Literal["tflite", "c-array"] = "tflite"
    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch: Literal[1] | None = None
    report: bool = True
    timeout_s: float = 900.0
    on_progress: Callable[[str], None] | None = None


def convert(model: str | Path, output: str | Path, **options: Any) -> Report:
    """Convert, compare, gate, and write the file.

    Args:
        model: a .keras, .h5, .onnx, .pt2 or float .tflite, a SavedModel folder, or ``module:function``.
        output: the .tflite to write.
        options: the other attributes of `Request`: ``recipe="auto"``, ``data=…``, ``max_drop=0.005``, …

    Returns:
        All figures; it shows itself as a page in a notebook.

    Raises:
        DropError: the result is worse than allowed; nothing was written.
        ModelError: the model cannot be read, or cannot be converted so.
        DatasetError: the data are missing, changed, or do not fit.
        UnknownNameError: no such recipe or board.
        MissingExtraError: what this kind of model needs is not installed.
        DeviceError: the output cannot be written.
    """
    for name in ("data",):
        if options.get(name) is not None:
            options[name] = Path(options[name])
    return perform(Request(model=str(model), output=Path(output), **options))


def perform(request: Request) -> Report:
    """`convert`, asked with one object."""
    _check(request)
    loader = load.find(request.model)
    memory_bytes = _memory_bytes(request)
    with Workshop(
        request.model, request.timeout_s, request.on_progress, memory_bytes=memory_bytes
    ) as workshop:
        conversion = _Conversion(request, workshop, loader)
        report = conversion.run()
        if not report.passed:
            raise DropError(report)
        conversion.write(report)
        return report


class _Conversion:
    """The steps, and what one leaves for the next."""

    def __init__(self, request: Request, workshop: Workshop, loader: load.Loader) -> None:
        self._request, self._workshop, self._loader = request, workshop, loader
        self._seconds: dict[str, float] = {}
        self._reference = workshop.folder / "float.tflite"

    def run(self) -> Report:
        """Everything up to the verdict; nothing outside of the workshop is touched."""
        request = self._request
        _check_installed(self._loader)
        contract = self._own_contract()
        source = None if _is_npz(request.data) else representative.find_source(self._members, request.data)
        self._check_data(source)
        with self._timed("load"):
            loaded = self._load()
        graph = read_graph(self._reference.read_bytes())
        with self._timed("data"):
            if source is not None and contract is None:
                contract = self._foreign_contract(source, graph)
            found = self._evidence(source, contract, loaded, graph)
        with self._timed("score"):
            original = self._score(loaded, found, graph)
        subject = Subject(
            source=request.model,
            loader=self._loader,
            loaded=loaded,
            reference=self._reference,
            evidence=found,
            original=original,
            max_drop=request.max_drop,
            per_tensor=request.per_tensor,
            board=boards.find(request.board) if request.board else None,
            target=request.target,
            shapes=request.shapes,
        )
        trials = Trials(subject, self._workshop)
        with self._timed("recipes"):
            chosen, every = self._try(trials)
        if chosen.verdict is None:
            raise ModelError(f"{request.model} cannot be converted to {chosen.recipe.name}: {chosen.failure}")
        with self._timed("layers"):
            compared = self._layers(trials, chosen)
        return self._report(subject, contract, chosen, every, compared)

    def write(self, report: Report) -> None:
        """Put the model, and the page, in their place.

        Raises:
            DeviceError: they cannot be written; what was there before stays as it was.
        """
        staged = self._workshop.folder / "result.tflite"
        if self._request.to == "c-array":
            from converters import c_array  # its text is built only when asked for

            name = report.name
            report.output.mkdir(exist_ok=True)
            c_array.write(report.output, c_array.render(report.flatbuffer, report.contract, name))
            modelfile.write_atomic(report.output / f"{name}.tflite", staged.read_bytes())
        else:
            modelfile.write_atomic(report.output, staged.read_bytes())
        if report.page is not None:
            modelfile.write_atomic(report.page, report.html().encode())

    def _load(self) -> Loaded:
        request = self._request
        facts = self._workshop.call(
            f"{self._loader.module}:load",
            environment=self._loader.environment,
            model=request.model,
            output=str(self._reference),
            signature=request.signature,
            shapes={name: list(shape) for name, shape in request.shapes.items()},
            batch=request.batch,
        )
        return Loaded.from_dict(facts)

    def _score(self, loaded: Loaded, found: Evidence, graph: Graph) -> tuple[NDArray[np.float32], ...]:
        """What the original says; checked against the float32 .tflite, whose function must be the same."""
        self._workshop.tell(f"scoring the original on {len(found)} inputs")
        answers = self._workshop.folder / "scores.npz"
        self._workshop.call(
            f"{self._loader.module}:score",
            environment=self._loader.environment,
            model=self._request.model,
            loaded=loaded.as_dict(),
            inputs=str(self._workshop.save("scored", found.inputs)),
            outputs=str(answers),
        )
        original = tuple(
            array.astype(np.float32) for array in self._workshop.read(answers, len(graph.outputs))
        )
        for port, array in zip(loaded.outputs, original, strict=True):
            if len(array) != len(found):
                raise ModelError(
                    f"{self._request.model}: the output {port.name!r} does not follow the batch",
                    expected=f"{len(found)} rows for as many inputs",
                    found=f"{array.shape[0]}",
                )
        if not all(np.isfinite(array).all() for array in original):
            raise ModelError(
                f"{self._request.model} gives NaN or infinity", remedy="check its weights and the data"
            )
        for port, a, b in zip(
            loaded.outputs, original, verify.run(self._reference, found.inputs), strict=True
        ):
            if a.shape != b.shape or not compare.sqnr_db(a, b) >= _SAME_FUNCTION_DB:
                apart = f"{list(b.shape)}" if a.shape != b.shape else compare.decibels(compare.sqnr_db(a, b))
                raise ModelError(
                    f"{self._request.model}: the output {port.name!r} is another one after conversion",
                    expected=f"{list(a.shape)}, at least {_SAME_FUNCTION_DB:g} dB above the error",
                    found=apart,
                    remedy="report the model: a layer of it is converted wrongly",
                )
        return original

    def _try(self, trials: Trials) -> tuple[Trial, tuple[Trial, ...]]:
        request = self._request
        if request.recipe == recipes.AUTO:
            return auto.climb(trials)
        recipe = recipes.find(request.recipe)
        if recipe.name != "mixed":
            chosen = trials.attempt(recipe)
            return chosen, (chosen,)
        plain = trials.attempt(recipes.find("int8"))
        chosen = mixed.search(trials, plain)
        return chosen, (plain, chosen)

    def _layers(self, trials: Trials, chosen: Trial) -> tuple[layers.Layer, ...]:
        if chosen.recipe.activations == "float32":
            return ()
        self._workshop.tell("comparing layer by layer")
        try:
            return trials.layers(chosen)
        except ModelError:
            return ()  # a runtime that cannot show them spoils no conversion

    def _report(
        self,
        subject: Subject,
        contract: Contract | None,
        chosen: Trial,
        every: tuple[Trial, ...],
        compared: tuple[layers.Layer, ...],
    ) -> Report:
        request, started = self._request, time.perf_counter()
        flatbuffer, verdict = chosen.flatbuffer, chosen.verdict
        assert flatbuffer is not None
        assert verdict is not None
        if contract is not None:
            flatbuffer, contract = pack.complete(flatbuffer, contract)
            made_from = pack.lineage(contract, chosen.recipe, _digest_of(request.model), verdict)
            contract = replace(
                contract, lineage=replace(made_from, versions=pack.versions(subject.loaded.versions))
            )
        staged = self._workshop.folder / "result.tflite"
        staged.write_bytes(flatbuffer)
        vectors = pack.golden(staged, subject.evidence, chosen.recipe)
        staged.write_bytes(modelfile.pack(flatbuffer, pack.members(contract, vectors)))
        verify.confirm(staged)
        output = request.output
        page = output / "report.html" if request.to == "c-array" else output.with_suffix(".report.html")
        self._seconds["pack"] = round(time.perf_counter() - started, 3)
        return Report(
            chosen=chosen,
            trials=every,
            source=request.model,
            output=output,
            page=page if request.report else None,
            kind=self._loader.name,
            size_bytes=staged.stat().st_size,
            source_bytes=_size_of(request.model),
            parameters=subject.loaded.parameters,
            digest=modelfile.digest_of(flatbuffer),
            contract=contract,
            max_drop=request.max_drop,
            flatbuffer=flatbuffer,
            evidence=subject.evidence,
            original=subject.original,
            layers=compared,
            board=request.board,
            target=request.target,
            notes=tuple(self._notes(subject, contract, chosen)),
            seconds=self._seconds,
        )

    def _notes(self, subject: Subject, contract: Contract | None, chosen: Trial) -> list[str]:
        notes = [*subject.evidence.notes, *subject.loaded.notes]
        if contract is None:
            notes.append("no contract: give --data DIR to write one into the file")
        if subject.loaded.batch == 1 and self._request.batch is None:
            notes.append("batch fixed to 1, as recurrent and spectrogram layers need")
        if chosen.kept:
            names = first_of(dict.fromkeys(map(prefix.title, chosen.kept)), 6)
            notes.append(
                f"kept in float32: {len(chosen.kept)} of {len(subject.graph.ops)} operators: {names}"
            )
        if chosen.float_ops:
            notes.append(f"computed in float32, for want of integer kernels: {', '.join(chosen.float_ops)}")
        return [*notes, *_losing_classes(chosen, contract)]

    @cached_property
    def _members(self) -> dict[str, bytes]:
        """The edgeml members of the source, as far as its format has room for them."""
        path = Path(self._request.model)
        if path.suffix.lower() == ".keras":
            return modelfile.read_members(path)
        if path.suffix.lower() == ".tflite":
            return modelfile.known(modelfile.split(path.read_bytes()).members)
        return {}

    def _own_contract(self) -> Contract | None:
        if CONTRACT not in self._members:
            return None
        return parse_contract(self._members[CONTRACT], where=f"{self._request.model}: {CONTRACT}")

    def _check_data(self, source: representative.Source | None) -> None:
        request = self._request
        if request.recipe == recipes.AUTO:
            return
        if recipes.find(request.recipe).needs_data and source is None and request.data is None:
            raise ConfigError(
                f"recipe {request.recipe} measures ranges on real data, and {request.model} names no dataset",
                remedy="give one with --data, a folder or an .npz, or take --recipe weight_int8",
            )

    def _foreign_contract(self, source: representative.Source, graph: Graph) -> Contract:
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ConfigError(
                f"{self._request.model}: a dataset folder feeds one input and judges one output",
                found=f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs",
                remedy="give an .npz with one array for each input: --data inputs.npz",
            )
        shape = list(graph.tensors[graph.inputs[0]].shape[1:])
        outputs = int(np.prod(graph.tensors[graph.outputs[0]].shape[1:], dtype=np.int64))
        name = Path(self._request.model.replace(":", ".")).stem
        return representative.contract_for(source, name, shape, outputs)

    def _evidence(
        self, source: representative.Source | None, contract: Contract | None, loaded: Loaded, graph: Graph
    ) -> Evidence:
        request = self._request
        if source is not None and contract is not None:
            return representative.gather(
                source, contract, graph.tensors[graph.inputs[0]], request.calibration
            )
        if request.data is not None:
            names = [port.name for port in loaded.inputs]
            return evidence.from_npz(request.data, graph, names, request.calibration)
        return evidence.random(graph)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[step] = round(time.perf_counter() - started, 3)


def _losing_classes(chosen: Trial, contract: Contract | None) -> Iterator[str]:
    """One line for each class that lost a good deal, which an average may hide."""
    verdict = chosen.verdict
    if verdict is None or verdict.original is None or verdict.result is None:
        return
    labels = contract.output.labels if contract else ()
    for i, (before, after) in enumerate(
        zip(verdict.original.per_class, verdict.result.per_class, strict=True)
    ):
        if before is not None and after is not None and before - after > _CLASS_DROP:
            name = labels[i] if i < len(labels) else str(i)
            yield f"class {name!r} lost {100 * (before - after):.1f} points, from {before:.3f} to {after:.3f}"


def _check(request: Request) -> None:
    output = request.output
    if request.recipe != recipes.AUTO:
        recipes.find(request.recipe)
    if request.board is not None:
        boards.find(request.board)
    if request.to not in _TO:
        raise ConfigError("to", expected=" or ".join(_TO), found=request.to)
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
    if request.calibration < 1:
        raise ConfigError("calibration", expected="at least 1 input", found=request.calibration)


def _check_installed(loader: load.Loader) -> None:
    """Asked without importing anything: the child's error would come seconds later."""
    if loader.environment is not None:
        from converters import environments  # only models from other frameworks need another interpreter

        environments.python(loader.environment)
    elif loader.package is not None and importlib.util.find_spec(loader.package) is None:
        raise MissingExtraError("edgeml convert", "convert", loader.package)


def _is_npz(data: Path | None) -> bool:
    return data is not None and data.suffix == ".npz" and not data.is_dir()


def _memory_bytes(request: Request) -> int | None:
    """None for a model that is made by the user's own code, whose size no file tells."""
    size = _size_of(request.model)
    if size is None:
        return None
    data = 0 if request.data is None else _size_of(str(request.data)) or 0
    return _MEMORY_BYTES + _TIMES_MODEL * size + _TIMES_DATA * data


def _files_of(model: str) -> list[Path]:
    path = Path(model)
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _size_of(model: str) -> int | None:
    return sum(file.stat().st_size for file in _files_of(model)) if Path(model).exists() else None


def _digest_of(model: str) -> str | None:
    """Of a file its own; of a SavedModel that of its files' digests; a function has none."""
    if not Path(model).exists():
        return None
    digests = [modelfile.digest_of(file.read_bytes()) for file in _files_of(model)]
    return digests[0] if len(digests) == 1 else modelfile.digest_of("\n".join(digests).encode())
