"""Units, names, scans and register maps of sensors on a board: what needs no board."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.config import Config
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import ConfigError, Retry, UnknownNameError
from edge_sdk.iio import device as kernel
from edge_sdk.iio.device import SampleType, Scan
from edge_sdk.pipeline import Pipeline
from edge_sdk.plugins import check_url
from edge_sdk.sources import _chips, i2c
from edge_sdk.sources._quantities import _SPELLINGS, _UNITS, canonical, columns, conversion


def wanted(*channels):
    return Input(tuple(Channel(*channel) for channel in channels), 100.0, 8, 8)


@pytest.mark.parametrize(
    ("found", "to", "value", "expected"),
    [
        ("m/s²", "g", 9.80665, 1.0),
        ("m/s²", "m/s^2", 3.0, 3.0),
        ("g", "mg", 0.5, 500.0),
        ("rad/s", "dps", np.pi, 180.0),
        ("dps", "rad/s", 180.0, np.pi),
        ("m°C", "degC", 21500.0, 21.5),
        ("m°C", "K", 0.0, 273.15),
        ("°C", "°F", 100.0, 212.0),
        ("°F", "°C", -40.0, -40.0),
        ("kPa", "hPa", 101.325, 1013.25),
        ("m%", "%RH", 45000.0, 45.0),
        ("G", "uT", 0.5, 50.0),
        ("mV", "V", 3300.0, 3.3),
        ("deg", "rad", 180.0, np.pi),
        ("steps", "steps", 7.0, 7.0),
        ("", "", 7.0, 7.0),
        ("m/s²", "", 7.0, 7.0),
    ],
)
def test_units_become_others_exactly(found, to, value, expected):
    factor, summand = conversion(found, to, "here")
    assert value * factor + summand == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("found", "to", "words"),
    [
        ("m/s²", "dps", r"expected dps \(angular velocity\), found m/s² \(acceleration\)"),
        ("m/s²", "furlong", "edgeml converts between"),
        ("kPa", "pa", "expected 'pa', found 'kPa'; edgeml converts between"),
        ("", "g", "a channel whose unit nobody knows"),
    ],
)
def test_no_unit_is_guessed(found, to, words):
    with pytest.raises(ConfigError, match=words):
        conversion(found, to, "here")


def test_every_spelling_is_of_a_unit():
    assert set(_SPELLINGS.values()) <= set(_UNITS)


@given(st.sampled_from(sorted(_UNITS)), st.sampled_from(sorted(_UNITS)), st.floats(-1e6, 1e6))
def test_there_and_back_is_the_same(one, other, value):
    if _UNITS[one][0] != _UNITS[other][0]:
        with pytest.raises(ConfigError):
            conversion(one, other, "here")
        return
    factor, summand = conversion(one, other, "here")
    back, rest = conversion(other, one, "here")
    # The zero of °F and of m°C are far apart, and rounding counts in the larger of the two.
    there = value * factor + summand
    assert there * back + rest == pytest.approx(value, rel=1e-9, abs=1e-9 * max(1.0, abs(rest)))


@pytest.mark.parametrize(
    ("name", "linux"),
    [
        ("ax", "accel_x"),
        ("acc_x", "accel_x"),
        ("Accelerometer Y", "accel_y"),
        ("accel-z", "accel_z"),
        ("in_accel_x", "accel_x"),
        ("gx", "anglvel_x"),
        ("gyro_z", "anglvel_z"),
        ("mz", "magn_z"),
        ("temperature", "temp"),
        ("temp", "temp"),
        ("humidity", "humidityrelative"),
        ("voltage0", "voltage0"),
        ("x", "x"),
        ("max", "max"),
    ],
)
def test_names_that_people_give(name, linux):
    assert canonical(name) == linux


class TestColumns:
    there = (("accel_x", "m/s²"), ("accel_y", "m/s²"), ("anglvel_x", "rad/s"), ("voltage0", ""))

    def test_the_models_channels_find_theirs_in_its_order_and_units(self):
        found = columns("u", self.there, wanted(("gx", "dps"), ("ay", "g")))
        assert (found.picked, found.names) == ((2, 1), ("gx", "ay"))
        assert found.scale == pytest.approx((180 / np.pi, 1 / 9.80665))

    def test_without_a_model_all_of_them_as_they_are(self):
        found = columns("u", self.there, None)
        assert found.names == ("accel_x", "accel_y", "anglvel_x", "voltage0")
        assert found.scale == (1.0, 1.0, 1.0, 1.0)

    def test_inputs_say_which(self):
        found = columns("u", self.there, wanted(("left", "g")), inputs=("in_accel_y_raw",))
        assert (found.picked, found.names) == ((1,), ("left",))
        found = columns("u", self.there, None, inputs=("voltage0",), channels=("level",))
        assert (found.picked, found.names) == ((3,), ("level",))
        found = columns("u", self.there, wanted(("ax", "g"), ("ay", "g")), inputs=("voltage0",))
        assert found.names == ("voltage0",)

    @pytest.mark.parametrize(
        ("options", "channels", "words"),
        [
            ({}, [("az", "g")], "no channel is plainly 'az'"),
            ({}, [("voltage0", "V")], "whose unit nobody knows"),
            ({}, [("ax", "dps")], "unit of 'ax'"),
            ({"inputs": ("accel_z",)}, [], "did you mean 'accel_"),
            ({"inputs": ("accel_x",), "channels": ("a", "b")}, [], "expected 1 names"),
            ({"units": ("g",)}, [], "expected 4 of them"),
            ({"units": ("m/s²",)}, [("ax", "g")], "expected g, the model's, found m/s²"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, options, channels, words):
        with pytest.raises(ConfigError, match=words):
            columns("u", self.there, wanted(*channels) if channels else None, **options)


@st.composite
def sample_types(draw):
    storage = draw(st.sampled_from([8, 16, 32, 64]))
    bits = draw(st.integers(1, storage))
    return SampleType(
        big_endian=draw(st.booleans()),
        signed=draw(st.booleans()),
        bits=bits,
        storage_bits=storage,
        repeat=draw(st.sampled_from([1, 2, 4])),
        shift=draw(st.integers(0, storage - bits)),
    )


def packed(kind, number, dirt):
    """A number as a driver leaves it in memory: with anything in the bits around it."""
    mask = ((1 << kind.bits) - 1) << kind.shift
    word = (number << kind.shift) & mask | dirt & ~mask & ((1 << kind.storage_bits) - 1)
    return word.to_bytes(kind.storage_bits // 8, "big" if kind.big_endian else "little")


class TestScan:
    @settings(max_examples=50, deadline=None)
    @given(st.data())
    def test_every_type_gives_its_numbers_back(self, data):
        types = data.draw(st.lists(sample_types(), min_size=1, max_size=5))
        scan = Scan.of(types)
        rows, numbers = b"", []
        for _ in range(3):
            row, numbers_of = bytearray(data.draw(st.binary(min_size=scan.length, max_size=scan.length))), []
            at = 0
            for kind in types:
                low, high = (
                    (-(1 << kind.bits - 1), (1 << kind.bits - 1) - 1)
                    if kind.signed
                    else (0, (1 << kind.bits) - 1)
                )
                values = [data.draw(st.integers(low, high)) for _ in range(kind.repeat)]
                size = kind.storage_bits // 8 * kind.repeat
                at += -at % size
                for part, value in enumerate(values):
                    dirt = data.draw(st.integers(0, (1 << kind.storage_bits) - 1))
                    word = packed(kind, value, dirt)
                    row[at + part * len(word) : at + (part + 1) * len(word)] = word
                at += size
                numbers_of.append(values)
            rows += bytes(row)
            numbers.append(numbers_of)
        scans = np.frombuffer(rows, np.uint8).reshape(3, scan.length)
        for which in range(len(types)):
            assert scan.element(scans, which).tolist() == [row[which] for row in numbers]

    def test_padding_is_the_kernels(self):
        three = [SampleType(False, True, 16, 16)] * 3
        assert Scan.of(three).length == 6
        stamped = Scan.of([*three, SampleType(False, True, 64, 64)])
        assert (stamped.offsets, stamped.length) == ((0, 2, 4, 8), 16)
        mixed = Scan.of(
            [SampleType(False, True, 8, 8), SampleType(False, True, 24, 32), SampleType(False, True, 8, 8)]
        )
        assert (mixed.offsets, mixed.length) == ((0, 4, 8), 12)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "le:s16",
            "le:x16/16",
            "le:s24/24>>0",
            "le:s17/16>>0",
            "be:u12/16>>8",
            "le:s8/8X3>>0",
            "le:s0/8>>0",
        ],
    )
    def test_a_type_that_makes_no_sense_is_refused(self, text):
        with pytest.raises(ConfigError, match="type of a channel"):
            SampleType.parse(text)

    def test_a_type_as_the_kernel_writes_it(self):
        assert SampleType.parse("be:s12/16>>4\n") == SampleType(True, True, 12, 16, 1, 4)
        assert SampleType.parse("le:u8/32X4>>8") == SampleType(False, False, 8, 32, 4, 8)


class TestSysfs:
    def test_a_name_with_the_kernels_nul(self, tmp_path):
        (tmp_path / "current_timestamp_clock").write_bytes(b"boottime\n\0")
        assert kernel.text(tmp_path / "current_timestamp_clock") == "boottime"
        assert kernel.text(tmp_path / "absent") == ""

    def test_a_mistake_is_none_where_the_device_is_gone(self, tmp_path):
        with pytest.raises(Retry, match="the device is gone"), kernel.while_there("iio:x", tmp_path):
            raise ConfigError("no channel")
        (tmp_path / "name").touch()
        with pytest.raises(ConfigError, match="no channel"), kernel.while_there("iio:x", tmp_path):
            raise ConfigError("no channel")


class TestChips:
    @pytest.mark.parametrize("name", _chips.names())
    def test_every_register_map_is_whole(self, name):
        chip = _chips.load(name)
        places = [at for sensor in chip.sensor for at in sensor.at]
        assert sorted(places) == list(
            range(len(struct.unpack(chip.data.format, bytes(struct.calcsize(chip.data.format)))))
        )
        assert len({name for name, _ in chip.channels}) == len(places)
        assert all(unit in _UNITS for _, unit in chip.channels)

    def test_mpu6050_as_its_manual_says(self):
        chip = _chips.load("mpu6050")
        settings = _chips.settle(chip, 100.0, ("8g", "1000dps"), {})
        written = {register.register: register.value for register in settings.registers}
        assert written == {0x6B: 0x01, 0x6C: 0x00, 0x19: 0x00, 0x1A: 3, 0x1C: 0x10, 0x1B: 0x10}
        assert settings.at == (0, 1, 2, 4, 5, 6, 3)
        assert settings.per_unit == (4096, 4096, 4096, 32.8, 32.8, 32.8, 340)
        assert -521 / settings.per_unit[-1] + settings.zero[-1] == pytest.approx(
            35.0, abs=0.01
        )  # its example

    @pytest.mark.parametrize(
        ("rate_hz", "value"), [(1000, 1), (368, 1), (200, 2), (100, 3), (50, 4), (20, 5), (10, 6), (1, 6)]
    )
    def test_the_filter_passes_half_the_rate_at_most(self, rate_hz, value):
        settings = _chips.settle(_chips.load("mpu6050"), rate_hz, (), {})
        assert {r.register: r.value for r in settings.registers}[0x1A] == value

    @pytest.mark.parametrize(
        ("unit", "limits", "value"),
        [
            ("g", (-2, 2), 0x00),
            ("g", (-2.5, 2), 0x08),
            ("m/s²", (-78, 78), 0x10),
            ("g", (-40, 40), 0x18),
            ("g", None, 0x00),
        ],
    )
    def test_the_range_holds_what_the_model_was_trained_with(self, unit, limits, value):
        model = wanted(("acc_y", unit, limits))
        _, _, settings = i2c._plan("u", _chips.load("mpu6050"), model, {})
        assert {r.register: r.value for r in settings.registers}[0x1C] == value

    @pytest.mark.parametrize("text", ["3g", "4", "g", "4 dps", "500 rad/s", ""])
    def test_a_range_that_it_does_not_have(self, text):
        with pytest.raises(ConfigError, match="2g, 4g, 8g, 16g, 250dps"):
            _chips.settle(_chips.load("mpu6050"), 100.0, (text,), {})

    def test_unknown_chips_and_broken_maps(self, tmp_path):
        with pytest.raises(UnknownNameError, match="did you mean 'mpu6050'"):
            _chips.load("mpu6500")
        good = (_chips._HERE / "mpu6050.toml").read_text()
        for wrong, words in (
            ("name = 1", "expected a register map"),
            ("]", "expected a register map"),
            (good.replace('">7h"', '">7q"'), "at most 32 bytes"),
            (good.replace('">7h"', '">7?h!"'), "expected a register map"),
            (good.replace("at = [0, 1, 2]", "at = [0, 1, 7]"), "places below 7"),
            (good.replace("register = 0x1C ", "#"), "a register and its ranges"),
            (good.replace("value = 0x68", "value = 0x168"), "expected a register map"),
            (good + "\nspeed = 1\n", "expected a register map"),
        ):
            path = tmp_path / "mine.toml"
            path.write_text(wrong)
            with pytest.raises(ConfigError, match=words):
                _chips.load(str(path))
        with pytest.raises(ConfigError, match="No such file"):
            _chips.load(str(tmp_path / "absent.toml"))


class TestOptions:
    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("i2c:1/0x68", "option 'chip' is missing"),
            ("i2c:1/0x68?chip=mpu6050&rate_hz=0", "option 'rate_hz'"),
            ("iio:device0?mode=fast", "option 'mode'"),
            ("iio:device0?length=1", "option 'length'"),
            ("gpio:gpiochip0/17?safe=on", "option 'safe'"),
        ],
    )
    def test_checked_before_anything_is_opened(self, url, words):
        with pytest.raises(ConfigError, match=words):
            check_url("sinks" if url.startswith("gpio") else "sources", url)

    @pytest.mark.parametrize("location", ["", "1", "1/", "/0x68", "1/0x80", "1/7", "1/xyz", "bus/0x68"])
    def test_a_place_that_is_none(self, location):
        with pytest.raises(ConfigError, match="i2c:BUS/ADDRESS"):
            i2c.Source.preflight(location, None, chip="mpu6050")

    def test_a_check_finds_what_a_model_cannot_have(self):
        model = wanted(("ax", "g"), ("mx", "uT"))
        with pytest.raises(ConfigError, match="no channel is plainly 'mx'"):
            i2c.Source.preflight("1/0x68", model, chip="mpu6050")
        with pytest.raises(ConfigError, match="rate_hz is missing"):
            i2c.Source.preflight("1/104", replace(model, rate_hz=None), chip="mpu6050")


class TestDocument:
    page = (Path(__file__).parents[3] / "docs/board.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)

    @pytest.mark.parametrize("example", [text for text in examples if "[model]" in text])
    def test_pipelines_are_right_as_written(self, example, tmp_path):
        pipeline = Pipeline.from_config(Config.parse(example, folder=tmp_path))
        for part in pipeline.sources:
            plugin, location, options = check_url("sources", part.source, part.options)
            plugin.preflight(location, wanted(("ax", "g"), ("ay", "g")), **options)

    def test_the_register_map_is_one(self, tmp_path):
        (example,) = [text for text in self.examples if "identity" in text]
        (tmp_path / "mine.toml").write_text(example, encoding="utf-8")
        chip = _chips.load(str(tmp_path / "mine.toml"))
        written = _chips.settle(chip, 100.0, ("16g",), {}).registers
        assert [(r.register, r.value) for r in written] == [(0x2D, 0x08), (0x2C, 0x0A), (0x31, 0x0B)]

    def test_the_table_of_units_is_the_programs(self):
        rows = re.findall(
            r"^\| `.*?\| (.*?) \| (`.*?) \|$", self.page.split("| kernel |")[1].split("\n\n")[0], re.M
        )
        assert {unit for units, _ in rows for unit in units.split(", ")} == set(kernel._UNITS.values())
        for units, targets in rows:
            for target in re.findall("`(.*?)`", targets):
                assert any(_UNITS[unit][0] == _UNITS[target][0] for unit in units.split(", ")), target
