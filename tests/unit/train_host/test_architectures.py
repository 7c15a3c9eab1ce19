"""What is known of architectures without TensorFlow: which fits, what they are made from, what they cost."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset
from edge_sdk.dataset.manifest import Recording
from edge_sdk.errors import ConfigError, UnknownNameError
from edge_sdk.modelfile import digest_of
from train_host import architectures
from train_host.architectures import catalogue, kinds, listing, sources
from train_host.architectures.catalogue import EXAMPLES, Costed

OWN = "def small(shape, head, statistics, *, filters=8):\n    return None\n"


def dataset(
    *, channels: int = 3, rate_hz: float | None = 50.0, file: str = "a.csv", task: str = "classification"
) -> Dataset:
    """Facts of a dataset; none of its files is read."""
    return Dataset(
        name="made",
        channels=tuple(Channel(f"c{n}", "") for n in range(channels)),
        rate_hz=rate_hz,
        labels=("a", "b"),
        task=task,
        folder=Path(),
        recordings=(Recording(f"recordings/a/{file}", "a", "g"),),
    )


SOUND = dataset(channels=1, rate_hz=16000.0, file="a.wav")
IMAGES = dataset(channels=3, rate_hz=None, file="a.png")


def test_the_kind_of_windows_is_told_by_shape_and_rate() -> None:
    assert kinds.of_dataset(dataset()) == "signals"
    assert kinds.of_dataset(SOUND) == "sound"
    assert kinds.of_dataset(dataset(channels=1, rate_hz=1000.0)) == "signals"
    assert kinds.of_dataset(dataset(channels=2, rate_hz=16000.0)) == "signals"
    assert kinds.of_dataset(dataset(channels=1, rate_hz=None)) == "signals"
    assert kinds.of_dataset(IMAGES) == "images"
    assert kinds.of_dataset(dataset(channels=1, rate_hz=16000.0, file="a.png")) == "images"


def test_the_examples_of_kinds_are_right() -> None:
    assert doctest.testmod(kinds).failed == 0


@pytest.mark.parametrize(
    ("of", "expected"),
    [(dataset(), "cnn1d"), (SOUND, "ds_cnn"), (IMAGES, "cnn2d"), (dataset(task="anomaly"), "autoencoder")],
    ids=["signals", "sound", "images", "anomalies"],
)
def test_without_a_name_the_data_choose(of: Dataset, expected: str) -> None:
    assert architectures.choose(None, of) == expected
    assert architectures.origin(None, of, {}) == {"name": expected}


def test_a_name_must_fit_data_and_task() -> None:
    assert architectures.choose("resnet8", SOUND) == "resnet8"
    with pytest.raises(
        ConfigError, match=r"'tcn' is made for signals or sound.*found recordings that are imag"
    ):
        architectures.choose("tcn", IMAGES)
    with pytest.raises(ConfigError, match=r"'autoencoder' is made for anomaly.*dataset for classification"):
        architectures.choose("autoencoder", dataset())
    with pytest.raises(ConfigError, match="a dataset for anomaly"):
        architectures.choose("cnn1d", dataset(task="anomaly"))
    with pytest.raises(UnknownNameError, match="did you mean 'cnn1d'"):
        architectures.choose("cnn1", dataset())


def test_every_name_has_a_file_of_its_own() -> None:
    folder = Path(architectures.__file__).parent
    assert all((folder / f"{name}.py").is_file() for name in architectures.TABLE)
    assert set(architectures.DEFAULTS.values()) <= set(architectures.TABLE)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ones_own_function_is_found_in_the_current_folder_and_in_packages(here: Path) -> None:
    (here / "nets.py").write_text(OWN)
    (here / "pack" / "inner").mkdir(parents=True)
    (here / "pack" / "inner" / "__init__.py").write_text(OWN)
    assert architectures.choose("nets:small", dataset()) == "nets:small"
    found = sources.of("pack.inner:small", {})
    assert found is not None
    assert (found.file, found.digest) == (here / "pack" / "inner" / "__init__.py", digest_of(OWN.encode()))
    assert architectures.origin("nets:small", dataset(), {})["source"] == {
        "file": str(here / "nets.py"),
        "digest": digest_of(OWN.encode()),
    }


def test_ones_own_function_is_found_on_the_python_path(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "far_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(elsewhere))
    assert architectures.choose("far_nets:small", dataset()) == "far_nets:small"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent:small", None, r"no module 'absent': expected absent\.py in the current folder"),
        ("nets:smal", OWN, r"function in .*nets\.py: 'smal': .*did you mean 'small'"),
        ("nets:small", "def small(shape, head: pass", "nets.py: no Python: found"),
        (
            "nets:small",
            "def small(shape): ...",
            r"expected build\(shape, head, statistics.*found small\(shape\)",
        ),
        ("nets:small", "def small(a, b, c, d): ...", r"found small\(a, b, c, d\)"),
        ("nets.py:small", OWN, r"no module 'nets\.py'"),
        ("ne ts:small", OWN, r"expected package\.module:function"),
        ("nets:", OWN, r"expected package\.module:function"),
    ],
    ids=["module", "function", "syntax", "few", "many", "file", "space", "empty"],
)
def test_what_is_wrong_with_ones_own_function_is_said_in_a_line(
    here: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (here / "nets.py").write_text(text)
    with pytest.raises((ConfigError, UnknownNameError), match=message) as caught:
        architectures.choose(name, dataset())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "from elsewhere import small",
        "import functools\nsmall = functools.partial(print)",
        "class small: ...",
        "if True:\n    def small(a, b, c): ...",
        "def small(*everything): ...",
        "def small(shape, head, statistics, depth=3, **more): ...",
    ],
    ids=["import", "assignment", "class", "branch", "any", "options"],
)
def test_what_the_source_alone_does_not_tell_is_left_to_the_import(here: Path, text: str) -> None:
    (here / "nets.py").write_text(text)
    assert architectures.choose("nets:small", dataset()) == "nets:small"


def test_a_transfer_needs_a_base(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"'transfer': base: expected a model to start from, found nothing"):
        architectures.choose("transfer", dataset())
    with pytest.raises(ConfigError, match=r"base: expected a \.keras or \.h5 file, found \.tflite"):
        architectures.choose("transfer", dataset(), {"base": "m.tflite"})
    with pytest.raises(ConfigError, match="base.keras: cannot be read.*No such file"):
        architectures.choose("transfer", dataset(), {"base": "base.keras"})
    (here / "base.keras").write_bytes(b"anything")
    assert architectures.choose("transfer", dataset(), {"base": "base.keras"}) == "transfer"
    origin = architectures.origin("transfer", dataset(), {"base": "base.keras"})
    assert origin["source"]["digest"] == digest_of(b"anything")


def test_the_list_has_costs_and_boards_without_tensorflow() -> None:
    code = (
        "import sys; from edge_sdk.cli import main\n"
        "try: main(['train', '--list'])\nexcept SystemExit: pass\n"
        "print(*(name for name in ('tensorflow', 'keras') if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    for example in EXAMPLES:
        assert f"for {example}" in done.stdout
    for name, entry in architectures.TABLE.items():
        assert f"{name} " in done.stdout
        assert entry.about in done.stdout


def test_costs_survive_their_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, text = catalogue.read(), catalogue.FILE.read_bytes()
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "costs.json")
    catalogue.write(before)
    assert catalogue.read() == before
    assert catalogue.FILE.read_bytes() == text


def costed(name: str, example: str) -> Costed:
    return next(each for each in catalogue.read() if (each.name, each.example) == (name, example))


def test_a_small_network_fits_every_board_and_a_large_one_is_told_where() -> None:
    small = costed("cnn1d", "motion, 2 s")
    assert listing.fits(small) == "every board"
    plain = small.as_dict()
    assert plain["boards"]["cortex-m4"]["runs"]
    assert small.cost is not None
    assert plain["bytes"] == small.cost.flash_bytes
    large = costed("mobilenet_v2", "images")
    assert not large.boards["cortex-m3"].runs
    assert "cortex-m3" in listing.fits(large)


def test_sound_fits_boards_whose_c_library_has_the_spectrogram_as_one_kernel() -> None:
    fit = costed("ds_cnn", "sound, 1 s").boards["cortex-m4"]
    assert (fit.runs, fit.engine) == (True, "edgeml-c")


def test_what_cannot_be_built_says_why() -> None:
    failed = Costed("tcn", "mine", error="too short")
    assert failed.as_dict() == {"error": "too short"}
    assert failed.boards == {}
    lines = listing.table(EXAMPLES[0], [costed("cnn1d", "motion, 2 s"), failed])
    assert lines[1].split() == ["name", "parameters", "MACs", "int8", "kB", "RAM", "kB", "fits"]
    assert lines[2].startswith("*  cnn1d")
    assert lines[3].split() == ["tcn", "too", "short"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(40_672, "40.7 k"), (221_040, "221 k"), (12_501_632, "12.5 M"), (112_509_568, "113 M")],
)
def test_counts_are_rounded_for_people(count: int, text: str) -> None:
    assert listing.rounded(count) == text


def test_the_base_of_a_transfer_is_an_option_of_the_command(tmp_path: Path, capsys: Any) -> None:
    from edge_sdk.cli import main
    from tests.folders import motion

    folder = motion(tmp_path / "d").folder
    for words, message in (
        (["--base", "absent.keras"], "absent.keras: cannot be read"),
        (["--base", "absent.keras", "--arch", "cnn1d"], "--base is for --arch transfer, not cnn1d"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["train", str(folder), "-o", str(tmp_path / "m.keras"), *words])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
