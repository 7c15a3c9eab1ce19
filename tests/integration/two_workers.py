"""Two workers train one model, one of them is killed and started again: ``two_workers DATA FOLDER``.

TensorFlow's servers listen on every interface: run it by loopback.sh.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

OPTIONS = ["--arch", "plain:build", "--window", "20", "--epochs", "40", "--augment", "none"]
_WAIT_S = 240


def start(number: int, data: str, folder: Path) -> subprocess.Popen[bytes]:
    """A worker; what it says goes into worker-N.log."""
    cluster = {"worker": ["127.0.0.1:4000", "127.0.0.1:4001"]}
    task = {"type": "worker", "index": number}
    environment = {**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
    command = [sys.executable, "-m", "edge_sdk", "train", data, "-o", "team.keras", *OPTIONS]
    command += ["--config", "train.toml", "--distribute", "multi-worker"]
    with (folder / f"worker-{number}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """The command, and the process that computes for it."""
    found = subprocess.run(["pgrep", "-P", str(worker.pid)], capture_output=True, text=True, check=False)
    for pid in (worker.pid, *map(int, found.stdout.split())):
        os.kill(pid, 9)
    worker.wait()


def main(data: str, folder: Path) -> int:
    """The exit status is the chief's, or the other's."""
    workers = [start(number, data, folder) for number in (0, 1)]
    deadline = time.monotonic() + _WAIT_S
    while not list(folder.glob(".team.keras.training/checkpoints/*.npz")):
        if time.monotonic() > deadline or workers[0].poll() is not None:
            return 70
        time.sleep(0.02)
    kill(workers[1])
    workers[1] = start(1, data, folder)
    return max(worker.wait() for worker in workers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
