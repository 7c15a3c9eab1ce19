"""docs/sources.md: its examples run, its C compiles and is understood, its options are all of them."""

import re
import subprocess
from pathlib import Path

import pytest

from edge_sdk import plugins, registry
from edge_sdk.blocks import Fault
from edge_sdk.config import Config
from edge_sdk.sources._lines import LineParser

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("name", ["serial", "synthetic"])
def test_every_option_stands_on_the_page(name):
    for option in plugins.options_of(registry.find("sources", name)):
        assert f"`{option}`" in PAGE or f"`{option}=" in PAGE or f"\n{option} = " in PAGE, option


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code, capsys):
    exec(compile(code, "sources.md", "exec"), {})
    assert capsys.readouterr().out.count("[[") == 20


@pytest.mark.parametrize("text", blocks("toml"))
def test_tables_are_configurations_without_a_mistake(text):
    config = Config.parse('[model]\nfile = "m.tflite"\n' + text)
    for part in config.source:
        plugin, location, options = plugins.check_url("sources", part.source, dict(part.options))
        more = {} if options.get("format") == "struct" else {"channels": ("ax", "ay", "az")}
        plugin.preflight(location, None, **{"rate_hz": 50.0, **more, **options})


def test_sources_of_commands_have_these_options():
    urls = re.findall(r"--source '([^']+)'", "".join(blocks("sh")))
    assert len(urls) == 2
    for url in urls:
        plugin, location, options = plugins.check_url("sources", url)
        plugin.preflight(location, None, rate_hz=50.0, channels=("ax",), **options)


def test_lines_are_read():
    plain = blocks("text")
    assert len(plain) == 2
    for text in plain:
        parser = LineParser(expected=("ax", "ay", "az"), device_key="device")
        items = list(parser.feed(text.encode()))
        assert items
        assert not any(isinstance(item, Fault) for item in items)


def test_the_c_of_the_device_makes_packets_that_the_table_reads(tmp_path):
    """Compiled as the firmware is, strictly; run here; read by the source's own options."""
    (code,) = blocks("c")
    main = """
#include <stdio.h>
int main(void)
{
    for (int n = 250; n < 260; n++) {
        const int16_t values[3] = {(int16_t)n, -16384, 0x55AA};
        uint8_t out[11];
        fwrite(out, 1, edgeml_packet(out, (uint8_t)n, values), stdout);
    }
    return 0;
}
"""
    (tmp_path / "packet.c").write_text(code + main)
    strict = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror"]
    subprocess.run(["gcc", *strict, tmp_path / "packet.c", "-o", tmp_path / "packet"], check=True, timeout=60)
    sent = subprocess.run([tmp_path / "packet"], capture_output=True, check=True, timeout=10).stdout
    (table,) = [text for text in blocks("toml") if "struct" in text]
    (part,) = Config.parse('[model]\nfile = "m.tflite"\n' + table).source
    plugin, _, options = plugins.check_url("sources", part.source, dict(part.options))
    with plugin("loop://", rate_hz=50.0, **options) as source:
        parser = source._new_parser()
        (samples,) = parser.feed(sent)
    assert samples.tolist() == [[n / 16384, -1.0, 21930 / 16384] for n in range(250, 260)]
    assert parser.lost == 0
