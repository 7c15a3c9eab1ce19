"""The agent as one file that any Python runs: what a device is given before anything else is there.

It is started for every command. The byte code beside each source saves a device with the host's Python, and a
slow processor, half of that; any other Python passes it over.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import zipfile
from importlib.abc import InspectLoader
from typing import cast

#: What a device needs before it has a release; all of it imports the standard library and itself only.
MODULES = (
    "errors",
    "home",
    *(
        f"deploy/{name}"
        for name in (
            "__init__",
            "agent",
            "archive",
            "confinement",
            "facts",
            "fitness",
            "health",
            "layout",
            "manifest",
            "packed",
            "proving",
            "records",
            "rehearsal",
            "signature",
            "slots",
            "store",
            "systemd",
            "trial",
        )
    ),
)
#: Any Python 3 reads this, and says what it lacks: to who asked over a connection, and to people.
_MAIN = """\
import json, sys
if sys.version_info < (3, 11):
    error = {
        "error": "this device's Python is too old",
        "expected": "3.11 or newer",
        "found": "{}.{}".format(*sys.version_info),
        "remedy": "a newer system: Raspberry Pi OS from bookworm on has it",
    }
    print(json.dumps({"error": error, "kind": "DeviceError"}))
    print("edgeml: {error}: expected {expected}, found {found}; {remedy}".format(**error), file=sys.stderr)
    raise SystemExit(3)
from edge_sdk.deploy.MODULE import main
raise SystemExit(main())
"""
#: Of byte code that is not held against its source.
_UNCHECKED = (1).to_bytes(4, "little")
#: The same sources and the same Python give the same bytes.
TIME = (1980, 1, 1, 0, 0, 0)


def sources() -> dict[str, str]:
    """The files of the agent by their names in an archive; read from one, where this runs from one."""
    return {"edge_sdk/__init__.py": "", **{f"edge_sdk/{name}.py": _source(name) for name in MODULES}}


def program(module: str) -> dict[str, str]:
    """What makes a zip one that ``python3 FILE`` runs, by the names in it.

    Args:
        module: of `edge_sdk.deploy`, whose ``main`` it runs.
    """
    return {"__main__.py": _MAIN.replace("MODULE", module), **sources()}


def archive() -> bytes:
    """A zip that ``python3 FILE`` runs."""
    files = {name: text.encode() for name, text in program("agent").items()}
    files |= {f"{name}c": _compiled(name, text) for name, text in files.items()}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in sorted(files.items()):
            packed.writestr(zipfile.ZipInfo(name, TIME), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _source(name: str) -> str:
    module = "edge_sdk." + name.removesuffix("/__init__").replace("/", ".")
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    text = cast(InspectLoader, spec.loader).get_source(module)
    assert text is not None, module
    return text


def _compiled(name: str, source: bytes) -> bytes:
    """As a ``.pyc`` has it; see PEP 552."""
    code = compile(source, name, "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source)
    return head + marshal.dumps(code)
