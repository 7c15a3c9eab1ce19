"""Tries recipes on one model: each is made, run beside the original, judged and measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import boards, measure, verify
from converters.evidence import Evidence
from converters.layers import Layer
from converters.layers import read as read_layers
from converters.load import Loaded, Loader, arrays
from converters.plan import plan
from converters.recipes import Recipe
from converters.report import Trial
from converters.workshop import Workshop
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.graph import Graph, read_graph
from edge_sdk.targets import open_target

#: How much of a runtime's own complaint is shown.
_WORDS = 240


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The model that recipes are tried on.

    Attributes:
        source: as given by the user.
        loader: that read it.
        loaded: what the loader said of it.
        reference: path of the float32 .tflite made from it.
        evidence: what results are judged with.
        original: float32 [n, …] for each output: what the original says to the evaluation inputs.
        max_drop: largest loss of accuracy that passes, as a fraction.
        per_tensor: one scale a weight tensor instead of one a channel.
        board: what the result is for; None for any.
        target: where latency is measured.
        shapes: as the user gave them for inputs with open sizes.
    """

    source: str
    loader: Loader
    loaded: Loaded
    reference: Path
    evidence: Evidence
    original: tuple[NDArray[np.float32], ...]
    max_drop: float = 0.01
    per_tensor: bool = False
    board: boards.Board | None = None
    target: str = "host:"
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Graph:
        """Of the float32 .tflite."""
        return read_graph(self.reference.read_bytes())


