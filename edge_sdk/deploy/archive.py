"""The agent as one file that any Python runs: what a device is sent before anything else is there."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import edge_sdk

#: What a device needs before it has a release; all of it imports the standard library and itself only.
MODULES = (
    "errors",
    *(
        f"deploy/{name}"
        for name in (
            "__init__",
            "agent",
            "facts",
            "health",
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
_MAIN = "from edge_sdk.deploy.agent import main\n\nraise SystemExit(main())\n"
#: The same sources give the same bytes.
TIME = (1980, 1, 1, 0, 0, 0)


def sources() -> dict[str, str]:
    """The files of the agent by their names in an archive."""
    folder = Path(edge_sdk.__file__).parent
    files = {f"edge_sdk/{name}.py": (folder / f"{name}.py").read_text(encoding="utf-8") for name in MODULES}
    return {"edge_sdk/__init__.py": "", **files}


def archive() -> bytes:
    """A zip that ``python3 FILE`` runs."""
    files = {"__main__.py": _MAIN, **sources()}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in sorted(files.items()):
            packed.writestr(zipfile.ZipInfo(name, TIME), text, zipfile.ZIP_DEFLATED)
    return data.getvalue()
