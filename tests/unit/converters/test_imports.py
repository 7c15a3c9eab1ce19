import ast
import subprocess
import sys
from pathlib import Path

import converters

PACKAGE = Path(converters.__file__).parent


def imported(file: Path) -> set[str]:
    """Top-level names of everything that a module imports, wherever in the module."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_one_module_imports_tensorflow() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if imported(file) & {"tensorflow", "keras"}]
    assert [file.relative_to(PACKAGE).as_posix() for file in files] == ["tensorflow_runtime.py"]


def test_importing_the_converter_starts_nothing_heavy() -> None:
    code = (
        "import sys, converters.convert, converters.inspect, converters.commands.convert\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
