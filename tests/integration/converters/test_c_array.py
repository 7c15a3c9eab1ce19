"""The generated C compiles without a warning, and holds the model to the byte."""

import shutil
import subprocess
from dataclasses import replace

import pytest

from converters import c_array, c_text
from edge_sdk.contract import Channel, Output
from tests.models import contract, flatbuffer

pytestmark = pytest.mark.integration
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wcomment", "-Wtrigraphs", "-Werror"]
HOSTILE = '*/ /* ??/ " \\ %s ?? é 模 \n#error x'
MAIN = """
#include <stdio.h>
#include "{stem}.h"
int main(void) {{
  size_t i;
  const unsigned shape[] = {big}_INPUT_0_SHAPE;
  for (i = 0; i < {big}_LABELS; ++i) printf("%s%c", {stem}_labels[i], 0);
  printf("%lu %u %u %u%c", (unsigned long)((size_t){stem}_tflite % 16u), {big}_INPUT_0_BYTES,
         (unsigned)(sizeof shape / sizeof shape[0]), {big}_ARENA_BYTES, 0);
  return fwrite({stem}_tflite, 1, {stem}_tflite_len, stdout) == {big}_BYTES ? 0 : 1;
}}
"""


@pytest.fixture(params=["gcc -std=c99", "gcc -std=c11", "g++ -std=c++11", "g++ -std=c++17"])
def compiler(request):
    words = request.param.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"needs {words[0]}: apt install gcc g++")
    return words


@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
def test_the_compiled_program_has_the_model(tmp_path, compiler, hostile):
    facts, name = contract(), "linear"
    if hostile:
        channels = tuple(Channel(HOSTILE, HOSTILE) for _ in range(3))
        facts = replace(
            contract(name=HOSTILE, version=HOSTILE),
            input=replace(facts.input, channels=channels),
            output=Output((HOSTILE, '"', "\\")),
        )
        name = HOSTILE
    model = flatbuffer()
    c_array.write(tmp_path, c_array.render(model, facts, name))
    stem = c_text.identifier(name)
    (tmp_path / "main.c").write_text(MAIN.format(stem=stem, big=stem.upper()))
    program = tmp_path / "program"
    language = ["-x", "c++"] if compiler[0] == "g++" else []
    subprocess.run(
        [*compiler, *STRICT, *language, "main.c", f"{stem}.c", "-o", program], cwd=tmp_path, check=True
    )
    out = subprocess.run([program], capture_output=True, check=True).stdout
    *labels, facts_line, rest = out.split(b"\0", len(facts.output.labels) + 1)
    assert tuple(label.decode() for label in labels) == facts.output.labels
    aligned, input_bytes, rank, arena = (int(word) for word in facts_line.split())
    assert (aligned, input_bytes, rank) == (0, 8 * 3 * 4, 3)
    assert 1_000 < arena < 4_000
    assert rest == model


RESOLVER = """
#pragma once
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite {
template <unsigned int count> class MicroMutableOpResolver {
 public:
  TfLiteStatus AddFullyConnected() { return Take(); }
  TfLiteStatus AddReshape() { return Take(); }
  TfLiteStatus AddSoftmax() { return Take(); }
  unsigned int taken = 0;
 private:
  TfLiteStatus Take() { return ++taken <= count ? kTfLiteOk : kTfLiteError; }
};
}
"""


def test_the_operators_fit_the_resolver(tmp_path):
    """Against a resolver of the same interface: TFLite Micro's headers come from no package."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++: apt install g++")
    header = tmp_path / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    header.parent.mkdir(parents=True)
    header.write_text(RESOLVER)
    c_array.write(tmp_path, c_array.render(flatbuffer(), contract(), "linear"))
    (tmp_path / "main.cc").write_text(
        '#include "linear_ops.h"\nint main() {\n  tflite::MicroMutableOpResolver<LINEAR_OPS> resolver;\n'
        "  return linear_add_ops(&resolver) == kTfLiteOk && resolver.taken == LINEAR_OPS ? 0 : 1;\n}\n"
    )
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-I.", "main.cc", "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "program"], check=True)


@pytest.mark.parametrize("name", ["kws_dscnn_int8", "ad01_autoencoder_int8", "sine_int8"])
def test_public_models_compile(tmp_path, public_data, name):
    model = (public_data / "models" / f"{name}.tflite").read_bytes()
    c_array.write(tmp_path, c_array.render(model, None, name))
    command = ["gcc", "-std=c99", *STRICT, "-c", f"{name}.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    section = tmp_path / "rodata"
    copy = ["objcopy", "-O", "binary", "--only-section=.rodata", f"{name}.o", section]
    subprocess.run(copy, cwd=tmp_path, check=True)
    assert model in section.read_bytes()
