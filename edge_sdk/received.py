"""Of which model a prediction is that a source brought: firmware that infers by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from edge_sdk.errors import ConfigError, ModelError, SpecError
from edge_sdk.prediction import Prediction


class Known(Protocol):
    """A model, or the way to one."""

    name: str
    digest: str


Home = TypeVar("Home", bound=Known)
#: Of a digest that is shown: enough to tell two models apart.
_SHOWN = len("sha256:") + 12


def home_of(prediction: Prediction, source: Any, name: str, homes: Sequence[Home]) -> Home:
    """The model of a prediction: of the digest that the source knows, or the name that the prediction bears.

    Args:
        prediction: as the source yielded it.
        source: may have a `digest`.
        name: of the source, for errors.
        homes: the models that take what comes from this device, one at least.

    Raises:
        ModelError: the firmware runs none of these models.
        SpecError: there is none of that name.
        ConfigError: it may be of more than one.
    """
    digest = getattr(source, "digest", None) or ""
    found = [home for home in homes if not digest or home.digest in ("", digest)]
    if not found:
        raise ModelError(
            f"{name}: the firmware runs another model",
            expected=" or ".join(f"{home.name}, {home.digest[:_SHOWN]}" for home in homes),
            found=digest[:_SHOWN],
            remedy="flash it anew, or name the file of the model that it runs",
        )
    if prediction.model:
        found = [home for home in found if home.name == prediction.model]
        if not found:
            known = ", ".join(home.name for home in homes)
            raise SpecError(f"{name}: model of a prediction", expected=known, found=prediction.model)
    if len(found) > 1:
        raise ConfigError(
            f"{name}: a prediction may be of more than one model",
            expected="one",
            found=", ".join(home.name for home in found),
            remedy="say in Prediction.model whose it is, or give each [[model]] a when",
        )
    return found[0]
