"""What a pipeline wants of the device's own system: packages that are built for it, and groups."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_sdk.deploy.manifest import numbers
from edge_sdk.deploy.packages import named, requirements
from edge_sdk.needs import HARDWARE
from edge_sdk.registry import Url

if TYPE_CHECKING:
    from edge_sdk.pipeline import Pipeline

#: By the scheme of a source or sink, Python's packages that come with the system, each as apt's python3-NAME.
#: Picamera2 is made for the libcamera and the numpy of its system, and breaks with another numpy.
PACKAGES = {"picamera2": ("numpy", "picamera2")}
_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Surroundings:
    """What a pipeline finds on the device, and does not bring.

    Attributes:
        packages: of Python; none of them is in its tree.
        groups: of users, whose members may use its hardware.
    """

    packages: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()


def surroundings(pipeline: Pipeline) -> Surroundings:
    """What the sources and sinks of a pipeline want."""
    schemes = dict.fromkeys(Url.parse(url).scheme for url in _urls(pipeline))
    packages = frozenset(name for scheme in schemes for name in PACKAGES.get(scheme, ()))
    groups = dict.fromkeys(HARDWARE[scheme].group for scheme in schemes if scheme in HARDWARE)
    return Surroundings(packages, tuple(groups))


def unmet(package: str, version: str, machine: str) -> str:
    """What edgeml asks of a package that this version is not, such as ``>=1.24``; empty where it fits."""
    for requirement in requirements((), machine):
        if named(requirement) == package:
            for comparison, limit in re.findall(r"([<>]=?)\s*([\d.]+)", requirement):
                if not _COMPARISONS[comparison](numbers(version), numbers(limit)):
                    return f"{comparison}{limit}"
    return ""


def _urls(pipeline: Pipeline) -> Iterator[str]:
    parts = [*(part.source for part in pipeline.sources), *(part.sink for part in pipeline.sinks)]
    yield from (part for part in parts if isinstance(part, str))
