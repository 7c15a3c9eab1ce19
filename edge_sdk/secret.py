"""Tokens and passwords: from the environment or a file, never from an edgeml.toml or a URL."""

from __future__ import annotations

import os
from pathlib import Path

from edge_sdk.errors import ConfigError, Retry

#: Longer is no token.
_LONGEST = 4096


def read_secret(part: str, *, env: str = "", file: str = "") -> str:
    """The secret that one of the two holds, without white space around it; empty where neither is named.

    Args:
        part: whose it is and what for, such as ``https: token``, for messages.
        env: name of an environment variable.
        file: a file; read anew each time, for it may be replaced while a pipeline runs.

    Raises:
        ConfigError: both are named, or the variable is not set or cannot be one.
        Retry: the file cannot be read, or holds none now.
    """
    if env and file:
        raise ConfigError(f"{part} is named twice", expected="a variable or a file")
    if env:
        if env not in os.environ:
            raise ConfigError(
                f"{part}: the variable {env} is not set",
                remedy=f"export {env}=… before the start (systemd: EnvironmentFile=)",
            )
        return _checked(f"{part}: the variable {env}", os.environ[env].strip(), ConfigError)
    if file:
        return _checked(f"{part}: {file}", _text(part, Path(file)).strip(), Retry)
    return ""


def _text(part: str, file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_LONGEST + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "not text"
        raise Retry(
            f"{part}: {file} cannot be read", found=found, remedy="name a file that this user may read"
        ) from error


def _checked(where: str, secret: str, verdict: type[ConfigError | Retry]) -> str:
    """It may become a header's value: nothing that ends a line."""
    if not secret or len(secret) > _LONGEST or not (secret.isascii() and secret.isprintable()):
        found = f"{len(secret)} characters"
        raise verdict(where, expected=f"1 to {_LONGEST} printable ASCII characters", found=found)
    return secret
