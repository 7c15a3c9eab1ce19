import pytest

from converters.c.lower import lower
from converters.c.refusal import Refusal, told
from edge_sdk.errors import ModelError
from tests.kinds import Net

S = (0.05, 3)


def test_operators_with_the_same_fault_are_one_group() -> None:
    net = Net()
    x = net.input("x", [1, 4], "int8", S)
    for _ in range(5):
        x = net.op("WHERE", [x], [1, 4], "int8", S)
    net.output("y", net.op("FLOOR", [x], [1, 4], "int8", S))
    with pytest.raises(ModelError) as raised:
        lower(net.flatbuffer())
    assert raised.value.found == (
        "WHERE 0, 1, 2, … (+2) has no kernel: t1 (int8 [1, 4]), t2 (int8 [1, 4]), t3 (int8 [1, 4]), … (+2);"
        " FLOOR 5 has no kernel: t6 (int8 [1, 4])"
    )


def test_every_operator_is_named_however_many_there_are() -> None:
    net = Net()
    x = net.input("a name that is longer than most " * 5, [1, 4], "int8", S)
    names = ["WHERE", "FLOOR", "CEIL", "COS", "SIN", "LESS_EQUAL", "ROUND", "FLOOR_DIV", "LESS", "EQUAL"]
    names += ["ARG_MIN"]
    for name in names * 9:
        x = net.op(name, [x], [1, 4], "int8", S)
    net.output("y", x)
    with pytest.raises(ModelError) as raised:
        lower(net.flatbuffer())
    assert all(f"{name} {n}, {n + 11}, {n + 22}, … (+6)" in str(raised.value) for n, name in enumerate(names))
    assert raised.value.found is not None
    assert len(raised.value.found) <= 1000


def test_of_very_many_faults_the_operators_are_left() -> None:
    refusals = [Refusal("MEAN", n, f"reduces {n} axes that lie apart") for n in range(100)]
    refusals.append(Refusal("x" * 200, 100, "has no kernel"))
    assert told(refusals) == f"MEAN (100), …{'x' * 59} (1)"
