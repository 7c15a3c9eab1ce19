"""Which shapes a model is converted at: its own, completed by what the user gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_sdk.errors import ModelError, first_of, suggestion

Shape = tuple[int | None, ...]


def settle(
    found: Mapping[str, Sequence[int | None]],
    given: Mapping[str, Sequence[int]] | None,
    batch: int | None,
) -> dict[str, Shape]:
    """The shape of every input; None remains for the batch only.

    A batch that is dynamic stays so whatever the shapes given say of it: only `batch` fixes it.

    Args:
        found: the model's own shapes by input name, None for an open size.
        given: shapes from the user by input name, batch axis included.
        batch: 1 to fix the batch, None to leave it dynamic.

    Raises:
        ModelError: a size stays open, a shape given does not fit, or the model insists on a larger batch.
    """
    given = given or {}
    for name in given:
        if name not in found:
            raise ModelError(
                f"--shape {name}: the model has no such input",
                expected="one of " + first_of(found, 8),
                remedy=suggestion(name, found),
            )
    settled = {name: _merged(name, tuple(own), given.get(name)) for name, own in found.items()}
    unsettled = {name: shape for name, shape in settled.items() if None in shape[1:]}
    if unsettled:
        raise ModelError(
            "sizes of the inputs are open",
            expected="fixed sizes behind the batch axis",
            found=first_of((f"{name} {text(shape)}" for name, shape in unsettled.items()), 8),
            remedy="give them with " + " ".join(_example(n, shape) for n, shape in unsettled.items()),
        )
    for name, shape in settled.items():
        if not shape:
            raise ModelError(
                f"input {name} is a single number",
                expected="a batch axis",
                remedy="export the model with inputs of shape [batch, …]",
            )
        if 0 in shape:
            raise ModelError(f"input {name} is empty", expected="sizes of at least 1", found=text(shape))
        if shape[0] not in (None, 1):
            raise ModelError(
                f"input {name} fixes the batch",
                expected="a batch that is dynamic or 1",
                found=text(shape),
                remedy="export the model with a dynamic batch",
            )
    fixed = batch is not None or any(shape[0] == 1 for shape in settled.values())
    return {name: (1 if fixed else None, *shape[1:]) for name, shape in settled.items()}


def text(shape: Sequence[int | None]) -> str:
    """``[batch, 40, ?]``."""
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"[{', '.join(['batch', *sizes[1:]] if sizes[:1] == ['?'] else sizes)}]"


def _merged(name: str, own: Shape, given: Sequence[int] | None) -> Shape:
    if given is None:
        return own
    fits = len(given) == len(own) and all(size >= 1 for size in given)
    if not fits or any(mine not in (None, theirs) for mine, theirs in zip(own[1:], given[1:], strict=True)):
        raise ModelError(
            f"--shape {name}={','.join(map(str, given))} does not fit",
            expected=f"{text(own)}, the batch axis included",
            found=list(given),
        )
    return (own[0], *given[1:]) if own else own


def _example(name: str, shape: Shape) -> str:
    """``--shape x=1,…,3``: what to type, with a gap for each open size."""
    return f"--shape {name}=1," + ",".join("…" if size is None else str(size) for size in shape[1:])
