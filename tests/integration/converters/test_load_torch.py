"""PyTorch models become the same model for a device; an exported program cannot run code."""

import json
import zipfile

import numpy as np
import pytest

from edge_sdk.errors import EdgeError, ModelError
from tests.loading import TIMEOUT_S, loader

pytestmark = pytest.mark.integration

MODELS = [
    "image", "depthwise", "sensor", "causal", "flattened", "mlp", "sequence", "several", "square", "integers",
]  # fmt: skip


@pytest.fixture(scope="module")
def torch():
    with loader("torch") as loading:
        yield loading


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_the_original_does_with_an_open_batch(torch, tmp_path, name):
    converted = torch.load(torch.build(tmp_path, name), tmp_path)
    assert converted.loaded.batch is None
    assert all(converted.graph.tensors[i].shape_signature[0] == -1 for i in converted.graph.inputs)
    assert converted.operators["TRANSPOSE"] <= 2
    assert not {"SHAPE", "BATCH_MATMUL", "CUSTOM", "RELU"} & set(converted.operators)
    torch.check(converted, tmp_path)


@pytest.mark.parametrize("name", ["sensor", "several"])
def test_a_program_exported_with_a_dynamic_batch(torch, tmp_path, name):
    converted = torch.load(torch.build(tmp_path, name, batch="batch"), tmp_path)
    assert converted.loaded.batch is None
    torch.check(converted, tmp_path)


@pytest.mark.parametrize("name", ["recurrent", "restored"])
def test_a_batch_that_is_part_of_the_computation_stays_one(torch, tmp_path, name):
    converted = torch.load(torch.build(tmp_path, name), tmp_path)
    assert converted.loaded.batch == 1
    torch.check(converted, tmp_path)


@pytest.mark.parametrize("name", ["image", "several", "as_attribute", "by_argument", "training"])
def test_a_function_gives_the_model_and_its_example(torch, tmp_path, name):
    converted = torch.load(f"tests.torch_models:{name}", tmp_path)
    assert converted.loaded.batch is None
    torch.check(converted, tmp_path)


def test_the_current_folder_is_searched_for_the_function(tmp_path, monkeypatch):
    (tmp_path / "my_own_net.py").write_text(
        "import torch\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Linear(4, 2), torch.zeros(3, 4)\n"
    )
    monkeypatch.chdir(tmp_path)
    with loader("torch") as torch:
        converted = torch.load("my_own_net:net", tmp_path)
        torch.check(converted, tmp_path)
    assert converted.graph.tensors[converted.graph.inputs[0]].shape == (1, 4)


def test_images_and_windows_are_channels_last_and_the_ports_say_so(torch, tmp_path):
    converted = torch.load(torch.build(tmp_path, "several"), tmp_path)
    loaded, graph = converted.loaded, converted.graph
    taken = {port.name: port.permute for port in loaded.inputs}
    given = {port.name: port.permute for port in loaded.outputs}
    assert list(taken.items()) == [("numbers", None), ("image", (0, 3, 1, 2))]
    assert given == {"zone": None, "heat": (0, 3, 1, 2), "alarm": None}
    assert graph.signatures["serving_default"].inputs == dict(zip(taken, graph.inputs, strict=True))
    assert set(graph.signatures["serving_default"].outputs) == set(given)
    assert not any("<locals>" in tensor.name for tensor in graph.tensors)
    window = torch.load(torch.build(tmp_path, "sensor"), tmp_path)
    assert window.graph.tensors[window.graph.inputs[0]].shape == (1, 40, 6)
    assert window.loaded.inputs[0].permute == (0, 2, 1)
    assert window.operators["TRANSPOSE"] == 0
    assert window.loaded.parameters == 6 * 8 * 5 + 8 + 16 + 8 * 12 * 3 + 12 + 24 + 12 * 4 + 4


