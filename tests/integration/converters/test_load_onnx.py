"""ONNX models become the same model for a device: layouts, names, open sizes; hostile files are refused."""

import numpy as np
import pytest

from edge_sdk.errors import EdgeError, ModelError
from tests.loading import loader

pytestmark = pytest.mark.integration

MODELS = ["image", "depthwise", "sensor", "flattened", "mlp", "sequence", "several", "square", "integers"]


@pytest.fixture(scope="module")
def onnx():
    with loader("onnx") as loading:
        yield loading


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_the_original_does_with_an_open_batch(onnx, tmp_path, name):
    converted = onnx.load(onnx.build(tmp_path, name), tmp_path)
    assert converted.loaded.batch is None
    assert all(converted.graph.tensors[i].shape_signature[0] == -1 for i in converted.graph.inputs)
    assert converted.operators["TRANSPOSE"] <= 1
    assert not {"SHAPE", "BATCH_MATMUL", "CUSTOM", "RELU"} & set(converted.operators)
    onnx.check(converted, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"direction": "reverse"},
        {"direction": "bidirectional"},
        {"operator": "GRU"},
        {"operator": "RNN"},
    ],
)
def test_recurrent_layers_keep_a_batch_of_one(onnx, tmp_path, options):
    converted = onnx.load(onnx.build(tmp_path, "recurrent", **options), tmp_path)
    assert converted.loaded.batch == 1
    if options.get("operator", "LSTM") == "LSTM":
        assert any(name.endswith("DIRECTIONAL_SEQUENCE_LSTM") for name in converted.operators)
    onnx.check(converted, tmp_path)


def test_stacked_recurrent_layers(onnx, tmp_path):
    onnx.check(onnx.load(onnx.build(tmp_path, "recurrent_steps"), tmp_path), tmp_path)


def test_images_and_windows_are_channels_last_and_the_ports_say_so(onnx, tmp_path):
    converted = onnx.load(onnx.build(tmp_path, "several"), tmp_path)
    loaded = converted.loaded
    assert [(port.name, port.permute) for port in loaded.inputs] == [
        ("numbers", None),
        ("image", (0, 3, 1, 2)),
    ]
    assert {port.name: port.permute for port in loaded.outputs} == {
        "zone": None, "heat": (0, 3, 1, 2), "alarm": None,
    }  # fmt: skip
    graph = converted.graph
    assert [graph.tensors[i].name for i in graph.inputs] == ["numbers", "image"]
    assert [graph.tensors[i].name for i in graph.outputs] == [port.name for port in loaded.outputs]
    assert graph.signatures["serving_default"].inputs == dict(
        zip(["numbers", "image"], graph.inputs, strict=True)
    )
    window = onnx.load(onnx.build(tmp_path, "sensor"), tmp_path)
    assert window.graph.tensors[window.graph.inputs[0]].shape == (1, 40, 6)
    assert window.loaded.inputs[0].permute == (0, 2, 1)
    steps = onnx.load(onnx.build(tmp_path, "sequence"), tmp_path)
    assert steps.graph.tensors[steps.graph.inputs[0]].shape == (1, 12, 5)
    assert steps.loaded.inputs[0].permute is None


def test_a_layout_that_the_shape_does_not_tell_is_found(onnx, tmp_path):
    converted = onnx.load(onnx.build(tmp_path, "square"), tmp_path)
    assert converted.loaded.inputs[0].permute == converted.loaded.outputs[0].permute == (0, 3, 1, 2)


def test_facts_about_the_model(onnx, tmp_path):
    loaded = onnx.load(onnx.build(tmp_path, "mlp"), tmp_path).loaded
    assert loaded.parameters == 10 * 16 + 16 + 16 * 16 + 16 * 3 + 3
    assert set(loaded.versions) == {"onnx2tf", "onnx", "onnxruntime"}
    assert onnx.load(onnx.build(tmp_path, "integers"), tmp_path).loaded.inputs[0].dtype == "int64"


