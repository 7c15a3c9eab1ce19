import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from converters import boards
from converters.boards import Cost
from converters.inspect import inspect, macs_of, parameters_of
from edge_sdk import modelfile
from edge_sdk.errors import ModelError, UnknownNameError
from edge_sdk.graph import read_graph
from tests.models import Linear, contract, packed
from tests.unit.converters.graphs import Builder

GOLDEN = Path(__file__).parents[2] / "golden"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_sdk", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_model_is_described_from_its_file(linear_file: Path, linear: Linear) -> None:
    facts = inspect(linear_file)
    assert facts.macs == linear.weights.size
    assert facts.parameters == linear.weights.size
    assert facts.ops == {"RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    port = {"name": "window", "dtype": "float32", "shape": [-1, 8, 3], "scale": None, "zero_point": None}
    assert facts.inputs == [port]
    assert facts.contract is not None
    assert facts.contract.output.labels == ("x", "y", "z")
    assert facts.boards["rpi4"].runs
    assert facts.size_bytes == linear_file.stat().st_size


def test_the_json_has_the_fixed_keys(linear_file: Path) -> None:
    done = run("inspect", str(linear_file), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    keys = {"inputs", "outputs", "ops", "macs", "parameters", "bytes", "arena_bytes", "contract", "boards"}
    assert keys <= set(found)
    assert set(found["inputs"][0]) == {"name", "dtype", "shape", "scale", "zero_point"}
    assert {"runs", "reasons", "remedies", "engine", "measured"} <= set(found["boards"]["cortex-m4"])
    assert len(found["layers"]) == sum(found["ops"].values())
    assert found["arena_bytes"] < found["tflm_arena_bytes"]
    assert found["contract"]["digest"] == found["digest"]


def test_the_text_names_one_board(linear_file: Path) -> None:
    done = run("inspect", str(linear_file), "--board", "cortex-m4")
    assert done.returncode == 0, done.stderr
    assert "cortex-m4" in done.stdout
    assert "rpi4" not in done.stdout
    assert "edgeml-c" in done.stdout


def test_the_layers_are_a_table_that_adds_up(linear_file: Path) -> None:
    done = run("inspect", str(linear_file), "--layers", "--board", "cortex-m4")
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("\n\n")[1].splitlines()
    assert table[0].split()[:4] == ["#", "operator", "output", "dtype"]
    assert [line.split()[1] for line in table[1:]] == ["RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert table[2].split()[2:6] == ["?x3", "float32", "72", "288"]


def test_what_to_do_is_said(tmp_path: Path) -> None:
    file = GOLDEN / "arena" / "widened_int8.tflite"
    done = run("inspect", str(file), "--board", "ethos-u55-128", "--no-measure")
    assert done.returncode == 0, done.stderr
    assert "ethos-u55-128  does not run: Ethos-U with TFLite Micro computes in int16, int8" in done.stdout
    assert "to do          convert with --recipe int8" in done.stdout
    whole = run("inspect", str(file)).stdout
    assert "; to do: convert with --recipe int8" in whole
    assert "edgeml-c" not in whole


def test_neither_tensorflow_nor_a_runtime_is_imported(linear_file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from converters.inspect import inspect\n"
        f"inspect(Path({str(linear_file)!r}))\n"
        "print([m for m in ('tensorflow', 'keras', 'ai_edge_litert', 'flatbuffers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a TFLite model"),
        (b"garbage, not a model at all", "not a TFLite model"),
        (b"\x1c\0\0\0TFL3" + bytes(30), "TFLite"),
    ],
)
def test_garbage_is_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "bad.tflite"
    file.write_bytes(content)
    done = run("inspect", str(file))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert complaint in done.stderr


def test_what_is_missing_is_said(tmp_path: Path, linear_file: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        inspect(tmp_path / "none.tflite")
    with pytest.raises(UnknownNameError, match="did you mean 'cortex-m4'"):
        inspect(linear_file, "cortexm4")


def test_a_changed_model_behind_an_old_contract_is_found(tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    data = bytearray(packed())
    data[data.index(b"a linear classifier")] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match="not the model its contract was made for"):
        inspect(file)


def test_of_a_keras_file_the_contract_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "m.keras"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    assert inspect(file).contract is None
    modelfile.add_members(file, {modelfile.CONTRACT: contract().to_json()})
    facts = inspect(file)
    assert facts.contract is not None
    assert facts.contract.name == "linear"
    assert facts.as_dict()["boards"] == {}
    assert "edgeml convert" in facts.notes[0]
    file.write_bytes(b"junk")
    with pytest.raises(ModelError, match=r"not a \.keras file"):
        inspect(file)


def test_public_models_have_the_published_costs(public_data: Path) -> None:
    graph = read_graph((public_data / "models" / "kws_dscnn_int8.tflite").read_bytes())
    assert macs_of(graph) == 2_656_768
    assert parameters_of(graph) == 22_604
    facts = inspect(public_data / "models" / "sine_int8.tflite")
    assert facts.inputs[0]["scale"] == pytest.approx(0.02448, rel=1e-3)
    assert facts.inputs[0]["zero_point"] == -128
    assert facts.parameters == 321
    assert all(fit.runs for fit in facts.boards.values())


def test_macs_of_each_kind_of_layer_by_hand() -> None:
    b = Builder((1, 10, 10, 4))
    conv = b.op("CONV_2D", [0, b.constant((8, 3, 3, 4))], (1, 8, 8, 8))
    depth = b.op("DEPTHWISE_CONV_2D", [conv, b.constant((1, 3, 3, 8))], (1, 6, 6, 8))
    up = b.op("TRANSPOSE_CONV", [b.constant((4,), "int32"), b.constant((2, 2, 2, 8)), depth], (1, 12, 12, 2))
    end = b.op("FULLY_CONNECTED", [up, b.constant((5, 288))], (1, 5))
    graph = b.graph(end)
    assert macs_of(graph) == 64 * 8 * 36 + 36 * 8 * 9 + 36 * 8 * (2 * 2 * 2) + 5 * 288
    assert parameters_of(graph) == 8 * 36 + 72 + 64 + 5 * 288


def test_macs_of_a_fused_lstm_are_those_of_every_step() -> None:
    b = Builder((1, 10, 6))
    ahead = [b.constant((8, 6)) for _ in range(4)]
    again = [b.constant((8, 8)) for _ in range(4)]
    graph = b.graph(b.op("UNIDIRECTIONAL_SEQUENCE_LSTM", [0, *ahead, *again], (1, 10, 8)))
    assert macs_of(graph) == 10 * 4 * (8 * 6 + 8 * 8)


def cost(**changes: object) -> Cost:
    facts = {
        "flash_bytes": 50_000,
        "arena_bytes": 20_000,
        "ops": frozenset({"CONV_2D", "SOFTMAX"}),
        "weights": frozenset({"int8"}),
        "activations": frozenset({"int8"}),
    }
    return Cost(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ops": frozenset({"CONV_2D", "RFFT2D"})}, "has no RFFT2D"),
        ({"weights": frozenset({"float16"}), "activations": frozenset({"float32"})}, "float16 weights"),
        ({"traits": frozenset({"hybrid"})}, "int8 weights with float32 activations"),
        ({"flash_bytes": 1_000_000}, "flash: 1,000 kB for the model"),
        ({"arena_bytes": 250_000}, "RAM: 250 kB for the model"),
    ],
)
def test_a_microcontroller_says_why_it_cannot(changes: dict[str, object], reason: str) -> None:
    fit = boards.judge(boards.load()["cortex-m4"], cost(**changes))
    assert not fit.runs
    assert reason in "; ".join(fit.reasons)
    assert boards.judge(boards.load()["rpi-zero-2w"], cost(**changes)).runs


def test_boards_state_their_facts_and_sources() -> None:
    known = boards.load()
    assert {"rpi-zero-2w", "rpi4", "rpi5", "cortex-m4", "cortex-m7", "esp32-s3"} <= set(known)
    assert all(board.source.startswith("https://") and board.title for board in known.values())
    assert boards.judge(known["cortex-m4"], cost()).runs
    slow = boards.judge(
        known["cortex-m0plus"], cost(weights=frozenset({"float32"}), activations=frozenset({"float32"}))
    )
    assert slow.runs
    assert "no FPU" in slow.reasons[-1]
