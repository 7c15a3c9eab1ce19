"""The search, with trials that are a formula instead of a training."""

import base64
import csv
import io

import pytest

from edge_sdk.errors import ConfigError, DeviceError
from tests.folders import motion
from train_host.config import load
from train_host.tuning import goals, outcome, space
from train_host.tuning.crew import Local
from train_host.tuning.study import Search, Study
from train_host.tuning.trial import Order, Result

pytest.importorskip("optuna", reason="pip install 'edgeml-kit[tune]'")

TABLE = {
    "batch": {"low": 8, "high": 128},
    "arch": ["cnn1d", "mlp"],
    "cnn1d": {"filters": [[8], [64]]},
}


def formula(order: Order) -> Result:
    """Larger batches are better and cost more; the MLP is beaten in all."""
    batch = order.config["batch"]
    lost = 0.2 if order.config["arch"] == "mlp" else 0.0
    figures = {"accuracy": batch / 128 - lost, "bytes": 100 * batch + 1000 * lost, "arena_bytes": 10 * batch}
    content = base64.b64encode(str(order.number).encode()).decode()
    return Result(
        number=order.number,
        figures=figures,
        files={"model.keras": content, "model.tflite": content},
        seconds=1.0,
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return motion(tmp_path_factory.mktemp("data") / "motion", groups=6)


def searching(dataset, trials=12, limits=("arena_bytes=900",), **more):
    wanted = goals.parse(("accuracy", "bytes"), limits, None)
    base = load(None, window=20, validation=0.2).for_dataset(dataset)
    keys = {"recipe": "int8", "target": None, "board": None}
    return Search(
        dataset=dataset,
        base=base,
        space=space.parse(TABLE, "s"),
        goals=wanted,
        trials=trials,
        **{**keys, **more},
    )


def run(study, work=formula, size=1):
    seen = []
    with Local(size, work) as crew:
        study.run(crew, lambda tried, done: seen.append((tried, done)))
    return seen


def test_the_front_is_what_nothing_beats(dataset, tmp_path):
    study = Study(tmp_path / "s", searching(dataset))
    seen = run(study, size=2)
    assert [done for _, done in seen] == list(range(1, 13))
    assert len(study.tried) == 12
    front = study.front()
    assert front
    accuracies = [each.figures["accuracy"] for each in front]
    assert accuracies == sorted(accuracies, reverse=True)
    points = {
        each.number: (-each.figures["accuracy"], each.figures["bytes"])
        for each in study.tried
        if each.feasible
    }
    assert all(study.tried[number].figures["arena_bytes"] <= 900 for number in points)
    assert len(points) < 12
    beaten = {
        number
        for number, (a, b) in points.items()
        if any(x <= a and y <= b and (x, y) != (a, b) for x, y in points.values())
    }
    assert {each.number for each in front} == set(points) - beaten
    kept = {path.name for path in (tmp_path / "s" / "trials").iterdir()}
    assert kept == {str(each.number) for each in front}
    assert study.model(front[0], "model.tflite").read_bytes() == str(front[0].number).encode()


def test_nobody_sees_the_test_groups(dataset, tmp_path):
    search = searching(dataset, trials=1)
    outer = search.base.divide(dataset)
    orders = []

    def work(order):
        orders.append(order)
        return formula(order)

    run(Study(tmp_path / "s", search), work)
    split = orders[0].config["split"]
    assert set(split["test"]) == set(outer.validation)
    assert not {*split["train"], *split["test"]} & set(outer.test)


def test_it_goes_on_where_it_was(dataset, tmp_path):
    first = Study(tmp_path / "s", searching(dataset, trials=4))
    run(first)
    # one is begun, and its process dies
    trial = first._study.ask()
    asked = first.search.space.suggest(trial, "cnn1d")
    again = Study(tmp_path / "s", searching(dataset, trials=6))
    assert len(again.tried) == 4
    seen = run(again)
    assert [done for _, done in seen] == [5, 6]
    assert seen[0][0].values == asked
    assert [each.number for each in again.tried][:4] == [0, 1, 2, 3]


def test_another_search_is_not_mixed_in(dataset, tmp_path):
    run(Study(tmp_path / "s", searching(dataset, trials=1)))
    other = searching(dataset, trials=1, recipe="float16")
    with pytest.raises(
        ConfigError, match=r"another search, its recipe differs: expected int8, found float16"
    ):
        Study(tmp_path / "s", other)
    assert Study(tmp_path / "s", other, again=True).tried == []


def test_a_folder_of_something_else(dataset, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="expected no folder, or that of a search"):
        Study(tmp_path, searching(dataset))


def test_a_combination_that_fails_is_a_trial(dataset, tmp_path):
    def work(order):
        if order.config["arch"] == "mlp":
            return Result(number=order.number, failure="too wide")
        return formula(order)

    study = Study(tmp_path / "s", searching(dataset, trials=10))
    run(study, work)
    failed = [each for each in study.tried if each.result.failure]
    assert failed
    assert len(failed) < 10
    assert not any(each.feasible for each in failed)
    assert all(each.values["arch"] == "cnn1d" for each in study.front())


def test_a_machine_that_fails_is_given_another_chance(dataset, tmp_path):
    attempts = []

    def work(order):
        attempts.append(order.number)
        if len(attempts) < 3:
            raise DeviceError("the machine is gone")
        return formula(order)

    study = Study(tmp_path / "s", searching(dataset, trials=1))
    run(study, work)
    assert attempts == [0, 0, 0]
    assert len(study.tried) == 1


def test_one_that_fails_for_good_ends_the_search(dataset, tmp_path):
    def work(order):
        raise ZeroDivisionError("a bug")

    study = Study(tmp_path / "s", searching(dataset, trials=1))
    with pytest.raises(DeviceError, match=r"trial 0 failed unexpectedly: found ZeroDivisionError: a bug"):
        run(study, work)
    assert study.tried == []


def test_what_a_board_cannot_run_is_beyond(dataset, tmp_path):
    def work(order):
        found = formula(order)
        return Result(
            number=order.number, figures=found.figures, files=found.files, reasons=["no flash left"]
        )

    study = Study(tmp_path / "s", searching(dataset, trials=2, board="cortex-m4"))
    run(study, work)
    assert study.front() == []


def test_table_and_pictures(dataset, tmp_path):
    study = Study(tmp_path / "s", searching(dataset))
    run(study)
    tried, front = study.tried, study.front()
    rows = list(csv.DictReader(io.StringIO(outcome.table(tried, front))))
    assert len(rows) == 12
    assert sum(row["front"] == "1" for row in rows) == len(front)
    assert float(rows[0]["accuracy"]) == pytest.approx(tried[0].figures["accuracy"])
    lines = outcome.screen(front).splitlines()
    assert lines[0].split() == ["trial", "accuracy", "arena_bytes", "bytes", "with"]
    assert len(lines) == 1 + len(front)
    png = outcome.picture(tried, front, study.search.goals, "twelve trials")
    single = outcome.picture(tried, front, goals.parse(("accuracy",), (), None), "twelve trials")
    assert png[:8] == single[:8] == b"\x89PNG\r\n\x1a\n"
