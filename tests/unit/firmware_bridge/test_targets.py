"""URLs of boards: what is wrong with one is said before anything is built."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, ModelError, UnknownNameError
from edge_sdk.graph import read_graph
from edge_sdk.targets import open_target
from firmware_bridge import tensors
from firmware_bridge.faults import Faults
from tests.models import flatbuffer
from tests.streaming import moving_window


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("virtual:", ConfigError, "no board: expected virtual:cortex-m4"),
        ("virtual:cortex-m5", UnknownNameError, "did you mean 'cortex-m55'"),
        ("virtual:rpi4", ConfigError, "firmware for rpi4 cannot be built here"),
        ("virtual:cortex-m4?cuont=all", ConfigError, r"unknown option 'cuont': .*; did you mean 'count'\?"),
        ("virtual:cortex-m4?count=some", ConfigError, "count: expected one of first, all, none, found some"),
        (
            "virtual:cortex-m4?timeout=0",
            ConfigError,
            r"timeout: expected a number from 0.1 to 86400, found 0",
        ),
        ("virtual:cortex-m4?timeout=soon", ConfigError, "timeout: expected a number"),
        ("virtual:cortex-m4?drop=2", ConfigError, "drop: expected a number from 0 to 1, found 2"),
        ("virtual:cortex-m4?delay=nan", ConfigError, "delay: expected a number from 0 to 60, found nan"),
        ("virtual:cortex-m4?compiler=clang", ConfigError, "compiler: expected one of gcc, zig"),
        ("qemu:", ConfigError, "no board: expected qemu:mps2-an386"),
        ("qemu:mps2-an386?count=all", ConfigError, "unknown option 'count'"),
        ("serial:", ConfigError, "no port: expected serial:///dev/ttyACM0"),
        ("serial:///dev/ttyACM0?baud=fast", ConfigError, "baud: expected a number from 1"),
        ("serial:///dev/ttyACM0?reset=0.1", ConfigError, "unknown option 'reset'"),
    ],
)
def test_a_wrong_url_is_refused(url, kind, message):
    with pytest.raises(kind, match=message):
        open_target(url)


def test_faults_of_the_line_are_options():
    target = open_target("virtual:cortex-m4?drop=0.01&delay=0.5&seed=7&reset=0.2&timeout=5")
    assert target.line.faults == Faults(drop=0.01, delay_s=0.5, seed=7, reset=0.2)
    assert target.line.timeout_s == 5
    assert open_target("qemu:cortex-m7").line.faults is None


@pytest.mark.parametrize("url", ["virtual:cortex-m4", "qemu:cortex-m55"])
def test_an_emulator_claims_no_microseconds(url):
    with pytest.raises(ConfigError, match=f"an emulator has no time of its own: .*--target {url}"):
        open_target(url).latency({0: "model.tflite"}, [np.zeros((1, 4), np.float32)])


def test_each_emulator_names_the_other_where_it_lacks_a_core():
    with pytest.raises(ConfigError, match=r"no virtual board has a cortex-m55: .*qemu:mps3-an547"):
        open_target("virtual:cortex-m55").check()
    with pytest.raises(ConfigError, match=r"QEMU has no machine for cortex-m33: .*virtual:cortex-m33"):
        open_target("qemu:cortex-m33").check()
    with pytest.raises(ConfigError, match=r"no virtual stm32f405: .*its core is there: virtual:cortex-m4"):
        open_target("virtual:stm32f405").check()
    with pytest.raises(ConfigError, match=r"no machine for stm32f405: .*its core is there: qemu:cortex-m4"):
        open_target("qemu:stm32f405").check()


def test_says_how_to_get_qemu(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"apt install qemu-system-arm, or use virtual:mps2-an386"):
        open_target("qemu:mps2-an386").check()
    with pytest.raises(MissingExtraError, match=r"with: apt install qemu-system-arm$"):
        open_target("qemu:mps3-an547").check()


@pytest.mark.parametrize("url", ["virtual:cortex-m4", "serial:/dev/does-not-exist"])
def test_a_file_that_is_no_model_is_refused_before_a_board_is_looked_for(url, tmp_path):
    with pytest.raises(ModelError, match=r"none.tflite: cannot be read: found No such file"):
        open_target(url).load(tmp_path / "none.tflite")
    file = tmp_path / "text.tflite"
    file.write_text("nothing of the kind, but long enough")
    with pytest.raises(ModelError, match=r"text.tflite.*not a TFLite model"):
        open_target(url).load(file)


def test_a_port_that_is_not_there(linear_file):
    for act in (lambda target: target.check(), lambda target: target.load(linear_file)):
        with pytest.raises(DeviceError, match="/dev/does-not-exist: cannot be opened: found No such file"):
            act(open_target("serial:///dev/does-not-exist"))


def test_ports_are_named_by_the_signature():
    graph = read_graph(flatbuffer())
    (port,) = tensors.ports(graph, "inputs")
    assert (port.signature, port.dtype, port.shape[0]) == ("serving_default", "float32", 1)
    assert port.name in graph.signatures["serving_default"].inputs
    assert tensors.steps(graph) == (0.0,)
    assert not tensors.remembers(graph)


def test_what_remembers_is_known_by_its_variables():
    assert tensors.remembers(read_graph(moving_window((0.1, 0))))
