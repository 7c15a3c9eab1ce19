import ast
from pathlib import Path

import numpy as np
import pytest

from converters.figures import Truth
from edge_sdk.errors import ConfigError, UnknownNameError
from train_host import architectures, tasks
from train_host.architectures.kinds import IMAGES, SIGNALS, SOUND
from train_host.config import Config, load
from train_host.tuning import goals as figures
from train_host.tuning import space
from train_host.tuning.goals import parse
from train_host.tuning.space import Choice, Range


class First:
    """Suggests the first or the lowest, and remembers what it was asked."""

    def __init__(self):
        self.asked = {}

    def suggest_categorical(self, name, choices):
        self.asked[name] = choices
        return choices[0]

    def suggest_float(self, name, low, high, *, log=False):
        self.asked[name] = (low, high, log)
        return low

    def suggest_int(self, name, low, high, *, log=False):
        self.asked[name] = (low, high, log)
        return low


TABLE = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "arch": ["tcn", "cnn1d"],
    "batch": {"low": 16, "high": 64},
    "recipe": ["int8", "float16"],
    "cnn1d": {"filters": [[8, 16], [16, 32]]},
    "tcn": {"dropout": {"low": 0.1, "high": 0.5}},
}


def test_options_are_asked_for_the_architecture_that_is_tried():
    trial = First()
    values = space.parse(TABLE, "search").suggest(trial, "cnn1d")
    assert values == {
        "arch": "tcn",
        "learning_rate": 1e-4,
        "batch": 16,
        "recipe": "int8",
        "tcn.dropout": 0.1,
    }
    assert isinstance(values["batch"], int)
    assert trial.asked["learning_rate"] == (1e-4, 1e-2, True)


def test_the_architecture_of_the_config_where_none_is_searched():
    found = space.parse({name: TABLE[name] for name in ("batch", "cnn1d")}, "search").suggest(
        First(), "cnn1d"
    )
    assert found == {"batch": 16, "cnn1d.filters": [8, 16]}


def test_a_trial_as_a_config():
    base = load(None, epochs=3, model={"dropout": 0.2, "filters": [1]})
    config = space.applied({"arch": "cnn1d", "batch": 16, "recipe": "int8", "cnn1d.filters": [8, 16]}, base)
    assert (config.arch, config.batch, config.epochs) == ("cnn1d", 16, 3)
    assert config.model == {"dropout": 0.2, "filters": [8, 16]}


def test_what_is_searched_by_default_can_be_searched():
    for kind in (SIGNALS, SOUND, IMAGES):
        for task in tasks.TABLE:
            table = space.usual(kind, task)
            assert set(table["arch"]) <= set(architectures.names(kind, task))
            found = space.parse(table, "search").suggest(First(), table["arch"][0])
            assert isinstance(space.applied(found, Config()), Config)


def test_the_usual_options_are_those_of_the_architectures():
    for kind in (SIGNALS, SOUND, IMAGES):
        for task in tasks.TABLE:
            table = space.usual(kind, task)
            for name in table["arch"]:
                assert set(table[name]) <= options(name)


def options(name):
    """Of the file, which without TensorFlow cannot be imported."""
    tree = ast.parse((Path(architectures.__file__).parent / f"{name}.py").read_text())
    (build,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "build")
    return {argument.arg for argument in build.args.kwonlyargs}


def test_dimensions():
    assert space.parse({"batch": [1, 2]}, "s").keys == {"batch": Choice((1, 2))}
    assert space.parse({"batch": {"low": 1, "high": 2}}, "s").keys == {"batch": Range(1, 2)}


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"bach": [1]}, "search: unknown key 'bach'.*did you mean 'batch'"),
        ({"seed": [1, 2]}, "search: unknown key 'seed'"),
        ({"batch": []}, r"search: batch: expected a list, or \{low = …, high = …\}"),
        ({"batch": {"low": 4, "high": 4}}, "search: batch"),
        ({"batch": {"low": 0, "high": 4, "log": True}}, "search: batch"),
        ({"batch": {"low": 1, "high": 4, "step": 1}}, "search: batch"),
        ({"batch": 5}, "search: batch"),
        ({}, "search: expected at least one key to search"),
    ],
)
def test_a_space_that_is_none(table, complaint):
    with pytest.raises(ConfigError, match=complaint):
        space.parse(table, "search")


def test_an_unknown_architecture():
    with pytest.raises(UnknownNameError, match="did you mean 'cnn1d'"):
        space.parse({"cnn1": {"filters": [[1]]}}, "search")


def test_goals():
    limits = ("arena_bytes=64Ki", "accuracy=0.8", "bytes=20k")
    goals = parse(("accuracy", "bytes"), limits, "classification", None)
    assert goals.directions == ["maximize", "minimize"]
    assert goals.limits == {"arena_bytes": 65536.0, "accuracy": 0.8, "bytes": 20000.0}
    excess = goals.excess({"accuracy": 0.9, "bytes": 30000})
    assert excess["accuracy"] < 0 < excess["bytes"] == 0.5
    assert excess["arena_bytes"] == 1.0
    assert goals.values({"accuracy": 0.9, "bytes": 30000}) == [0.9, 30000.0]
    assert goals.cost({"accuracy": 0.9, "bytes": 30000}) == (-0.9, 30000.0)
    assert goals.unknown({"accuracy": None, "bytes": 1}) == "accuracy"
    assert goals.unknown({"accuracy": 0.5, "bytes": float("inf")}) == "bytes"
    assert goals.unknown({"accuracy": 0.5, "bytes": 1}) is None


@pytest.mark.parametrize("task", list(tasks.TABLE))
def test_what_is_searched_for_is_what_counts_most_of_a_task(task):
    own = parse((), (), task, None).objectives[0]
    if task == "classification":
        assert own == "accuracy"
        return
    truth = Truth(task, np.array([0, 1, 1]) if task == "anomaly" else np.array([[0.0], [1.0], [1.0]]))
    found = truth.evaluate(np.array([[0.1], [0.9], [0.4]]))
    assert own == found.figure
    assert set(figures.of_task(task)) - set(figures.of_task("none")) <= set(found.as_dict())


@pytest.mark.parametrize(
    ("objectives", "limits", "complaint"),
    [
        (("acuracy",), (), "did you mean 'accuracy'"),
        (("error",), (), "--objective error: expected one of accuracy, .*found a dataset for classification"),
        (("accuracy",), ("auc=0.9",), "--limit auc: expected one of accuracy"),
        (("accuracy", "accuracy"), (), "each once"),
        (("instructions",), (), "expected --target"),
        (("accuracy",), ("latency_us=10",), "expected --target"),
        (("accuracy",), ("bytes",), "expected FIGURE=NUMBER"),
        (("accuracy",), ("bytes=1.2.3k",), "expected a number"),
        (("accuracy",), ("size=1",), "--limit 'size': expected one of"),
    ],
)
def test_goals_that_cannot_be(objectives, limits, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse(objectives, limits, "classification", None)
