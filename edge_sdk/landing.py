"""The first thing that runs on a device: takes edge_sdk from standard input and watches over its worker.

Sent as text, so that nothing has to be installed there; plain enough that a Python too old for edge_sdk can
say so. All files lie in one private folder, which goes when the worker ends, is ended, or loses whoever asked
for it.
"""

import importlib.util
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

#: What edge_sdk needs.
PYTHON = (3, 11)
#: The folder of the sources goes first: an edgeml that is installed there may be another version.
_SERVE = "import sys; sys.path.insert(0, sys.argv[1]); from edge_sdk.child import serve; serve()"


def land(token: str, size: int) -> None:
    """Say what is here, unpack, run the worker until it or the other side ends.

    Args:
        token: the answer's first word, by which the other side tells it from what a login shell prints.
        size: of the zip archive that follows on standard input, bytes.
    """
    sys.path[:] = [path for path in sys.path if path]  # not the home folder, where anything may lie
    missing = [name for name in ("numpy",) if importlib.util.find_spec(name) is None]
    facts = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 1 << 32 else 32,
        "missing": missing,
    }
    os.write(1, ("\n" + token + json.dumps(facts) + "\n").encode())
    if sys.version_info < PYTHON or missing:
        return
    archive = sys.stdin.buffer.read(size)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    folder = tempfile.mkdtemp(prefix="edgeml-")
    status = 1
    try:
        sources = str(Path(folder) / "sources")
        zipfile.ZipFile(io.BytesIO(archive)).extractall(sources)
        status = _run(sources, folder)
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(status)  # the thread that reads standard input would hold up any other end


def _run(sources: str, folder: str) -> int:
    worker = subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE, sources],
        stdin=subprocess.PIPE,
        cwd=folder,
        env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
    )

    def feed() -> None:
        requests: Any = sys.stdin.buffer
        into: Any = worker.stdin
        try:
            chunk = requests.read1(1 << 16)
            while chunk:
                into.write(chunk)
                into.flush()
                chunk = requests.read1(1 << 16)
        except OSError:
            pass  # it died; what is left is waited for below
        finally:
            worker.kill()  # even one that hangs must not outlive the connection

    threading.Thread(target=feed, daemon=True).start()
    try:
        status = worker.wait()
    finally:
        worker.kill()
    return status if status >= 0 else 128 - status  # as a shell says which signal it was


def _leave(number: int, frame: object) -> None:
    sys.exit(128 + number)
