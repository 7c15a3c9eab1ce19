"""``host:?runtime=c``: the bits of the reference kernels, whatever else runs in the process."""

import importlib.util
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from converters.c import reference
from converters.c.lower import lower
from edge_sdk import Model
from edge_sdk.errors import DeviceError, MissingExtraError, SpecError
from firmware_bridge import shared_library
from firmware_bridge.c_runtime import Runtime
from tests.streaming import moving_window

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
]
GOLDEN = Path(__file__).parents[1] / "golden" / "arena"
MADE = ["fused_int8", "har_int8", "tcn_int8"]


def drawn(runtime, count=3):
    rng = np.random.default_rng(3)
    return [[port.quantize(rng.normal(size=port.shape)) for port in runtime.inputs] for _ in range(count)]


@pytest.mark.parametrize("name", MADE)
def test_gives_the_bits_of_the_reference_kernels_under_the_names_of_litert(name):
    file = GOLDEN / f"{name}.tflite"
    program = lower(file.read_bytes())
    with Model.load(file, target="host:?runtime=c") as model, Model.load(file) as litert:
        for inputs in drawn(model.runtime):
            state = reference.first_state(program)
            expected = reference.run(program, inputs, state)
            for one, other in zip(model.runtime.invoke(inputs), expected, strict=True):
                np.testing.assert_array_equal(one, other)
        for side in ("inputs", "outputs"):
            assert [
                (port.name, port.signature, port.shape, port.dtype, port.scale, port.zero_point)
                for port in getattr(model.runtime, side)
            ] == [
                (port.name, port.signature, port.shape, port.dtype, port.scale, port.zero_point)
                for port in getattr(litert.runtime, side)
            ]


def test_two_engines_of_one_model_share_no_memory():
    flatbuffer = (GOLDEN / "har_int8.tflite").read_bytes()
    one, other = Runtime(flatbuffer), Runtime(flatbuffer)
    first, second = drawn(one, 2)
    alone = [one.invoke(first)[0], one.invoke(second)[0]]
    assert not np.array_equal(*alone)
    one._feeds[0][...] = first[0]
    other._feeds[0][...] = second[0]
    one._run()
    other._run()
    np.testing.assert_array_equal(one._results[0], alone[0])
    np.testing.assert_array_equal(other._results[0], alone[1])
    one.close()
    np.testing.assert_array_equal(other.invoke(second)[0], alone[1])
    other.close()


def test_engines_run_in_threads_of_their_own():
    flatbuffer = (GOLDEN / "har_int8.tflite").read_bytes()
    engines = [Runtime(flatbuffer) for _ in range(4)]
    inputs = drawn(engines[0], 4)
    alone = [engines[0].invoke(fed)[0] for fed in inputs]
    with ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(
                lambda engine, fed: [engine.invoke(fed)[0] for _ in range(50)], engines, inputs, timeout=60
            )
        )
    for many, one in zip(found, alone, strict=True):
        assert all(np.array_equal(each, one) for each in many)
    for engine in engines:
        engine.close()


def test_a_model_that_remembers_starts_over_as_in_litert(tmp_path):
    file = tmp_path / "moving.tflite"
    file.write_bytes(moving_window((0.05, -3)))
    sample = np.full((1, 1, 3), 60, np.int8)
    with Model.load(file, target="host:?runtime=c") as model, Model.load(file) as litert:
        first, again = (model.runtime.invoke([sample])[0] for _ in range(2))
        np.testing.assert_array_equal(first, again)
        # LiteRT rounds a mean otherwise.
        assert np.abs(first.astype(int) - litert.runtime.invoke([sample])[0]).max() <= 1


def test_a_step_is_that_of_the_tensor_that_a_float_output_is_made_of():
    runtime = Runtime((GOLDEN / "tcn_int8.tflite").read_bytes())
    assert [port.dtype for port in runtime.outputs] == ["float32", "float32"]
    assert runtime.steps == (1 / 256, 1 / 128)
    runtime.close()


def test_refuses_arrays_that_do_not_fit():
    runtime = Runtime((GOLDEN / "har_int8.tflite").read_bytes())
    with pytest.raises(SpecError, match=r"expected float32 \[1, 100, 6\], found float32 \[100, 6\]"):
        runtime.invoke([np.zeros((100, 6), np.float32)])
    with pytest.raises(SpecError, match="found int8"):
        runtime.invoke([np.zeros((1, 100, 6), np.int8)])
    runtime.close()


FILES = {"a.c": "int answer(void);\nint answer(void) { return 42; }\n"}


class TestCompiling:
    @pytest.fixture
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        return tmp_path / "edgeml" / "c"

    def test_once_for_the_same_sources_and_the_same_compiler(self, cache):
        compiler = shared_library.find_compiler()
        kept = shared_library.build(FILES, compiler)
        before = kept.stat().st_mtime_ns
        assert shared_library.build(FILES, compiler) == kept
        assert kept.stat().st_mtime_ns == before
        other = shared_library.Compiler((*compiler.command, "-DA"), compiler.version)
        assert shared_library.build(FILES, other) != kept
        assert shared_library.build({"a.c": "int other;\n"}, compiler) != kept
        assert len(list(cache.iterdir())) == 3

    def test_at_the_same_time_by_many(self, cache):
        compiler = shared_library.find_compiler()
        with ThreadPoolExecutor(4) as threads:
            found = set(threads.map(lambda _: shared_library.build(FILES, compiler), range(4)))
        assert list(cache.iterdir()) == list(found)

    def test_says_in_one_line_what_the_compiler_says(self, cache):
        with pytest.raises(DeviceError, match=r"does not compile the generated C: found .*error: unknown"):
            shared_library.build({"a.c": "nonsense x;\n"}, shared_library.find_compiler())
        assert not cache.exists()

    @pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="needs: pip install ziglang")
    def test_with_zig_where_there_is_no_other_compiler(self, cache, monkeypatch):
        monkeypatch.setattr(shared_library, "_PROGRAMS", ())
        flatbuffer = moving_window((0.05, -3))
        with_zig = Runtime(flatbuffer)
        monkeypatch.undo()
        with_gcc = Runtime(flatbuffer)
        assert " zig " in with_zig.version
        assert "gcc" in with_gcc.version
        for inputs in drawn(with_gcc):
            np.testing.assert_array_equal(with_zig.invoke(inputs)[0], with_gcc.invoke(inputs)[0])
        with_zig.close()
        with_gcc.close()

    def test_with_what_cc_names(self, cache, monkeypatch):
        monkeypatch.setenv("CC", "gcc -DANYTHING")
        assert shared_library.find_compiler().command == ("gcc", "-DANYTHING")
        monkeypatch.setenv("CC", str(Path(sys.prefix) / "no-such-compiler"))
        with pytest.raises(DeviceError, match="does not run: .*let CC name another"):
            shared_library.find_compiler()

    def test_needs_a_compiler(self, monkeypatch):
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setattr(shared_library, "_PROGRAMS", ())
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match="apt install gcc"):
            shared_library.find_compiler()
