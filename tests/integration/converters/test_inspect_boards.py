"""LiteRT and Vela themselves are asked what they take."""

import json
import random
import stat
import subprocess
import sys

import numpy as np
import pytest

from converters import boards, measure, vela, xnnpack
from converters.inspect import inspect
from edge_sdk import modelfile
from edge_sdk.errors import ChildTimeoutError, EdgeError, MissingExtraError, ModelError
from edge_sdk.graph import read_graph
from tests.integration.test_untrusted_files import mutate
from tests.models import flatbuffer, packed

pytestmark = pytest.mark.integration
KWS_MACS = 2_656_768


@pytest.fixture(scope="module")
def kws(public_data):
    return (public_data / "models" / "kws_dscnn_int8.tflite").read_bytes()


def test_xnnpack_says_what_it_takes(kws):
    found = xnnpack.coverage(kws, read_graph(kws), "litert")
    assert found.operators == 13
    assert found.macs_share == 1.0
    assert found.taken + sum(found.outside.values()) == found.operators
    assert found.outside == {"AVERAGE_POOL_2D": 1, "SOFTMAX": 1}
    assert "XNNPACK takes 11 of 13 operators and 100% of the MACs in 2 parts; outside: AVERAGE" in str(found)
    assert found.runtime.startswith("litert 2.")


def test_the_taken_operators_are_those_of_a_runtime_that_takes_them_one_by_one(kws):
    """With fusion off every delegated node is one operator: another way to count the same."""
    from ai_edge_litert.interpreter import Interpreter

    for model in (kws, flatbuffer()):
        interpreter = Interpreter(model_content=model, experimental_disable_delegate_node_fusion=True)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()
        singles = {int(node["outputs"][0]) for node in nodes if node["op_name"] == "DELEGATE"}
        graph = read_graph(model)
        expected = sum(bool(singles & set(op.outputs)) for op in graph.ops)
        assert xnnpack.coverage(model, graph, "litert").taken == expected > 0


def test_a_runtime_that_is_not_here_is_said_and_decides_nothing(kws):
    fit = measure.measure(boards.find("rpi3-32bit"), boards.cost_of(kws), kws, read_graph(kws))
    assert fit.runs
    if not fit.measured:
        assert "XNNPACK coverage not measured" in fit.reasons[-1]


@pytest.mark.parametrize(
    "name",
    ["ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512", "ethos-u85-256"],
)
def test_vela_places_an_int8_model(kws, name):
    board = boards.find(name)
    found = vela.compile_model(kws, read_graph(kws), board.npu)
    assert (found.on_npu, found.operators, found.macs_share) == (13, 13, 1.0)
    assert 16_000 < found.sram_bytes < 64_000
    assert 20_000 < found.model_bytes < 200_000
    assert found.inferences_per_s == pytest.approx(found.clock_hz / found.cycles, rel=0.01)
    assert KWS_MACS / int(name.rpartition("-")[2]) < found.cycles < 20 * KWS_MACS / 64
    assert sum(found.cycles_by_operator.values()) == pytest.approx(1, abs=0.01)
    assert max(found.cycles_by_operator, key=found.cycles_by_operator.get) == "Conv2D"


def test_a_float_model_is_refused_although_vela_exits_with_0():
    model = flatbuffer()
    fit = measure.measure(boards.find("ethos-u55-128"), boards.cost_of(model), model, read_graph(model))
    assert not fit.runs
    assert fit.measured
    assert "nothing of it runs on the NPU: its layers compute in float32" in fit.reasons[0]
    assert fit.remedies == ("convert with --recipe int8: the NPU computes in int8 and int16 only",)
    assert fit.figures["vela"]["on_npu"] == 0


