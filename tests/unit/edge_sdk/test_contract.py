"""A contract survives its JSON, and a wrong one is refused with a reason."""

import json
import subprocess
import sys
import zipfile

import pytest

from edge_sdk import ModelError, read_contract
from edge_sdk.contract import (
    Channel,
    Contract,
    DecisionSettings,
    Input,
    Lineage,
    Output,
    Reference,
    Statistics,
    Tensor,
)
from edge_sdk.errors import ContractError
from edge_sdk.schema import parse_contract
from tests.models import flatbuffer

FULL = Contract(
    name="motion",
    version="1.2.0",
    task="classification",
    digest="sha256:9f2c",
    input=Input((Channel("ax", "g", (-2.0, 2.0)), Channel("wx", "dps")), 50.0, 100, 50),
    tensors=(Tensor("input", "x", "float32", (1, 100, 2)), Tensor("output", "y", "float32", (1, 3))),
    output=Output(("rest", "walk", "fall")),
    decision=DecisionSettings(0.8, 3, 0.5, 0.6, ("rest",)),
    reference=Reference(Statistics((0.0, 0.1), (0.4, 0.5)), (0.6, 0.3, 0.1)),
    lineage=Lineage(
        dataset="sha256:41ab", split="subject", seed=7, accuracy=0.868, interval=(0.85, 0.884), n=1412
    ),
)


def test_json_is_read_back_the_same_by_both_readers():
    data = FULL.to_json()
    assert parse_contract(data) == FULL
    assert Contract.trusted(json.loads(data)) == FULL


def test_a_still_image_has_no_rate_and_says_so():
    facts = Contract(
        "cat", "classification", Input((Channel("r"),), None, 28, 28, layout="HWC"), Output(("a", "b"))
    )
    assert json.loads(facts.to_json())["input"]["rate_hz"] is None
    assert parse_contract(facts.to_json()) == facts == Contract.trusted(json.loads(facts.to_json()))


def test_a_contract_is_read_without_a_runtime(linear_file, tmp_path):
    code = "import sys; from edge_sdk import read_contract; print(read_contract(sys.argv[1]).output.labels)\n"
    code += "assert not {'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code, linear_file], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout == "('x', 'y', 'z')\n"


def test_reading_says_when_there_is_none_or_no_file(tmp_path):
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(flatbuffer())
    assert read_contract(bare) is None
    with pytest.raises(ModelError, match="cannot be read"):
        read_contract(tmp_path / "none.tflite")


def test_a_keras_file_carries_one_too(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("edgeml/contract.json", FULL.to_json())
    assert read_contract(path) == FULL


def test_the_same_contract_gives_the_same_bytes():
    assert FULL.to_json() == parse_contract(FULL.to_json()).to_json()


def test_fields_of_a_later_minor_version_are_passed_over():
    data = json.loads(FULL.to_json()) | {"later": 1}
    assert parse_contract(data) == FULL
    assert Contract.trusted(data) == FULL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "newer"),
        ({"task": "poetry"}, "task"),
        ({"input": {"channels": [], "rate_hz": 50, "window": 10, "hop": 5}}, "at least one channel"),
        ({"input": {"channels": [{"name": "a"}], "rate_hz": -1, "window": 10, "hop": 5}}, "positive"),
        ({"input": {"channels": [{"name": "a"}], "rate_hz": 50, "window": 0, "hop": 5}}, "window"),
        ({"input": {"channels": [{"name": "a"}], "rate_hz": 50, "window": "long", "hop": 5}}, "window"),
        (
            {"input": {"channels": [{"name": "a"}, {"name": "a"}], "rate_hz": 50, "window": 1, "hop": 5}},
            "unlike",
        ),
        ({"decision": {"threshold": 1.5}}, "threshold"),
        ({"decision": {"threshold": 0.5, "release": 0.9}}, "release"),
        ({"decision": {"background": ["sleep"]}}, "background"),
        ({"name": None}, "name"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change, message):
    with pytest.raises(ContractError, match=message):
        parse_contract(json.loads(FULL.to_json()) | change)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000])
def test_what_is_not_json_is_refused(data):
    with pytest.raises(ContractError):
        parse_contract(data)


def test_a_number_of_a_hundred_thousand_digits_is_one_line():
    with pytest.raises(ContractError, match="not JSON"):
        parse_contract(b'{"schema": 1, "version": ' + b"9" * 100_000 + b"}")
