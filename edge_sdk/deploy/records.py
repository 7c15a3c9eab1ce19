"""What a device keeps of each release: what it is, what is known of it, and the trial that goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_sdk.deploy.manifest import Manifest

#: What is known of a slot: not yet tried; healthy, but not yet after a reboot; good; failed.
Verdict = Literal["new", "proving", "good", "refused"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A release that is installed.

    Attributes:
        folder: of it.
        manifest: what it is.
        verdict: what is known of it.
        reason: why it was refused.
        boot: id of the boot in which the verdict was reached.
        back_to: name of the slot that it took over from.
    """

    folder: Path
    manifest: Manifest
    verdict: Verdict = "new"
    reason: str = ""
    boot: str = ""
    back_to: str = ""

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name

    @property
    def app(self) -> Path:
        """The pipeline's own files."""
        return self.folder / "app"

    @property
    def runtime(self) -> Path:
        """For PYTHONPATH."""
        return self.folder / "runtime"

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "slot": self.name,
            "version": self.manifest.version,
            "serial": self.manifest.serial,
            "verdict": self.verdict,
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """A release that is to show whether it works.

    Attributes:
        slot: name of it.
        back_to: of the slot that runs again if it does not; empty where there was none.
        boot: id of the boot in which it began.
    """

    slot: str
    back_to: str
    boot: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `Slots.recover` did.

    Attributes:
        went_back: whether the current release was changed.
        watch: whether the current release has to show once more that it works.
        reason: for people; empty where nothing had happened.
    """

    went_back: bool = False
    watch: bool = False
    reason: str = ""
