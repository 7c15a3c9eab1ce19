"""Before a release may run on a device: tried there, in its own runtime, by a user without rights.

Every option is checked, every model is verified in a child process with its golden vectors, and the loop runs
for a few seconds on a made-up signal: sensors and destinations still belong to the release that runs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from edge_sdk.deploy.surroundings import surroundings
from edge_sdk.errors import EdgeError, GateError, one_line
from edge_sdk.model import Model
from edge_sdk.pipeline import From, Pipeline
from edge_sdk.unit import Settings, unit

#: So long the loop runs, s.
LOOP_S = 3.0


def try_out(
    slot: Path, current: Path, config: str, name: str, *, systemd: int | None, status: str | None
) -> dict[str, Any]:
    """Try a release.

    Args:
        slot: its folder.
        current: the link by which it runs once it is switched to.
        config: its edgeml.toml, within the slot.
        name: of the service.
        systemd: version on this device; None without.
        status: where the service is to tell its health; None where its edgeml.toml says it.

    Returns:
        ``unit``: text of the service's unit, empty without systemd; ``notes``: what a person has to see to;
        ``models``: by file, what was measured.

    Raises:
        EdgeError: something is wrong with it.
    """
    settings = Settings(
        name,
        systemd=systemd or Settings.systemd,
        packages=slot / "runtime",
        keeps_state=True,
        status=status,
        runtime=os.environ.get("EDGEML_RUNTIME"),  # it runs in what it is tried in
    )
    file = slot / config
    pipeline = Pipeline.from_config(file, state=settings.state)
    made = unit(pipeline, file, settings)
    for variable in made.variables:  # what it holds is known to the service only
        os.environ.setdefault(variable, "secret")
    pipeline.preview()
    for package in sorted(surroundings(pipeline).packages):
        _check_import(package)
    models = {each.file: _loop(file.parent / each.file, each.target) for each in pipeline.models if each.file}
    text = made.text.replace(str(slot), str(current)) if systemd is not None else ""
    return {"unit": text, "notes": list(made.notes), "models": models}


def _check_import(package: str) -> None:
    """See that a package that the system has to have is there, and goes with what the release brings."""
    try:
        importlib.import_module(package)
    except (ImportError, ValueError) as error:  # a ValueError is what one for another numpy raises
        raise GateError(
            f"the system's package {package} cannot be used",
            found=one_line(error),
            remedy=f"sudo apt install --no-install-recommends python3-{package}",
        ) from error


def _loop(file: Path, target: str) -> dict[str, Any]:
    """Verify a model, and let the loop run with it, unless it says nothing about its samples."""
    with Model.load(file, target=target) as model:
        if model.rate_hz is None:
            return {"digest": model.digest, "predictions": 0}
        seconds = LOOP_S + model.window / model.rate_hz
        source = From("synthetic:noise", options={"seconds": seconds})
        report = Pipeline(model, [source], [lambda _: None], outbox=False).run()
        if not report.predictions or not report.ledger.balanced:
            raise GateError(f"{file.name}: the loop", expected="predictions", found=report.ledger)
        return {
            "digest": model.digest,
            "predictions": report.predictions,
            "latency_us": report.latency_us,
        }


def main() -> int:
    """One JSON object on standard output: what was found, or the error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("slot", type=Path)
    parser.add_argument("current", type=Path)
    parser.add_argument("config")
    parser.add_argument("name")
    parser.add_argument("--systemd", type=int)
    parser.add_argument("--status")
    try:
        print(json.dumps(try_out(**vars(parser.parse_args()))))
        return 0
    except EdgeError as error:
        print(json.dumps(error.as_dict()))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
