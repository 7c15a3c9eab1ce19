import numpy as np
import pytest

from converters import recipes
from converters.evidence import Evidence
from converters.verify import Verdict, judge, labelled, run
from tests.models import Linear

LABELS = np.repeat(np.arange(4), 25)
ORIGINAL = np.eye(4, dtype=np.float32)[LABELS]
ANYTHING = (np.zeros((100, 1), np.float32),)


def evidence(labels: np.ndarray | None = LABELS) -> Evidence:
    return Evidence(None, ANYTHING, labels, tuple("ab" * 50))


def verdict(result: np.ndarray, *, max_drop: float = 0.01, given: Evidence | None = None) -> Verdict:
    given = given or Evidence(None, ANYTHING, basis="random inputs")
    return judge([ORIGINAL], [result], given, recipe=recipes.find("float32"), max_drop=max_drop)


def wrong(count: int) -> np.ndarray:
    """The original's scores with `count` of 100 windows taken for the next class."""
    result = ORIGINAL.copy()
    result[:count] = np.roll(result[:count], 1, axis=1)
    return result


@pytest.mark.parametrize(("count", "passes"), [(0, True), (1, True), (2, False), (60, False)])
def test_the_gate_allows_exactly_the_drop(count: int, passes: bool) -> None:
    found = verdict(wrong(count), given=evidence())
    assert (found.failure is None) is passes
    assert found.drop == pytest.approx(count / 100)
    if not passes:
        assert found.failure == f"{count}.0 points, from 1.000 to {1 - count / 100:.3f}"


@pytest.mark.parametrize(
    ("count", "max_drop", "passes"), [(1, 0.01, True), (2, 0.01, False), (1, 0.0, False)]
)
def test_of_few_windows_a_single_one_may_be_lost(count: int, max_drop: float, passes: bool) -> None:
    few = slice(0, 100, 5)
    result = ORIGINAL[few].copy()
    result[:count] = np.roll(result[:count], 1, axis=1)
    given = Evidence(None, (ANYTHING[0][few],), LABELS[few], tuple("ab" * 10))
    found = judge([ORIGINAL[few]], [result], given, recipe=recipes.find("float32"), max_drop=max_drop)
    assert (found.failure is None) is passes


def test_a_better_result_passes_with_a_negative_drop() -> None:
    found = judge([wrong(10)], [ORIGINAL], evidence(), recipe=recipes.find("int8"), max_drop=0.0)
    assert found.failure is None
    assert found.drop == pytest.approx(-0.1)


def test_without_labels_the_outputs_must_be_close() -> None:
    assert verdict(ORIGINAL + np.float32(1e-5)).failure is None
    assert verdict(ORIGINAL + np.float32(1e-2)).failure == "outputs above their error by 34.0 dB"
    assert verdict(ORIGINAL, given=evidence(None)).original is None
    assert verdict(ORIGINAL).basis == "random inputs"
    assert verdict(ORIGINAL, given=evidence(None)).basis == "test split"


def test_nan_never_passes() -> None:
    broken = ORIGINAL.copy()
    broken[3] = np.nan
    assert verdict(broken).failure == "the converted model gives NaN or infinity"
    labelled = verdict(broken, given=evidence(), max_drop=0.99)
    assert labelled.failure == "the converted model gives NaN or infinity"


def test_the_loss_has_an_interval_from_pairs() -> None:
    found = verdict(wrong(5), given=evidence(), max_drop=0.1)
    assert found.drop_interval is not None
    low, high = found.drop_interval
    assert low < 0.05 < high
    # The intervals of the two accuracies overlap; of the pairs it is plain that some were lost.
    assert found.original is not None
    assert high - low < 2 * (found.original.interval[1] - found.original.interval[0]) + 0.1


def test_each_output_is_judged_and_the_labels_belong_to_one() -> None:
    value = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    near, far = value + np.float32(1e-5), value + np.float32(0.3)
    for second, passes in ((near, True), (far, False)):
        found = judge(
            [value, ORIGINAL], [second, wrong(1)], evidence(), recipe=recipes.find("float32"), max_drop=0.01
        )
        assert (found.failure is None) is passes
        assert found.drop == pytest.approx(0.01)
        assert len(found.outputs) == 2
    assert found.difference is found.outputs[0]


def test_a_label_for_each_place_of_an_image_counts_places_grouped_by_image() -> None:
    scores = np.eye(3, dtype=np.float32)[np.random.default_rng(0).integers(0, 3, (6, 4, 4))]
    truth = scores.argmax(axis=-1)
    pair = labelled([scores], [scores], Evidence(None, ANYTHING, truth))
    assert pair is not None
    assert pair.before.shape == (96, 3)
    assert pair.groups is not None
    assert len(set(pair.groups)) == 6
    assert all(hits.all() for hits in pair.hits)


def test_several_labels_at_once_are_no_class() -> None:
    truth = (ORIGINAL > 0.5).astype(np.int64)
    assert labelled([ORIGINAL], [ORIGINAL], evidence(truth)) is None


def test_inputs_run_as_on_a_device(linear_file: object, linear: Linear) -> None:
    windows = np.random.default_rng(0).normal(size=(5, 8, 3)).astype(np.float32)
    (outputs,) = run(linear_file, [windows])  # type: ignore[arg-type]
    assert outputs == pytest.approx(np.stack([linear.expected(w) for w in windows]), abs=1e-6)
