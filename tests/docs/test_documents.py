"""What the documents say is so: links lead somewhere, commands and options exist, code compiles."""

import re
import shlex
from pathlib import Path

import click
import pytest

from edge_sdk import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
NEEDED = {
    "tutorial",
    "dataset",
    "recording",
    "training",
    "calibration",
    "challenger",
    "tuning",
    "tasks",
    "architectures",
    "accuracy",
    "distributed-training",
    "conversion",
    "report",
    "boards",
    "matrix",
    "targets",
    "bench",
    "contract",
    "pipeline",
    "plugins",
    "c-library",
    "firmware",
    "protocol",
    "hil",
    "keyword-spotting",
    "destinations",
    "gateway",
    "mqtt",
    "http",
    "board",
    "models",
    "outbox",
    "service",
    "sources",
    "deploy",
    "raspberry-pi",
    "security",
}
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(document, *languages):
    text = document.read_text()
    return [
        body
        for kind, body in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        if kind in languages
    ]


def commands():
    for document in DOCUMENTS:
        for block in blocks(document, "sh", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ").split("  #")[0].strip()
                if command.startswith(("edgeml ", ".venv/bin/edgeml ", "make ")):
                    yield pytest.param(command, id=f"{document.name}: {command[:60]}")


def test_every_document_is_there():
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} >= NEEDED


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_compiles(document):
    for block in blocks(document, "python"):
        compile(block, document.name, "exec")


@pytest.mark.parametrize("command", list(commands()))
def test_commands_and_their_options_exist(command):
    words = shlex.split(command.split(" | ")[0].split(" && ")[0], comments=True)
    if words[0] == "make":
        assert {word for word in words[1:] if "=" not in word} <= MAKE_TARGETS
        return
    command, words = cli.commands, words[1:]
    context = click.Context(command, info_name="edgeml", resilient_parsing=True)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0))
        assert command is not None
    command.make_parser(context).parse_args(words)
