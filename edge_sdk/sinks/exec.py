"""``exec:COMMAND ARGS`` hands predictions to a command, as JSON on its standard input."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, DeviceError, Fatal, Rejected, Retry, one_line
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.sinks._command import Command

#: EX_DATAERR of sysexits.h: the input is wrong, and will be every time.
_DATA_ERROR = 65
#: What a command sees of our environment; everything else is named in `env`.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_LONGEST_FACT = 1000
_GRACE_S = 1.0


class Sink(Closing):
    """Runs a command for each prediction, or one command that reads them all. No shell is involved.

    The command gets the prediction as one line of JSON. In mode ``once`` its fields are in the environment
    too (EDGEML_DEVICE, EDGEML_LABEL, EDGEML_SCORE, …), and exit code 0 takes it, one of `rejects` refuses it
    for good, and everything else means that it should be tried again.

    In mode ``lines`` a prediction counts as delivered when the command has read its line, or, with
    `answers`, when it has printed a line that begins with ``ok``; ``reject`` and ``retry`` may be followed by
    the reason.

    Args:
        location: the command and its arguments, quoted as in a shell.
        args: further arguments, taken as they are.
        mode: ``once``, a process each, or ``lines``, one process.
        answers: in mode ``lines``, the command answers every line.
        rejects: exit codes that refuse a prediction for good.
        timeout_s: for one prediction, s; then the command is killed with what it started.
        folder: where it runs.
        env: names of further variables that it may see.
        delivery: ``direct``, in memory, or ``outbox``, on disk, while the command fails.

    Raises:
        Fatal: there is no such command.
    """

    delivery: Delivery = "direct"
    path_options = ("folder",)
    #: Most predictions that one `write` stores all or nothing of.
    at_once = 1

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        args: tuple[str, ...] = (),
        mode: Literal["once", "lines"] = "once",
        answers: bool = False,
        rejects: tuple[int, ...] = (_DATA_ERROR,),
        timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0,
        folder: str = "",
        env: tuple[str, ...] = (),
        delivery: Literal["direct", "outbox"] = "direct",
    ) -> None:
        self._words = _words(location, args, folder)
        if answers and mode != "lines":
            raise ConfigError("exec: answers", expected="mode = 'lines'", found=f"mode = {mode!r}")
        self._name = f"exec:{Path(self._words[0]).name}"
        self._env = _environment(env)
        self._answers, self._rejects = answers, rejects
        self._timeout_s, self._folder = timeout_s, folder
        self.delivery = delivery
        #: The one that reads lines.
        self._reader = self._started({}, answers=answers, grace_s=_GRACE_S) if mode == "lines" else None

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that the command is there, without running it."""
        _words(location, options.get("args", ()), options.get("folder", ""))

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Hand them over, one after the other.

        Raises:
            Retry: the command cannot be started, fails, or takes too long.
            Rejected: the command refuses one of them for good.
        """
        for prediction in predictions:
            line = json.dumps(prediction.as_dict()).encode() + b"\n"
            if self._reader is None:
                self._run(prediction, line)
            else:
                self._pass(self._reader, line)

    def idle(self) -> None:
        """Listen to the command that reads lines; raises as `write` when it has ended."""
        if self._reader is not None:
            self._reader.serve(lambda: False, 0.01)
            if self._reader.ended:
                raise self._failed(self._reader, "reads no more")

    def close(self) -> None:
        """End the input of the command that reads lines, and see that it ends; may be called twice."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _run(self, prediction: Prediction, line: bytes) -> None:
        with self._started(_facts(prediction)) as command:
            command.send(line, last=True)
            if not command.serve(lambda: command.ended, self._timeout_s):
                command.kill()
                raise self._failed(command, f"took longer than {self._timeout_s:g} s and was killed")
        if command.code in self._rejects:
            said = command.last_words or None
            raise Rejected(f"{self._name}: refuses a prediction: exit code {command.code}", found=said)
        if command.code < 0:
            raise self._failed(command, f"was killed by {signal.Signals(-command.code).name}")
        if command.code:
            raise self._failed(command, f"exit code {command.code}")

    def _pass(self, reader: Command, line: bytes) -> None:
        reader.send(line)

        def settled() -> bool:
            done = reader.has_answered if self._answers else reader.has_read_all
            return done or reader.deaf or reader.ended

        if not reader.serve(settled, self._timeout_s):
            reader.kill()
            did_not = "answer" if self._answers else "read"
            raise self._failed(reader, f"did not {did_not} within {self._timeout_s:g} s and was killed")
        if self._answers and reader.has_answered:
            self._obey(reader.answer())
        elif reader.deaf or reader.ended:
            raise self._failed(reader, "reads no more")

    def _obey(self, answer: str) -> None:
        word, _, reason = answer.partition(" ")
        if word == "reject":
            raise Rejected(f"{self._name}: refuses a prediction", found=reason or None)
        if word == "retry":
            raise Retry(f"{self._name}: cannot take it now", found=reason or None)
        if word != "ok":
            raise Retry(f"{self._name}: answered", expected="ok, reject or retry", found=repr(answer))

    def _started(self, facts: dict[bytes, bytes], **more: Any) -> Command:
        try:
            return Command(self._words, {**self._env, **facts}, self._folder, **more)
        except OSError as error:
            raise Retry(f"{self._name}: cannot be started", found=one_line(error)) from error

    def _failed(self, command: Command, how: str) -> DeviceError:
        command.close()  # it may have something left to say
        return Retry(f"{self._name}: {how}", found=command.last_words or None)


def _words(location: str, args: Sequence[str], folder: str) -> list[str]:
    """The command and its arguments.

    Raises:
        ConfigError: none, or a quotation that does not end.
        Fatal: the command is not there, or is no program.
    """
    try:
        words = [*shlex.split(location), *args]
    except ValueError as error:
        raise ConfigError(f"exec:{location}", expected="words quoted as in a shell", found=error) from error
    if not words or not words[0] or any("\0" in word for word in words):
        raise ConfigError("exec: no command", expected="exec:COMMAND ARGS, such as exec:./alarm.sh --loud")
    name = words[0]
    if not Path(folder or ".").is_dir():
        raise Fatal(f"exec: no folder {folder}")
    found = Path(folder, name).is_file() if "/" in name else shutil.which(name, os.F_OK) is not None
    if not found:
        raise Fatal(
            f"exec: no command {name!r}",
            expected="a program" + ("" if "/" in name else " in PATH"),
            remedy=None if "/" in name else f"for one in a folder, write its path: ./{name}",
        )
    if not (os.access(Path(folder, name), os.X_OK) if "/" in name else shutil.which(name)):
        raise Fatal(f"exec: {name} is not a program", remedy=f"make it one: chmod +x {shlex.quote(name)}")
    return words


def _environment(further: Sequence[str]) -> dict[bytes, bytes]:
    """What a command sees of our environment."""
    for name in further:
        if name not in os.environ:
            raise ConfigError(f"exec: env: the variable {name} is not set")
    names = [os.fsencode(name) for name in (*_KEPT, *further)]
    return {name: os.environb[name] for name in names if name in os.environb}


def _facts(prediction: Prediction) -> dict[bytes, bytes]:
    """The fields of a prediction as environment variables; empty where it has none."""
    facts = {}
    for name, value in prediction.as_dict().items():
        if name != "outputs":
            text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
            text = text.replace("\0", "\N{SYMBOL FOR NULL}")[:_LONGEST_FACT]
            facts[f"EDGEML_{name.upper()}".encode()] = text.encode("utf-8", "replace")
    return facts