def test_the_batch_is_fixed_where_that_is_asked_for(torch, tmp_path):
    converted = torch.load(torch.build(tmp_path, "mlp"), tmp_path, batch=1)
    assert converted.loaded.batch == 1
    torch.check(converted, tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unsupported", "_linalg_eigh"),
        ("data_dependent", "cannot export.*data-dependent"),
        ("not_a_number", "0.weight has NaN"),
        ("no_model", "returns something else.*found str"),
        ("broken", "RuntimeError: the weights are not here"),
        ("there_is_none", "has no attribute 'there_is_none'"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_one_line(torch, tmp_path, name, says):
    with pytest.raises(ModelError, match=says) as raised:
        torch.load(f"tests.torch_models:{name}", tmp_path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_package_that_the_models_code_needs_is_named(torch, tmp_path):
    with pytest.raises(ModelError, match=r"No module named 'no_such_net'.*-m pip install"):
        torch.load("no_such_net:model", tmp_path)


@pytest.mark.parametrize("where", ["sample_inputs", "weights", "opaque", "legacy"])
def test_no_pickle_is_ever_executed(torch, tmp_path, where):
    touched = tmp_path / "touched"
    model = tmp_path / "hostile.pt2"
    torch.worker.call(
        "tests.torch_models:export_malicious",
        timeout_s=TIMEOUT_S,
        path=str(model),
        touched=str(touched),
        where=where,
    )
    if where in ("weights", "opaque"):
        with pytest.raises(ModelError, match="pickle, which can run any code"):
            torch.load(model, tmp_path)
    else:  # PyTorch would read it; here it is left out, and the plain weights are beside it
        torch.check(torch.load(model, tmp_path), tmp_path)
    assert not touched.exists()
    torch.worker.call("tests.torch_models:load_carelessly", timeout_s=TIMEOUT_S, path=str(model))
    assert touched.exists(), "the payload must be one that works"


def rewritten(model, target, change):
    """A .pt2 whose model.json was changed."""
    with zipfile.ZipFile(model) as archive, zipfile.ZipFile(target, "w") as copy:
        for info in archive.infolist():
            data = archive.read(info)
            if info.filename.endswith("models/model.json"):
                program = json.loads(data)
                change(program)
                data = json.dumps(program).encode()
            copy.writestr(info.filename, data)
    return target


def first_node(program):
    return program["graph_module"]["graph"]["nodes"][0]


def set_operator(program):
    first_node(program)["target"] = "torch.os.system"


def set_file_operator(program):
    first_node(program)["target"] = "torch.ops.aten.from_file.default"


def set_placeholder(program):
    text = json.dumps(program).replace(
        '"name": "input"', "\"name\": \"input=__import__('os').system('true')\""
    )
    program.update(json.loads(text))


def set_size(program):
    values = program["graph_module"]["graph"]["tensor_values"]
    next(iter(values.values()))["sizes"][0] = {
        "as_expr": {"expr_str": "S.__class__.__init__.__globals__", "hint": None}
    }


def set_container(program):
    call = program["graph_module"]["module_call_graph"][0]["signature"]
    spec = json.loads(call["out_spec"])
    spec[1] = {
        "type": "builtins.dict",
        "context": json.dumps([{"__enum__": True, "fqn": "antigravity:x", "name": "y"}]),
        "children_spec": [spec[1]],
    }
    call["out_spec"] = json.dumps(spec)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_operator, "operator 'torch.os.system'"),
        (set_file_operator, "operator 'torch.ops.aten.from_file.default'"),
        (set_placeholder, "a name in it is not a name"),
        (set_size, "not a plain expression"),
        (set_container, "grouped in a class"),
    ],
)
def test_what_pytorch_would_evaluate_is_refused(torch, tmp_path, change, says):
    hostile = rewritten(torch.build(tmp_path, "mlp"), tmp_path / "hostile.pt2", change)
    with pytest.raises(ModelError, match=says):
        torch.load(hostile, tmp_path)


def test_damaged_files_are_refused_in_one_line(torch, tmp_path):
    whole = torch.build(tmp_path, "mlp").read_bytes()
    rng = np.random.default_rng(3)
    damaged = [b"", b"\x00" * 64, rng.bytes(500)]
    damaged += [whole[: int(size)] for size in rng.integers(1, len(whole), 10)]
    for _ in range(10):
        copy = bytearray(whole)
        for at in rng.integers(0, len(copy), 30):
            copy[at] = rng.integers(256)
        damaged.append(bytes(copy))
    model, refused = tmp_path / "damaged.pt2", []
    for data in damaged:
        model.write_bytes(data)
        try:
            converted = torch.load(model, tmp_path)
        except EdgeError as error:
            refused.append(str(error))
            continue
        torch.check(converted, tmp_path)
    assert len(refused) >= 13
    assert "\n" not in "".join(refused)


def test_a_packed_archive_is_refused(torch, tmp_path):
    model, bomb = torch.build(tmp_path, "mlp"), tmp_path / "bomb.pt2"
    with zipfile.ZipFile(model) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as copy:
        for info in archive.infolist():
            copy.writestr(
                info.filename, bytes(300 << 20) if "weight_0" in info.filename else archive.read(info)
            )
    with pytest.raises(ModelError, match="unpacks to more than its size"):
        torch.load(bomb, tmp_path)


def test_nothing_is_left_behind(torch, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    model = torch.build(folder, "image")
    torch.load(model, tmp_path)
    assert [each.name for each in folder.iterdir()] == ["image.pt2"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["loaded.tflite", "models"]


def test_the_same_model_gives_the_same_bytes(torch, tmp_path):
    model = torch.build(tmp_path, "sensor")
    assert torch.load(model, tmp_path).flatbuffer == torch.load(model, tmp_path).flatbuffer
