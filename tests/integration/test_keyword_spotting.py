"""Sound in, word out: the commands of docs/keyword-spotting.md, and that boards hear what the host hears."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.c import cut, front_end, library
from edge_sdk import Block, Model, modelfile
from edge_sdk.contract import Contract
from edge_sdk.schema import parse_contract
from tests import emulated
from tests.c_library import STRICT, Compiled
from tests.front_end import Streaming, listener
from tests.tflm import Tflm
from tests.zoo.data import spoken

pytestmark = pytest.mark.integration
pytest.importorskip("tensorflow", reason="pip install 'edgeml-kit[train]'")
if shutil.which("gcc") is None:
    pytest.skip("needs gcc: apt install gcc", allow_module_level=True)

PAGE = (Path(__file__).parents[2] / "docs" / "keyword-spotting.md").read_text()
#: Of each speaker and digit: enough to learn something in seconds.
EACH = 12
#: How far features may be from LiteRT's, in units of the logarithm (0.0004 dB), and where bands beside a sine
#: at full scale hold nothing but the rounding of float32.
TOLERANCE, BESIDE_A_SINE = 1e-4, 3e-4
HOP, WINDOW = 4000, 8000


def block(language: str) -> str:
    """The first block of the page in that language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def command(starts: str) -> list[str]:
    """The command of the page that starts so, as this interpreter runs it."""
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if line.startswith(f"edgeml {starts}"))
    return [sys.executable, "-m", "edge_sdk", *shlex.split(line, comments=True)[1:]]


