"""The search, with trials that are a formula instead of a training."""

import base64
import csv
import dataclasses
import io
import re
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec
import pytest

from edge_sdk.errors import ConfigError, DeviceError, EdgeError, GateError
from tests.folders import motion
from tests.task_folders import bearing
from train_host.config import load
from train_host.tuning import front as fronts
from train_host.tuning import goals, job, outcome, space
from train_host.tuning.search import Search
from train_host.tuning.study import Study
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


class Threads:
    """A crew in this process."""

    def __init__(self, work=formula, size=1):
        self.size, self._work, self._running = size, work, {}
        self._pool = ThreadPoolExecutor(size)

    def submit(self, order):
        self._running[self._pool.submit(self._work, order)] = order.number

    def next(self):
        done: Future = next(iter(wait(self._running, return_when=FIRST_COMPLETED).done))
        number = self._running.pop(done)
        try:
            return number, done.result()
        except EdgeError as error:
            return number, error

    def close(self):
        self._pool.shutdown()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return motion(tmp_path_factory.mktemp("data") / "motion", groups=6)


def searching(dataset, trials=12, limits=("arena_bytes=900",), **more):
    wanted = goals.parse(("accuracy", "bytes"), limits, "classification", None)
    base = load(None, window=20, validation=0.2).for_dataset(dataset)
    parts = space.parse(TABLE, "s")
    return Search(dataset=dataset, base=base, space=parts, goals=wanted, trials=trials, **more)


def run(study, work=formula, size=1, meter=None):
    """Until it is over; then others may search in its folder."""
    seen = []
    crew = Threads(work, size)
    try:
        study.run(crew, meter, lambda tried, done: seen.append((tried, done)))
    finally:
        crew.close()
        study.close()
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
    assert all(each.figures["arena_bytes"] <= 900 for each in study.tried if each.number in points)
    assert len(points) < 12
    beaten = {
        number
        for number, (a, b) in points.items()
        if any(x <= a and y <= b and (x, y) != (a, b) for x, y in points.values())
    }
    assert {each.number for each in front} == set(points) - beaten
    kept = {path.name for path in (tmp_path / "s" / "trials").iterdir()}
    assert kept == {str(each.number) for each in front}
    assert study.folder.place(front[0].number, "model.tflite").read_bytes() == str(front[0].number).encode()


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
    # one is begun, and its process dies while it writes
    (tmp_path / "s" / "journal.log.lock").symlink_to("journal.log")
    first = Study(tmp_path / "s", searching(dataset, trials=5))
    asked = first._ask().user_attrs["values"]
    first.close()
    again = Study(tmp_path / "s", searching(dataset, trials=6))
    assert len(again.tried) == 4
    seen = run(again)
    assert [done for _, done in seen] == [5, 6]
    assert seen[0][0].values == asked
    assert [each.number for each in again.tried] == [0, 1, 2, 3, 4, 5]
    # what a search asks that nobody stopped, and numbers without a gap
    whole = Study(tmp_path / "w", searching(dataset, trials=6))
    run(whole)
    assert [each.values for each in again.tried] == [each.values for each in whole.tried]


