"""The pytest plugin: a test file written once runs on every target.

Every run of pytest loads it, whatever is tested, so that it imports nothing but pytest until a test asks for
a target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from edge_sdk.model import Model
    from firmware_bridge.answers import Windows
    from firmware_bridge.testbench import Bench

T = TypeVar("T")
#: Needs nothing but Python packages.
DEFAULT_TARGET = "virtual:cortex-m4"
_MARKER = (
    "needs_target(model=FILE, data=FOLDER or FILE.npz, cases=N): the fixtures model, reference and windows "
    "are of this model; files are looked for beside the test, then in the root of the project"
)
_BENCH = pytest.StashKey["Bench"]()
_KNOWN = frozenset({"model", "data", "cases"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--edgeml-target URL``, and ``edgeml_target`` in the configuration file."""
    group = parser.getgroup("edgeml", "models on targets")
    group.addoption(
        "--edgeml-target",
        action="append",
        default=[],
        metavar="URL",
        help="Where tests that need a target run; may be given several times, and then each runs on all: "
        f"{DEFAULT_TARGET}, qemu:mps2-an500, serial:///dev/ttyACM0, ssh://pi@host, host:?runtime=c. "
        f"One that is not there is an error. Default: {DEFAULT_TARGET} where it is installed.",
    )
    parser.addini("edgeml_target", "URLs of targets, as --edgeml-target", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_report_header(config: pytest.Config) -> str | None:
    """The targets that were asked for."""
    asked = _asked(config)
    return f"edgeml targets: {', '.join(asked)}" if asked else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a target on each of them; tests of one target stay together.

    A test that is parametrized over ``edgeml_target`` chooses for itself.
    """
    chosen = any(
        "edgeml_target" in str(marker.args[0]) for marker in metafunc.definition.iter_markers("parametrize")
    )
    if "edgeml_target" in metafunc.fixturenames and not chosen:
        targets = list(dict.fromkeys(_asked(metafunc.config))) or [DEFAULT_TARGET]
        metafunc.parametrize("edgeml_target", targets, indirect=True, scope="session")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """After a target failed, the next test begins with one that was started anew."""
    bench = item.session.stash.get(_BENCH, None)
    if bench is None or call.excinfo is None:
        return
    from edge_sdk.errors import DeviceError

    parameters = getattr(item, "callspec", None)
    if isinstance(call.excinfo.value, DeviceError) and parameters is not None:
        bench.forget(parameters.params.get("edgeml_target", ""))


@pytest.fixture(scope="session")
def edgeml_target(request: pytest.FixtureRequest) -> str:
    """URL of the target that this test runs on."""
    return str(request.param)


@pytest.fixture
def target(edgeml_target: str) -> str:
    """URL of the target, as `Model.load` takes it."""
    return edgeml_target


@pytest.fixture
def model_file(request: pytest.FixtureRequest) -> Path:
    """The file of the marker; a project may make one instead, or parametrize tests over it indirectly."""
    name = getattr(request, "param", None) or _marked(request).get("model")
    if name is None:
        pytest.fail("no model: mark the test with @pytest.mark.needs_target(model=FILE)", pytrace=False)
    return _found(request, Path(name))


@pytest.fixture
def model(request: pytest.FixtureRequest, edgeml_bench: Bench, edgeml_target: str, model_file: Path) -> Model:
    """The model on the target; loaded once, and shared by the tests that follow."""
    optional = edgeml_target == DEFAULT_TARGET and not _asked(request.config)
    return _or_one_line(lambda: edgeml_bench.model(edgeml_target, model_file), optional=optional)


@pytest.fixture
def reference(edgeml_bench: Bench, model: Model, model_file: Path) -> Model:
    """The same model on this machine: as generated C, or in LiteRT where the target runs LiteRT."""
    from firmware_bridge.hil import reference_for

    return _or_one_line(lambda: edgeml_bench.model(reference_for(model), model_file))


@pytest.fixture
def windows(request: pytest.FixtureRequest, edgeml_bench: Bench, model: Model, model_file: Path) -> Windows:
    """Windows [n, …] to try it with: the marker's data, else the golden inputs in the file, else random."""
    from firmware_bridge.hil import MOST_CASES

    facts = _marked(request)
    data = _found(request, Path(facts["data"])) if "data" in facts else None
    most = int(facts.get("cases", MOST_CASES))
    return _or_one_line(lambda: edgeml_bench.windows(model_file, model, data, most))


@pytest.fixture(scope="session")
def edgeml_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """What is open on targets, until the tests end."""
    from firmware_bridge.testbench import Bench

    with Bench() as bench:
        request.session.stash[_BENCH] = bench
        yield bench


def _asked(config: pytest.Config) -> list[str]:
    return [*config.getoption("--edgeml-target"), *config.getini("edgeml_target")]


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the nearest marker says; those around it fill in what it leaves out."""
    facts: dict[str, Any] = {}
    for marker in request.node.iter_markers("needs_target"):
        if marker.args or not set(marker.kwargs) <= _KNOWN:
            pytest.fail(
                f"needs_target: expected {', '.join(sorted(_KNOWN))} by name, found {marker}", pytrace=False
            )
        facts = {**marker.kwargs, **facts}
    return facts


def _found(request: pytest.FixtureRequest, path: Path) -> Path:
    folders = (request.path.parent, request.config.rootpath, request.config.invocation_params.dir)
    for folder in folders:
        if (folder / path).exists():
            return folder / path
    tried = ", ".join(str(folder) for folder in dict.fromkeys(folders))
    pytest.fail(f"{path}: no such file in {tried}", pytrace=False)


def _or_one_line(make: Callable[[], T], *, optional: bool = False) -> T:
    """What `make` gives; its error in one line, as a skip where a part is missing that nobody asked for."""
    from edge_sdk.errors import EdgeError, MissingExtraError

    try:
        return make()
    except EdgeError as error:
        failure = error
    if optional and isinstance(failure, MissingExtraError):
        pytest.skip(str(failure))
    pytest.fail(str(failure), pytrace=False)
