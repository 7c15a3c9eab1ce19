"""The runtime of a Raspberry Pi, made here: for its processor, small enough for its card, running on it."""

from __future__ import annotations

import json
import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Model, modelfile
from edge_sdk.deploy import packages, tree
from edge_sdk.deploy.manifest import Platform, digest_of, read_listing
from edge_sdk.deploy.store import Store
from edge_sdk.errors import ConfigError
from edge_sdk.modelfile import GOLDEN, Golden
from tests.integration.deploy.foreign import SPACES
from tests.integration.deploy.machine import CACHE, USERS_CACHE
from tests.models import Linear, contract, write_model

# Wheels are fetched and compiled, root file systems made, when they are there for the first time.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
BOOKWORM = {name: Platform(name, "3.11", "2.36") for name in SPACES}
#: EM_AARCH64 and EM_ARM of the ELF specification, and the machine's runtime.
PROCESSORS = {"aarch64": 0xB7, "armv7l": 0x28}
RUNTIMES = {"aarch64": "litert", "armv7l": "tflite_runtime"}
ARENA = Path(__file__).parents[2] / "golden" / "arena"
EXTRAS = ["i2c", "mqtt"]
#: Loads models there, each proved by its golden vectors in a child process, and tells what they said.
LOAD = """
import json, platform, sys
import numpy as np
from edge_sdk import Model

said = {"machine": platform.machine(), "numpy": np.__file__, "version": np.__version__, "models": {}}
for name in sys.argv[2:]:
    windows = np.load(f"/work/{name}.npy")
    with Model.load(f"/work/{name}.tflite", target=f"host:?runtime={sys.argv[1]}") as model:
        said["runtime"] = model.runtime.version
        said["models"][name] = [model.run(window).outputs.ravel().tolist() for window in windows]
print(json.dumps(said))
"""
CONFIG = """\
[model]
file = "linear.tflite"
target = "host:?runtime={runtime}"
[[source]]
url = "synthetic:sine"
seconds = 4
speed = "max"
[[sink]]
url = "sqlite:events.db"
"""


@pytest.fixture(scope="module")
def store():
    return Store(CACHE / "edgeml" / "deploy")


@pytest.fixture(scope="module", autouse=True)
def _same_wheels():
    """What is fetched once is there for every run."""
    patch = pytest.MonkeyPatch()
    patch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(USERS_CACHE / "uv"))
    yield
    patch.undo()


def _only_in_full():
    if os.environ.get("EDGEML_DEPLOY") != "full":
        pytest.skip("takes long under emulation, or asks an index a lot: EDGEML_DEPLOY=full")


@pytest.mark.parametrize("machine", SPACES)
def test_a_tree_is_the_processors_own_and_small(store, machine):
    said = []
    listed = tree.build(BOOKWORM[machine], EXTRAS, store, said.append)
    files = {entry.path: entry for entry in read_listing(listed)}
    assert sum(entry.size for entry in files.values()) <= {"aarch64": 130e6, "armv7l": 15e6}[machine]
    libraries = [entry for path, entry in files.items() if ".so" in path]
    assert len(libraries) >= 2
    for entry in libraries:
        head = store.path(entry.digest).read_bytes()[:20]
        assert head[:4] == b"\x7fELF", entry.path
        assert struct.unpack("<H", head[18:20])[0] == PROCESSORS[machine], entry.path
    for needed in (
        "edge_sdk/__init__.py",
        "paho/mqtt/client.py",
        "msgspec/__init__.py",
        "smbus2/__init__.py",
    ):
        assert needed in files
    assert ("numpy/__init__.py" in files) == (machine == "aarch64")

    said.clear()
    again = tree.build(BOOKWORM[machine], EXTRAS, store, said.append)
    assert (digest_of(again), said) == (digest_of(listed), [])


def laid_out(store, listed, folder):
    """A tree as a device has it."""
    for entry in read_listing(listed):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(store.path(entry.digest), path)
        except OSError:
            shutil.copyfile(store.path(entry.digest), path)
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A float and an int8 model with golden vectors made here, and windows for them; readable by all."""
    folder = tmp_path_factory.mktemp("work")
    folder.chmod(0o777)
    spec, rng = Linear(window=20), np.random.default_rng(4)
    facts = replace(contract(spec).input, rate_hz=50.0, hop=10)
    write_model(folder / "linear.tflite", spec, input=facts)
    np.save(folder / "linear.npy", rng.normal(size=(2, 20, 3)).astype(np.float32))
    raw = (ARENA / "dscnn_int8.tflite").read_bytes()
    network = folder / "network.tflite"
    network.write_bytes(raw)
    windows = rng.normal(size=(4, 49, 10, 1)).astype(np.float32)
    with Model.load(network) as model:
        outputs = np.concatenate([model.runtime.invoke([window[None]])[0] for window in windows])
    # Kernels of another vector unit may round a step differently.
    golden = Golden((windows[:2],), (outputs[:2],), (0.02,))
    network.write_bytes(modelfile.pack(raw, {GOLDEN: golden.to_bytes()}))
    np.save(folder / "network.npy", windows)
    return folder


@pytest.mark.parametrize(
    ("machine", "system"), [("armv7l", []), ("aarch64", []), ("aarch64", ["numpy"])], ids=str
)
def test_a_tree_runs_models_on_its_processor(store, work, tmp_path, machine, system):
    if system:
        _only_in_full()
    listed = tree.build(BOOKWORM[machine], EXTRAS, store, lambda _: None, system=system)
    folder = laid_out(store, listed, tmp_path / "tree")
    done = SPACES[machine].run(folder, work, ["-c", LOAD, RUNTIMES[machine], "linear", "network"])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["machine"] == machine
    from_debian = packages.from_system(BOOKWORM[machine], system)
    assert said["numpy"].startswith("/usr/lib/python3" if from_debian else "/tree/")
    assert said["version"].startswith("1.24." if from_debian else "2.")
    assert said["runtime"].startswith("2.")
    for name, answers in said["models"].items():
        with Model.load(work / f"{name}.tflite") as model:
            expected = [model.run(window).outputs.ravel() for window in np.load(work / f"{name}.npy")]
        np.testing.assert_allclose(answers, expected, atol=0.02)


@pytest.mark.parametrize("machine", SPACES)
def test_a_tree_runs_a_pipeline_on_its_processor(store, work, tmp_path, machine):
    """The command line, its configuration, the loop and a database: what of it is compiled is msgspec."""
    if machine != "armv7l":
        _only_in_full()
    own = shutil.copytree(work, tmp_path / "work")
    (own / "edgeml.toml").write_text(CONFIG.format(runtime=RUNTIMES[machine]))
    folder = laid_out(store, tree.build(BOOKWORM[machine], EXTRAS, store, lambda _: None), tmp_path / "tree")
    done = SPACES[machine].run(folder, own, ["-m", "edge_sdk", "run", "/work/edgeml.toml", "--json"])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ledger"]["balanced"] is True
    assert said["ledger"]["delivered"] == said["predictions"] == 19  # 200 samples, windows of 20 every 10
    assert (own / "events.db").stat().st_size > 0


def test_what_has_no_wheel_for_a_processor_is_named(store):
    _only_in_full()
    with pytest.raises(ConfigError, match=r"no wheel for armv7l.*psycopg.*; leave out"):
        tree.build(BOOKWORM["armv7l"], ["postgres"], store, lambda _: None)