@dataclass(frozen=True)
class Made:
    """What the commands made.

    Attributes:
        folder: in which they ran.
        said: what each printed as JSON.
    """

    folder: Path
    said: dict[str, Any]

    @property
    def file(self) -> modelfile.ModelFile:
        """digits.tflite."""
        return modelfile.split((self.folder / "digits.tflite").read_bytes())

    @property
    def contract(self) -> Contract:
        """In it."""
        return parse_contract(self.file.members[modelfile.CONTRACT])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("digits")
    (folder / "fsdd").mkdir()
    seen: dict[tuple[int, str], int] = {}
    for samples, digit, speaker, number in spoken():
        seen[digit, speaker] = seen.get((digit, speaker), 0) + 1
        if seen[digit, speaker] <= EACH:
            with wave.open(str(folder / "fsdd" / f"{digit}_{speaker}_{number}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(samples.tobytes())
    settings = re.sub(r"epochs = \d+", "epochs = 15", block("toml"))
    assert "epochs = 15" in settings
    settings += "augment = []\n"  # so few recordings are learned sooner so
    (folder / "digits.toml").write_text(settings)
    said = {}
    for starts in ("data import", "train digits -o", "convert digits.keras", "convert digits.tflite"):
        words = [*command(starts), "--json"]
        if starts == "convert digits.keras":
            words += ["--max-drop", "20pt", "--no-report"]  # of a model that has hardly learned
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said[starts] = json.loads(done.stdout)
    return Made(folder, said)


@pytest.fixture(scope="module")
def streaming(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Streaming:
    return Streaming(made.file.flatbuffer, made.contract, tmp_path_factory.mktemp("streaming"))


@pytest.fixture(scope="module")
def sound() -> NDArray[np.int16]:
    """Real recordings, one after the other with pauses."""
    chosen = spoken()[:: len(spoken()) // 24]
    rng = np.random.default_rng(2)
    return np.concatenate([np.pad(samples, (0, int(rng.integers(200, 2000)))) for samples, *_ in chosen])


@dataclass(frozen=True)
class Host:
    """What LiteRT makes of windows: features at the tensor that a library is cut at, and scores, [n, …]."""

    features: NDArray[np.float32]
    scores: NDArray[np.float32]


def windows(sound: NDArray[np.int16], count: int) -> NDArray[np.float32]:
    """The first windows of a stream, as the host's source of sound gives them."""
    padded = np.pad(sound, (0, WINDOW))
    return np.stack([padded[n * HOP : n * HOP + WINDOW] for n in range(count)]).astype(np.float32) / 32768


@pytest.fixture(scope="module")
def host(made: Made) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    found = front_end.read(made.file.flatbuffer)
    assert found is not None
    with pytest.warns(UserWarning, match="preserve_all_tensors"):
        interpreter = Interpreter(model_content=made.file.flatbuffer, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (given,), (said,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(batch: NDArray[np.float32]) -> Host:
        features, scores = [], []
        for window in batch:
            interpreter.set_tensor(given["index"], window.reshape(given["shape"]))
            interpreter.invoke()
            features.append(interpreter.get_tensor(found.output).reshape(-1).copy())
            scores.append(interpreter.get_tensor(said["index"]).reshape(-1).copy())
        return Host(np.stack(features), np.stack(scores))

    return run


def test_the_commands_make_a_model_and_a_library(made: Made) -> None:
    assert made.said["data import"]["recordings"] == 60 * EACH
    assert made.said["train digits -o"]["accuracy"] > 0.3
    assert made.said["convert digits.keras"]["agreement"] > 0.9
    files = made.said["convert digits.tflite"]["files"]
    assert {"src/front_end.c", "src/front_end.h", "src/edgeml_front_end.c"} <= set(files)
    assert (made.contract.input.window, made.contract.input.hop) == (WINDOW, HOP)


def test_everything_up_to_the_network_stays_in_float(made: Made) -> None:
    found = front_end.read(made.file.flatbuffer)
    assert found is not None
    begin = cut.find(front_end.read_graph(made.file.flatbuffer))
    assert begin is not None
    assert begin.tensors == (found.output,)
    assert (found.layer.frames, found.layer.hop, len(found.layer.spectrum.window)) == (49, 160, 256)


def test_features_are_those_of_the_graph(made: Made, streaming: Streaming, host: Any, sound: Any) -> None:
    n = np.arange(16000)
    sounds = {
        "words": sound,
        "silence": np.zeros(16000),
        "noise at full scale": np.random.default_rng(3).integers(-32768, 32768, 16000),
        "the lowest value": np.full(16000, -32768),
        "a square wave at full scale": np.where(n // 8 % 2, 32767, -32768),
        "a sine at full scale": 32767 * np.sin(0.7 * n),
        "a sine on a bin": 32767 * np.sin(2 * np.pi * 16 / 256 * n),
        "clicks": 32767 * (n % 997 == 0),
        "the last bit": n % 2,
    }
    found = front_end.read(made.file.flatbuffer)
    assert found is not None
    scale = np.tile(found.layer.scale, found.layer.frames)
    for name, samples in sounds.items():
        heard = streaming.hear(samples.astype(np.int16), 500)
        expected = host(windows(samples.astype(np.int16), len(heard.when)))
        away = np.abs(heard.features - expected.features) / scale
        assert away.max() < (BESIDE_A_SINE if "sine" in name else TOLERANCE), name


def test_a_stream_gives_what_whole_windows_give_however_it_comes(
    made: Made, streaming: Streaming, sound: NDArray[np.int16], tmp_path: Path
) -> None:
    found = front_end.read(made.file.flatbuffer)
    assert found is not None
    heard = streaming.hear(sound, 1000)
    assert heard.when.tolist() == [found.layer.window + n * HOP for n in range(len(heard.when))]
    sound = sound[: 5 * HOP]
    heard = streaming.hear(sound, 1000)
    for piece in (1, 159, 7937, len(sound)):
        again = streaming.hear(sound, piece)
        np.testing.assert_array_equal(again.scores, heard.scores)
        np.testing.assert_array_equal(again.features, heard.features)
    whole = Compiled(made.file.flatbuffer, tmp_path)
    (scores,) = whole.run([windows(sound, len(heard.when))[..., None]])
    np.testing.assert_array_equal(scores.reshape(heard.scores.shape), heard.scores)


def test_the_network_gives_the_bits_of_tflite_micro_and_the_words_of_the_host(
    made: Made, streaming: Streaming, host: Any, sound: NDArray[np.int16]
) -> None:
    heard = streaming.hear(sound, 160)
    features = heard.features.reshape(len(heard.when), 1, 49, 32)
    tflm = Tflm()
    try:
        (exact,) = tflm.run(cut.cut(made.file.flatbuffer), [features])
    finally:
        tflm.close()
    np.testing.assert_array_equal(heard.scores, exact.reshape(heard.scores.shape))
    expected = host(windows(sound, len(heard.when))).scores
    assert np.abs(heard.scores - expected).max() < 0.1  # LiteRT rounds differently on the way
    sure = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 0.1
    assert sure.mean() > 0.3
    np.testing.assert_array_equal(heard.scores.argmax(axis=1)[sure], expected.argmax(axis=1)[sure])


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_a_core_hears_what_the_host_hears(
    made: Made, streaming: Streaming, sound: NDArray[np.int16], tmp_path: Path, core: str
) -> None:
    if shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("needs QEMU and GCC for Arm: apt install qemu-system-arm gcc-arm-none-eabi")
    sound = sound[: 8 * HOP]
    heard = streaming.hear(sound, 320)
    files = library.render(made.file.flatbuffer, made.contract, "m", cut=True)
    asked = listener(sound, 320, len(heard.when))
    found = emulated.execute(files, asked, emulated.CORES[core], tmp_path)
    np.testing.assert_array_equal(found.told[1::2].copy().view(np.float32), heard.scores)
    frames = HOP // 160
    assert max(found.instructions[2::2]) / frames < 22_000
    assert found.stack_bytes < 1000


def test_firmware_hears_what_the_host_hears(made: Made) -> None:
    pytest.importorskip("unicorn", reason="pip install 'edgeml-kit[firmware]'")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("needs GCC for Arm: apt install gcc-arm-none-eabi")
    words = [*command("hil"), "--json"]
    done = subprocess.run(words, cwd=made.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["cases"] >= 8
    assert said["mismatches"] == 0


def test_a_virtual_board_hears_a_stream_as_the_host_does(
    made: Made, streaming: Streaming, host: Any, sound: NDArray[np.int16]
) -> None:
    """Blocks of PCM through `Model.stream`: overlapping windows, the same on the board as in the library."""
    pytest.importorskip("unicorn", reason="pip install 'edgeml-kit[firmware]'")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("needs GCC for Arm: apt install gcc-arm-none-eabi")
    sound = sound[: 8 * HOP]
    names, rate_hz = made.contract.input.names, made.contract.input.rate_hz
    pieces = np.array_split(sound.astype(np.float32)[:, None] / 32768, 23)
    target = "virtual:cortex-m4?count=none&timeout=120"
    with Model.load(made.folder / "digits.tflite", target=target) as model:
        said = list(model.stream([Block(piece, rate_hz, channels=names) for piece in pieces]))
    scores = np.stack([prediction.outputs for prediction in said])
    np.testing.assert_array_equal(scores, streaming.hear(sound, 160).scores[: len(said)])
    expected = host(windows(sound, len(said))).scores
    assert len(said) == 7
    assert np.abs(scores - expected).max() < 0.1


@pytest.mark.parametrize("compiler", [("gcc",), ("g++", "-x", "c++", "-std=c++11")])
def test_the_library_compiles_as_c_and_its_headers_as_cpp(made: Made, compiler: tuple[str, ...]) -> None:
    source = made.folder / "digits_c" / "src"
    if compiler[0] == "gcc":
        files = sorted(str(file) for file in source.glob("*.c"))
        subprocess.run([*compiler, *STRICT, "-fsyntax-only", *files], check=True)
        return
    if shutil.which("g++") is None:
        pytest.skip("needs g++: apt install g++")
    text = '#include "digits.h"\n#include "front_end.h"\nint main() { return digits_front_end_ready(); }\n'
    words = [*compiler, *STRICT[1:], "-I", str(source), "-fsyntax-only", "-"]
    subprocess.run(words, input=text, text=True, check=True)
