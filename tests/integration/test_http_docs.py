"""What docs/http.md shows works as it stands."""

import re
import shlex
import subprocess
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Model, Pipeline, Prediction, open_sink, open_source, recordings
from edge_sdk.config import Config
from edge_sdk.errors import Retry
from edge_sdk.plugins import check_url
from edge_sdk.recordings import Signal
from tests.integration.certificates import Authority
from tests.models import contract, write_model

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


class Gateway:
    """The source of the page, on a free port."""

    def __init__(self, **options):
        self.source = open_source("http://127.0.0.1:0/readings", **options)
        self.source.expect(contract().input)
        self.items = []
        self.thread = threading.Thread(target=lambda: self.items.extend(self.source))
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.source.close()
        self.thread.join(10)


def test_the_sample_configuration_is_one(tmp_path, monkeypatch):
    write_model(tmp_path / "motion.tflite")
    mine = Authority(tmp_path).issue("gateway")
    mine.cert.rename(tmp_path / "gateway.pem")
    mine.key.rename(tmp_path / "gateway.key")
    (tmp_path / "devices.token").write_text("a token\n")
    for name in ("HOOK_TOKEN", "HOOK_KEY", "DATA_KEY"):
        monkeypatch.setenv(name, "secret")
    (example,) = blocks("toml")
    config = Config.parse(example.replace("/etc/edgeml", str(tmp_path)), folder=tmp_path)
    Pipeline.from_config(config)
    wanted = Model.load(tmp_path / "motion.tflite").contract.input
    for group, url, given in [
        *(("sources", part.source, part.options) for part in config.source),
        *(("sinks", part.sink, part.options) for part in config.sink),
    ]:
        plugin, location, options = check_url(group, url, given)
        plugin.preflight(location, wanted, **options)


def test_the_commands(tmp_path):
    samples = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
    recordings.write(tmp_path / "walk.csv", Signal(samples, 50.0, ("ax", "ay", "az")))
    (commands,) = [block for block in blocks("sh") if "curl" in block]
    with Gateway() as gateway:
        for command in commands.splitlines():
            words = shlex.split(command.replace(":8080", f":{gateway.source.port}"))
            done = subprocess.run([*words, "-s", "-i"], cwd=tmp_path, capture_output=True, check=True)
            assert done.stdout.startswith(b"HTTP/1.1 202"), done.stdout
    assert [len(block.samples) for block in gateway.items] == [1, 2, 2, 200]
    assert {block.device for block in gateway.items} == {"press-7"}
    assert all({"ax", "ay", "az"} <= set(block.channels) for block in gateway.items)


def test_the_device(tmp_path, monkeypatch):
    program = blocks("python")[0]
    monkeypatch.setenv("TOKEN", "the token")
    with Gateway(token_env="TOKEN") as gateway:
        device = {}
        exec(program.replace("8080", str(gateway.source.port)).replace("sleep(1)", "sleep(0)"), device)
        for number in range(3):
            device["keep"](number, {"ax": [number], "ay": [0], "az": [1]})
        device["deliver"]()
        assert not device["waiting"]
        assert device["post"](1, '{"ax": [1], "ay": [0], "az": [1]}') == 200
        device["keep"](3, {"ax": 3})
        device["deliver"]()
        assert not device["waiting"]
        device["TOKEN"] = "another"
        device["keep"](4, {"ax": [4], "ay": [0], "az": [1]})
        device["deliver"]()
        assert len(device["waiting"]) == 1
    device["deliver"]()  # nobody is there
    assert len(device["waiting"]) == 1
    taken = [item.samples[0, 0] for item in gateway.items if hasattr(item, "rate_hz")]
    assert taken == [0, 1, 2]


def test_the_receiver(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = blocks("python")[1]
    names = {}
    exec(program, names)
    names["Receiver"].log_message = lambda *_: None
    scores = np.array([0.1, 0.9], np.float32)
    predictions = [Prediction("fall", 0.9, None, scores, "press-7", "run", i) for i in range(5)]
    monkeypatch.setenv("HOOK_KEY", "the key in HOOK_KEY")
    monkeypatch.setenv("WRONG_KEY", "another")
    with ThreadingHTTPServer(("127.0.0.1", 0), names["Receiver"]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/machines"
        for batch in (1, 2, 20):  # the same three times
            with open_sink(url, batch=batch, sign_env="HOOK_KEY") as sink:
                sink.write(predictions)
        with open_sink(url, sign_env="WRONG_KEY") as sink, pytest.raises(Retry, match="401"):
            sink.write(predictions)
        server.shutdown()
        thread.join()
    database = names["database"]
    assert [row[0] for row in database.execute("SELECT sequence FROM predictions")] == [0, 1, 2, 3, 4]
    database.close()
    body = b'{"a": 1}'
    old = "t=1000,v1=" + names["hmac"].new(b"k", b"1000." + body, "sha256").hexdigest()
    assert not names["genuine"](b"k", old, body)
    assert not names["genuine"](b"k", "", body)
