"""``notify:SERVICE`` tells people: mail, chat, telephone, whatever apprise reaches."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, MissingExtraError, Retry, one_line
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.secret import read_secret
from edge_sdk.sinks._template import Template

if TYPE_CHECKING:
    import apprise

#: Devices and labels whose last message is remembered, and lines in a message.
_REMEMBERED, _LINES = 4096, 10
#: Attempts that may hang at a time; Python cannot end a thread.
_HANGING = 4
#: After what a service did not take, s.
_PAUSE_S = 30.0


class Sink(Closing):
    """One message for what waits, and for each device and label at most one in `every_s`.

    What is told no message of its own counts as delivered; the next message says ``+ n more``. A message may
    come twice when the service took it and did not say so.

    Args:
        location: the service's address as apprise spells it, without a password and without a query; one with
            either is named by `url_env` or `url_file`.
        url_env: name of the environment variable with the address.
        url_file: file with the address; it may be replaced while the pipeline runs.
        title: of a message, with fields in braces.
        body: a line of it for each prediction, likewise.
        level: ``info``, ``success``, ``warning`` or ``failure``: how the service shows it.
        every_s: for each device and label, s; 0: every prediction is told.
        timeout_s: for a message, s.
    """

    delivery: Delivery = "outbox"
    path_options = ("url_file",)
    #: Nobody needs to be told what is older, unless the pipeline says otherwise, s.
    max_age_s = 3600.0

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str = "",
        *,
        url_env: str = "",
        url_file: str = "",
        title: str = "{device}: {what}",
        body: str = "{time}  {device}  {what}  {event}",
        level: Literal["info", "success", "warning", "failure"] = "warning",
        every_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0,
        timeout_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 20.0,
    ) -> None:
        if not title.isprintable():
            raise ConfigError("notify: title", expected="one line of printable text", found=repr(title))
        self._title, self._body = Template(title, "notify: title"), Template(body, "notify: body")
        self._level, self._every_s, self._timeout_s = level, every_s, timeout_s
        address = _address(location, url_env, url_file)
        self._where = f"notify:{address.partition(':')[0]}"
        place = address.partition(":")[2]
        self._secrets = [part for part in re.split(r"[/:@?&=,]+", place) if len(part) > 3]
        self._service = _service(self._where, address, timeout_s)
        #: When each device and label was told last, s, and how many were not told since.
        self._told: dict[tuple[str, str | None], tuple[float, int]] = {}

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that the address and the texts can be used, without telling anybody."""
        cls(location, **options)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Tell those that are due, in one message.

        Raises:
            Retry: the service cannot be reached or does not take it.
        """
        now, told = time.monotonic(), dict(self._told)
        due: list[Prediction] = []
        for prediction in predictions:
            key = (prediction.device, prediction.label)
            last_s, untold = told.get(key, (float("-inf"), 0))
            if now - last_s >= self._every_s:
                due.append(prediction)
                told.pop(key, None)  # the newest stand last
                told[key] = (now, untold)
            else:
                told[key] = (last_s, untold + 1)
        if due:
            keys = {(prediction.device, prediction.label) for prediction in due}
            more = sum(told[key][1] for key in keys) + max(0, len(due) - _LINES)
            self._send(due, more)
            told.update(dict.fromkeys(keys, (now, 0)))
        while len(told) > _REMEMBERED:
            del told[next(iter(told))]
        self._told = told

    def _send(self, due: Sequence[Prediction], more: int) -> None:
        """In a thread of its own, because no timeout of a service is one for the whole message."""
        hanging = sum(thread.name == self._where for thread in threading.enumerate())
        if hanging >= _HANGING:
            raise _not_now(f"{self._where}: {hanging} earlier attempts still hang")
        lines = [self._body.fill(prediction).rstrip() for prediction in due[:_LINES]]
        if more:
            lines.append(f"+ {more} more")
        attempt = _Attempt(
            self._where, self._service, self._title.fill(due[0]), "\n".join(lines), self._level
        )
        attempt.start()
        attempt.join(self._timeout_s)
        if attempt.is_alive():
            raise _not_now(f"{self._where}: is not done", expected=f"within {self._timeout_s:g} s")
        if not attempt.taken:
            said = self._hidden(attempt.said)
            raise _not_now(f"{self._where}: the message was not taken", found=said or None)

    def _hidden(self, text: str) -> str:
        """A text without what an address may have of secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def _not_now(what: str, *, expected: str | None = None, found: str | None = None) -> Retry:
    """The service did not take it; most of them ban those who hurry."""
    error = Retry(what, expected=expected, found=found)
    error.retry_after_s = _PAUSE_S
    return error


class _Attempt(threading.Thread):
    """Sends one message; hears what apprise logs about it."""

    def __init__(self, name: str, service: apprise.Apprise, title: str, body: str, level: str) -> None:
        super().__init__(name=name, daemon=True)
        self._service, self._title, self._body, self._level = service, title, body, level
        self.taken, self.said = False, ""

    def run(self) -> None:
        ears = _Ears(self)
        log = logging.getLogger("apprise")
        log.addHandler(ears)
        try:
            self.taken = bool(
                self._service.notify(
                    title=self._title, body=self._body, notify_type=self._level, body_format="text"
                )
            )
        except Exception as error:  # noqa: BLE001 - of a hundred services; all that counts is that it failed
            self.said = one_line(error)
        finally:
            log.removeHandler(ears)


class _Ears(logging.Handler):
    def __init__(self, attempt: _Attempt) -> None:
        super().__init__(logging.WARNING)
        self._attempt = attempt

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._attempt.ident:
            self._attempt.said = record.getMessage()


def _address(location: str, url_env: str, url_file: str) -> str:
    """The one address that is given.

    Raises:
        ConfigError: none, several, or one that shows a password.
        Retry: the file cannot be read now.
    """
    if bool(location) + bool(url_env) + bool(url_file) != 1:
        raise ConfigError(
            "notify: the service's address",
            expected="one of notify:ADDRESS, url_env and url_file",
            remedy="such as notify:ntfy://ntfy.sh/press-7",
        )
    address = location or read_secret("notify: address", env=url_env, file=url_file)
    if location and re.match(r"\w+://[^/@]*:[^/@]*@", location):
        raise ConfigError("notify: a password in the URL", remedy="use url_env or url_file")
    return address


def _service(where: str, address: str, timeout_s: float) -> apprise.Apprise:
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise MissingExtraError("sink 'notify'", "notify", error.name) from error
    try:
        asset = apprise.AppriseAsset(async_mode=False, service_timeout=0)  # or it keeps threads of its own
    except AttributeError:  # older ones do not
        asset = apprise.AppriseAsset(async_mode=False)
    service = apprise.Apprise.instantiate(address, asset=asset)
    if service is None:  # the address itself may be a secret
        raise ConfigError(
            f"{where}: not an address that apprise knows",
            expected="one such as mailto://, ntfy:// or json://",
            remedy="see https://appriseit.com/services/",
        )
    service.socket_connect_timeout = service.socket_read_timeout = timeout_s
    return apprise.Apprise(service, asset=asset)
