"""The steps ahead of any recipe: a model becomes a float32 .tflite that is proved to be the same function."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters import (
    answers,
    beyond,
    boards,
    compare,
    evidence,
    load,
    recipes,
    representative,
    request,
    verify,
)
from converters.evidence import Evidence
from converters.load import Loaded, arrays
from converters.request import Request
from converters.trials import Subject
from converters.workshop import Workshop
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.graph import Graph, read_graph
from edge_sdk.modelfile import CONTRACT
from edge_sdk.schema import parse_contract

#: How close the float32 .tflite must be to the original, dB: less is no rounding but another function.
_SAME_FUNCTION_DB = 50.0


@dataclass(frozen=True)
class Prepared:
    """What recipes are tried on.

    Attributes:
        subject: the model, with what judges it.
        contract: its own, or one from the dataset; None where there is neither.
        seconds: of each step.
    """

    subject: Subject
    contract: Contract | None
    seconds: dict[str, float]


def prepare(asked: Request, workshop: Workshop) -> Prepared:
    """Load a model, gather what judges it, and let the original say what it says.

    Args:
        asked: the request; its recipe only decides whether data are needed.
        workshop: whose processes do the work.

    Raises:
        ModelError: the model cannot be read, or is another function as a .tflite.
        DatasetError: the data are missing, changed, or do not fit.
        ConfigError: the recipe needs data and there are none.
        MissingExtraError: what reads this kind of model is not installed.
    """
    return _Preparation(asked, workshop).run()


class _Preparation:
    """The steps, and what one leaves for the next."""

    def __init__(self, asked: Request, workshop: Workshop) -> None:
        self._request, self._workshop = asked, workshop
        self._loader = load.find(asked.model)
        self._reference = workshop.folder / "float.tflite"
        self._seconds: dict[str, float] = {}

    def run(self) -> Prepared:
        """All of them."""
        asked = self._request
        request.check_installed(self._loader)
        contract = self._own_contract()
        source = None if asked.data_is_npz else representative.find_source(self._members, asked.data)
        self._check_data(source)
        with self._timed("load"):
            loaded = self._load()
        graph = read_graph(self._reference.read_bytes())
        with self._timed("data"):
            if source is not None and contract is None:
                contract = self._foreign_contract(source, graph)
            found = self._evidence(source, contract, loaded, graph)
            if contract is not None and contract.task == "anomaly":
                found = beyond.widen(found, lambda windows: verify.run(self._reference, (windows,))[0])
        with self._timed("score"):
            original = self._score(loaded, found, graph)
        subject = Subject(
            source=asked.model,
            loader=self._loader,
            loaded=loaded,
            reference=self._reference,
            evidence=found,
            original=original,
            max_drop=self._bound(contract),
            per_tensor=asked.per_tensor,
            board=boards.find(asked.board) if asked.board else None,
            target=asked.target,
            shapes=asked.shapes,
        )
        return Prepared(subject, contract, self._seconds)

    def _bound(self, contract: Contract | None) -> float:
        """What may be lost."""
        values = contract is not None and contract.task == "regression"
        return self._request.max_growth if values else self._request.max_drop

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
        scores = self._workshop.folder / "scores.npz"
        self._workshop.call(
            f"{self._loader.module}:score",
            environment=self._loader.environment,
            model=self._request.model,
            loaded=loaded.as_dict(),
            inputs=str(self._workshop.save("scored", found.inputs)),
            outputs=str(scores),
        )
        original = tuple(array.astype(np.float32) for array in arrays.read(str(scores)))
        answers.check(self._request.model, loaded.outputs, original, found)
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
