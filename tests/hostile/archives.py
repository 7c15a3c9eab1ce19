"""Crafted .keras files."""

from __future__ import annotations

import json
import pickle
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.hostile import Case, Touch

#: What a member of an archive unpacks to, bytes, from half a megabyte.
BOMB_BYTES = 512 << 20
CONFIG, WEIGHTS = "config.json", "model.weights.h5"

Change = Callable[[zipfile.ZipFile], None]


def cases(keras: Path, folder: Path) -> Iterator[Case]:
    """Archives that unpack to too much, lead elsewhere, lack something, or hold code."""
    with zipfile.ZipFile(keras) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    evil = pickle.dumps(Touch(folder / "escaped.txt"))
    for name, change in additions(folder).items():
        path = pack(folder / f"{name}.keras", members, change)
        yield Case(name, path, may_pass=name == "many_records")
    for name, replaced in {
        "no_config": {CONFIG: None},
        "no_weights": {WEIGHTS: None},
        "empty_config": {CONFIG: b""},
        "no_json": {CONFIG: b"{"},
        "deep_json": {CONFIG: b"[" * 100_000 + b"]" * 100_000},
        "other_json": {CONFIG: b"[1, 2, 3]"},
        "not_a_number": {CONFIG: b'{"config": NaN}'},
        "pickled_config": {CONFIG: evil},
        "pickled_weights": {WEIGHTS: evil},
        "pickled_run": {"edgeml/run.json": evil},
        "odd_run": {"edgeml/run.json": b'{"dataset": 3, "split": [], "seed": "x"}'},
        "deep_run": {"edgeml/run.json": b"[" * 100_000 + b"]" * 100_000},
        "run_elsewhere": {"edgeml/run.json": b'{"dataset": {"path": "/", "digest": "x"}, "split": {}}'},
        "odd_contract": {"edgeml/contract.json": b'{"schema": 1, "input": []}'},
        "newer_contract": {"edgeml/contract.json": b'{"schema": 99}'},
        "deep_contract": {"edgeml/contract.json": b"[" * 100_000 + b"]" * 100_000},
    }.items():
        yield Case(name, pack(folder / f"{name}.keras", {**members, **replaced}))
    for name, config in _configs(json.loads(members[CONFIG])).items():
        changed = {**members, CONFIG: json.dumps(config).encode()}
        yield Case(name, pack(folder / f"{name}.keras", changed))


def pack(
    path: Path,
    members: Mapping[str, bytes | None],
    change: Change = lambda archive: None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """An archive of these members, and of what `change` adds."""
    with zipfile.ZipFile(path, "w", compression) as new:
        for member, content in members.items():
            if content is not None:
                new.writestr(member, content)
        change(new)
    return path


def additions(folder: Path, root: str = ".") -> dict[str, Change]:
    """Members that no model has, by the name of the case; those that may be anywhere, under `root`."""

    def bomb(name: str) -> Change:
        def add(archive: zipfile.ZipFile) -> None:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as file:
                for _ in range(BOMB_BYTES >> 24):
                    file.write(bytes(1 << 24))

        return add

    def named(name: str, mode: int = 0o644 | stat.S_IFREG, content: str = "evil") -> Change:
        def add(archive: zipfile.ZipFile) -> None:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a name that is there twice
                archive.writestr(info, content)

        return add

    def many(archive: zipfile.ZipFile) -> None:
        for i in range(10):
            archive.writestr(f"edgeml/{i}", bytes(63 << 20), zipfile.ZIP_DEFLATED)

    def lying(archive: zipfile.ZipFile) -> None:
        """Says 10 bytes in the directory and unpacks to a hundred megabytes."""
        archive.writestr("assets/lying", bytes(100 << 20), zipfile.ZIP_DEFLATED)
        archive.infolist()[-1].file_size = 10

    return {
        "bomb_asset": bomb(f"{root}/assets/bomb".removeprefix("./")),
        "bomb_record": bomb("edgeml/contract.json"),
        "many_records": many,
        "lying_size": lying,
        "upwards": named("../../escaped.txt"),
        "absolute": named(str(folder / "escaped.txt")),
        "symlink": named(f"{root}/assets/link".removeprefix("./"), 0o777 | stat.S_IFLNK, "/etc/passwd"),
        "twice": named("metadata.json"),
    }


def _configs(config: dict[str, Any]) -> dict[str, Any]:
    """Configurations with one thing changed, by the name of the case."""

    def copied() -> dict[str, Any]:
        whole: dict[str, Any] = json.loads(json.dumps(config))
        return whole

    def changed(**settings: Any) -> dict[str, Any]:
        whole = copied()
        for layer in whole["config"]["layers"]:
            layer["config"].update({key: value for key, value in settings.items() if key in layer["config"]})
        return whole

    def classed(**names: Any) -> dict[str, Any]:
        whole = copied()
        whole["config"]["layers"][1].update(names)
        return whole

    def inserted(kind: str, **settings: Any) -> dict[str, Any]:
        whole = copied()
        layers = whole["config"]["layers"]
        layers.insert(
            1, {"module": "keras.layers", "class_name": kind, "config": {"name": "new", **settings}}
        )
        return whole

    return {
        "zero_units": changed(units=0),
        "negative_units": changed(units=-4),
        "huge_units": changed(units=1 << 45),
        "large_units": changed(units=1 << 28),
        "huge_filters": changed(filters=1 << 40),
        "zero_filters": changed(filters=0),
        "text_units": changed(units="many"),
        "zero_kernel": changed(kernel_size=[0]),
        "zero_window": changed(batch_shape=[None, 0, 7]),
        "huge_window": changed(batch_shape=[None, 1 << 40, 7]),
        "large_window": changed(batch_shape=[None, 1 << 27, 7]),
        "open_window": changed(batch_shape=[None, None, None]),
        "no_batch": changed(batch_shape=[]),
        "fixed_batch": changed(batch_shape=[0, 40, 7]),
        "odd_dtype": changed(dtype="float128"),
        "odd_activation": changed(activation="os.system"),
        "huge_padding": inserted("ZeroPadding1D", padding=1 << 33),
        "large_padding": inserted("ZeroPadding1D", padding=1 << 28),
        "huge_upsampling": inserted("UpSampling1D", size=1 << 30),
        "large_upsampling": inserted("UpSampling1D", size=1 << 22),
        "code": classed(class_name="Lambda", config={"function": "print(1)"}, module="keras.layers"),
        "system": classed(class_name="system", module="os", config={"command": "true"}),
        "subprocess": classed(class_name="Popen", module="subprocess", config={"args": ["true"]}),
        "no_class": classed(class_name=None),
        "no_layers": {**config, "config": {**config["config"], "layers": []}},
        "no_layer_list": {"class_name": "Sequential"},
    }
