"""Ranges are those of what each operator gave, whatever the next one wrote over it."""

from pathlib import Path

import numpy as np
import pytest

from converters import rewrite
from edge_sdk import child
from tests.kinds import Net

pytestmark = pytest.mark.integration
pytest.importorskip("tensorflow", reason="pip install 'edgeml-kit[convert]'")


def test_an_operator_that_works_in_place_does_not_widen_the_range_of_its_input(tmp_path: Path) -> None:
    """x + x, · 50, + 300, as a BatchNorm behind a ReLU leaves them: MUL and ADD write over their input."""
    net = Net()
    x = net.input("x", [1, 8])
    twice = net.op("ADD", [x, x], [1, 8])
    times = net.op("MUL", [twice, net.constant(np.full(8, 50, np.float32))], [1, 8])
    net.output("y", net.op("ADD", [times, net.constant(np.full(8, 300, np.float32))], [1, 8]))
    model, windows, output = (tmp_path / name for name in ("m.tflite", "w.npz", "c.tflite"))
    model.write_bytes(net.flatbuffer())
    samples = np.random.default_rng(0).uniform(-1, 1, (30, 1, 8)).astype(np.float32)
    np.savez(windows, **{"0": samples.reshape(30, 8)})
    child.call(
        "converters.quantize:calibrate",
        timeout_s=120,
        model=str(model),
        windows=str(windows),
        output=str(output),
    )
    graph = rewrite.unpack(output.read_bytes()).subgraphs[0]
    low, high = float(samples.min()), float(samples.max())
    for index, factor, offset in ((twice, 2, 0), (times, 100, 0), (int(graph.outputs[0]), 100, 300)):
        measured = graph.tensors[index].quantization
        found = [float(measured.min[0]), float(measured.max[0])]
        assert found == pytest.approx([factor * low + offset, factor * high + offset], rel=1e-4)
    assert len(graph.outputs) == 1
