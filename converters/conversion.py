"""From any model to a verified .tflite: the one function behind ``edgeml convert``, notebooks and the demo.

request         what is asked, checked before any long work
preparation     any format becomes a float32 .tflite, proved to be the same function; the original is scored
trials          recipes are made, run beside the original, judged and measured; mixed and auto search
pack, report    contract, golden vectors, lineage; all figures; nothing is left in place where the gate fails
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from converters import auto, layers, mixed, pack, prefix, recipes, verify
from converters.figures.detection import Detection
from converters.preparation import Prepared, prepare
from converters.report import DropError, Report, Trial
from converters.request import Request, check
from converters.trials import Trials
from converters.workshop import Workshop
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import EdgeError, ModelError, first_of
from edge_sdk.targets import open_target

#: A class that loses more than this is worth a note even where the gate passes, as a fraction.
_CLASS_DROP = 0.05


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
    if options.get("data") is not None:
        options["data"] = Path(options["data"])
    return perform(Request(model=str(model), output=Path(output), **options))


def perform(request: Request) -> Report:
    """`convert`, asked with one object."""
    check(request)
    if request.recipe == recipes.AUTO:
        open_target(request.target).check()
    with _workshop(request) as workshop:
        prepared = prepare(request, workshop)
        return _Conversion(request, prepared, Trials(prepared.subject, workshop), workshop).finish()


def perform_each(request: Request, names: Sequence[str]) -> Iterator[tuple[str, Report | EdgeError]]:
    """Convert one model by several recipes, reading it once; each writes ``STEM.RECIPE.tflite``.

    Args:
        request: what is asked of all; its recipe does not count.
        names: of the recipes.

    Yields:
        Each recipe's name with its report, or with the error that it ended in.
    """
    check(request)
    with _workshop(request) as workshop:
        prepared = prepare(replace(request, recipe="float32"), workshop)
        trials = Trials(prepared.subject, workshop)
        for name in names:
            output = request.output.with_suffix(f".{name}.tflite")
            asked = replace(request, recipe=name, output=output)
            try:
                yield name, _Conversion(asked, prepared, trials, workshop).finish()
            except EdgeError as error:
                yield name, error


def _workshop(request: Request) -> Workshop:
    return Workshop(request.model, request.timeout_s, request.on_progress, memory_bytes=request.memory_bytes)


class _Conversion:
    """One recipe, or the search for one, on a model that is prepared."""

    def __init__(self, request: Request, prepared: Prepared, trials: Trials, workshop: Workshop) -> None:
        self._request, self._prepared, self._trials = request, prepared, trials
        self._workshop = workshop

    def finish(self) -> Report:
        """Everything from the recipe to the written file.

        Raises:
            DropError: the gate failed; nothing was written.
            ModelError: the model cannot be converted so.
            DeviceError: the output cannot be written; what was there before stays as it was.
        """
        started = time.perf_counter()
        chosen, every = self._try()
        if chosen.verdict is None:
            raise ModelError(
                f"{self._request.model} cannot be converted to {chosen.recipe.name}: {chosen.failure}"
            )
        tried = time.perf_counter()
        compared = self._layers(chosen)
        seconds = {"recipes": tried - started, "layers": time.perf_counter() - tried}
        report = self._report(chosen, every, compared, seconds)
        if not report.passed:
            raise DropError(report)
        self._write(report)
        return report

    def _try(self) -> tuple[Trial, tuple[Trial, ...]]:
        request, trials = self._request, self._trials
        if request.recipe == recipes.AUTO:
            return auto.climb(trials)
        recipe = recipes.find(request.recipe)
        if recipe.name != "mixed":
            chosen = trials.attempt(recipe)
            return chosen, (chosen,)
        plain = trials.attempt(recipes.find("int8"))
        chosen = mixed.search(trials, plain)
        return chosen, (plain, chosen)

    def _layers(self, chosen: Trial) -> tuple[layers.Layer, ...]:
        if chosen.recipe.activations == "float32":
            return ()
        self._workshop.tell("comparing layer by layer")
        try:
            return self._trials.layers(chosen)
        except ModelError:
            return ()  # a runtime that cannot show them spoils no conversion

    def _report(
        self,
        chosen: Trial,
        every: tuple[Trial, ...],
        compared: tuple[layers.Layer, ...],
        seconds: dict[str, float],
    ) -> Report:
        request, started = self._request, time.perf_counter()
        subject, contract = self._prepared.subject, self._prepared.contract
        flatbuffer, verdict = chosen.flatbuffer, chosen.verdict
        assert flatbuffer is not None
        assert verdict is not None
        if contract is not None:
            flatbuffer, contract = pack.complete(flatbuffer, contract)
            made_from = pack.lineage(contract, chosen.recipe, request.model_digest, verdict)
            contract = replace(
                contract, lineage=replace(made_from, versions=pack.versions(subject.loaded.versions))
            )
        staged = self._workshop.folder / "result.tflite"
        staged.write_bytes(flatbuffer)
        vectors = pack.golden(staged, subject.evidence, chosen.recipe)
        staged.write_bytes(modelfile.pack(flatbuffer, pack.members(contract, vectors)))
        verify.confirm(staged)
        output = request.output
        page = output.with_suffix(".report.html") if request.to == "tflite" else output / "report.html"
        seconds = {**self._prepared.seconds, **seconds, "pack": time.perf_counter() - started}
        return Report(
            chosen=chosen,
            trials=every,
            source=request.model,
            output=output,
            page=page if request.report else None,
            kind=subject.loader.name,
            size_bytes=staged.stat().st_size,
            source_bytes=request.model_bytes,
            parameters=subject.loaded.parameters,
            digest=modelfile.digest_of(flatbuffer),
            contract=contract,
            max_drop=subject.max_drop,
            flatbuffer=flatbuffer,
            evidence=subject.evidence,
            original=subject.original,
            layers=compared,
            board=request.board,
            target=request.target,
            notes=tuple(self._notes(contract, chosen)),
            seconds={step: round(spent, 3) for step, spent in seconds.items()},
        )

    def _notes(self, contract: Contract | None, chosen: Trial) -> list[str]:
        subject = self._prepared.subject
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
        return [*notes, *_losing_classes(chosen, contract), *_losing_at_threshold(chosen)]

    def _write(self, report: Report) -> None:
        """Put the model, and the page, in their place.

        Raises:
            DeviceError: they cannot be written; what was there before stays as it was.
        """
        staged = self._workshop.folder / "result.tflite"
        if self._request.to != "tflite":
            from converters import c_array, c_text  # their text is built only when asked for
            from converters.c import library

            model = report.flatbuffer, report.contract, report.name
            if self._request.to == "c":
                files = library.render(*model, cut=self._request.cut)
            else:
                files = c_array.render(*model)
            c_array.write(report.output, files)
            # Named as the C files are: a contract may hold any name, a path among them.
            file = report.output / f"{c_text.identifier(report.name)}.tflite"
            modelfile.write_atomic(file, staged.read_bytes())
        else:
            modelfile.write_atomic(report.output, staged.read_bytes())
        if report.page is not None:
            modelfile.write_atomic(report.page, report.html().encode())


def _losing_at_threshold(chosen: Trial) -> Iterator[str]:
    """One line where an anomaly detector finds fewer, which the area under its curve does not show."""
    judged = None if chosen.verdict is None else chosen.verdict.judged
    if judged is None or not (isinstance(judged.before, Detection) and isinstance(judged.after, Detection)):
        return
    for name in ("detection", "false_alarms"):
        before, after = getattr(judged.before, name), getattr(judged.after, name)
        if before is None or after is None:
            continue
        worse = before[0] - after[0] if name == "detection" else after[0] - before[0]
        if worse > _CLASS_DROP:
            what = "anomalies found" if name == "detection" else "false alarms"
            yield (
                f"at the threshold of {judged.after.threshold:g}: {what} {after[0]:.1%} of the windows, "
                f"{before[0]:.1%} of the original"
            )


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
