"""The command line. A command is a file: here in ``commands/``, or by entry point in another package."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import click

from edge_sdk import registry
from edge_sdk.errors import EdgeError, GateError, MissingExtraError, UnknownNameError, one_line

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Adds ``--json`` as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(
        function
    )


def print_json(result: dict[str, Any]) -> None:
    """One JSON object on standard output; numpy numbers become plain ones, NaN becomes null."""
    text = json.dumps(_plain(result), indent=2, ensure_ascii=False, allow_nan=False)
    # A file's name need not be text; what stands for its bytes is written as JSON's own escapes.
    click.echo(text.encode("utf-8", "backslashreplace").decode())


class Judged(Protocol):
    """A result that passes or does not."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""

    def check(self) -> None:
        """Raises GateError where it does not pass."""


def show(context: click.Context, found: Judged, lines: Callable[[], Sequence[str]], *, as_json: bool) -> None:
    """A result on standard output, as lines or as one object, also where it does not pass.

    Raises:
        GateError: it does not pass, and lines were asked for.
    """
    if not as_json:
        click.echo("\n".join(lines()))
        found.check()
        return
    try:
        found.check()
    except GateError as error:
        # One object on standard output: the figures and the error together.
        print_json({**found.as_dict(), **error.as_dict()})
        click.echo(f"edgeml: {error}", err=True)
        context.exit(error.exit_code)
    print_json(found.as_dict())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and value - value != 0:  # NaN and infinity
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


class Commands(click.Group):
    """Finds commands by name, so that starting one does not import the others."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Every command there is."""
        return registry.names("commands")

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """One command, imported now."""
        try:
            command: click.Command = registry.find("commands", name)
        except UnknownNameError:
            return None
        except MissingExtraError as error:
            if context.resilient_parsing:
                return None
            raise error
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  edgeml demo                  the whole job on real motion data\n"
    "  edgeml COMMAND --help        what a command does, with an example\n"
    '  eval "$(_EDGEML_COMPLETE=bash_source edgeml)"    completion in this shell',
)
@click.version_option(package_name="edgeml-kit", prog_name="edgeml")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def commands(debug: bool) -> None:
    """From sensor recordings to a verified model on an edge device, with its results delivered."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 1 a gate failed, 2 bad usage or input, 3 a device failed."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status = commands.main(given, prog_name="edgeml", standalone_mode=False)
    except EdgeError as error:
        if "--debug" in given:
            raise
        _report(error.as_dict(), str(error), given)
        status = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        remedy = f"see: {context.command_path} --help" if context else None
        text = " ".join(error.format_message().split()).rstrip(".")
        _report({"error": text, "remedy": remedy}, f"{text}; {remedy}" if remedy else text, given)
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("edgeml: interrupted", err=True)
        status = 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output has gone; say nothing more, not even at interpreter shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except Exception as error:
        if "--debug" in given:
            raise
        text = f"unexpected {type(error).__name__}: {one_line(error)}"
        _report({"error": text, "remedy": "run again with --debug"}, f"{text}; run again with --debug", given)
        status = 3 if isinstance(error, OSError) else 2
    sys.exit(status if isinstance(status, int) else 0)


def _report(facts: dict[str, Any], line: str, given: list[str]) -> None:
    if "--json" in given:
        print_json({"error": None, "expected": None, "found": None, "remedy": None, **facts})
    click.echo(f"edgeml: {line}", err=True)


if __name__ == "__main__":
    main()
