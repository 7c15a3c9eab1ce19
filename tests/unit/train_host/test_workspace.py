from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_sdk.errors import DeviceError
from train_host import workspace
from train_host.workspace import Workspace

HOLD = """
import sys, time
from pathlib import Path
from train_host.workspace import Workspace
with Workspace(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(600)
"""


def test_what_is_complete_is_moved_and_nothing_is_left(tmp_path: Path) -> None:
    output = tmp_path / "m.keras"
    with Workspace(output) as place:
        place.checkpoints.mkdir()
        (place.checkpoints / "1.fit.1.npz").write_bytes(b"")
        for name in ("m.keras", "run.json"):
            (place.building / name).write_text(name)
        place.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras", "run.json"]
    assert output.read_text() == "m.keras"


def test_what_is_not_complete_is_removed_and_checkpoints_stay(tmp_path: Path) -> None:
    with Workspace(tmp_path / "m.keras") as place:
        (place.building / "m.keras").write_text("half")
    assert not list(tmp_path.iterdir())
    with Workspace(tmp_path / "m.keras") as place:
        place.checkpoints.mkdir()
        (place.checkpoints / "1.fit.1.npz").write_bytes(b"")
    assert sorted(path.name for path in place.folder.iterdir()) == ["checkpoints", "lock"]


def test_what_a_killed_one_left_is_cleared(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "m.keras")
    (place.building / "sub").mkdir(parents=True)
    place.checkpoints.mkdir()
    place.stop_path.touch()
    (place.checkpoints / ".1.fit.1.npz.xyz").write_bytes(b"half")
    with place:
        assert not place.stop_path.exists()
        assert not list(place.building.iterdir())
        assert not list(place.checkpoints.iterdir())
    assert not list(tmp_path.iterdir())


def test_two_do_not_work_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_DYING_S", 0.2)
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "m.keras")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with (
            pytest.raises(DeviceError, match="another training of it goes on; wait"),
            Workspace(tmp_path / "m.keras"),
        ):
            pass
        other.kill()
    with Workspace(tmp_path / "m.keras"):
        pass
    assert not list(tmp_path.iterdir())


def test_whoever_trains_for_it_keeps_it_when_it_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_DYING_S", 0.2)
    with Workspace(tmp_path / "m.keras") as place:
        hold = "import sys, time; from pathlib import Path; from train_host import workspace\n"
        hold += "workspace.share(Path(sys.argv[1])); print('in', flush=True); time.sleep(600)"
        arguments = [sys.executable, "-c", hold, str(place.lock_path)]
        other = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        place.checkpoints.mkdir()
        (place.checkpoints / "1.fit.1.npz").write_bytes(b"")  # so that the folder stays
    with pytest.raises(DeviceError, match="another training"), place:
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    with place:
        pass


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot write"), Workspace(tmp_path / "file" / "m.keras"):
        pass
