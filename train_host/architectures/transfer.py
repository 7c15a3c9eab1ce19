"""Transfer learning: what another model learned, up to one of its layers, and a new last layer.

Whatever prepares the input of that model lies in its graph and stays there, with its own statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.child import progress
from edge_sdk.contract import Statistics
from edge_sdk.errors import ConfigError, UnknownNameError, one_line
from train_host.architectures.head import Head


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    base: str,
    cut: str | None = None,
    freeze: float | str | Sequence[str] = 1.0,
    scale: float = 1.0,
    offset: float = 0.0,
    dropout: float = 0.2,
) -> Any:
    """float32 [*shape] -> float32 [units], what the head says.

    Args:
        shape: of one window; where the base takes another size, its layers are applied to this one.
        head: the new last layer.
        statistics: not used: the base has its own.
        base: a .keras or .h5 file.
        cut: name of the last layer that is kept; the one ahead of the last learned layer if None.
        freeze: what stays as it was learned: a share of the learned layers, from the input on; or all up to
            the layer of that name; or the layers of these names.
        scale: of what the base takes, in units of the dataset: 1/127.5 for pixels within -1..1.
        offset: added to it: -1 for these pixels.
        dropout: ahead of the last layer.

    Raises:
        ConfigError: the base cannot be read, or cannot take such windows.
        UnknownNameError: it has no such layer.
    """
    del statistics
    body = _cut(_load(base), base, cut)
    _freeze(body, freeze)
    inputs, x = _fitted(body, base, shape, (scale, offset))
    if len(x.shape) > 2:
        pooling = keras.layers.GlobalAveragePooling1D if len(x.shape) == 3 else None
        x = (pooling or keras.layers.GlobalAveragePooling2D)(name="pooled")(x)
    x = keras.layers.Dropout(dropout, name="new_dropout")(x)
    return keras.Model(inputs, head(x), name="transfer")


def _load(base: str) -> Any:
    try:
        model = keras.models.load_model(base, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises TypeError, ValueError, KeyError, OSError and more
        reason = one_line(error).rpartition("Exception encountered: ")[2]
        raise ConfigError(f"{base}: Keras cannot load it", found=reason[:200]) from error
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise ConfigError(f"{base}: inputs", expected="one", found=len(getattr(model, "inputs", None) or ()))
    return model


def _cut(model: Any, base: str, cut: str | None) -> Any:
    """The model up to a layer."""
    if cut is not None:
        _known(model, base, cut)
        end = model.get_layer(cut).output
    else:
        learned = [layer for layer in model.layers if layer.weights]
        if len(learned) < 2:
            raise ConfigError(
                f"{base}: learned layers",
                expected="two at least, the last of which is replaced",
                found=len(learned),
                remedy="name the last layer to keep: cut",
            )
        end = learned[-1].input
    return keras.Model(model.inputs[0], end)


def _freeze(body: Any, freeze: float | str | Sequence[str]) -> None:
    learned = [layer for layer in body.layers if layer.weights]
    if isinstance(freeze, int | float):
        if not 0 <= freeze <= 1:
            raise ValueError(f"freeze: expected a share from 0 to 1, or names of layers, found {freeze}")
        frozen = learned[: round(freeze * len(learned))]
    elif isinstance(freeze, str):
        _known(body, "freeze", freeze)
        frozen = body.layers[: body.layers.index(body.get_layer(freeze)) + 1]
    else:
        for name in freeze:
            _known(body, "freeze", name)
        frozen = [body.get_layer(name) for name in freeze]
    for layer in learned:
        layer.trainable = True
    for layer in frozen:
        layer.trainable = False


def _known(model: Any, where: str, name: str) -> None:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise UnknownNameError(f"layer of {where}:", name, names)


def _fitted(body: Any, base: str, shape: tuple[int, ...], scaling: tuple[float, float]) -> tuple[Any, Any]:
    """Input and output of the base's layers on windows of this shape."""
    wanted = tuple(body.inputs[0].shape[1:])
    if wanted == shape and scaling == (1.0, 0.0):
        return body.inputs[0], body.outputs[0]
    x = inputs = keras.Input(shape, name="x")
    if scaling != (1.0, 0.0):
        x = keras.layers.Rescaling(scaling[0], offset=scaling[1], name="to_base")(x)
    if len(shape) == 3 and (shape[-1], wanted[-1]) == (1, 3):
        x = keras.layers.Concatenate(name="to_colour")([x, x, x])
    if len(shape) == len(wanted) and x.shape[-1] == wanted[-1]:
        if wanted != tuple(x.shape[1:]) and None not in wanted:
            progress(note=f"{base} was trained on {list(wanted)}, here it sees {list(shape)}")
        try:
            return inputs, _applied(body, x)
        except (TypeError, ValueError):
            pass  # a layer that knows the size: told below
    raise ConfigError(
        f"{base}: its input",
        expected=f"{list(wanted)}, as it was trained on",
        found=f"windows of {list(shape)}",
        remedy=f"take window = {wanted[0]}, or a base of this size" if len(wanted) == 2 else None,
    )


def _applied(body: Any, x: Any) -> Any:
    """The layers of a model behind another tensor, with their weights."""
    start = keras.Input(x.shape[1:], name="base")
    moved = keras.models.clone_model(body, input_tensors=start)
    moved.set_weights(body.get_weights())
    for ours, theirs in zip(moved.layers, body.layers, strict=True):
        ours.trainable = theirs.trainable
    return moved(x)
