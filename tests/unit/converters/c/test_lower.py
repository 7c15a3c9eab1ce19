import contextlib
import random
import re
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.c import layers, library, reference
from converters.c.lower import OPERATORS, lower
from converters.c.reference import KERNELS
from edge_sdk.errors import EdgeError, ModelError
from tests import kinds
from tests.kinds import Net
from tests.models import Linear, flatbuffer

GOLDEN = Path(__file__).parents[3] / "golden"
S = (0.05, 3)


def records() -> list[type[layers.Layer]]:
    """Every record that has a kernel."""
    found = [layers.Layer]
    for kind in found:
        found += kind.__subclasses__()
    return [kind for kind in found if hasattr(kind, "kernel") and not kind.__name__.startswith("_")]


def test_every_kernel_is_a_file_of_its_name_with_a_record_and_a_numpy_kernel() -> None:
    names = {kind.kernel for kind in records()}
    files = {file.stem for file in library.KERNELS.glob("*.c")}
    assert names == {re.sub("_(dsp|mve)$", "", stem) for stem in files} == set(KERNELS)
    for name in names:
        text = (library.KERNELS / f"{name}.c").read_text()
        assert text.startswith("/*\n")
        assert re.search(rf"^void {name}\(", text, re.MULTILINE)


def test_all_that_has_no_kernel_is_named_at_once() -> None:
    net = Net()
    x = net.input("x", [1, 4], "int8", S)
    y = net.op("CEIL", [x], [1, 4], "int8", S)
    z = net.op("FLOOR", [net.op("DEQUANTIZE", [y], [1, 4])], [1, 4])
    net.output("z", z)
    with pytest.raises(ModelError) as raised:
        lower(net.flatbuffer())
    text = str(raised.value)
    assert "CEIL 0 has no kernel: t1 (int8 [1, 4])" in text
    assert "FLOOR 2 has no kernel: t3 (float32 [1, 4])" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (flatbuffer(), "FULLY_CONNECTED 1 has weights that are not int8: weights"),
        (flatbuffer(Linear(custom_op="GONE")), "GONE 2 has no kernel: scores"),
        (kinds.scalar(), "MEAN 0 is not int8"),
        (kinds.recurrent(), "RNN 0 has no kernel"),
    ],
    ids=["float", "custom", "float mean", "rnn"],
)
def test_what_cannot_be_exact_is_refused(model: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=re.escape(reason)):
        lower(model)


@pytest.mark.parametrize("cut", [10, 100, 500, -40])
def test_a_damaged_file_is_one_error(cut: int) -> None:
    with pytest.raises(ModelError):
        lower(kinds.doubled("int8", S)[:cut])


def test_a_scale_that_changes_on_the_way_is_refused() -> None:
    net = Net()
    x = net.input("x", [1, 4, 4, 2], "int8", S)
    options = {"filterHeight": 2, "filterWidth": 2, "strideH": 2, "strideW": 2, "kind": "Pool2DOptions"}
    options["padding"] = schema.Padding.VALID
    net.output("y", net.op("MAX_POOL_2D", [x], [1, 2, 2, 2], "int8", (0.06, 3), **options))
    with pytest.raises(ModelError, match="another scale than its output"):
        lower(net.flatbuffer())


def test_the_shape_of_an_open_batch_is_folded() -> None:
    net = Net()
    x = net.input("x", [-1, 2, 3], "int8", S)
    shape = net.op("SHAPE", [x], [3], "int32")
    bounds = [net.constant(np.array([n], np.int32)) for n in (0, 1, 1)]
    first = net.op("STRIDED_SLICE", [shape, *bounds], [], "int32", shrinkAxisMask=1)
    wanted = net.op("PACK", [first, net.constant(np.array(6, np.int32))], [2], "int32", valuesCount=2)
    net.output("y", net.op("RESHAPE", [x, wanted], [-1, 6], "int8", S))
    program = lower(net.flatbuffer())
    assert program.steps == ()
    assert program.graph.tensors[wanted].data.tolist() == [1, 6]


def test_the_list_of_operators_is_that_of_the_documentation(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "c-library.md").read_text()
    named = set(
        re.findall(r"\b[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)*\b", page.split("## Operators")[1].split("\n## ")[0])
    )
    assert set(OPERATORS) <= named


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_an_error_of_ours_or_a_library(seed: int) -> None:
    chance = random.Random(seed)
    models = [GOLDEN / "c_library" / "gesture.tflite", GOLDEN / "arena" / "fused_int8.tflite"]
    damaged = bytearray(chance.choice(models).read_bytes())
    for _ in range(chance.choice([1, 2, 5])):
        at = chance.randrange(len(damaged) - 4)
        damaged[at : at + 4] = chance.choice(
            [b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f", b"\1\0\0\0"]
        )
    with contextlib.suppress(EdgeError):
        assert library.render(bytes(damaged), None, "m")


def test_tiles_lie_beside_each_other() -> None:
    """TFLite Micro's Python runtime has no TILE."""
    net = Net()
    x = net.input("x", [1, 2, 3], "int8", S)
    times = net.constant(np.array([2, 1, 2], np.int32))
    net.output("y", net.op("TILE", [x, times], [2, 2, 6], "int8", S))
    values = np.arange(6, dtype=np.int8).reshape(1, 2, 3)
    (found,) = reference.run(lower(net.flatbuffer()), [values])
    np.testing.assert_array_equal(found, np.tile(values, (2, 1, 2)))
