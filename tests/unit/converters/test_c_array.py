import re
from dataclasses import replace
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from converters import boards, c_array, c_text, rewrite
from edge_sdk.contract import Channel, Output
from edge_sdk.errors import DeviceError, ModelError
from tests.models import Linear, contract, flatbuffer

GOLDEN = Path(__file__).parents[2] / "golden" / "c_array"


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version in the banner stays the same when ours grows."""
    monkeypatch.setattr(c_text, "version", lambda: "0")


@pytest.mark.usefixtures("pinned")
def test_the_text_is_the_golden_one() -> None:
    files = c_array.render((GOLDEN / "linear.tflite").read_bytes(), contract(), "linear")
    assert sorted(files) == ["linear.c", "linear.h", "linear_ops.h"]
    for name, text in files.items():
        assert text == (GOLDEN / name).read_text(encoding="ascii"), name


def test_the_same_model_gives_the_same_bytes() -> None:
    assert c_array.render(flatbuffer(), contract(), "m") == c_array.render(flatbuffer(), contract(), "m")


def test_a_foreign_model_has_no_labels() -> None:
    files = c_array.render(flatbuffer(), None, "m")
    assert "labels" not in files["m.c"]
    assert "#define M_INPUT_0_SHAPE { 1, 8, 3 }" in files["m.h"]


@pytest.mark.parametrize(
    ("given_name", "made"),
    [
        ("motion", "motion"),
        ("my model-2.0", "my_model_2_0"),
        ("2fast", "model_2fast"),
        ("", "model"),
        ("class", "model_class"),
        ("../../etc/passwd", "etc_passwd"),
        ("模型", "model"),
        ("_Reserved__x", "Reserved_x"),
        ("x" * 200, "x" * 64),
    ],
)
def test_names_become_identifiers(given_name: str, made: str) -> None:
    assert c_text.identifier(given_name) == made


@given(st.text())
def test_any_name_becomes_an_identifier(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", c_text.identifier(name))


@given(st.text())
def test_no_text_breaks_out_of_a_comment(text: str) -> None:
    made = c_text.comment(text)
    assert not set(made) & set("*?\\\n\r\"'")
    assert made.isascii()


@given(st.text())
def test_a_string_literal_says_the_same(text: str) -> None:
    made = c_text.string(text)
    assert made.isascii()
    inside = made[1:-1]
    assert not re.search(r'[\n\r"?]', inside)
    read = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), inside)
    assert read.encode("latin-1") == text.encode("utf-8", "replace")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_exactly(value: float) -> None:
    made = c_text.number(value)
    assert float(made.removesuffix("f")) == pytest.approx(value, rel=1e-7, abs=1e-45)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?f", made)


def test_a_hostile_contract_stays_text() -> None:
    hostile = '*/ int main(void) { system("rm"); } /* ??/\n#define X \\'
    facts = replace(
        contract(name=hostile, version=hostile),
        input=replace(contract().input, channels=tuple(Channel(hostile, hostile) for _ in range(3))),
        output=Output((hostile, '"', "\\")),
    )
    files = c_array.render(flatbuffer(), facts, "m")
    for text in files.values():
        code = re.sub(r'/\*.*?\*/|"[^"]*"', "", text, flags=re.DOTALL)
        assert "system" not in code
        assert "#define X" not in code
    named = c_array.render(flatbuffer(), facts, hostile)
    assert set(named) == {f"{c_text.identifier(hostile)}{end}" for end in (".c", ".h", "_ops.h")}


def test_a_model_that_tflite_micro_lacks_operators_for_is_refused() -> None:
    with pytest.raises(ModelError, match="TFLite Micro cannot run this model.*found GONE.*rpi4"):
        c_array.render(flatbuffer(Linear(custom_op="GONE")), None, "m")


def test_operators_of_loops_and_branches_are_registered_too() -> None:
    model = rewrite.unpack(flatbuffer())
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TANH
    model.operatorCodes.append(code)
    model.subgraphs.append(model.subgraphs[0])
    files = c_array.render(rewrite.repack(model), None, "m")
    assert "resolver->AddTanh()" in files["m_ops.h"]
    assert "#define M_OPS 4\n" in files["m_ops.h"]
    assert "ARENA_BYTES" not in files["m.h"]


def test_every_operator_of_tflite_micro_has_a_method() -> None:
    # As named in tensorflow/lite/micro/micro_mutable_op_resolver.h, October 2026.
    named = {
        "ADD_N": "AddN",
        "BATCH_MATMUL": "BatchMatMul",
        "BATCH_TO_SPACE_ND": "BatchToSpaceNd",
        "CUMSUM": "CumSum",
        "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
        "DYNAMIC_UPDATE_SLICE": "DynamicUpdateSlice",
        "L2_POOL_2D": "L2Pool2D",
        "MAX_POOL_2D": "MaxPool2D",
        "PADV2": "PadV2",
        "RELU6": "Relu6",
        "REVERSE_V2": "ReverseV2",
        "SPLIT_V": "SplitV",
        "SVDF": "Svdf",
        "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    }
    assert {op: c_array._method(op) for op in named} == named
    assert all(c_array._method(op).isalnum() for op in boards.load_engines()["tflm"].ops)


def test_files_are_written_whole(tmp_path: Path) -> None:
    files = c_array.render(flatbuffer(), contract(), "m")
    folder = tmp_path / "deep" / "out"
    c_array.write(folder, files)
    (folder / "mine.txt").write_text("kept")
    c_array.write(folder, files)
    assert sorted(f.name for f in folder.iterdir()) == ["m.c", "m.h", "m_ops.h", "mine.txt"]
    assert (folder / "m.h").read_text() == files["m.h"]


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot write"):
        c_array.write(tmp_path / "file" / "out", {"m.h": ""})
    with pytest.raises(DeviceError, match="cannot write"):
        c_array.write(tmp_path / "new", {"m.h": "", "x" * 300: ""})
    assert [f.name for f in tmp_path.iterdir()] == ["file"]
