"""Each promise of docs/security.md names a test, and the test is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "security.md").read_text().partition("## Promises")[2].partition("\n## ")[0]
PROMISES = re.findall(r"^\| (?!promise|---)(.*?) \| (.*?) \|$", TABLE, re.MULTILINE)
TESTS = {
    name: path
    for path in (ROOT / "tests").rglob("test_*.py")
    if "deploy" in path.parts
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}


def test_there_are_promises():
    assert len(PROMISES) > 8


@pytest.mark.parametrize(("promise", "kept_by"), PROMISES, ids=[promise[:60] for promise, _ in PROMISES])
def test_a_promise_has_its_tests(promise, kept_by):
    names, files = re.findall(r"`(test_\w+)`", kept_by), re.findall(r"tests/\S+\.py", kept_by)
    assert names or files, promise
    assert set(names) <= set(TESTS)
    assert all((ROOT / file).exists() for file in files)
