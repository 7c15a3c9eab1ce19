"""What a real model has become as int8."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import Table, encode, number_types

from converters import compare, convert, metadata, recipes
from converters.inspect import inspect
from converters.report import Report
from edge_sdk import modelfile
from edge_sdk.child import Worker
from edge_sdk.graph import read_graph
from edge_sdk.model import Model
from edge_sdk.modelfile import GOLDEN, Golden
from tests import mixed_units
from tests.integration.converters.convert.trained import TIMEOUT_S, Trained, ops

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]


def test_unlike_units_survive_int8_and_naive_conversion_destroys_them(
    trained: Trained, result: Report, tensorflow: Worker, tmp_path: Path
) -> None:
    assert result.verdict.original is not None
    assert result.verdict.original.accuracy > 0.95
    with Model.load(result.output) as model:
        ours = compare.accuracy(model.scores(trained.x), trained.y)
    assert ours >= result.verdict.original.accuracy - 0.005
    training = trained.data.windows(trained.data.split(7).train, mixed_units.WINDOW, mixed_units.HOP)
    np.save(tmp_path / "calibration.npy", training.x[::10])
    tensorflow.call(
        "tests.mixed_units:convert_naively",
        timeout_s=TIMEOUT_S,
        file=str(trained.file),
        calibration=str(tmp_path / "calibration.npy"),
        target=str(tmp_path / "naive.tflite"),
    )
    with Model.load(tmp_path / "naive.tflite") as model:
        naive = compare.accuracy(model.scores(trained.x), trained.y)
    assert naive < ours - 0.3


def test_normalisation_is_float_then_one_quantize_then_int8(result: Report) -> None:
    found = ops(result.output)
    assert found[:3] == [("SUB", "float32"), ("MUL", "float32"), ("QUANTIZE", "int8")]
    assert [name for name, _ in found].count("QUANTIZE") == 1
    assert {dtype for _, dtype in found[3:-1]} == {"int8"}
    assert found[-1] == ("DEQUANTIZE", "float32")


def test_the_interface_is_float_with_a_dynamic_batch(result: Report) -> None:
    facts = inspect(result.output)
    assert facts.inputs[0]["shape"] == [-1, 40, 7]
    assert facts.outputs[0]["shape"] == [-1, 4]
    assert {port["dtype"] for port in (*facts.inputs, *facts.outputs)} == {"float32"}
    assert facts.boards["cortex-m4"].runs


def test_the_contract_is_complete(trained: Trained, result: Report) -> None:
    parts = modelfile.split(result.output.read_bytes())
    with Model.load(result.output) as model:
        contract = model.contract
    assert contract is not None
    assert contract.digest == parts.digest == result.digest
    assert [(t.role, t.name, t.dtype, t.shape) for t in contract.tensors] == [
        ("input", "window", "float32", (1, 40, 7)),
        ("output", "output_0", "float32", (1, 4)),
    ]
    lineage = contract.lineage
    assert lineage is not None
    assert lineage.recipe == "int8"
    assert lineage.dataset == trained.data.digest
    assert lineage.source == modelfile.digest_of(trained.file.read_bytes())
    assert lineage.n == len(trained.y)
    assert lineage.accuracy is not None
    assert lineage.interval is not None
    assert lineage.interval[0] <= lineage.accuracy <= lineage.interval[1]
    assert lineage.versions is not None
    assert {"tensorflow", "keras", "numpy", "ai-edge-litert"} <= set(lineage.versions)


def test_golden_vectors_are_real_windows_and_this_files_outputs(trained: Trained, result: Report) -> None:
    golden = Golden.from_bytes(modelfile.split(result.output.read_bytes()).members[GOLDEN])
    assert len(golden) == 8
    assert all(any(np.array_equal(vector, window) for window in trained.x) for vector in golden.inputs[0])
    with Model.load(result.output) as model:
        assert np.array_equal(model.scores(golden.inputs[0]), golden.outputs[0])
    assert golden.tolerances == (recipes.find("int8").tolerance,)


def test_other_tools_read_labels_and_metadata(result: Report) -> None:
    with zipfile.ZipFile(result.output) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(mixed_units.LABELS)
    graph = read_graph(modelfile.split(result.output.read_bytes()).flatbuffer)
    facts = Metadata(graph.metadata[metadata.NAME])
    assert facts.identifier == b"M001"
    assert facts.text(facts.root, 0) == "mixed"
    assert facts.text(facts.root, 7) == "1.0.0"
    (subgraph,) = facts.tables(facts.root, 3)
    (source,) = facts.tables(subgraph, 2)
    (scores,) = facts.tables(subgraph, 3)
    assert facts.text(source, 0) == "window"
    assert "wx [dps]" in facts.text(source, 1)
    (unit,) = facts.tables(source, 4)
    options = facts.table(unit, 1)
    assert (facts.floats(options, 0), facts.floats(options, 1)) == ([0.0], [1.0])
    assert facts.floats(facts.table(source, 5), 0) == [c.range[1] for c in mixed_units.CHANNELS if c.range]
    (labels,) = facts.tables(scores, 6)
    assert facts.text(labels, 0) == "labels.txt"
    assert facts.byte(labels, 2) == 2  # TENSOR_AXIS_LABELS


def test_litert_and_tf_lite_give_the_same_outputs_for_the_packed_file(
    trained: Trained, result: Report, tensorflow: Worker, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", trained.x[:50])
    theirs = tensorflow.call(
        "tests.mixed_units:run_in",
        timeout_s=TIMEOUT_S,
        runtime="tensorflow",
        file=str(result.output),
        windows=str(tmp_path / "x.npy"),
    )
    with Model.load(result.output) as model:
        assert np.array_equal(model.scores(trained.x[:50]), np.array(theirs, np.float32))


def test_constants_start_at_multiples_of_16(result: Report) -> None:
    flatbuffer = modelfile.split(result.output.read_bytes()).flatbuffer
    graph = read_graph(flatbuffer)
    weights = [t for t in graph.tensors if t.data is not None and t.data.nbytes >= 64]
    assert len(weights) >= 3
    base = np.frombuffer(flatbuffer, np.uint8).__array_interface__["data"][0]
    for tensor in weights:
        assert tensor.data is not None
        assert (tensor.data.__array_interface__["data"][0] - base) % 16 == 0


def test_the_same_input_gives_the_same_bytes(trained: Trained, result: Report, tmp_path: Path) -> None:
    again = convert(trained.file, tmp_path / "again.tflite", report=False)
    assert again.output.read_bytes() == result.output.read_bytes()
    assert not list(tmp_path.glob("*.html"))


def test_the_report_stands_alone(result: Report) -> None:
    assert result.page is not None
    assert result.page.name == "mixed.report.html"
    text = result.page.read_text(encoding="utf-8")
    assert text == result.html()
    assert not re.search(r"(src|href)=.?https?:", text)
    for needed in ("turn_and_rise", "DEQUANTIZE", result.digest, "tensorflow", "<svg"):
        assert needed in text
    assert text.count('class="confusion"') == 2


class Metadata:
    """A reader of TFLite Metadata that shares nothing with the writer."""

    def __init__(self, data: bytes) -> None:
        self.data, self.identifier = data, data[4:8]
        self.root = Table(data, encode.Get(number_types.UOffsetTFlags.packer_type, data, 0))

    def _at(self, table: Table, field: int) -> int:
        offset = int(table.Offset(4 + 2 * field))
        assert offset, f"field {field} is absent"
        return table.Pos + offset

    def text(self, table: Table, field: int) -> str:
        return bytes(table.String(self._at(table, field))).decode()

    def byte(self, table: Table, field: int) -> int:
        return self.data[self._at(table, field)]

    def table(self, table: Table, field: int) -> Table:
        return Table(self.data, table.Indirect(self._at(table, field)))

    def tables(self, table: Table, field: int) -> list[Table]:
        start, count = self._vector(table, field)
        return [Table(self.data, table.Indirect(start + 4 * i)) for i in range(count)]

    def floats(self, table: Table, field: int) -> list[float]:
        start, count = self._vector(table, field)
        return np.frombuffer(self.data, "<f4", count, start).tolist()

    def _vector(self, table: Table, field: int) -> tuple[int, int]:
        offset = self._at(table, field) - table.Pos
        return table.Vector(offset), table.VectorLen(offset)