def test_a_missing_vela_is_one_line(monkeypatch, linear_file):
    monkeypatch.setattr(vela.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"Vela.*pip install 'edgeml-kit\[ethos\]'"):
        inspect(linear_file, "ethos-u55-128", measure=True)
    facts = inspect(linear_file, measure=True)  # all boards: the others are still worth telling
    assert "not measured: Vela" in facts.boards["ethos-u55-128"].reasons[-1]
    assert "XNNPACK takes" in facts.boards["rpi4"].reasons[-1]


def test_a_vela_that_hangs_or_crashes_is_one_line(tmp_path, monkeypatch, kws):
    """In place of the interpreter stands a program that does what a broken compiler would."""
    program, graph, npu = tmp_path / "python", read_graph(kws), boards.find("ethos-u55-128").npu
    monkeypatch.setattr(vela.sys, "executable", str(program))
    monkeypatch.setattr(vela, "TIMEOUT_S", 0.5)

    def behave(script):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    behave("sleep 60")
    with pytest.raises(ChildTimeoutError, match="Vela did not finish"):
        vela.compile_model(kws, graph, npu)
    behave("echo 'free(): invalid pointer' >&2; kill -SEGV $$")
    with pytest.raises(ModelError, match="Vela refuses the model: found signal 11: free"):
        vela.compile_model(kws, graph, npu)
    behave("echo nothing written")
    with pytest.raises(ModelError, match="Vela's answer is not understood"):
        vela.compile_model(kws, graph, npu)


def test_the_command_measures_the_board_it_is_given(public_data):
    file = public_data / "models" / "kws_dscnn_int8.tflite"
    command = [sys.executable, "-m", "edge_sdk", "inspect", str(file), "--json", "--board"]
    for board, key in (("rpi4", "xnnpack"), ("ethos-u65-256", "vela")):
        done = subprocess.run([*command, board], capture_output=True, text=True, timeout=120, check=True)
        verdict = json.loads(done.stdout)["boards"][board]
        assert verdict["runs"]
        assert verdict["measured"]
        assert verdict["figures"][key]["macs_share"] == 1.0
    done = subprocess.run([*command, "rpi4", "--no-measure"], capture_output=True, text=True, check=True)
    assert not json.loads(done.stdout)["boards"]["rpi4"]["measured"]


@pytest.mark.slow
@pytest.mark.parametrize("board", ["rpi4", "ethos-u55-128"])
def test_damaged_models_end_in_one_line(tmp_path, kws, board):
    chance, path, refused = random.Random(3), tmp_path / "m.tflite", []
    for _ in range(60):
        path.write_bytes(mutate(kws, chance))
        try:
            verdict = inspect(path, board, measure=True).boards[board]
            assert not any("\n" in reason for reason in verdict.reasons)
        except EdgeError as error:
            refused.append(str(error))
    assert refused
    assert not any("\n" in message for message in refused)


@pytest.mark.slow
def test_many_damaged_models_end_in_one_line_without_measuring(tmp_path, kws):
    chance, path, refused = random.Random(5), tmp_path / "m.tflite", []
    for good in (kws, flatbuffer(), packed()):
        for _ in range(400):
            path.write_bytes(mutate(good, chance))
            try:
                assert inspect(path).arena_bytes >= 0
            except EdgeError as error:
                refused.append(str(error))
    assert len(refused) > 100
    assert not any("\n" in message for message in refused)


def test_the_users_folder_stays_clean(tmp_path, monkeypatch, kws):
    monkeypatch.chdir(tmp_path)
    vela.compile_model(kws, read_graph(kws), boards.find("ethos-u55-128").npu)
    assert not list(tmp_path.iterdir())


def test_the_zip_behind_a_model_does_not_matter(tmp_path, kws):
    path = tmp_path / "m.tflite"
    path.write_bytes(modelfile.pack(kws, {"labels.txt": b"a\n"}))
    facts = inspect(path, "ethos-u55-128", measure=True)
    assert facts.boards["ethos-u55-128"].runs
    assert np.isfinite(facts.boards["ethos-u55-128"].figures["vela"]["inferences_per_s"])
