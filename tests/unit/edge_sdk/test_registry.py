"""A plug-in's file name is its name, and its constructor is the schema of its options."""

import subprocess
import sys
from typing import Annotated, Literal

import msgspec
import pytest

from edge_sdk import ConfigError, Model, plugins, registry
from edge_sdk.errors import UnknownNameError
from edge_sdk.registry import Url


@pytest.mark.parametrize(
    ("text", "scheme", "location", "options"),
    [
        ("serial:///dev/ttyACM0?baud=9600", "serial", "/dev/ttyACM0", {"baud": "9600"}),
        ("sqlite:events.db", "sqlite", "events.db", {}),
        ("serial:socket://127.0.0.1:5000", "serial", "socket://127.0.0.1:5000", {}),
        ("mqtt://broker/plant/+/imu?qos=1", "mqtt", "broker/plant/+/imu", {"qos": "1"}),
        ("stdout:", "stdout", "", {}),
        (
            "replay:a b.csv?channels=ax,ay&speed=max",
            "replay",
            "a b.csv",
            {"channels": "ax,ay", "speed": "max"},
        ),
    ],
)
def test_urls_are_taken_apart(text, scheme, location, options):
    assert Url.parse(text) == Url(scheme, location, options)


@pytest.mark.parametrize("text", ["walk.csv", "", ":x", "/dev/ttyACM0", "serial:x?baud", "serial:x?a=1&a=2"])
def test_what_is_not_a_url_is_refused(text):
    with pytest.raises(ConfigError):
        Url.parse(text)


def test_every_file_of_a_group_is_found_under_its_name():
    for group in ("sources", "sinks", "runtimes", "targets", "commands"):
        for name in registry.builtin_names(group):
            assert registry.find(group, name) is not None


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'sqlite'"):
        registry.find("sinks", "sqllite")


@pytest.mark.parametrize("name", ["../errors", "__init__", "os.path", ""])
def test_a_name_is_not_a_path(name):
    with pytest.raises(UnknownNameError):
        registry.find("sinks", name)


class Sensor:
    """A plug-in as a user would write it."""

    def __init__(
        self,
        location: str,
        *,
        baud: int = 9600,
        rate_hz: Annotated[float, msgspec.Meta(gt=0)] | None = None,
        mode: Literal["fast", "slow"] = "fast",
        channels: tuple[str, ...] = (),
        key: str,
    ):
        self.given = (location, baud, rate_hz, mode, channels, key)


@pytest.fixture
def sensor(monkeypatch):
    monkeypatch.setattr(registry, "find", lambda group, name: Sensor)


@pytest.mark.usefixtures("sensor")
def test_options_are_converted_to_their_annotated_types():
    opened = plugins.open_source("sensor:place?baud=115200&rate_hz=12.5&channels=a,b&key=k")
    assert opened.given == ("place", 115200, 12.5, "fast", ("a", "b"), "k")
    assert plugins.open_source("sensor:p", key="k", channels=["a"]).given[4] == ("a",)


@pytest.mark.usefixtures("sensor")
@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("sensor:p?key=k&bauds=1", {}, "did you mean 'baud'"),
        ("sensor:p?key=k&baud=fast", {}, "option 'baud'"),
        ("sensor:p?key=k&rate_hz=-1", {}, "option 'rate_hz'"),
        ("sensor:p?key=k&mode=odd", {}, "option 'mode'"),
        ("sensor:p", {}, "option 'key' is missing"),
        ("sensor:p?key=k", {"key": "k"}, "given twice"),
    ],
)
def test_wrong_options_are_refused_by_name(url, options, message):
    with pytest.raises(ConfigError, match=message):
        plugins.open_source(url, **options)


def test_importing_edge_sdk_costs_numpy_and_the_standard_library():
    """And neither loading nor running a model brings in TensorFlow, click, msgspec or pyserial."""
    code = """
import sys, pathlib, numpy
before = set(sys.modules)
import edge_sdk
from edge_sdk import Block, Contract, Decision, DecisionSettings, Ledger, Prediction, Windows
import edge_sdk.contract, edge_sdk.graph, edge_sdk.modelfile
third = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
assert third <= {'edge_sdk', 'numpy'}, third
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loading_a_trusted_model_imports_the_runtime_and_nothing_else(linear_file):
    Model.load(linear_file).close()
    code = """
import sys, numpy
before = set(sys.modules)
from edge_sdk import Model
model = Model.load(sys.argv[1])
model.run(numpy.zeros((8, 3), numpy.float32))
third = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
assert third <= {'edge_sdk', 'numpy', 'ai_edge_litert'}, third
assert 'importlib.metadata' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(linear_file)], check=True, capture_output=True)


def test_every_public_name_is_there_and_listed():
    import edge_sdk

    assert sorted(edge_sdk._HOME_OF) == sorted(edge_sdk.__all__)
    for name in edge_sdk.__all__:
        assert getattr(edge_sdk, name).__name__ == name
    assert dir(edge_sdk) == sorted(edge_sdk.__all__)
    with pytest.raises(AttributeError):
        _ = edge_sdk.nothing
