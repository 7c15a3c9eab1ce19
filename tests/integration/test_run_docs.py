"""The examples of docs/pipeline.md and docs/plugins.md run as they stand."""

import re
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import recordings
from edge_sdk.config import Config
from edge_sdk.errors import ConfigError
from edge_sdk.pipeline import Pipeline
from edge_sdk.plugins import options_of
from edge_sdk.prediction import Prediction
from edge_sdk.recordings import Signal
from tests.models import write_model

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[2] / "docs"


def blocks_of(name, language):
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


@pytest.fixture
def place(tmp_path, monkeypatch):
    write_model(tmp_path / "motion.tflite")
    samples = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
    recordings.write(tmp_path / "walk.csv", Signal(samples, 50.0, ("ax", "ay", "az")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("page", "code"),
    [(page, code) for page in ("pipeline.md", "plugins.md") for code in blocks_of(page, "python")],
    ids=lambda value: value if value.endswith(".md") else value.split("\n")[0][:30],
)
def test_the_python_examples_run(place, page, code, capsys):
    names = {}
    exec(compile(code, page, "exec"), names)
    if "report" in names:
        assert names["report"].ledger.balanced
        assert names["report"].predictions > 0
    if "Sink" in names:
        assert list(options_of(names["Sink"])) == ["times"]
        names["Sink"]("beeps.txt", times=2).write([Prediction("walk", 1.0, None, np.ones(1, np.float32))])
        assert (place / "beeps.txt").read_text() == "walk\nwalk\n"


def test_the_toml_example_loads_as_written(place):
    example, *others = blocks_of("pipeline.md", "toml")
    for more in others:
        whole = (
            more if "model]" in more or "[contract]" in more else '[model]\nfile = "motion.tflite"\n' + more
        )
        Config.parse(whole if "[[source]]" in whole else whole + '[[source]]\nurl = "stdin:"\n')
    pipeline = Pipeline.from_config(Config.parse(example, folder=place))
    assert [part.options for part in pipeline.config.source] == [{"baud": 115200}]
    with pytest.raises(ConfigError, match="label is never 'fall'"):  # the model of this test has other labels
        pipeline.preview()


@pytest.mark.parametrize("group", ["sources", "sinks"])
def test_every_option_stands_in_the_reference(group):
    from edge_sdk import registry

    page = (DOCS / "pipeline.md").read_text(encoding="utf-8")
    for name in registry.builtin_names(group):
        plugin = registry.find(group, name)
        assert f"`{name}:" in page
        for option in options_of(plugin):
            assert f"`{option}`" in page, f"{name}: {option}"
            assert f"{option}:" in plugin.__doc__, f"{name}: {option}"
