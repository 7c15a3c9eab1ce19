"""Which device a topic names."""

from __future__ import annotations

from string import Formatter

from edge_sdk.errors import ConfigError


class DeviceNames:
    """Which device a topic names.

    Args:
        scheme: for messages.
        pattern: the topic that is subscribed to.
        option: ``device``: empty, a fixed name, levels such as ``{1}-{3}``, or a key such as ``{id}``.

    Attributes:
        key: of a JSON message, that names its device; None where the topic or the option does.
    """

    def __init__(self, scheme: str, pattern: str, option: str) -> None:
        self.key: str | None = None
        shared = pattern.startswith("$share/")
        self._pattern = pattern.split("/")[2:] if shared else pattern.split("/")
        _check_pattern(scheme, pattern, self._pattern)
        wild = [n for n, level in enumerate(self._pattern, 1) if level in ("+", "#")]
        self._form: list[tuple[str, int | None]] = [("/" if n > wild[0] else "", n) for n in wild]
        if option:
            self._form = self._parsed(scheme, option)

    def of(self, topic: str) -> str | None:
        """The device's name, empty where the message or the pipeline tells it; None where there is none."""
        levels = topic.split("/")
        if not self._matches(levels):
            return None
        parts = [text + ("" if n is None else self._level(levels, n)) for text, n in self._form]
        return "".join(parts) or (None if self._form else "")

    def _level(self, levels: list[str], n: int) -> str:
        rest = n == len(self._pattern) and self._pattern[-1] == "#"
        return "/".join(levels[n - 1 :]) if rest else "".join(levels[n - 1 : n])

    def _matches(self, levels: list[str]) -> bool:
        pattern = self._pattern
        if pattern[-1] == "#":
            pattern = pattern[:-1]
            if len(levels) < len(pattern):
                return False
        elif len(levels) != len(pattern):
            return False
        return all(wanted in ("+", level) for wanted, level in zip(pattern, levels, strict=False))

    def _parsed(self, scheme: str, option: str) -> list[tuple[str, int | None]]:
        try:
            pieces = list(Formatter().parse(option))
        except ValueError as error:
            raise ConfigError(f"{scheme}: option 'device'", found=error) from error
        fields = [field for _, field, _, _ in pieces if field is not None]
        open_ended = self._pattern[-1] == "#"
        if all(
            field.isdecimal() and (0 < int(field) <= len(self._pattern) or open_ended) for field in fields
        ):
            return [(text, None if field is None else int(field)) for text, field, _, _ in pieces]
        if len(pieces) == 1 and not pieces[0][0] and not fields[0].isdecimal():
            self.key = fields[0]
            return []
        raise ConfigError(
            f"{scheme}: option 'device'",
            expected=f"levels of the topic, {{1}} to {{{len(self._pattern)}}}, or one key, {{id}}",
            found=repr(option),
        )


def _check_pattern(scheme: str, pattern: str, levels: list[str]) -> None:
    whole = all(level in ("+", "#") or not set("+#") & set(level) for level in levels)
    if not levels or not whole or "#" in levels[:-1]:
        raise ConfigError(
            f"{scheme}: topic {pattern!r}",
            expected="+ for one whole level, # for all that follow, at the end",
            remedy="such as plant/+/imu or plant/#",
        )
