"""Models in a pipeline: several, and one that fails."""

import pytest

from edge_sdk.config import ModelFile, To
from edge_sdk.errors import ConfigError, DeviceError
from edge_sdk.pipeline import Pipeline
from tests.unit.edge_sdk.pipelines import Away, Plugin, Sensor, Slow, blocks, checked, failing


def test_a_bug_in_the_model_ends_the_run_and_the_books_balance(model):
    class Broken(Slow):
        def run(self, window, state=None):
            raise RuntimeError("delegate failed")

    error, report = failing(Pipeline(Broken(model, 0), [Sensor()], [Plugin()]), DeviceError)
    assert "model linear failed unexpectedly: found RuntimeError: delegate failed" in str(error)
    assert report.ledger.samples.read > 0


def test_several_models_see_the_same_samples_and_keep_their_own_books(linear_file):
    got = []
    report = checked(
        Pipeline(
            [
                ModelFile(file=str(linear_file), name="a"),
                ModelFile(file=str(linear_file), name="b", when="device == 'two'"),
            ],
            [blocks(5, device="one") + blocks(5, device="two")],
            [got.append, To(Away(name="only"), when="model == 'b'")],
            outbox=False,
        ).run()
    )
    by_model = {name: [p for p in got if p.model == name] for name in "ab"}
    assert {p.device for p in by_model["a"]} == {"one", "two"}
    assert {p.device for p in by_model["b"]} == {"two"}
    assert len({p.run_id for p in got}) == 2
    assert len({(p.device, p.run_id, p.sequence) for p in got}) == len(got) == report.predictions
    assert report.ledger.models["a"].read == 80
    assert report.ledger.models["b"].read == 40
    assert report.ledger.sinks["only"].delivered == len(by_model["b"])


def test_two_models_of_one_name_are_refused(linear_file):
    with pytest.raises(ConfigError, match="two models of one name"):
        Pipeline([str(linear_file), str(linear_file)], [blocks()]).run()


def test_each_model_may_decide_otherwise(linear_file):
    strict = ModelFile(file=str(linear_file), name="strict", decision={"threshold": 0.99})
    pipeline = Pipeline(
        [strict, ModelFile(file=str(linear_file), name="lax")], [blocks()], [], decision={"hold_s": 2.0}
    )
    a, b = pipeline.load()
    assert (pipeline.settings(a).threshold, pipeline.settings(a).hold_s) == (0.99, 2.0)
    assert (pipeline.settings(b).threshold, pipeline.settings(b).hold_s) == (b.decision.threshold, 2.0)
