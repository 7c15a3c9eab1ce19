"""Places where a model runs and is measured, one a file: ``host:``, ``ssh://pi@host``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edge_sdk import registry
from edge_sdk.registry import Url

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from edge_sdk.contract import Contract
    from edge_sdk.errors import ModelError
    from edge_sdk.model import Model

Key = TypeVar("Key", bound=Hashable)


class Target(Protocol):
    """What a plug-in's class offers.

    Constructed with the parsed URL, whose options it checks; it holds nothing, so it needs no closing. It may
    also have

    - ``bench(subjects, plan, tell)``: measures each `edge_sdk.bench.subject.Subject` of a mapping as an
      `edge_sdk.bench.plan.Plan` says, tells each step, and returns for each a `edge_sdk.bench.record.Record`
      or the ModelError why it refuses the model. ``edgeml bench`` is made of it.
    """

    def check(self) -> None:
        """Find out before long work whether models can run there.

        Raises:
            DeviceError: it cannot be reached, or lacks something.
            MissingExtraError: the runtime is not installed.
        """

    def load(self, file: str | PathLike[str], contract: Contract | None = None) -> Model:
        """Verify a model file there and load it; closing the model frees what it holds there.

        Args:
            file: the .tflite, on this machine.
            contract: used instead of the one in the file.
        """

    def latency(
        self, files: Mapping[Key, str | PathLike[str]], inputs: Sequence[NDArray[Any]]
    ) -> dict[Key, float | ModelError]:
        """Time several models in turn there, as `edge_sdk.latency.measure`.

        Args:
            files: .tflite files that take the same inputs.
            inputs: one array [1, …] for each input, in its units.

        Returns:
            The median time of one inference, µs, or why this target refuses the model.
        """


def open_target(url: str) -> Target:
    """The target that a URL names.

    Raises:
        ConfigError: not a URL, or an unknown option.
        UnknownNameError: no such target.
    """
    parsed = Url.parse(url)
    target: Target = registry.find("targets", parsed.scheme)(parsed)
    return target