def test_open_sizes_are_asked_for_by_name(onnx, tmp_path):
    model = onnx.build(tmp_path, "open_size")
    with pytest.raises(ModelError, match=r"image \[batch, 3, \?, \?\].*--shape image=1,3,"):
        onnx.load(model, tmp_path)
    converted = onnx.load(model, tmp_path, shapes={"image": [1, 3, 10, 14]})
    assert converted.graph.tensors[converted.graph.inputs[0]].shape == (1, 10, 14, 3)
    onnx.check(converted, tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        onnx.load(model, tmp_path, shapes={"image": [1, 4, 10, 14]})
    with pytest.raises(ModelError, match="did you mean 'image'"):
        onnx.load(model, tmp_path, shapes={"imag": [1, 3, 10, 14]})


def test_the_batch_is_fixed_where_that_is_asked_for(onnx, tmp_path):
    converted = onnx.load(onnx.build(tmp_path, "image"), tmp_path, batch=1)
    assert converted.loaded.batch == 1
    assert converted.graph.tensors[converted.graph.inputs[0]].shape_signature[0] == 1
    onnx.check(converted, tmp_path)


def test_a_model_exported_for_one_window_gets_an_open_batch(onnx, tmp_path):
    converted = onnx.load(onnx.build(tmp_path, "image", batch=1), tmp_path)
    assert converted.loaded.batch is None
    onnx.check(converted, tmp_path)


def test_weights_in_a_file_beside_the_model(onnx, tmp_path):
    onnx.check(onnx.load(onnx.build(tmp_path, "external_weights"), tmp_path), tmp_path)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link", "", "folder"])
def test_weights_elsewhere_are_not_read(onnx, tmp_path, location):
    folder = tmp_path / "models"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(10 * 16 * 4))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = onnx.build(folder, "external", location=location)
    with pytest.raises(ModelError, match="outside the model's folder|is not there"):
        onnx.load(model, tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unsupported", "no TFLite operator for DFT"),
        ("unknown_operator", "Sparkle"),
        ("not_a_number", "weight_0 has NaN"),
        ("empty", "is empty"),
        ("no_inputs", "no inputs"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_one_line(onnx, tmp_path, name, says):
    with pytest.raises(ModelError, match=says) as raised:
        onnx.load(onnx.build(tmp_path, name), tmp_path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "loaded.tflite").exists()


def test_a_batch_that_is_fixed_at_more_than_one_is_refused(onnx, tmp_path):
    with pytest.raises(ModelError, match="fixes the batch"):
        onnx.load(onnx.build(tmp_path, "image", batch=4), tmp_path)


def test_a_signature_is_refused(onnx, tmp_path):
    with pytest.raises(ModelError, match="no signatures"):
        onnx.load(onnx.build(tmp_path, "mlp"), tmp_path, signature="x")


def test_damaged_files_are_refused_in_one_line(onnx, tmp_path):
    whole = onnx.build(tmp_path, "sensor").read_bytes()
    rng = np.random.default_rng(3)
    damaged = [b"", b"\x00" * 64, b"ONNX", rng.bytes(500)]
    damaged += [whole[: int(size)] for size in rng.integers(1, len(whole), 15)]
    for _ in range(25):
        copy = bytearray(whole)
        for at in rng.integers(0, len(copy), 8):
            copy[at] = rng.integers(256)
        damaged.append(bytes(copy))
    model = tmp_path / "damaged.onnx"
    refused = []
    for data in damaged:
        model.write_bytes(data)
        try:
            converted = onnx.load(model, tmp_path)
        except EdgeError as error:
            refused.append(str(error))
            continue
        onnx.check(converted, tmp_path)  # a changed weight or name is a model like any other
    assert len(refused) >= 19
    assert "\n" not in "".join(refused)


def test_nothing_is_left_behind_and_the_model_stays_as_it_was(onnx, tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    model = onnx.build(folder, "image")
    before = model.read_bytes()
    onnx.load(model, tmp_path)
    assert model.read_bytes() == before
    assert [each.name for each in folder.iterdir()] == ["image.onnx"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["loaded.tflite", "models"]


def test_the_same_model_gives_the_same_bytes(onnx, tmp_path):
    model = onnx.build(tmp_path, "several")
    assert onnx.load(model, tmp_path).flatbuffer == onnx.load(model, tmp_path).flatbuffer
