from pathlib import Path

import pytest

from edge_sdk.config import Config, From, ModelFile, To, place, settings
from edge_sdk.contract import DecisionSettings
from edge_sdk.errors import ConfigError, UnknownNameError
from edge_sdk.pipeline import Pipeline
from edge_sdk.sources.replay import Source as Replay
from tests.models import write_model

TOML = """
device = "press-7"

[model]
file = "motion.tflite"
target = "host:?threads=2"

[[source]]
url = "serial:///dev/ttyACM0"
baud = 115200
policy = "latest"
max_age_s = 0.5

[decision]
threshold = 0.8
hold_s = 0.5

[[sink]]
url = "sqlite:events.db"

[[sink]]
url = "stdout:"
when = "event == 'start' and label == 'fall'"
"""


def test_the_file_is_read_into_one_structure():
    config = Config.parse(TOML)
    assert config.device == "press-7"
    assert config.model == (ModelFile(file="motion.tflite", target="host:?threads=2"),)
    assert config.source == (
        From("serial:///dev/ttyACM0", policy="latest", max_age_s=0.5, options={"baud": 115200}),
    )
    assert config.decision == {"threshold": 0.8, "hold_s": 0.5}
    assert config.sink[1] == To("stdout:", when="event == 'start' and label == 'fall'")


def test_a_config_written_and_read_again_is_the_same():
    config = Config.parse(
        TOML + '[contract]\nname = "m"\ninput = {window = 8, channels = [{name = "ä\\"x"}]}\n'
    )
    assert Config.parse(config.to_toml()) == config


def test_pipeline_and_config_are_one_to_one():
    config = Config.parse(TOML)
    assert Pipeline.from_config(config).config == config


def test_a_pipeline_of_python_objects_says_that_no_file_can_hold_it():
    with pytest.raises(ConfigError, match=r"print cannot stand in a file"):
        _ = Pipeline("m.tflite", ["stdin:"], [print]).config


def test_without_a_sink_predictions_are_printed():
    config = Config.parse('model = {file = "m.tflite"}\n[[source]]\nurl = "stdin:"\n')
    assert config.sink == (To("stdout:"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[decision]", "[desicion]"), "unknown key 'desicion'.*did you mean 'decision'"),
        (("threshold", "treshold"), r"\[decision\]: unknown key 'treshold'.*did you mean 'threshold'"),
        (("file =", "fiel ="), r"\[model\]: unknown key 'fiel'.*did you mean 'file'"),
        (("0.8", '"high"'), "Expected `float`, got `str`.*threshold"),
        (('policy = "latest"', 'policy = "newest"'), "Invalid enum value 'newest'"),
        (("[[source]]", "[source]"), r"\[\[source\]\] in double brackets"),
        (('url = "serial', 'ulr = "serial'), "expected a key url.*found 'ulr'"),
        (("[model]", "[[model]]\nfile='a'\nwehn='x'\n[[model]]"), "unknown key 'wehn'.*did you mean 'when'"),
        (("[model]", "outbox = 3\n[model]"), "Expected `bool | object`, got `int`"),
        (
            ("[decision]", "[outbox]\ndurabilty='each'\n[decision]"),
            r"\[outbox\]: unknown key.*did you mean 'durability'",
        ),
        (("[decision]", "[outbox]\nmax_bytes=1\n[decision]"), "max_bytes: expected at least 65536, found 1"),
        (
            ("[decision]", "[fusion]\nmax_age='1 s'\n[decision]"),
            r"\[fusion\]: unknown key.*did you mean 'max_age_s'",
        ),
        (("[decision]", "[sensor]\nstuck_s='x'\n[decision]"), r"\[sensor\]: Expected `float`"),
        (('device = "press-7"', "device = "), "not TOML"),
        (('file = "motion.tflite"', ""), "a model without a file: expected file = "),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(change, message):
    with pytest.raises(ConfigError, match=message):
        Config.parse(TOML.replace(*change, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("baud = 115200", "bauds = 115200"), "unknown option 'bauds'.*did you mean 'baud'"),
        (("baud = 115200", 'baud = "fast"'), "option 'baud'.*'fast'"),
        (("ttyACM0", "ttyACM0?baud=9600"), "option 'baud' is given twice"),
        (("label == 'fall'", "lable == 'fall'"), "unknown field 'lable'"),
        (('policy = "latest"', "queue = 0"), "queue: expected at least 1, found 0"),
    ],
)
def test_a_wrong_part_is_found_when_the_pipeline_is_built(change, message):
    with pytest.raises(ConfigError, match=message):
        Pipeline.from_config(Config.parse(TOML.replace(*change)))


def test_an_unknown_plug_in_is_named():
    with pytest.raises(UnknownNameError, match="unknown sink 'sqlit'.*did you mean 'sqlite'"):
        Pipeline.from_config(Config.parse(TOML.replace("sqlite:", "sqlit:")))


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: found No such file"):
        Config.load(tmp_path / "edgeml.toml")


def test_relative_paths_begin_at_the_file():
    assert place("replay:walk.csv?speed=1", Replay, Path("/srv")) == "replay:/srv/walk.csv?speed=1"
    assert place("replay:/data/walk.csv", Replay, Path("/srv")) == "replay:/data/walk.csv"


def test_decision_keys_override_one_by_one():
    base = DecisionSettings(threshold=0.7, smooth=3)
    assert settings(DecisionSettings, {"smooth": 5}, "decision", base) == DecisionSettings(
        threshold=0.7, smooth=5
    )
    with pytest.raises(ConfigError, match="did you mean 'smooth'"):
        settings(DecisionSettings, {"smoth": 5}, "decision", base)


def test_the_preview_finds_what_does_not_fit_the_model(tmp_path):
    write_model(tmp_path / "m.tflite")
    text = 'model = {file = "m.tflite"}\n[[source]]\nurl = "serial:/dev/nope"\n'
    preview = Pipeline.from_config(Config.parse(text, folder=tmp_path)).preview()
    assert preview["model"]["labels"] == ["x", "y", "z"]
    assert preview["sources"][0]["policy"] == "drop_oldest"
    with pytest.raises(ConfigError, match="rate_hz: expected 50 ± 5%, found 20"):
        Pipeline.from_config(Config.parse(text + "rate_hz = 20\n", folder=tmp_path)).preview()
    with pytest.raises(ConfigError, match="channels: expected ax, ay, az, found gx, gy"):
        Pipeline.from_config(Config.parse(text + 'channels = ["gx", "gy"]\n', folder=tmp_path)).preview()
