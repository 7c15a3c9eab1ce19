from dataclasses import replace

import pytest

from converters import auto, boards, compare, recipes
from converters.report import Trial, pareto
from converters.verify import Verdict

BOTH = compare.difference([[0.0, 1.0]], [[0.0, 1.0]])


def verdict(accuracy: float) -> Verdict:
    evaluations = [
        compare.Evaluation(share, (0, 1), 100, compare.confusion([0], [0], 2), (1.0, None), {})
        for share in (0.9, accuracy)
    ]
    return Verdict(*evaluations, (BOTH,), "test split", None, (0.0, 0.1))


def trial(name: str, size: int, latency_us: float, accuracy: float, arena: int = 1000) -> Trial:
    return Trial(
        recipe=recipes.find(name),
        flatbuffer=bytes(size),
        verdict=verdict(accuracy),
        latency_us=latency_us,
        arena_bytes=arena,
    )


FLOAT32 = trial("float32", 4000, 100.0, 0.90)
FLOAT16 = trial("float16", 2000, 101.0, 0.90)
INT8 = trial("int8", 1200, 40.0, 0.89)
DYNAMIC = trial("dynamic_int8", 1300, 150.0, 0.89)
REFUSED = Trial(recipe=recipes.find("int16x8"), failure="no kernel")


def test_the_front_has_what_nothing_beats() -> None:
    assert pareto([FLOAT32, FLOAT16, INT8, DYNAMIC, REFUSED]) == (FLOAT32, FLOAT16, INT8)


def test_what_failed_beats_nothing_and_is_not_on_the_front() -> None:
    failed = replace(INT8, failure="8.0 points")
    assert pareto([FLOAT32, failed, DYNAMIC]) == (FLOAT32, DYNAMIC)


def test_without_latencies_accuracy_and_size_count() -> None:
    untimed = [replace(each, latency_us=None) for each in (FLOAT32, FLOAT16, INT8)]
    assert [each.recipe.name for each in pareto(untimed)] == ["float16", "int8"]


@pytest.mark.parametrize(
    ("trials", "board", "expected"),
    [
        ((FLOAT32, FLOAT16, INT8, DYNAMIC), None, INT8),
        ((FLOAT32, FLOAT16, DYNAMIC), None, FLOAT16),  # as fast as float32 but for noise, and smaller
        ((FLOAT32, FLOAT16, DYNAMIC, REFUSED), "rpi4", FLOAT16),
        ((FLOAT32, FLOAT16, DYNAMIC), "cortex-m4", DYNAMIC),  # memory counts there
        ((trial("int8", 1200, 40.0, 0.89, arena=9000), FLOAT16), "cortex-m4", FLOAT16),
    ],
)
def test_the_best_that_passes_is_taken_and_is_on_the_front(
    trials: tuple[Trial, ...], board: str | None, expected: Trial
) -> None:
    chosen = auto.pick(trials, boards.find(board) if board else None)
    assert chosen == expected
    assert chosen in pareto(trials)


def test_where_nothing_passes_the_nearest_is_shown() -> None:
    failed = [replace(each, failure="too far off") for each in (DYNAMIC, trial("int8", 1, 1.0, 0.5))]
    assert auto.pick([REFUSED, *failed], None) == failed[0]


def test_a_trial_says_what_a_script_needs() -> None:
    row = INT8.as_dict()
    assert row["drop"] == pytest.approx(0.01)
    assert (row["recipe"], row["bytes"], row["latency_us"], row["sqnr_db"]) == ("int8", 1200, 40.0, None)
    assert REFUSED.as_dict()["failure"] == "no kernel"
