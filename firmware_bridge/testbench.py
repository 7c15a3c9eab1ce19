"""Models that tests have open on targets: loaded once, closed when another one needs the board."""

from __future__ import annotations

from pathlib import Path

from edge_sdk.closing import Closing
from edge_sdk.model import Model
from firmware_bridge import cases
from firmware_bridge.answers import Windows
from firmware_bridge.subject import Subject, of_golden


class Bench(Closing):
    """One model at a time on each target: a board holds no more."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Path, Model]] = {}
        self._windows: dict[tuple[Path, Path | None, int], Windows] = {}

    def model(self, target: str, file: Path) -> Model:
        """A model on a target; the same object as long as no other model is asked for there.

        Raises:
            EdgeError: as `Model.load`.
        """
        known = self._open.get(target)
        if known is not None and known[0] == file:
            return known[1]
        self.forget(target)
        model = Model.load(file, target=target)
        self._open[target] = file, model
        return model

    def windows(self, file: Path, model: Model, data: Path | None, most: int) -> Windows:
        """What a model is tried with: the data, else its golden inputs, else random ones.

        Args:
            file: of the model.
            model: loaded anywhere.
            data: a dataset folder or an .npz; None for what is in the file.
            most: windows, spread over all.

        Raises:
            EdgeError: the data do not fit.
        """
        key = file, data, most
        if key not in self._windows:
            subject = Subject.read(file)
            if data is None and subject.golden is not None:
                found = cases.Cases(of_golden(subject.golden, model), None, None, "golden vectors")
            else:
                found = cases.load(data, subject, model)
            self._windows[key] = found.at_most(most).windows
        return self._windows[key]

    def forget(self, target: str) -> None:
        """Close what is open on a target, so that the next test begins anew."""
        known = self._open.pop(target, None)
        if known is not None:
            known[1].close()

    def close(self) -> None:
        """Close all."""
        for target in list(self._open):
            self.forget(target)
