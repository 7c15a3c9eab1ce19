"""From a .keras model to a verified .tflite: the one function behind ``edgeml convert`` and the demo.

load, convert, score the original     in a child process, which may crash      tensorflow_runtime
metadata, contract, digest            of the flatbuffer                        pack
run every window on the result        verified and loaded as a device does     verify
gate                                  nothing is left in place where it fails
golden vectors, lineage, zip tail     written whole or not at all              pack, report
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import pack, recipes, report, representative, verify
from converters.recipes import Recipe
from converters.representative import Material
from converters.result import DropError, Result
from edge_sdk import modelfile
from edge_sdk.child import Worker
from edge_sdk.contract import Contract
from edge_sdk.errors import (
    ChildError,
    ChildTimeoutError,
    ConfigError,
    DeviceError,
    MissingExtraError,
    ModelError,
)
from edge_sdk.graph import read_graph
from edge_sdk.modelfile import CONTRACT, sniff
from edge_sdk.schema import parse_contract

_CHILD = "converters.tensorflow_runtime"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversion.

    Attributes:
        model: the .keras file.
        output: the .tflite to write.
        recipe: name of the recipe.
        data: dataset folder, instead of the one that the model was trained on.
        max_drop: largest loss of accuracy that passes, as a fraction.
        calibration: how many representative windows.
        report: whether an HTML report is written beside the model.
        timeout_s: for loading, converting and scoring the original, s.
        on_progress: called with one line at each step.
    """

    model: Path
    output: Path
    recipe: str = "int8"
    data: Path | None = None
    max_drop: float = 0.01
    calibration: int = 200
    report: bool = True
    timeout_s: float = 900.0
    on_progress: Callable[[str], None] | None = None


def convert(request: Request) -> Result:
    """Convert, compare, gate, and write the file.

    Raises:
        DropError: the result is worse than allowed; nothing was written.
        ModelError: the file is not a .keras model, or cannot be converted.
        DatasetError: the dataset is missing, changed, or does not fit.
        UnknownNameError: no such recipe.
        MissingExtraError: TensorFlow is not installed.
        DeviceError: the output cannot be written.
    """
    recipe = recipes.find(request.recipe)
    _check_paths(request)
    members = modelfile.read_members(request.model)
    contract = _contract_of(request, members)
    source = representative.find_source(members, request.data)
    if recipe.needs_data and source is None:
        raise ConfigError(
            f"recipe {recipe.name} measures ranges on real windows, and {request.model} names no dataset",
            remedy="give one with --data DIR, or take --recipe dynamic_int8",
        )
    _check_tensorflow()
    with tempfile.TemporaryDirectory() as folder, Worker() as worker:
        child = _Child(worker, request, Path(folder))
        material = None
        if source is not None:
            contract = contract or _foreign_contract(child, source)
            material = representative.gather(source, contract, request.calibration)
        job = _Job(request, recipe, contract, material, source.note if source else None)
        facts, windows, scores = child.convert(recipe, material)
        worker.close()
        return job.finish(facts, windows, scores, Path(folder))


@dataclass(frozen=True)
class _Child:
    """The converter's process."""

    worker: Worker
    request: Request
    folder: Path

    @property
    def flatbuffer(self) -> Path:
        return self.folder / "raw.tflite"

    def convert(
        self, recipe: Recipe, material: Material | None
    ) -> tuple[dict[str, Any], NDArray[np.float32], NDArray[np.float32]]:
        """Facts about the conversion, the windows that were scored, and the original's scores."""
        scores = self.folder / "scores.npz"
        arguments = {"recipe": recipe.name, "output": str(self.flatbuffer), "scores": str(scores)}
        if material is not None:
            arguments["inputs"] = self._save("inputs", material.windows)
            if recipe.needs_data:
                arguments["calibration"] = self._save("calibration", material.calibration)
        facts = self.call("convert_keras", **arguments)
        with np.load(scores) as arrays:
            return facts, arrays["inputs"], arrays["scores"]

    def call(self, function: str, **arguments: str) -> dict[str, Any]:
        """Call a function of tensorflow_runtime; a crash is an error of the model, not of this process."""
        report, model = self.request.on_progress, self.request.model
        try:
            facts: dict[str, Any] = self.worker.call(
                f"{_CHILD}:{function}",
                timeout_s=self.request.timeout_s,
                on_progress=lambda told: report(told["step"]) if report else None,
                model=str(model),
                **arguments,
            )
        except ChildTimeoutError as error:
            raise ChildTimeoutError(
                f"{model}: conversion did not finish",
                expected=error.expected,
                remedy="give more with --timeout",
            ) from error
        except ChildError as error:
            raise ModelError(
                f"{model}: the converter died",
                found=error.found,
                remedy="take --recipe float32 or dynamic_int8",
            ) from error
        return facts

    def _save(self, name: str, windows: NDArray[np.float32]) -> str:
        path = self.folder / f"{name}.npy"
        np.save(path, windows)
        return str(path)


