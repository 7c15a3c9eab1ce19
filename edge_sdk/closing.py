"""The context manager that everything with a `close` shares."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Closes at the end of a ``with`` statement."""

    def close(self) -> None:
        """Release what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
