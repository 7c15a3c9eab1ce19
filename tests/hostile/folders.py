"""Crafted SavedModels and dataset folders."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edge_sdk.dataset import FACTS, MANIFEST
from tests.hostile import Case, Touch

Change = Callable[[Path], None]
_HARMLESS = {"loop_of_links", "upper_loop", "fingerprint_of_zeros", "text_graph"}


def saved_models(good: Path, folder: Path) -> Iterator[Case]:
    """One good SavedModel, with a file of it replaced by something else."""
    for name, change in _saved(good, folder).items():
        copy = folder / f"saved_{name}"
        shutil.copytree(good, copy)
        change(copy)
        yield Case(f"saved model {name}", copy, may_pass=name in _HARMLESS)


def datasets(model: Path, good: Path, folder: Path) -> Iterator[Case]:
    """A good model with one good dataset folder, in which something was replaced."""
    for name, change in _datasets(folder).items():
        copy = folder / name
        shutil.copytree(good, copy)
        change(copy)
        yield Case(f"dataset {name}", model, copy, may_pass=name in _HARMLESS)


def _linked(name: str, target: str | Path) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return change


def _holds(name: str, content: bytes, size: int | None = None) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if size is not None:
            os.truncate(path, size)

    return change


def _piped(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def _saved(good: Path, folder: Path) -> dict[str, Change]:
    graph, index = "saved_model.pb", "variables/variables.index"
    (weights,) = (path.relative_to(good).as_posix() for path in good.glob("variables/*.data-*"))
    outside = folder / "outside.pb"
    shutil.copy(good / graph, outside)
    evil = pickle.dumps(Touch(folder / "escaped.txt"))

    def moved(path: Path) -> None:
        shutil.move(path / "variables", folder / "moved")
        (path / "variables").symlink_to(folder / "moved")

    return {
        "graph_elsewhere": _linked(graph, outside),
        "weights_elsewhere": _linked(weights, good / weights),
        "weights_of_a_device": _linked(weights, "/dev/zero"),
        "asset_elsewhere": _linked("assets/passwd", "/etc/passwd"),
        "folder_elsewhere": moved,
        "loop_of_links": _linked("assets/loop", ".."),
        "link_to_itself": _linked("assets/self", "self"),
        "graph_of_a_pipe": _piped(graph),
        "weights_of_a_pipe": _piped(weights),
        "sparse_asset": _holds("assets/sparse", b"", 1 << 40),
        "sparse_weights": _holds(weights, b"", 1 << 40),
        "sparse_graph": _holds(graph, b"", 1 << 31),
        "pickled_graph": _holds(graph, evil),
        "pickled_weights": _holds(weights, evil),
        "pickled_index": _holds(index, evil),
        "fingerprint_of_zeros": _holds("fingerprint.pb", b"\xff" * 100),
        "empty_graph": _holds(graph, b""),
        "text_graph": _holds("saved_model.pbtxt", b"saved_model_schema_version: 1"),
    }


def _datasets(folder: Path) -> dict[str, Change]:
    recordings = "recordings/still"
    first = f"{recordings}/s0_0.npz"
    evil = np.array([Touch(folder / "escaped.txt")] * 9, dtype=object)

    def with_objects(path: Path) -> None:
        np.savez(path / first, samples=evil)

    def with_zeros(path: Path) -> None:
        for each in path.rglob("*.npz"):
            np.savez(each, samples=np.zeros((0, 7), np.float32))

    def with_nan(path: Path) -> None:
        for each in path.rglob("*.npz"):
            np.savez(each, samples=np.full((600, 7), np.nan, np.float32))

    return {
        "facts_of_a_device": _linked(FACTS, "/dev/zero"),
        "facts_elsewhere": _linked(FACTS, "/etc/passwd"),
        "facts_of_a_pipe": _piped(FACTS),
        "sparse_facts": _holds(FACTS, b"", 1 << 40),
        "deep_facts": _holds(FACTS, b"name = " + b"[" * 100_000),
        "odd_facts": _holds(FACTS, b'name = "\\u001b[2J"\nchannels = 3'),
        "manifest_of_a_device": _linked(MANIFEST, "/dev/zero"),
        "manifest_of_a_pipe": _piped(MANIFEST),
        "manifest_upwards": _holds(MANIFEST, b"file,label,group\n../../x.csv,still,s0\n"),
        "manifest_absolute": _holds(MANIFEST, b"file,label,group\n/etc/passwd,still,s0\n"),
        "manifest_no_text": _holds(MANIFEST, b"\xff\xfe\0\0"),
        "manifest_long_field": _holds(MANIFEST, b"file,label,group\n" + b"x" * (1 << 20)),
        "recording_elsewhere": _linked(first, "/etc/passwd"),
        "recording_of_a_device": _linked(first, "/dev/zero"),
        "recording_of_a_pipe": _piped(first),
        "recording_nowhere": _linked(first, "nowhere"),
        "recording_of_itself": _linked(first, "s0_0.npz"),
        "sparse_recording": _holds(first, b"", 1 << 40),
        "loop_of_links": _linked(f"{recordings}/loop", ".."),
        "upper_loop": _linked("recordings/loop", ".."),
        "objects": with_objects,
        "no_samples": with_zeros,
        "not_a_number": with_nan,
        "strange_file": _holds(f"{recordings}/evil.sh", b"true"),
        "strange_name": _holds(f"{recordings}/\x1b[2J\n_1.csv", b"ax\n1\n"),
        "no_recordings": lambda path: shutil.rmtree(path / "recordings"),
    }
