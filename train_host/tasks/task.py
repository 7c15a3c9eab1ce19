"""What training asks of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from converters.figures import Figures
from edge_sdk.contract import DecisionSettings, Output
from edge_sdk.dataset import Dataset, Windowed
from train_host.architectures.head import Head
from train_host.judging.judged import Judged

if TYPE_CHECKING:
    from converters.page.markup import Html
    from train_host.config import Config
    from train_host.windows.prepare import Prepared

#: A loss by its name in Keras, or a function of what is true and what was said.
Loss = str | Callable[[Any, Any], Any]


class Task(Protocol):
    """One task.

    Attributes:
        metrics: what is shown beside the loss, by Keras' names, the first one foremost; perhaps nothing.
    """

    metrics: tuple[str, ...]

    def check(self, dataset: Dataset) -> None:
        """Find out whether a dataset has what is to be learned.

        Raises:
            DatasetError: it has not.
        """

    def head(self, dataset: Dataset, prepared: Prepared | None = None) -> Head:
        """The last layer of a model for it.

        Args:
            dataset: what is learned from.
            prepared: its windows, where values get their unit from; without them they have none.
        """

    def loss(self, prepared: Prepared) -> Loss:
        """What training makes small."""

    def finish(self, model: Any, dataset: Dataset, prepared: Prepared, config: Config) -> None:
        """What is left to do once the weights are found; changes the model."""

    def output(self, dataset: Dataset, prepared: Prepared) -> Output:
        """What the contract says of the model's numbers."""

    def decision(self, dataset: Dataset, config: Config) -> DecisionSettings:
        """What the contract says of how predictions become events."""

    def evaluate(self, outputs: NDArray[Any], windows: Windowed, dataset: Dataset) -> Figures:
        """How good these outputs are.

        Args:
            outputs: float32 [n, …], of the model.
            windows: what they were computed from.
            dataset: for names.
        """

    def shares(self, dataset: Dataset, outputs: NDArray[Any]) -> NDArray[Any]:
        """How often a model says each label: float [labels]; empty for values."""

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Further figures for run.json and ``--json``, such as intervals by class and by group."""

    def pictures(self, judged: Judged) -> dict[str, bytes]:
        """PNG files that stand beside the model, by name."""

    def sections(self, judged: Judged) -> Sequence[tuple[str, Html]]:
        """What the report shows of how good the model is: titles and what stands below them."""
