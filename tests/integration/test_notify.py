"""People are told through a real webhook and a real mail server, not too often, and never in vain."""

import email
import email.policy
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Model, Pipeline, Prediction, open_sink
from edge_sdk.errors import MissingExtraError, Retry
from edge_sdk.plugins import check_url
from tests.integration.receivers import MailServer, Webhook, serving
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # apprise looks for it
]

ONE = Prediction(
    "fall", 0.91, None, np.array([0.09, 0.91], np.float32), "press-7", "r1", 0, wall_s=1.7e9, event="start"
)


@pytest.fixture
def webhook():
    with serving(Webhook()) as server:
        yield server


@pytest.fixture
def mail():
    with serving(MailServer()) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_attempt_is_left():
    yield
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("notify:")])


def url(webhook, options=""):
    return f"notify:json://127.0.0.1:{webhook.port}/hook{options}"


def told(webhook):
    return [(message["title"], message["message"]) for message in webhook.messages]


def test_a_message_has_what_the_templates_say(webhook):
    with open_sink(
        url(webhook), title="{label} at {device}", body="{score:.0%} sure", level="failure"
    ) as sink:
        sink.write([ONE])
    assert told(webhook) == [("fall at press-7", "91% sure")]
    assert webhook.messages[0]["type"] == "failure"


def test_by_default_it_says_what_where_and_when(webhook):
    with open_sink(url(webhook)) as sink:
        sink.write([ONE])
    ((title, body),) = told(webhook)
    assert title == "press-7: fall 0.91"
    assert body.startswith("2023-11-1")
    assert body.endswith("press-7  fall 0.91  start")


def test_what_comes_too_often_is_counted_and_told_with_the_next(webhook, monkeypatch):
    """With a clock of the test's: a minute passes at once."""
    now = [1000.0]
    monkeypatch.setattr("edge_sdk.sinks.notify.time.monotonic", lambda: now[0])
    with open_sink(url(webhook), body="{device} {label}") as sink:
        sink.write([ONE, ONE])
        now[0] += 30
        sink.write([ONE, replace(ONE, label="trip")])  # another label is another matter
        sink.write([replace(ONE, device="press-8")])
        sink.write([ONE])
        now[0] += 31
        sink.write([ONE])
    assert [body for _, body in told(webhook)] == [
        "press-7 fall\n+ 1 more",
        "press-7 trip",
        "press-8 fall",
        "press-7 fall\n+ 2 more",
    ]


def test_every_second_zero_tells_all_in_one_message(webhook):
    with open_sink(url(webhook), body="{sequence}", every_s=0) as sink:
        sink.write([replace(ONE, sequence=i) for i in range(13)])
    assert [body for _, body in told(webhook)] == ["\n".join(map(str, range(10))) + "\n+ 3 more"]


def test_the_memory_of_devices_is_bounded(webhook):
    with open_sink(url(webhook), every_s=3600) as sink:
        sink.write([replace(ONE, device=f"d{i}") for i in range(10_000)])
        assert len(sink._told) == 4096
        sink.write([replace(ONE, device="d9999")])
    assert len(webhook.messages) == 1


def test_a_failed_message_is_not_counted_as_told(webhook):
    with open_sink(url(webhook)) as sink:
        webhook.answer = 500
        with pytest.raises(Retry, match="notify:json: the message was not taken: found.*500") as caught:
            sink.write([ONE])
        assert caught.value.retry_after_s > 0
        webhook.answer = 200
        sink.write([ONE])
    assert len(webhook.messages) == 1


@pytest.mark.parametrize("answer", ["cut", "hang", "drip"])
def test_a_service_that_misbehaves_is_a_retry_in_time(webhook, answer):
    webhook.answer = answer
    with open_sink(url(webhook), timeout_s=0.3) as sink:
        started = time.monotonic()
        with pytest.raises(Retry, match="is not done: expected within 0.3 s|was not taken"):
            sink.write([ONE])
        assert time.monotonic() - started < 5
    webhook.over.set()


def test_attempts_that_hang_do_not_pile_up(webhook):
    webhook.answer = "drip"
    for match in [*["is not done"] * 4, "4 earlier attempts still hang"]:
        with open_sink(url(webhook), timeout_s=0.05) as sink, pytest.raises(Retry, match=match):
            sink.write([ONE])
    webhook.over.set()


def test_nobody_there_is_a_retry_without_the_secret():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        sink = open_sink(f"notify:json://127.0.0.1:{taken.getsockname()[1]}/sEcReT-token")
        with pytest.raises(Retry, match="the message was not taken") as caught:
            sink.write([ONE])
    assert "sEcReT" not in str(caught.value)