@dataclass(frozen=True)
class _Job:
    """What is known before the conversion, for the steps after it."""

    request: Request
    recipe: Recipe
    contract: Contract | None
    material: Material | None
    note: str | None

    def finish(
        self, facts: dict[str, Any], windows: NDArray[np.float32], scores: NDArray[np.float32], folder: Path
    ) -> Result:
        """Complete the file, judge it, and put it in its place."""
        request, contract = self.request, self.contract
        started = time.perf_counter()
        flatbuffer, staged = (folder / "raw.tflite").read_bytes(), folder / request.output.name
        if contract is not None:
            flatbuffer, contract = pack.complete(flatbuffer, contract)
        staged.write_bytes(modelfile.pack(flatbuffer, pack.members(contract, None)))
        self._tell(f"running {len(windows)} windows on the result")
        outputs = verify.run_windows(staged, windows)
        verdict = verify.judge(scores, outputs, self.material, recipe=self.recipe, max_drop=request.max_drop)
        if contract is not None:
            source = modelfile.digest_of(request.model.read_bytes())
            made_from = pack.lineage(contract, self.recipe, source, verdict)
            contract = replace(
                contract, lineage=replace(made_from, versions=pack.versions(facts["versions"]))
            )
        vectors = pack.golden(windows, outputs, self.recipe, read_graph(flatbuffer))
        data = modelfile.pack(flatbuffer, pack.members(contract, vectors))
        result = Result(
            recipe=self.recipe,
            source=request.model,
            output=request.output,
            report=request.output.with_suffix(".report.html") if request.report else None,
            size_bytes=len(data),
            source_bytes=request.model.stat().st_size,
            parameters=facts["parameters"],
            digest=modelfile.digest_of(flatbuffer),
            contract=contract,
            verdict=verdict,
            max_drop=request.max_drop,
            flatbuffer=flatbuffer,
            notes=tuple(self._notes(facts)),
            seconds={**facts["seconds"], "verify": round(time.perf_counter() - started, 3)},
        )
        if not result.passed:
            raise DropError(result)
        self._write(result, data, staged)
        return result

    def _write(self, result: Result, data: bytes, staged: Path) -> None:
        staged.write_bytes(data)
        verify.confirm(staged)
        modelfile.write_atomic(result.output, data)
        if result.report is not None:
            modelfile.write_atomic(result.report, report.render(result).encode())

    def _notes(self, facts: dict[str, Any]) -> list[str]:
        notes = [self.note] if self.note else []
        if self.material is None:
            notes.append("no evaluation data: compared on random normal inputs, accuracy unknown")
        if self.contract is None:
            notes.append("no contract: give --data DIR to write one into the file")
        if facts["batch"] == 1:
            notes.append("batch fixed to 1, as recurrent and spectrogram layers need")
        return notes

    def _tell(self, step: str) -> None:
        if self.request.on_progress is not None:
            self.request.on_progress(step)


def _check_paths(request: Request) -> None:
    model, output = request.model, request.output
    if not model.is_file():
        what = "is a folder" if model.is_dir() else "no such file"
        raise ModelError(f"{model}: {what}", expected="a .keras file")
    if model.suffix != ".keras":
        with model.open("rb") as file:
            found = sniff(file.read(64))
        raise ModelError(
            f"{model} is not a .keras file",
            expected="a model saved by model.save('NAME.keras')",
            found=found,
            remedy="load it in Keras and save it as .keras",
        )
    if output.suffix != ".tflite":
        raise ConfigError(f"output {output}", expected="a name ending in .tflite")
    if output.is_dir() or not output.parent.is_dir():
        found = "a folder of that name" if output.is_dir() else f"no folder {output.parent}"
        raise DeviceError(f"cannot write {output}", found=found, remedy="choose another --output")
    try:
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        remedy = "choose another --output, or check the folder's rights"
        raise DeviceError(f"cannot write {output}", found=error.strerror or error, remedy=remedy) from error
    if not 0 <= request.max_drop < 1:
        raise ConfigError("max_drop", expected="a fraction from 0 to 1", found=request.max_drop)
    if request.calibration < 1:
        raise ConfigError("calibration", expected="at least 1 window", found=request.calibration)


def _contract_of(request: Request, members: Mapping[str, bytes]) -> Contract | None:
    if CONTRACT not in members:
        return None
    return parse_contract(members[CONTRACT], where=f"{request.model}: {CONTRACT}")


def _check_tensorflow() -> None:
    # Asked without importing it: this process stays small, and the child's error would come seconds later.
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError("edgeml convert", "convert", "tensorflow")


def _foreign_contract(child: _Child, source: representative.Source) -> Contract:
    facts = child.call("describe_keras")
    outputs = int(np.prod(facts["output"], dtype=np.int64))
    return representative.contract_for(source, child.request.model.stem, facts["input"], outputs)