def test_a_result_that_was_written_counts_though_its_process_died_then(dataset, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    first = Study(tmp_path / "s", searching(dataset, trials=3))
    with monkeypatch.context() as patch:
        patch.setattr(first, "_tell", kill)
        with pytest.raises(Killed):
            run(first)
    again = Study(tmp_path / "s", searching(dataset, trials=3))
    assert [each.number for each in again.tried] == [0]
    run(again)
    assert [each.number for each in again.tried] == [0, 1, 2]


def test_another_search_is_not_mixed_in(dataset, tmp_path):
    run(Study(tmp_path / "s", searching(dataset, trials=1)))
    other = searching(dataset, trials=1, recipe="float16")
    with pytest.raises(
        ConfigError, match=r"another search, its recipe differs: expected int8, found float16"
    ):
        Study(tmp_path / "s", other)
    wider = load(None, window=40, validation=0.2).for_dataset(dataset)
    with pytest.raises(ConfigError, match=r"its config\.window differs: expected 20, found 40"):
        Study(tmp_path / "s", dataclasses.replace(searching(dataset), base=wider))
    with Study(tmp_path / "s", other, again=True) as anew:
        assert anew.tried == []
        with pytest.raises(DeviceError, match="a search goes on in it"):
            Study(tmp_path / "s", other)


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
    assert "too wide" in outcome.table(study.tried, study.front())
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


def test_a_machine_that_fails_for_good_ends_the_search(dataset, tmp_path):
    def work(order):
        raise DeviceError("the disk is full")

    study = Study(tmp_path / "s", searching(dataset, trials=1))
    with pytest.raises(DeviceError, match="the disk is full"):
        run(study, work)
    assert study.tried == []


def test_where_all_fail_the_search_does_not_go_on(dataset, tmp_path):
    def work(order):
        return Result(number=order.number, failure="the training diverged in epoch 1")

    study = Study(tmp_path / "s", searching(dataset, trials=50))
    with pytest.raises(GateError, match="the first 5 trials have failed: .* found the training diverged"):
        run(study, work)
    assert len(study.tried) == 5


def test_a_figure_that_is_no_number_is_a_failure(dataset, tmp_path):
    def work(order):
        found = formula(order)
        wrong = {"accuracy": float("nan")} if order.number == 0 else {"accuracy": None}
        return msgspec.structs.replace(found, figures={**found.figures, **wrong})

    study = Study(tmp_path / "s", searching(dataset, trials=2))
    run(study, work)
    assert [each.result.failure for each in study.tried] == ["its accuracy is not known"] * 2


def test_nothing_is_tried_twice_and_a_small_space_has_an_end(dataset, tmp_path):
    search = dataclasses.replace(
        searching(dataset, trials=50), space=space.parse({"batch": [8, 16, 32]}, "s")
    )
    study = Study(tmp_path / "s", search)
    run(study, size=2)
    assert sorted(each.values["batch"] for each in study.tried) == [8, 16, 32]


def test_what_is_measured_belongs_to_the_trial(dataset, tmp_path):
    class Meter:
        def complete(self, result):
            return msgspec.structs.replace(result, figures={**result.figures, "latency_us": 5.0})

    study = Study(tmp_path / "s", searching(dataset, trials=2))
    run(study, meter=Meter())
    assert [each.figures["latency_us"] for each in study.tried] == [5.0, 5.0]


def test_a_trial_on_the_front_can_be_trained_anew(dataset, tmp_path):
    study = Study(tmp_path / "s", searching(dataset, trials=6))
    run(study)
    best = study.front()[0]
    config = load(study.folder.place(best.number, "config.json"))
    assert config == study.config(best)
    assert config.split is None
    assert config.batch == best.values["batch"]


def test_detectors_are_judged_where_there_is_something_to_detect(tmp_path):
    dataset = bearing(tmp_path / "d", groups=6)
    wanted = goals.parse((), (), "anomaly", None)
    assert wanted.objectives == ("auc", "bytes")
    base = load(None, validation=0.2).for_dataset(dataset)
    parts = space.parse(space.usual("signals", "anomaly"), "search")
    search = Search(dataset=dataset, base=base, space=parts, goals=wanted)
    search.check()
    inner, outer = search.inner(), base.divide(dataset)
    assert inner.test == outer.validation
    assert len(inner.validation) == 1  # by which the threshold is chosen
    assert {*inner.train, *inner.validation} == set(outer.train)
    alone = {"train": ("m1", "m2"), "validation": ("m0",), "test": ("m3",)}  # nothing is wrong with m0
    lacking = dataclasses.replace(search, base=msgspec.structs.replace(base, split=alone))
    with pytest.raises(
        ConfigError, match="validation: m0: expected normal recordings and others.* found normal"
    ):
        lacking.check()


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"arch": ["gmm", "cnn1d"]}, "architecture 'gmm' is made for anomaly"),
        (
            {"arch": ["mlp"], "cnn1d": {"filters": [[8]]}},
            r"\[search\.cnn1d\]: expected options of what is tried: mlp",
        ),
    ],
)
def test_what_would_end_every_trial_is_found_before(dataset, table, complaint):
    with pytest.raises(ConfigError, match=complaint):
        dataclasses.replace(searching(dataset), space=space.parse(table, "s")).check()


def test_what_a_board_cannot_run_is_beyond(dataset, tmp_path):
    def work(order):
        found = formula(order)
        return Result(
            number=order.number, figures=found.figures, files=found.files, reasons=["no flash left"]
        )

    study = Study(tmp_path / "s", searching(dataset, trials=2, board="cortex-m4", limits=("bytes=1M",)))
    run(study, work)
    assert study.front() == []
    assert study.tried[0].beyond[-1] == "board"
    said = str(job._nothing(study))
    assert "bytes at most 1,000,000, cortex-m4 runs it, found none of 2: no flash left" in said


def test_which_trial_comes_nearest(dataset, tmp_path):
    study = Study(tmp_path / "s", searching(dataset, trials=4, limits=("bytes=100", "arena_bytes=1k")))
    run(study)
    assert study.front() == []
    found = fronts.nearest(study.tried, study.search.goals)
    assert found is not None
    assert found[0].figures["bytes"] == min(each.figures["bytes"] for each in study.tried)
    assert found[1] == "bytes"
    said = str(job._nothing(study))
    assert "no trial is within the limits: expected bytes at most 100, arena_bytes at most 1,000" in said
    assert (
        f"found bytes {found[0].figures['bytes']:,.0f} in trial {found[0].number}, which comes nearest"
        in said
    )


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
    alone = goals.parse(("accuracy",), (), "classification", None)
    single = outcome.picture(tried, front, alone, "twelve trials")
    assert png[:8] == single[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("accuracy", 0.81249, "0.812"),
        ("error", 123.456, "123.5"),
        ("latency_us", 2.083, "2.08"),
        ("latency_us", 1234.5, "1,234"),
        ("instructions", 1_032_266, "1,032,266"),
        ("auc", None, "–"),
    ],
)
def test_figures_for_people(name, value, shown):
    assert outcome.cell(name, value) == shown


def test_the_document_names_every_figure_and_its_program_asks_for_a_search(tmp_path, monkeypatch):
    page = (Path(__file__).parents[4] / "docs/tuning.md").read_text()
    for name, figure in goals.FIGURES.items():
        tasks = ", ".join(figure.tasks) or "all"
        assert re.search(rf"^\| .*`{name}`.* \| {tasks} \| ", page, re.MULTILINE), name
    program = page.partition("```python\n")[2].partition("found = tune(")[0]
    motion(tmp_path / "data", groups=6)
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(program, namespace)  # what follows would take minutes
    namespace["search"].check()
    assert namespace["search"].goals.limits == {"bytes": 40_000}
