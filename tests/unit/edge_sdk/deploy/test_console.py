"""Addresses of devices, and what is told while one waits."""

import click
import pytest

from edge_sdk.deploy.console import Device, ProgressLine
from edge_sdk.ssh import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://pi@raspberrypi", Address("raspberrypi", "pi")),
        ("ssh://raspberrypi/", Address("raspberrypi")),
        ("ssh://pi@10.0.0.7:2222", Address("10.0.0.7", "pi", 2222)),
        ("ssh://[fe80::1%eth0]:22", Address("fe80::1%eth0", None, 22)),
    ],
)
def test_an_address(text, address):
    assert Device().convert(text, None, None) == address


@pytest.mark.parametrize(
    "text",
    ["raspberrypi", "pi@raspberrypi", "http://x", "ssh:", "ssh://", "ssh://-oProxyCommand=x", "ssh://a b"],
)
def test_what_is_no_address(text):
    with pytest.raises(click.BadParameter):
        Device().convert(text, None, None)


def test_a_password_is_not_taken():
    with pytest.raises(click.BadParameter, match="ssh-copy-id"):
        Device().convert("ssh://pi:secret@raspberrypi", None, None)


def test_progress_that_is_no_terminal_is_a_line_for_each_step(capsys):
    progress = ProgressLine()
    progress.say("connecting")
    progress.step({"step": "trying it out\x1b[2J"})
    for seconds in range(3):
        progress.step({"step": "watching", "seconds": seconds, "window_s": 90})
    progress.sent(1_000_000, 2_000_000)
    progress.sent(2_000_000, 2_000_000)
    progress.end()
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == "connecting …"
    assert "\x1b" not in lines[1]
    assert lines[2:] == ["watching whether it works: 0 s of 90", "sending 2.0 of 2.0 MB"]
