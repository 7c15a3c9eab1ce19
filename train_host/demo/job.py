"""The main job in one go on real data, with the functions behind the commands: data, train, convert, run."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters import convert
from edge_sdk.contract import DecisionSettings
from edge_sdk.dataset import Dataset, write
from edge_sdk.errors import ConfigError, DeviceError, GateError
from edge_sdk.modelfile import write_atomic
from edge_sdk.pipeline import Pipeline, Report
from train_host import companions
from train_host.config import Config
from train_host.demo import watch
from train_host.training import Request, train

DATASET, KERAS, TFLITE, PIPELINE, DATABASE = (
    "dataset",
    "motion.keras",
    "motion.tflite",
    "edgeml.toml",
    "events.db",
)
#: With two people tested one point is under ten windows: harmless rounding must not fail the demo.
_MAX_DROP = 0.02
_TOML = """\
# The pipeline of `edgeml demo`: {group} {who}, whom the model has never seen, does seven exercises.
# Check it with `edgeml check`, run it with `edgeml run`; speed = 1 plays in real time.

[model]
file = "{model}"                # window, hop, channels, labels: from its contract

[[source]]
url = "replay:{source}"
speed = "max"
device = "{who}"

[[sink]]
url = "sqlite:{database}"

[[sink]]
url = "stdout:"
when = "event == 'start'"
"""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Shown:
    """What the demo did: everything on its last screen.

    Attributes:
        converted: the object of ``edgeml convert --json``.
        report: of the pipeline's run.
        tested: the subjects that the figures come from.
        seconds: of each step, and in all.
    """

    folder: Path
    dataset: Dataset
    converted: dict[str, Any]
    report: Report
    tested: list[str]
    seconds: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The keys of ``edgeml demo --json``."""
        converted, latency = self.converted, self.report.latency_us
        return {
            "accuracy_float": converted["accuracy_original"],
            "accuracy_int8": converted["accuracy"],
            "interval_float": converted["interval_original"],
            "interval_int8": converted["interval"],
            "n": converted["n"],
            "agreement": converted["agreement"],
            "bytes": converted["bytes"],
            "latency_us": {"p50": latency.get("p50"), "p99": latency.get("p99")},
            "ledger": self.report.ledger.as_dict(),
            "model": str(self.folder / TFLITE),
            "database": str(self.folder / DATABASE),
            "training_report": str(companions.path(self.folder / KERAS, companions.PAGE)),
            "report": converted["report"],
            "pipeline": str(self.folder / PIPELINE),
            "dataset": str(self.dataset.folder),
            "licence": self.dataset.licence,
            "tested": self.tested,
            "seconds": self.seconds,
        }


def demo(folder: Path, *, seed: int = 0, tell: Tell, on_epoch: Callable[[dict[str, Any]], None]) -> Shown:
    """Run all four steps into one folder.

    Args:
        folder: is made; an earlier demo there is replaced.
        seed: of split and training.
        tell: called with a line at the start of each step.
        on_epoch: called with the facts of each epoch.

    Raises:
        ConfigError: the folder holds something else.
        MissingExtraError: the watch set or TensorFlow is not installed.
        GateError: the int8 model lost too much, or the books of the run do not balance.
        EdgeError: as the steps.
    """
    _make(folder)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    with _timed(seconds, "data"):
        tell("1/4  data: smartwatch recordings into a dataset folder")
        dataset = write(folder / DATASET, watch.facts(), watch.recordings(), replace=True)
    with _timed(seconds, "train"):
        tell(f"2/4  train: on some {dataset.group}s, to be tested on others")
        trained = train(Request(dataset.folder, config(seed), folder / KERAS), on_epoch)
    with _timed(seconds, "convert"):
        tell("3/4  convert: to int8, verified against the original")
        converted = convert(folder / KERAS, folder / TFLITE, recipe="int8", max_drop=_MAX_DROP).as_dict()
    with _timed(seconds, "run"):
        who = trained["split"]["test"][0]
        tell(
            f"4/4  run: {dataset.group} {who} does seven exercises: starts of events, all results into SQLite"
        )
        report = _run(folder, dataset, who)
    seconds["total"] = round(time.monotonic() - started, 2)
    return Shown(folder, dataset, converted, report, trained["split"]["test"], seconds)


def config(seed: int) -> Config:
    """As ``edgeml train --window 100 --hop 50 --epochs 20 --augment rotation``, and a decision."""
    decision = DecisionSettings(threshold=0.6, smooth=3, hold_s=1.0)
    return Config(window=100, hop=50, epochs=20, augment=("rotation",), seed=seed, decision=decision)


def _run(folder: Path, dataset: Dataset, who: str) -> Report:
    """Write the edgeml.toml and run it, as ``edgeml run`` would."""
    source = f"{DATASET}/recordings/*/{who}_right.csv"
    text = _TOML.format(group=dataset.group, who=who, model=TFLITE, source=source, database=DATABASE)
    write_atomic(folder / PIPELINE, text.encode())
    for left in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / left).unlink(missing_ok=True)
    report = Pipeline.from_config(folder / PIPELINE).run()
    if not report.ledger.balanced:
        raise GateError("the books of the run do not balance", found=report.ledger.as_dict())
    return report


def _make(folder: Path) -> None:
    ours = (folder / DATASET / "dataset.toml").is_file()
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder}: exists",
            expected="no folder, or that of an earlier demo",
            remedy="give another with -o",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"cannot make {folder}", found=error.strerror or error) from error


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Any:
    started = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - started, 2)


@contextlib.contextmanager
def printing_on_stderr() -> Any:
    """A ``stdout:`` sink opened meanwhile prints on standard error, so that ``--json`` prints one object."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
