from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import Channel, Contract, Input, Output
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import ConfigError, DatasetError, DeviceError, ModelError
from edge_sdk.modelfile import CONTRACT, RUN
from tests.folders import motion
from train_host import config as configs
from train_host.judging import challenge, verdict
from train_host.judging.challenge import Champion
from train_host.judging.verdict import Verdict, judge, mcnemar

CONTRACTED = Contract(
    "old",
    "classification",
    Input(tuple(Channel(name, "g") for name in ("ax", "ay", "az")), 20.0, 40, 20),
    Output(("rest", "shake")),
)
SPLIT = {"train": ["p0", "p1"], "validation": ["p2"], "test": ["p3"], "by": "person"}


def champion_file(
    path: Path, split: Any = SPLIT, contract: Contract = CONTRACTED, seen: Sequence[str] = ()
) -> Path:
    """What training leaves in a .keras file, without its weights."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CONTRACT, contract.to_json())
        archive.writestr(RUN, json.dumps({"split": split, "seen": [*seen]}))
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return motion(tmp_path_factory.mktemp("d") / "data", groups=8)


@pytest.fixture
def champion(tmp_path: Path) -> Champion:
    return Champion.load(champion_file(tmp_path / "old.keras"))


def test_old_groups_stay_where_the_champion_had_them_and_new_ones_are_divided(
    champion: Champion, dataset: Dataset
) -> None:
    config = challenge.divide(champion, dataset, configs.load(None, test=0.25))
    split = config.divide(dataset)
    assert {"p0", "p1"} <= set(split.train)
    assert split.validation == ("p2",)
    assert "p3" in split.test
    assert len(split.test) == 2  # a quarter of four new people
    assert {*split.train, *split.validation, *split.test} == set(dataset.groups)
    assert challenge.check(champion, dataset, config.for_dataset(dataset), split) == split.test


def test_what_a_model_has_seen_is_handed_down(tmp_path: Path, dataset: Dataset) -> None:
    """The champion was started from a model that p6 had trained, and left p6 out itself."""
    path = champion_file(tmp_path / "old.keras", seen=["p6"])
    champion = Champion.load(path)
    assert champion.seen == {"p0", "p1", "p2", "p6"}
    config = challenge.divide(champion, dataset, configs.load(None, test=0.9, init_from=str(path)))
    split = config.divide(dataset)
    assert "p6" in split.train
    assert not {*split.test} & champion.seen
    assert challenge.seen(config, split) == sorted({*split.train, *split.validation, "p6"})
    given = configs.load(None, split={"train": ["p3"], "test": ["p6", "p5"]}, init_from=str(path))
    assert challenge.seen(given, given.divide(dataset)) == ["p0", "p1", "p2", "p3", "p6"]
    assert challenge.check(champion, dataset, given.for_dataset(dataset), given.divide(dataset)) == ("p5",)


def test_a_split_that_was_given_stays(champion: Champion, dataset: Dataset) -> None:
    given = configs.load(None, split={"train": ["p3"], "test": ["p0", "p5"]})
    config = challenge.divide(champion, dataset, given)
    assert config.split == given.split
    split = config.divide(dataset)
    assert challenge.check(champion, dataset, config.for_dataset(dataset), split) == ("p5",)


def test_a_test_side_that_the_champion_has_seen_is_refused(champion: Champion, dataset: Dataset) -> None:
    config = configs.load(None, split={"train": ["p3"], "test": ["p0", "p2"]})
    with pytest.raises(ConfigError, match=r"no person is left to judge by.*trained on p0, p2"):
        challenge.check(champion, dataset, config.for_dataset(dataset), config.divide(dataset))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": Output(("shake", "rest"))}, "labels: expected shake, rest, found rest, shake"),
        ({"task": "anomaly"}, "task: expected classification, found anomaly"),
        (
            {"input": dataclasses.replace(CONTRACTED.input, window=50)},
            "window: expected 50, found 40; take --window 50",
        ),
        ({"input": dataclasses.replace(CONTRACTED.input, hop=10)}, "hop: expected 10, found 20"),
        (
            {"input": dataclasses.replace(CONTRACTED.input, channels=(Channel("ax", "g"),))},
            "channels: expected ax, found ax, ay, az",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, dataset: Dataset, change: dict[str, Any], message: str
) -> None:
    path = champion_file(tmp_path / "old.keras", contract=dataclasses.replace(CONTRACTED, **change))
    with pytest.raises(ConfigError, match=message):
        challenge.enter(configs.load(None, compare_to=str(path)), dataset, tmp_path / "new.keras")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            {"train": ["p0", "p99"], "test": ["p1"]},
            r"split: train: expected a person among .*found p99",
        ),
        ({"train": ["p0"]}, r"split: test: expected a person among .*found nobody"),
        ({"test": ["p0"]}, r"split: train: expected a person among .*found nobody"),
    ],
)
def test_a_split_of_unknown_or_missing_groups_is_refused(
    dataset: Dataset, split: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.load(None, split=split).divide(dataset)


def test_a_group_on_two_sides_is_refused_and_one_on_none_is_left_out(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="'p0' is on two sides"):
        configs.load(None, split={"train": ["p0"], "test": ["p0"]}).divide(dataset)
    divided = configs.load(None, split={"train": ["p2", "p0"], "test": ["p1"]}).divide(dataset)
    assert (divided.train, divided.validation, divided.test) == (("p0", "p2"), (), ("p1",))


def test_without_a_champion_nothing_changes(dataset: Dataset) -> None:
    config = configs.load(None)
    assert challenge.enter(config, dataset, Path("m.keras")) is config


def test_a_challenger_does_not_overwrite_the_champion(champion: Champion, dataset: Dataset) -> None:
    config = configs.load(None, compare_to=str(champion.path))
    with pytest.raises(ConfigError, match="is the champion itself"):
        challenge.enter(config, dataset, champion.path.parent / "." / "old.keras")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ({}, "no edgeml/contract.json: expected a model that edgeml train has made"),
        ({CONTRACT: CONTRACTED.to_json()}, "no edgeml/run.json"),
        ({CONTRACT: CONTRACTED.to_json(), RUN: b"{}"}, "the groups of its split"),
        ({CONTRACT: CONTRACTED.to_json(), RUN: b'{"split": {"train": 3}}'}, "the groups of its split"),
        ({CONTRACT: CONTRACTED.to_json(), RUN: b"\xff"}, "the groups of its split"),
        ({CONTRACT: b"{}", RUN: json.dumps({"split": SPLIT}).encode()}, "contract.json"),
    ],
)
def test_a_file_that_is_no_champion_is_refused_in_one_line(
    tmp_path: Path, content: dict[str, bytes] | None, message: str
) -> None:
    path = tmp_path / "old.keras"
    if content is not None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
            archive.writestr("metadata.json", "{}")
    with pytest.raises((ModelError, ConfigError, ValueError), match=message) as raised:
        Champion.load(path)
    assert "\n" not in str(raised.value)


def windows(groups: list[str], each: int) -> Windowed:
    count = len(groups) * each
    return Windowed(
        np.zeros((count, 1, 1), np.float32), np.zeros(count, np.int64), list(np.repeat(groups, each))
    )


def said(right: np.ndarray) -> np.ndarray:
    """Scores of two labels, of which the first is the true one."""
    return np.where(np.asarray(right)[:, None], [[0.9, 0.1]], [[0.2, 0.8]])


def judged(
    champion: Champion, before: np.ndarray, after: np.ndarray, groups: int = 8, bound: float = 0.05
) -> Verdict:
    seen = windows([f"p{n}" for n in range(groups)], len(before) // groups)
    return judge(champion, said(before), said(after), seen, bound, ["p9"])


def test_a_clear_gain_that_nobody_pays_for_wins(champion: Champion) -> None:
    random = np.random.default_rng(0)
    before = random.random(800) < 0.7
    after = before | (random.random(800) < 0.5)
    found = judged(champion, before, after)
    assert found.better
    assert found.reasons == []
    assert 0 < found.interval[0] <= found.gain <= found.interval[1]
    assert found.p_value < 1e-6
    facts = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert facts["better"] is True
    assert facts["n"] == 800
    assert facts["left_out"] == ["p9"]
    assert facts["digest"] == champion.digest


def test_a_gain_that_may_be_chance_does_not_win(champion: Champion) -> None:
    before = np.arange(800) % 4 > 0
    after = before.copy()
    after[0] = True
    found = judged(champion, before, after)
    assert found.gain > 0
    assert not found.better
    assert found.reasons[0].startswith("it is not shown to be better: +0.1 points")


def test_the_same_model_does_not_win(champion: Champion) -> None:
    right = np.arange(80) % 4 > 0
    found = judged(champion, right, right)
    assert (found.gain, found.p_value, found.better) == (0.0, 1.0, False)


def test_a_worse_model_is_called_worse(champion: Champion) -> None:
    before = np.ones(800, bool)
    after = np.arange(800) % 3 > 0
    assert judged(champion, before, after).reasons[0].startswith("it is worse: -33.4 points")


def test_a_group_that_pays_for_the_gain_of_others_stops_it(champion: Champion) -> None:
    before = np.arange(800) % 2 > 0
    after = np.ones(800, bool)
    after[300:400] = np.arange(100) % 10 < 4  # p3 falls from 0.5 to 0.4
    found = judged(champion, before, after)
    assert found.interval[0] > 0
    assert found.fallen == ["p3"]
    assert found.reasons == ["p3 falls by 10.0 points, from 0.500 to 0.400 (100 windows); 5 may be lost"]
    assert judged(champion, before, after, bound=0.1).better


def test_mcnemar_is_the_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert 0 <= mcnemar(2000, 1000) < 1e-60


def test_the_examples_hold() -> None:
    import doctest

    assert doctest.testmod(verdict).failed == 0


def test_promotion_replaces_the_champion_and_keeps_it(champion: Champion, tmp_path: Path) -> None:
    old = champion.path.read_bytes()
    new = tmp_path / "new.keras"
    new.write_bytes(b"better")
    for name in ("new.run.json", "new.training.html", "old.training.html", "old.confusion.png"):
        (tmp_path / name).write_text(name)
    kept = challenge.promote(new, champion.path, champion.digest)
    assert kept == tmp_path / "old.previous.keras"
    assert champion.path.read_bytes() == b"better"
    assert kept.read_bytes() == old
    assert new.exists()
    # what lies beside a model goes along with it
    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix != ".keras"}
    assert found == {
        "new.run.json": "new.run.json",
        "new.training.html": "new.training.html",
        "old.run.json": "new.run.json",
        "old.training.html": "new.training.html",
        "old.previous.training.html": "old.training.html",
        "old.previous.confusion.png": "old.confusion.png",
    }


def test_a_champion_that_was_replaced_meanwhile_is_left_alone(champion: Champion, tmp_path: Path) -> None:
    (tmp_path / "new.keras").write_bytes(b"better")
    champion.path.write_bytes(b"another one")
    with pytest.raises(DeviceError, match="has changed since it was compared with"):
        challenge.promote(tmp_path / "new.keras", champion.path, champion.digest)
    assert champion.path.read_bytes() == b"another one"
    assert not (tmp_path / "old.previous.keras").exists()
