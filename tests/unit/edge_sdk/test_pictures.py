"""Pictures in the loop: each is a sample and a window of its own."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import Block, DecisionSettings, Fault, Model, Pipeline, SpecError
from edge_sdk.fusion import Fusion, FusionSettings
from edge_sdk.inference import Inference
from edge_sdk.pipeline import From
from edge_sdk.sinks.dataset import Sink
from edge_sdk.watch import SensorSettings
from tests import kinds, pictures
from tests.pictures import painted

Load = Callable[..., Model]


@pytest.fixture(scope="module")
def load():
    with kinds.loading() as load:
        yield load


@pytest.fixture(scope="module")
def model(load, tmp_path_factory):
    return load(pictures.write(tmp_path_factory.mktemp("pictures") / "colours.tflite"))


def block(*colours: str, **more) -> Block:
    return Block(painted(*colours), 10.0, pictures.COLOURS, "door", time_s=100.0, wall_s=500.0, **more)


def test_each_picture_is_a_window_with_the_time_it_was_taken(model):
    inference = Inference(model)
    said = list(inference.push(block("r", "b")))
    assert [(one.label, one.time_s, one.wall_s) for one in said] == [
        ("red", 100.0, 500.0),
        ("blue", 100.1, 500.1),
    ]
    assert inference.samples.used == 2
    assert inference.samples.balanced


def test_columns_are_colours_matched_by_their_names(model):
    turned = Block(painted("r")[..., ::-1], 10.0, ("b", "g", "r"))
    assert next(Inference(model).push(turned)).label == "red"


def test_a_model_without_a_contract_takes_them_too(load, tmp_path):
    bare = load(kinds.write(tmp_path / "bare.tflite", pictures.flatbuffer()))
    (said,) = Inference(bare).push(Block(painted("g"), 10.0))
    assert said.outputs.argmax() == 1


@pytest.mark.parametrize(("height", "width"), [(8, 6), (6, 9)])
def test_pictures_of_another_size_are_refused_in_words(model, height, width):
    other = Block(painted("r", height=height, width=width), 10.0)
    with pytest.raises(SpecError, match=rf"expected \[6, 8, 3\], .*found \[{height}, {width}, 3\]"):
        list(Inference(model).push(other))


def test_bytes_stay_bytes_for_a_model_that_takes_them(load, tmp_path):
    exact = load(pictures.write(tmp_path / "bytes.tflite", dtype="uint8"))
    inference = Inference(exact)
    inference.keep_windows = True
    (said,) = inference.push(block("g"))
    assert said.label == "green"
    assert said.window.dtype == np.uint8
    floats = replace(block("b"), samples=painted("b").astype(np.float32))
    assert [one.label for one in inference.gather(block("g"))] == []
    said = [*inference.gather(floats), *inference.flush()]
    assert [one.label for one in said] == ["green", "blue"]


def test_in_batches_they_say_what_they_say_one_by_one(model):
    alone = [one.outputs.tolist() for one in Inference(model).push(block(*"rgbr"))]
    together = Inference(model)
    said = [*together.gather(block(*"rgbr")), *together.flush()]
    assert [one.outputs.tolist() for one in said] == alone
    assert together.samples.balanced


def test_smoothing_goes_on_over_pictures_that_were_left_out_and_not_over_a_camera_that_was_away(model):
    inference = Inference(model, DecisionSettings(background=pictures.LABELS, smooth=3))
    *_, third = (one for n in (1, 5, 9) for one in inference.push(block("r"), n))
    assert third.score == pytest.approx(1.0)
    assert inference.samples.dropped == {}
    (mixed,) = inference.push(block("g"), 12)
    assert mixed.score == pytest.approx(2 / 3)
    (fresh,) = inference.push(block("g", gap=True), 13)
    assert fresh.label == "green"
    assert fresh.score == pytest.approx(1.0)


def test_values_out_of_range_spoil_their_picture_alone(load, tmp_path):
    facts = pictures.contract()
    limited = tuple(replace(each, range=(0.0, 100.0)) for each in facts.input.channels)
    strict = replace(facts, input=replace(facts.input, channels=limited))
    inference = Inference(load(kinds.write(tmp_path / "strict.tflite", pictures.flatbuffer(), strict)))
    samples = painted("r", "g", "b") // 2
    samples[1, 2, 3] = 255
    said = inference.push(Block(samples, 10.0, pictures.COLOURS))
    assert [one.label for one in said] == ["red", "blue"]
    assert inference.faults == {"range": 1}


def test_a_camera_that_shows_the_same_picture_for_ever_hangs(model):
    inference = Inference(model, sensor=SensorSettings(stuck_s=10.0))
    for n in range(102):
        list(inference.push(replace(block("r"), time_s=100 + n / 10), n, live=True))
    assert inference.faults == {"stuck": 1}


def test_what_the_model_saw_is_kept_as_a_picture(model, tmp_path):
    pytest.importorskip("PIL")
    source = [block("r"), block("b")]
    report = Pipeline(model, [From(source)], [Sink(str(tmp_path / "kept"))]).run()
    assert report.ledger.balanced
    assert report.predictions == 2
    from edge_sdk import recordings

    files = sorted((tmp_path / "kept/recordings").rglob("*.png"))
    assert len(files) == 2
    assert {recordings.read(file).samples[0, 0].argmax() for file in files} == {0, 2}


def test_pictures_are_not_joined_with_other_sensors():
    fusion = Fusion(FusionSettings(), ["camera", "imu"], pictures.COLOURS)
    with pytest.raises(SpecError, match="found pictures"):
        list(fusion.take("camera", block("r"), 0.0, 1))


class Camera:
    """A source of pictures that says what a camera says of itself."""

    live, policy = True, "latest"

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()

    def expect_shape(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __iter__(self):
        yield Fault("late")
        yield block("r")

    def close(self) -> None: ...


def test_a_camera_is_told_the_size_and_its_queue_holds_the_newest_only(model):
    camera = Camera()
    pipeline = Pipeline(model, [From(camera)], [lambda _: None])
    assert pipeline.source_edge(From(camera)).policy == "latest"
    assert pipeline.source_edge(From(camera, policy="block")).policy == "block"
    report = pipeline.run()
    assert camera.shape == (6, 8, 3)
    assert report.predictions == 1
    camera.shape = ()
    assert [one.label for one in model.stream(camera)] == ["red"]
    assert camera.shape == (6, 8, 3)
