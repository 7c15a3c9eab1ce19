"""What docs/destinations.md shows works as it stands."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Pipeline, Prediction, open_sink
from edge_sdk.config import Config
from edge_sdk.errors import Rejected
from edge_sdk.plugins import check_url, options_of
from edge_sdk.registry import find
from edge_sdk.runs import Run
from tests.integration.postgres import running_server
from tests.models import write_model

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]

PAGE = (Path(__file__).parents[2] / "docs" / "destinations.md").read_text(encoding="utf-8")
ONE = Prediction("fall", 0.91, None, np.array([0.09, 0.91], np.float32), "press-7", "r1", 0, event="start")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("example", blocks("toml"), ids=["postgres", "exec", "notify", "serial"])
def test_every_sample_configuration_is_one(example, tmp_path, monkeypatch):
    """With the secrets' files, and the program that is named, where they can be read here."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "motion.tflite")
    for name in ("db-password", "mail"):
        (tmp_path / name).write_text("json://user:password@127.0.0.1/?to=ops@example.org\n")
    example = example.replace("/etc/edgeml", str(tmp_path)).replace("exec:python3", f"exec:{sys.executable}")
    config = Config.parse(example.replace("exec:logger", "exec:echo"), folder=tmp_path)
    Pipeline.from_config(config)
    for part in config.sink:
        plugin, location, options = check_url("sinks", part.sink, part.options)
        plugin.preflight(location, None, **options)


def test_the_commands_answers_are_as_shown(tmp_path):
    (program,) = blocks("python")
    (tmp_path / "archive.py").write_text(program)
    options = {
        "args": (str(tmp_path / "archive.py"),),
        "mode": "lines",
        "answers": True,
        "folder": str(tmp_path),
    }
    with open_sink(f"exec:{sys.executable}", **options) as sink:
        sink.write([ONE])
        with pytest.raises(Rejected, match="it has no label"):
            sink.write([replace(ONE, label=None, sequence=1)])
        sink.write([replace(ONE, sequence=2)])
    assert (tmp_path / "archive.txt").read_text() == "0 fall\n2 fall\n"


def test_the_statements_make_tables_that_a_user_with_few_rights_can_fill():
    query, tables = blocks("sql")
    with running_server() as server:
        server.query("CREATE ROLE edge LOGIN; CREATE SCHEMA vibration")
        server.query(tables)
        with open_sink(server.url("edge"), table="vibration.predictions", create=False) as sink:
            sink.begin(Run("r1", "press-7", "motion", "sha256:9f2c"))
            sink.write([ONE])
        ((device, at, label, score, first),) = server.query(query)
        assert (device, at.year, label, score, first) == ("press-7", 1970, "fall", 0.91, pytest.approx(0.09))


@pytest.mark.parametrize("name", ["postgres", "exec", "notify", "serial"])
def test_the_docstrings_know_every_option(name):
    plugin = find("sinks", name)
    assert all(f"{option}:" in plugin.__doc__ for option in options_of(plugin))