def test_the_address_comes_from_the_environment_or_a_file(webhook, tmp_path, monkeypatch):
    address = f"json://user:hunter2@127.0.0.1:{webhook.port}/hook?method=post"
    monkeypatch.setenv("EDGEML_NOTIFY", address)
    (tmp_path / "address").write_text(address + "\n")
    for options in ({"url_env": "EDGEML_NOTIFY"}, {"url_file": str(tmp_path / "address")}):
        with open_sink("notify:", **options) as sink:
            sink.write([ONE])
    assert len(webhook.messages) == 2
    webhook.answer = 401
    with open_sink("notify:", url_env="EDGEML_NOTIFY") as sink, pytest.raises(Retry) as caught:
        sink.write([ONE])
    assert "hunter2" not in str(caught.value)


def mailing(monkeypatch, mail, to, **options):
    address = f"mailto://127.0.0.1:{mail.port}?from=press@example.org&to={to}"
    monkeypatch.setenv("EDGEML_MAIL", address)
    return open_sink("notify:", url_env="EDGEML_MAIL", **options)


def test_a_mail_arrives_as_plain_text(mail, monkeypatch):
    texts = {"title": "{device}: {label}", "body": "{label} <b>{score:.2f}</b>"}
    with mailing(monkeypatch, mail, "ops@example.org", **texts) as sink:
        sink.write([replace(ONE, label="Stürz\r\nBcc: all@example.org")])
    ((to, text),) = mail.mails
    message = email.message_from_string(text, policy=email.policy.default)
    assert to == "ops@example.org"
    assert message["Subject"] == "press-7: Stürz Bcc: all@example.org"
    assert message["Bcc"] is None
    assert message.get_content_type() == "text/plain"
    assert "Stürz Bcc: all@example.org <b>0.91</b>" in message.get_content()


def test_a_mail_that_is_refused_is_a_retry(mail, monkeypatch):
    with (
        mailing(monkeypatch, mail, "nobody@example.org") as sink,
        pytest.raises(Retry, match="was not taken"),
    ):
        sink.write([ONE])
    assert mail.mails == []


@pytest.mark.parametrize(
    ("location", "options", "match"),
    [
        ("", {}, "one of notify:ADDRESS, url_env and url_file"),
        ("json://h", {"url_env": "X"}, "one of notify:ADDRESS"),
        ("json://user:hunter2@h/x", {}, "a password in the URL; use url_env or url_file"),
        ("nonsense://h/sEcReT", {}, "notify:nonsense: not an address that apprise knows"),
        ("hello", {}, "not an address that apprise knows"),
        ("json://h", {"title": "{lable}"}, "title: unknown field 'lable'"),
        ("json://h", {"body": "{score:x}"}, "the format of {score}"),
        ("json://h", {"title": "two\nlines"}, "title: expected one line"),
        ("json://h", {"level": "loud"}, "level"),
        ("", {"url_env": "EDGEML_NONE"}, "EDGEML_NONE is not set"),
    ],
)
def test_a_mistake_is_found_before_anybody_is_told(location, options, match):
    with pytest.raises(ConfigError, match=match) as caught:
        check(f"notify:{location}", **options)
    assert "sEcReT" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def check(url, **options):
    plugin, location, checked = check_url("sinks", url, options)
    plugin.preflight(location, None, **checked)


def test_edgeml_check_tells_nobody(webhook, monkeypatch):
    check(url(webhook), title="{device}")
    assert webhook.messages == []
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MissingExtraError, match=r"edgeml-kit\[notify\]"):
        check(url(webhook))


def test_nothing_but_our_message_is_printed(webhook):
    """apprise logs; without a handler Python would print that."""
    webhook.answer = 500
    code = f"""
from tests.integration.test_notify import ONE, open_sink
from edge_sdk.errors import Retry
try:
    open_sink({url(webhook)!r}).write([ONE])
except Retry as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith("notify:json: the message was not taken")


def test_a_pipeline_tells_once_the_service_is_back(webhook, linear_file):
    samples = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    webhook.answer = 503

    def sensor():
        yield Block(samples, 50.0, device="wrist", end=True)
        time.sleep(0.05)
        webhook.answer = 200

    report = Pipeline(Model.load(linear_file), [sensor()], [url(webhook)]).run()
    assert report.ledger.balanced
    assert report.ledger.delivered == 1
    assert len(webhook.messages) == 1
