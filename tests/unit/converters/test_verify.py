import numpy as np
import pytest

from converters import recipes
from converters.representative import Material
from converters.verify import Verdict, judge, run_windows
from tests.models import Linear

LABELS = np.repeat(np.arange(4), 25)
ORIGINAL = np.eye(4, dtype=np.float32)[LABELS]


def material(labels: np.ndarray | None = LABELS) -> Material:
    empty = np.empty((0, 1), np.float32)
    return Material(empty, empty, labels, tuple("ab" * 50))


def verdict(result: np.ndarray, *, max_drop: float = 0.01, windows: Material | None = None) -> Verdict:
    return judge(ORIGINAL, result, windows, recipe=recipes.find("float32"), max_drop=max_drop)


def wrong(count: int) -> np.ndarray:
    """The original's scores with `count` of 100 windows taken for the next class."""
    result = ORIGINAL.copy()
    result[:count] = np.roll(result[:count], 1, axis=1)
    return result


@pytest.mark.parametrize(("count", "passes"), [(0, True), (1, True), (2, False), (60, False)])
def test_the_gate_allows_exactly_the_drop(count: int, passes: bool) -> None:
    found = verdict(wrong(count), windows=material())
    assert (found.failure is None) is passes
    assert found.drop == pytest.approx(count / 100)
    if not passes:
        assert found.failure == f"{count}.0 points, from 1.000 to {1 - count / 100:.3f}"


def test_a_better_result_passes_with_a_negative_drop() -> None:
    found = judge(wrong(10), ORIGINAL, material(), recipe=recipes.find("int8"), max_drop=0.0)
    assert found.failure is None
    assert found.drop == pytest.approx(-0.1)


def test_without_labels_the_outputs_must_be_close() -> None:
    assert verdict(ORIGINAL + np.float32(1e-5)).failure is None
    assert verdict(ORIGINAL + np.float32(1e-2)).failure == "outputs above their error by 34.0 dB"
    assert verdict(ORIGINAL, windows=material(None)).original is None
    assert verdict(ORIGINAL).basis == "random inputs"
    assert verdict(ORIGINAL, windows=material(None)).basis == "test split"


def test_nan_never_passes() -> None:
    broken = ORIGINAL.copy()
    broken[3] = np.nan
    assert verdict(broken).failure == "outputs above their error by not a number"
    labelled = verdict(broken, windows=material(), max_drop=0.99)
    assert labelled.failure == "the converted model gives NaN or infinity"


def test_windows_run_as_on_a_device(linear_file: object, linear: Linear) -> None:
    windows = np.random.default_rng(0).normal(size=(5, 8, 3)).astype(np.float32)
    outputs = run_windows(linear_file, windows)  # type: ignore[arg-type]
    assert outputs == pytest.approx(np.stack([linear.expected(w) for w in windows]), abs=1e-6)
