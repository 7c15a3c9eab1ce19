"""MQTT over TLS against a real broker: certificates of both sides, wrong ones, and clocks that lie."""

import subprocess
import threading

import numpy as np
import pytest

from edge_sdk import ConfigError, Prediction, Retry, open_sink, open_source
from tests.integration.broker import running_broker
from tests.integration.certificates import Authority
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


def serving(folder, authority, identity, *lines):
    """A broker that speaks TLS."""
    return running_broker(
        folder, f"cafile {authority.cert}", f"certfile {identity.cert}", f"keyfile {identity.key}", *lines
    )


def prediction():
    return Prediction("fall", 0.9, None, np.zeros(2, np.float32), "press-7", "run", 0)


def test_an_encrypted_connection_both_ways(tmp_path, authority):
    with serving(tmp_path, authority, authority.issue("server")) as broker:
        place = f"127.0.0.1:{broker.port}/plant"
        for scheme, option in (
            ("mqtts", ""),
            ("mqtt", "&tls=true"),
            ("mqtt", ""),
            ("mqtt", "&protocol=3.1.1"),
        ):
            url = f"{scheme}://{place}?ca={authority.cert}{option}"
            with open_source(f"{url}&rate_hz=1&format=json&channels=score") as source, open_sink(url) as sink:
                items = iter(source)
                sink.write([prediction()] * 50)
                sink.idle()
                source.close()
                assert list(items) == []


def test_samples_come_encrypted(tmp_path, authority):
    with serving(tmp_path, authority, authority.issue("server2")) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}/plant/x?ca={authority.cert}"
        with (
            open_source(f"{url}&rate_hz=1&channels=score&device={{device}}") as source,
            open_sink(url) as sink,
        ):
            got = []
            reader = threading.Thread(target=lambda: got.append(next(iter(source))))
            reader.start()
            wait_for(lambda: sink.write([prediction()]) or got)
            reader.join()
    assert got[0].device == "press-7"
    np.testing.assert_allclose(got[0].samples, [[0.9]])


def test_a_broker_that_asks_for_a_certificate_of_this_client(tmp_path, authority):
    client = authority.issue("press-7")
    lines = ("require_certificate true", "use_identity_as_username true", "allow_anonymous false")
    with serving(tmp_path, authority, authority.issue("server3"), *lines) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}/plant?ca={authority.cert}"
        with open_sink(f"{url}&cert={client.cert}&key={client.key}") as sink:
            sink.write([prediction()])
        both = tmp_path / "both.pem"
        both.write_text(client.cert.read_text() + client.key.read_text())
        with open_sink(f"{url}&cert={both}") as sink:
            sink.write([prediction()])
        with pytest.raises(Retry, match="cert="):
            open_sink(f"{url}&timeout_s=5")
        stranger = Authority(tmp_path, "strangers").issue("stranger")
        with pytest.raises(Retry, match="cert="):
            open_sink(f"{url}&timeout_s=5&cert={stranger.cert}&key={stranger.key}")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"hosts": ("DNS:broker.local",)}, "made out to 127.0.0.1.*write the name"),
        # What a clock that says 1970 sees: a certificate of its future.
        ({"start": "20400101000000Z", "end": "20410101000000Z"}, "not yet valid.*clock"),
        ({"start": "20200101000000Z", "end": "20210101000000Z"}, "valid on 2.*expired"),
    ],
)
def test_a_certificate_that_is_not_believed_is_a_retry_that_says_what_to_do(
    tmp_path, authority, facts, message
):
    facts = dict(facts)
    identity = authority.issue(f"wrong{len(str(facts))}", *facts.pop("hosts", ()), **facts)
    with serving(tmp_path, authority, identity) as broker:
        for open_it in (open_sink, open_source):
            with pytest.raises(Retry, match=f"is not trusted.*{message}"):
                open_it(f"mqtts://127.0.0.1:{broker.port}/plant?ca={authority.cert}")


def test_an_authority_that_is_not_trusted_is_a_retry(tmp_path, authority):
    other = Authority(tmp_path, "others")
    with serving(tmp_path, authority, authority.issue("server4")) as broker:
        for option in ("", f"?ca={other.cert}"):
            with pytest.raises(Retry, match="is not trusted.*name that authority: ca=FILE"):
                open_sink(f"mqtts://127.0.0.1:{broker.port}/plant{option}")


def test_each_side_alone_encrypting_is_a_retry(tmp_path, authority):
    with serving(tmp_path, authority, authority.issue("server5")) as broker, pytest.raises(Retry):
        open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?timeout_s=3")
    with running_broker(tmp_path) as broker, pytest.raises(Retry, match="TLS"):
        open_sink(f"mqtts://127.0.0.1:{broker.port}/plant?timeout_s=3&ca={authority.cert}")


def test_a_frozen_broker_holds_nobody_in_the_handshake(tmp_path, authority):
    with serving(tmp_path, authority, authority.issue("server6")) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}/plant?timeout_s=1&ca={authority.cert}"
        sink = open_sink(url)
        broker.freeze()
        with pytest.raises(Retry, match="did not acknowledge"):
            sink.write([prediction()])
        sink.close()
        with pytest.raises(Retry, match="cannot be reached.*timed out"):
            open_sink(url)


def test_files_that_do_not_belong_together_are_refused(tmp_path, authority):
    one, other = authority.issue("one"), authority.issue("other")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", one.key, "-out", locked],
        check=True,
        capture_output=True,
    )
    for options, message in (
        (f"cert={one.cert}&key={other.key}", "the key of that certificate"),
        (f"cert={one.cert}&key={locked}", "a key without a passphrase"),
        (f"cert={one.key}", "PEM files"),
        (f"ca={one.key}", "PEM files"),
    ):
        with pytest.raises(ConfigError, match=message):
            open_sink(f"mqtts://127.0.0.1:1/plant?{options}")
