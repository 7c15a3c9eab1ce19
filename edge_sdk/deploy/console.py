"""What commands that speak to a device share: its address, a line of progress, its state in words."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from edge_sdk.errors import ConfigError, printable
from edge_sdk.ssh import Address

_EXAMPLE = "ssh://[USER@]HOST[:PORT]"
_EVERY_S = 5.0


class Device(click.ParamType[Address]):
    """``ssh://[user@]host[:port]``."""

    name = "ssh://HOST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """The address that `value` stands for."""
        if isinstance(value, Address):
            return value
        scheme, mark, place = str(value).partition("://")
        if scheme != "ssh" or not mark:
            self.fail(f"expected {_EXAMPLE}, found {value!r}", param, ctx)
        try:
            return Address.parse(place.removesuffix("/"))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


class ProgressLine:
    """Tells on standard error what is being done: on a terminal in one line, else a line for each step."""

    def __init__(self) -> None:
        self._terminal, self._last_s, self._open = sys.stderr.isatty(), 0.0, False

    def step(self, facts: Mapping[str, Any]) -> None:
        """A step of the device."""
        text = str(facts["step"])
        if "window_s" in facts:
            seconds = facts.get("seconds")
            self._show(f"{text} whether it works: {seconds} s of {facts['window_s']}", final=seconds == 0)
        else:
            self.say(text)

    def say(self, text: str) -> None:
        """A step that begins."""
        self._show(f"{text} …", final=True)

    def sent(self, sent: int, total: int) -> None:
        """How much has gone."""
        self._show(f"sending {sent / 1e6:.1f} of {total / 1e6:.1f} MB", final=sent == total)

    def received(self, received: int, total: int) -> None:
        """How much has come."""
        self._show(f"received {received / 1e6:.1f} of {total / 1e6:.1f} MB", final=received == total)

    def end(self) -> None:
        """Leave the terminal at the start of an empty line."""
        if self._open:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._open = False

    def _show(self, text: str, *, final: bool) -> None:
        now = time.monotonic()
        if not final and now - self._last_s < (0.1 if self._terminal else _EVERY_S):
            return
        self._last_s = now
        if self._terminal:
            click.echo(f"\r\x1b[K{printable(text)}", nl=False, err=True)
            self._open = True
        else:
            click.echo(printable(text), err=True)


@contextlib.contextmanager
def watching(address: Address, progress: ProgressLine) -> Iterator[None]:
    """Meanwhile a device may have switched; who does not wait for it is told how to see what became of it."""
    try:
        yield
    except KeyboardInterrupt:
        progress.end()
        said = f"what {address} has switched to it watches all the same: edgeml status ssh://{address}"
        click.echo(f"edgeml: {said}", err=True)
        raise


def lines(told: Mapping[str, Any]) -> list[str]:
    """What a device tells of a pipeline, for people."""
    current = told["current"]
    state = "" if current is None else str(told.get("state", "not under systemd"))
    if told.get("problem"):
        state += f", unhealthy: {told['problem']}"
    if told.get("restarts"):
        state += f", started again {told['restarts']} times"
    if told["on_trial"]:
        state += ", on trial"
    rows = [(told["name"], str(current["version"]), state) if current else (told["name"], "", "nothing runs")]
    for release in told["releases"]:
        if current is None or release["slot"] != current["slot"]:
            why = f": {release['reason']}" if release["reason"] else ""
            worked = release["verdict"] in ("proving", "good")
            back = (
                "; `edgeml rollback` goes back to it" if worked and release["slot"] == told["back_to"] else ""
            )
            rows.append(("", release["version"], _MEANING[release["verdict"]] + back + why))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [
        f"{printable(name):<{widths[0]}}  {printable(version):<{widths[1]}}  {printable(text)}"
        for name, version, text in rows
    ]


_MEANING = {
    "new": "never tried",
    "proving": "worked",
    "good": "good",
    "refused": "refused",
}
