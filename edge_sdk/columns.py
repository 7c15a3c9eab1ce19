"""A block's columns, put in the order of the model's channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import SpecError

if TYPE_CHECKING:
    from edge_sdk.blocks import Block
    from edge_sdk.model import Model

#: Orders of columns that are remembered.
_LAYOUTS = 256


class Columns:
    """Finds a model's channels in blocks by their names, and sees that their rate is the model's.

    Args:
        model: says which channels, in which order, and at which rate.
    """

    def __init__(self, model: Model) -> None:
        self._model, self._count = model, model.channel_count
        self._indices: dict[tuple[str, ...], list[int] | None] = {}
        #: The rate that was checked last.
        self._rate_hz: float | None = None

    def of(self, block: Block, device: str) -> NDArray[Any]:
        """The block's samples, float32 [n, channels], in the model's order.

        Of pictures [n, height, width, channels]: bytes for a model that takes bytes, float32 for any other.

        Args:
            block: of any columns.
            device: whose, for the error.

        Raises:
            SpecError: another rate, or a channel of the model is not there.
        """
        if block.rate_hz != self._rate_hz:
            self._check_rate(block, device)
        if block.channels not in self._indices:
            self._indices[block.channels] = self._match(block, device)
        indices = self._indices[block.channels]
        samples = block.samples if indices is None else block.samples[..., indices]
        if block.has_pictures:
            return self._pictures(samples, device)
        if samples.ndim != 2 or samples.shape[1] != self._count:
            raise SpecError(
                f"block of {device or 'the source'}",
                expected=f"[n, {self._count}] samples",
                found=list(samples.shape),
            )
        return samples.astype(np.float32, copy=False)

    def _pictures(self, samples: NDArray[Any], device: str) -> NDArray[Any]:
        if samples.shape[1:] != self._model.input_shape:
            raise SpecError(
                f"pictures of {device or 'the source'}",
                expected=f"{list(self._model.input_shape)}, which {self._model.name} was trained with",
                found=list(samples.shape[1:]),
            )
        own = samples.dtype == self._model.inputs[0].dtype
        return samples if own else samples.astype(np.float32, copy=False)

    def _check_rate(self, block: Block, device: str) -> None:
        contract = self._model.contract
        if contract is not None and not contract.input.takes_rate(block.rate_hz):
            raise SpecError(
                f"rate of {device or 'the source'}",
                expected=f"{contract.input.rate_hz:g} Hz ± {contract.input.rate_tolerance:.0%}, "
                f"which {self._model.name} was trained at",
                found=f"{block.rate_hz:g} Hz",
                remedy="set the sensor's rate, or train at this one",
            )
        self._rate_hz = block.rate_hz

    def _match(self, block: Block, device: str) -> list[int] | None:
        """Which columns of the block are the model's, or None where they are so already."""
        if len(self._indices) >= _LAYOUTS:  # whoever sends ever new names fills no memory
            self._indices.clear()
        wanted = self._model.channels
        if not wanted or not block.channels or block.channels == wanted:
            return None
        missing = [name for name in wanted if name not in block.channels]
        if missing:
            raise SpecError(
                f"channels of {device or 'the source'}",
                expected=", ".join(wanted),
                found=", ".join(block.channels),
                remedy="name the source's columns with its option channels=…",
            )
        return [block.channels.index(name) for name in wanted]
