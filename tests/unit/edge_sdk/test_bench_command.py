"""``edgeml bench`` on this machine: figures, files, comparisons, exit statuses."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edge_sdk import modelfile
from edge_sdk.cli import main
from edge_sdk.modelfile import GOLDEN, Golden
from tests.models import Linear, flatbuffer, packed, write_model

SHORT = ["--runs", "40", "--warmup", "0"]


def bench(*words, status=0):
    with pytest.raises(SystemExit) as ended:
        main(["bench", *map(str, words)])
    assert ended.value.code == status
    return status


def test_json_has_the_keys_that_scripts_rely_on(linear_file, capfd):
    bench(linear_file, *SHORT, "--json")
    said = capfd.readouterr()
    found = json.loads(said.out)
    assert found["n"] == 40
    assert set(found["latency_us"]) == {"p50", "p90", "p99", "max"}
    assert 0 < found["latency_us"]["p50"] <= found["latency_us"]["p90"] <= found["latency_us"]["max"]
    assert (found["runtime"], found["target"], found["threads"]) == ("litert", "host:", 1)
    assert found["version"][0].isdigit()
    assert found["rss_mb"] > found["model_mb"] > 0
    assert found["parity"] == {
        "cases": 4,
        "mismatches": 0,
        "max_difference": pytest.approx(0, abs=1e-4),
        "tolerance": 1e-4,
    }
    assert found["passed"] is True
    assert sum(each["n"] for each in found["rounds"]) == 40
    assert found["instructions"] is found["compare"] is None
    assert found["machine"]["cores"] > 0
    assert "measuring for about" in said.err


def test_for_a_time(linear_file, capfd):
    bench(linear_file, "--duration", "0.3", "--warmup", "0", "--json")
    found = json.loads(capfd.readouterr().out)
    assert sum(each["seconds"] for each in found["rounds"]) >= 0.3
    assert found["n"] > 300


def test_two_models_are_measured_in_turn_and_both_are_written(tmp_path, linear_file, capfd):
    slow = write_model(tmp_path / "slow.tflite", Linear(window=20_000))
    bench(slow, "--compare", linear_file, *SHORT, "-o", tmp_path / "out.json", "--json")
    printed = json.loads(capfd.readouterr().out)
    assert json.loads((tmp_path / "out.json").read_text()) == printed
    compared = printed["compare"]
    assert compared["side_by_side"] is True
    assert compared["ratios"]["p50"] > 1.5  # 60,000 inputs against 24
    assert compared["spread"][0] <= compared["spread"][1]
    drawn = ElementTree.fromstring((tmp_path / "out.svg").read_text())
    assert sum("inferences" in (each.text or "") for each in drawn.iter()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.svg", "slow.tflite"]

    bench(linear_file, "--compare", tmp_path / "out.json", *SHORT)
    said = capfd.readouterr().out
    assert "compared" in said
    assert "measured at another time" in said


def test_a_copy_of_a_model_can_be_compared_with_it(tmp_path, linear_file, capfd):
    twin = tmp_path / "twin.tflite"
    twin.write_bytes(linear_file.read_bytes())
    bench(linear_file, "--compare", twin, *SHORT, "--json")
    found = json.loads(capfd.readouterr().out)
    assert found["compare"]["digest"] == found["digest"]
    assert found["compare"]["ratios"]["p50"] == pytest.approx(1, rel=0.9)


@pytest.fixture
def wrong_file(tmp_path):
    """A file whose golden outputs its model does not give."""
    parts = modelfile.split(packed())
    golden = Golden.from_bytes(parts.members[GOLDEN])
    wrong = Golden(golden.inputs, (golden.outputs[0][::-1],), golden.tolerances)
    file = tmp_path / "wrong.tflite"
    file.write_bytes(modelfile.pack(parts.flatbuffer, {**parts.members, GOLDEN: wrong.to_bytes()}))
    return file


def test_wrong_answers_are_measured_and_end_with_1(wrong_file, linear_file, capfd):
    bench(wrong_file, *SHORT, "--json", status=1)
    said = capfd.readouterr()
    found = json.loads(said.out)
    assert (found["passed"], found["parity"]["mismatches"], found["n"]) == (False, 4, 40)
    assert found["error"].endswith(": other answers on host: than where it was converted")
    assert said.err.count("edgeml: ") == 1
    bench(linear_file, "--compare", wrong_file, *SHORT, status=1)
    assert "wrong.tflite: other answers" in capfd.readouterr().err


def test_a_foreign_model_is_measured_with_noise(tmp_path, capfd):
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(flatbuffer())
    bench(bare, *SHORT)
    said = capfd.readouterr().out
    assert "16 windows of noise, 40 inferences" in said
    assert "unknown: the file has no golden vectors" in said


def test_a_model_that_crashes_the_runtime_is_one_line(tmp_path, linear_file, capfd):
    crasher = tmp_path / "crasher.tflite"
    crasher.write_bytes(flatbuffer(Linear(custom_op="Mfcc")))
    bench(crasher, *SHORT, status=2)
    assert "crashes the runtime 'litert'" in capfd.readouterr().err.splitlines()[-1]
    bench(linear_file, "--compare", crasher, *SHORT, status=2)
    assert "crasher.tflite on this machine" in capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["absent.tflite"], 2, "absent.tflite: cannot be read"),
        (["{model}", "--runs", "0"], 2, "--runs"),
        (["{model}", "--runs", "5", "--duration", "1"], 2, "expected one of them, found both"),
        (["{model}", "--duration", "0"], 2, "--duration"),
        (["{model}", "--target", "source:"], 2, "target source: cannot be measured: expected one where"),
        (["{model}", "--target", "host:?threads=x"], 2, "threads"),
        (["{model}", "--target", "host:?runtime=absent"], 2, "unknown runtime 'absent'"),
        (["{model}", "--compare", "absent.json"], 2, "absent.json: cannot be read"),
        (["{model}", "--compare", "absent.tflite"], 2, "absent.tflite: cannot be read"),
        (["{model}", "--compare", "{model}"], 2, "the model itself"),
        (["{model}", "-o", "absent/out"], 3, "cannot write absent/out.json"),
    ],
)
def test_bad_usage_is_one_line(tmp_path, monkeypatch, linear_file, words, status, line, capfd):
    monkeypatch.chdir(tmp_path)
    given = [word.format(model=linear_file) for word in words]
    bench(*given, status=status)
    said = capfd.readouterr()
    assert line in said.err.splitlines()[-1]
    assert said.out == ""
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_behind(tmp_path, monkeypatch, linear_file):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    bench(linear_file, *SHORT)
    assert not list(tmp_path.iterdir())


def test_several_threads_and_inputs_in_their_type(tmp_path, linear_file, capfd):
    bench(linear_file, "--target", "host:?threads=2", *SHORT, "--json")
    found = json.loads(capfd.readouterr().out)
    assert found["threads"] == 2
    assert np.isfinite(found["cpu_percent"])


def test_what_the_document_does_in_python(tmp_path, monkeypatch, linear_file, capsys):
    text = (Path(__file__).parents[3] / "docs" / "bench.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "motion.tflite").write_bytes(linear_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    here = code.replace("ssh://pi@raspberrypi", "host:").replace("duration_s=10", "duration_s=0.1")
    assert here != code
    exec(compile(here, "bench.md", "exec"), {})
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0


def test_the_document_names_every_key(linear_file, capfd):
    bench(linear_file, *SHORT, "--json")
    text = (Path(__file__).parents[3] / "docs" / "bench.md").read_text()
    shown = json.loads(capfd.readouterr().out)
    keys = {*shown, *shown["before"], *shown["parity"]}
    assert {key for key in keys if f"`{key}`" not in text} <= {"model", "inputs", "measured_at"}