class Trials:
    """Makes trials; what several of them need (ranges, files of inputs) is made once.

    Args:
        subject: the model.
        workshop: whose processes do the work.
    """

    def __init__(self, subject: Subject, workshop: Workshop) -> None:
        self.subject, self._workshop = subject, workshop
        self._made = 0

    def attempt(self, recipe: Recipe, kept: Sequence[str] = ()) -> Trial:
        """Try a recipe on the evaluation inputs; a model that cannot be converted so is a failed trial.

        Args:
            recipe: to try.
            kept: layers that stay float32, as `quantize.apply` takes them.
        """
        subject = self.subject
        self._workshop.tell(f"trying {recipe.name}")
        try:
            file, notes = self.make(recipe, kept)
            outputs = verify.run(file, subject.evidence.inputs)
        except ModelError as error:
            return Trial(recipe=recipe, failure=self._in_words(error), kept=tuple(kept))
        flatbuffer = file.read_bytes()
        graph = read_graph(flatbuffer)
        verdict = verify.judge(
            subject.original,
            outputs,
            subject.evidence,
            recipe=recipe,
            max_drop=subject.max_drop,
            meanings=verify.meanings_of(subject.graph),
        )
        fit = self._fit(flatbuffer, graph)
        failure = verdict.failure
        if failure is None and fit is not None and not fit.runs:
            failure = f"does not run on {subject.board.name}: {fit.reasons[0]}" if subject.board else None
        return Trial(
            recipe=recipe,
            flatbuffer=flatbuffer,
            failure=failure,
            verdict=verdict,
            outputs=outputs,
            kept=tuple(kept),
            arena_bytes=plan(graph).arena_bytes,
            fit=fit,
            float_ops=tuple(notes),
        )

    def _fit(self, flatbuffer: bytes, graph: Graph) -> boards.Fit | None:
        board = self.subject.board
        if board is None:
            return None
        return measure.measure(board, boards.cost_of(flatbuffer), flatbuffer, graph)

    def make(self, recipe: Recipe, kept: Sequence[str] = ()) -> tuple[Path, list[str]]:
        """Write the .tflite of a recipe.

        Returns:
            Its path, and names of operators that stayed float32 although nobody asked for it.

        Raises:
            ModelError: the model cannot be converted so.
            ConfigError: the recipe needs data and there are none.
        """
        subject, self._made = self.subject, self._made + 1
        file = self._workshop.folder / f"trial{self._made}.tflite"
        if recipe.name == "qat":
            return file, self._quantization_aware(file)
        if subject.loaded.ranges and recipe.name != "float32":
            raise ModelError(
                f"{subject.source} brings quantization ranges of its own",
                expected="the recipe that honours them",
                remedy="take --recipe qat",
            )
        facts: dict[str, Any] = self._workshop.call(
            "converters.quantize:apply",
            model=str(self._calibrated if recipe.needs_data else subject.reference),
            output=str(file),
            recipe=recipe.name,
            preprocessing=list(subject.loaded.preprocessing),
            kept=list(kept),
            per_tensor=subject.per_tensor,
        )
        return file, facts["float_ops"]

    def judge_on_calibration(self, recipe: Recipe, kept: Sequence[str]) -> verify.Verdict:
        """Judge a recipe on the representative inputs: a search must not see those that decide."""
        file, _ = self.make(recipe, kept)
        own = self.subject.evidence.of_calibration()
        outputs = self._run(file, self._calibration_file)
        return verify.judge(
            self._calibration_scores,
            outputs,
            own,
            recipe=recipe,
            max_drop=self.subject.max_drop,
            meanings=verify.meanings_of(self.subject.graph),
        )

    def layers(self, trial: Trial) -> tuple[Layer, ...]:
        """How far each layer of a trial is from the float model, on a few of the evaluation inputs.

        Raises:
            ModelError: the runtime cannot show what lies between the layers.
        """
        assert trial.flatbuffer is not None
        quantized, output = self._workshop.folder / "layers.tflite", self._workshop.folder / "layers.json"
        quantized.write_bytes(trial.flatbuffer)
        self._workshop.call(
            "converters.layers:measure",
            reference=str(self.subject.reference),
            quantized=str(quantized),
            windows=str(self._calibration_file if self.subject.evidence.calibration else self._input_file),
            output=str(output),
        )
        return read_layers(output)

    def time(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials with the latency of each that gave a model, measured in turn on the target."""
        files = {}
        for i, trial in enumerate(trials):
            if trial.flatbuffer is not None and trial.verdict is not None:
                files[i] = self._workshop.folder / f"timed{i}.tflite"
                files[i].write_bytes(trial.flatbuffer)
        target = self.subject.target
        self._workshop.tell(f"measuring the latency of {len(files)} models on {target}")
        inputs = [array[:1] for array in self.subject.evidence.inputs]
        measured = open_target(target).latency(files, inputs)
        return [self._timed(trial, measured.get(i)) for i, trial in enumerate(trials)]

    def _timed(self, trial: Trial, found: float | ModelError | None) -> Trial:
        if not isinstance(found, ModelError):
            return replace(trial, latency_us=found)
        failure = trial.failure or f"does not run on {self.subject.target}: {self._in_words(found)}"
        return replace(trial, failure=failure)

    @cached_property
    def _input_file(self) -> Path:
        return self._workshop.save("inputs", self.subject.evidence.inputs)

    @cached_property
    def _calibration_file(self) -> Path:
        calibration = self.subject.evidence.calibration
        if calibration is None:
            raise ConfigError(
                f"{self.subject.source}: this recipe measures ranges on real data, and there are none",
                remedy="give some with --data, or take --recipe weight_int8",
            )
        return self._workshop.save("calibration", calibration)

    @cached_property
    def _calibrated(self) -> Path:
        path, windows = self._workshop.folder / "calibrated.tflite", self._calibration_file
        self._workshop.tell("measuring ranges")
        self._workshop.call(
            "converters.quantize:calibrate",
            model=str(self.subject.reference),
            windows=str(windows),
            output=str(path),
        )
        return path

    @cached_property
    def _calibration_scores(self) -> tuple[NDArray[Any], ...]:
        """What the float model says to the representative inputs."""
        return self._run(self.subject.reference, self._calibration_file)

    def _run(self, file: Path, inputs: Path) -> tuple[NDArray[Any], ...]:
        """Run a model that was made here in the worker: quicker than to verify each one of a search."""
        answers = self._workshop.folder / "outputs.npz"
        self._workshop.call(
            "converters.load.arrays:run_file", model=str(file), inputs=str(inputs), outputs=str(answers)
        )
        return tuple(arrays.read(str(answers)))

    def _in_words(self, error: ModelError) -> str:
        """The error without the name of a file that the user never saw."""
        return re.sub(re.escape(str(self._workshop.folder)) + r"/\S+: ", "", str(error))[:_WORDS]

    def _quantization_aware(self, file: Path) -> list[str]:
        subject = self.subject
        if not subject.loaded.ranges:
            raise ModelError(
                f"{subject.source} brings no quantization ranges",
                expected="a model trained with fake-quantization",
                remedy="take --recipe int8, which measures ranges on data",
            )
        facts: dict[str, Any] = self._workshop.call(
            f"{subject.loader.module}:quantized",
            environment=subject.loader.environment,
            model=subject.source,
            output=str(file),
            loaded=subject.loaded.as_dict(),
            shapes={name: list(shape) for name, shape in subject.shapes.items()},
        )
        return list(facts["float_ops"])
