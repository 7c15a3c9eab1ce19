import json
from pathlib import Path

import pytest

from converters.c import estimate
from converters.c.layers import LogMel
from converters.c.lower import lower
from converters.inspect import inspect

GOLDEN = Path(__file__).parents[3] / "golden"
RECORDED = json.loads((GOLDEN / "c_library" / "figures.json").read_text())


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m55"])
@pytest.mark.parametrize("name", ["dscnn_int8", "fused_int8", "har_int8", "tcn_int8", "up_int8"])
def test_whole_models_take_about_what_was_measured(name: str, core: str) -> None:
    program = lower((GOLDEN / "arena" / f"{name}.tflite").read_bytes())
    found = estimate.instructions(program.steps, core)
    assert found is not None
    assert sum(found.values()) == pytest.approx(RECORDED[name][core]["instructions"], rel=0.25)


def test_it_is_told_of_one_board_alone() -> None:
    file = GOLDEN / "arena" / "har_int8.tflite"
    assert inspect(file).instructions is None
    assert inspect(file, "rpi4").instructions is None
    found = inspect(file, "cortex-m4").instructions
    assert found is not None
    assert all(count > 0 for count in found.values())


def test_what_was_not_measured_is_not_estimated() -> None:
    assert LogMel.kernel not in estimate.PACE["cortex-m4"]
    assert estimate.PACE["cortex-m4"].keys() == estimate.PACE["cortex-m55"].keys()
