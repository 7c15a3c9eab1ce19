import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from converters import boards
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, UnknownNameError
from firmware_bridge import flash, machines
from firmware_bridge.commands.firmware import command


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of programs, the only one there is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def hexfile(tmp_path: Path) -> Path:
    file = tmp_path / "firmware.hex"
    file.write_text(":00000001FF\n")
    return file


def program(folder: Path, name: str, status: int) -> Path:
    """A program that writes its arguments beside itself, and ends with a status."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"pathlib.Path({str(folder)!r}, 'arguments').write_text(' '.join(sys.argv[1:]))\nsys.exit({status})\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder / "arguments"


def test_every_flasher_is_one_that_is_known() -> None:
    flashers = {name: board.flasher for name, board in boards.load().items() if board.flasher}
    flashers |= {name: machine.flasher for name, machine in machines.load().items() if machine.flasher}
    assert {"cortex-m0plus", "cortex-m4", "cortex-m33", "esp32-s3", "stm32f405"} <= set(flashers)
    assert {flasher.tool for flasher in flashers.values()} == {"pyocd", "esptool"}
    assert all(flasher.tool == "pyocd" for flasher in flashers.values() if flasher.pack)


def test_pyocd_is_given_the_chip_and_the_probe(hexfile: Path) -> None:
    assert str(flash.order(hexfile, "cortex-m4")) == f"pyocd flash --target nrf52840 {hexfile}"
    assert str(flash.order(hexfile, "cortex-m7", "0669FF")) == (
        f"pyocd flash --target stm32h743zitx --uid 0669FF {hexfile}"
    )


def test_esptool_is_told_where_an_application_goes_and_a_whole_image(tmp_path: Path) -> None:
    file = tmp_path / "app.bin"
    file.write_bytes(b"\xe9" + bytes(0x9000))
    assert str(flash.order(file, "esp32-s3", "/dev/ttyACM0")) == (
        f"esptool --chip esp32s3 --port /dev/ttyACM0 write_flash 0x10000 {file}"
    )
    file.write_bytes(b"\xe9" + bytes(0x7FFF) + b"\xaa\x50" + bytes(100))
    assert "write_flash 0x0 " in str(flash.order(file, "esp32-s3"))


def test_the_tool_that_is_there_is_called(tools: Path, hexfile: Path) -> None:
    arguments = program(tools, "pyocd", 0)
    flash.flash(flash.order(hexfile, "cortex-m4"))
    assert arguments.read_text() == f"flash --target nrf52840 {hexfile}"
    program(tools, "esptool.py", 0)
    image = hexfile.with_name("a.bin")
    image.write_bytes(bytes(10))
    assert flash.order(image, "esp32-s3").command[0] == "esptool.py"


def test_a_tool_that_fails_is_a_failed_device(tools: Path, hexfile: Path) -> None:
    program(tools, "pyocd", 1)
    with pytest.raises(
        DeviceError, match="pyocd did not flash firmware.hex: found exit status 1.*pack install"
    ):
        flash.flash(flash.order(hexfile, "cortex-m7"))


def test_a_missing_tool_comes_with_its_remedy(hexfile: Path) -> None:
    with pytest.raises(MissingExtraError, match="pyocd is not installed; install it with: pip install pyocd"):
        flash.flash(flash.order(hexfile, "cortex-m4"))


@pytest.mark.parametrize(
    ("name", "board", "error", "message"),
    [
        ("firmware.hex", "cortex-m99", UnknownNameError, "unknown board"),
        ("firmware.hex", "rpi4", ConfigError, "rpi4 is not flashed: expected a microcontroller"),
        ("firmware.hex", "mps2-an386", ConfigError, "is an emulator: .* edgeml hil MODEL --target qemu:mps2"),
        ("firmware.hex", "esp32-s3", ConfigError, "esptool does not take firmware.hex: expected a file that"),
        (
            "model.tflite",
            "cortex-m4",
            ConfigError,
            "is a model, and firmware for cortex-m4 needs .*stm32f405",
        ),
    ],
)
def test_what_cannot_be_flashed_is_said(
    hexfile: Path, name: str, board: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        flash.order(hexfile.with_name(name), board)


def test_firmware_of_an_emulator_is_not_flashed(hexfile: Path) -> None:
    hexfile.with_suffix(".json").write_text('{"machine": "mps2-an386"}')
    with pytest.raises(ConfigError, match="firmware.hex was built for an emulator: .*firmware export"):
        flash.order(hexfile, "cortex-m4")
    for harmless in ('{"machine": "stm32f405"}', "[]", "{", '{"machine": 3}'):
        hexfile.with_suffix(".json").write_text(harmless)
        assert flash.order(hexfile, "cortex-m4").command


def test_the_command_prints_what_it_would_call(hexfile: Path) -> None:
    done = CliRunner().invoke(command, ["flash", str(hexfile), "--board", "cortex-m4", "--dry-run"])
    assert (done.exit_code, done.output) == (0, f"pyocd flash --target nrf52840 {hexfile}\n")
    done = CliRunner().invoke(command, ["flash", str(hexfile), "--board", "cortex-m4", "--dry-run", "--json"])
    assert '"flashed": false' in done.output
