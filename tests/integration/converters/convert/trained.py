"""The model that is converted, and the command that converts it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_sdk import modelfile
from edge_sdk.dataset import Dataset
from edge_sdk.graph import read_graph

TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Trained:
    """A trained model, its data, and the windows it was not trained on."""

    file: Path
    folded: Path
    foreign: Path
    data: Dataset
    x: np.ndarray
    y: np.ndarray


def ops(file: Path) -> list[tuple[str, str]]:
    """Operators and the dtypes of their outputs, in order."""
    graph = read_graph(modelfile.split(file.read_bytes()).flatbuffer)
    return [(op.name, graph.tensors[op.outputs[0]].dtype) for op in graph.ops]


def edgeml(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_sdk", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **environment},
    )
