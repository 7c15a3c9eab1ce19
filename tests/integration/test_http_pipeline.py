"""Whole pipelines: devices post, a model infers, a web server that misbehaves gets every prediction."""

import http.client
import json
import threading

import numpy as np
import pytest

from edge_sdk import Block, Model, Pipeline, open_source
from tests.integration import http_server as web
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def test_every_prediction_reaches_a_server_that_fails_in_every_way(linear_file, tmp_path):
    samples = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)

    def sensor():
        for _ in range(60):
            yield Block(samples, 50.0, device="wrist", end=True)
        wait_for(lambda: len(sequences()) == 60, seconds=60)

    def sequences():
        return {json.loads(request.body)["sequence"] for request in list(server.requests)}

    with web.web_server() as server:
        server.then(
            web.answer(500),
            web.answer(204),
            web.cut_in_body,
            web.answer(429, Retry_After="0"),
            web.reset,
            web.then_close(web.answer(200)),
            web.hang,
            web.cut_at_once,
            web.answer(422, b"not this one"),
            web.answer(302, Location="http://elsewhere/"),
        )
        url = f"http://127.0.0.1:{server.port}/hook?timeout_s=0.3"
        pipeline = Pipeline(
            Model.load(linear_file), [sensor()], [url], outbox={"file": str(tmp_path / "a.outbox")}
        )
        report = None

        def run():
            nonlocal report
            report = pipeline.run()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
    stored, keys = [], {}
    for request in server.requests:
        prediction = json.loads(request.body)
        name = prediction["run_id"], prediction["sequence"]
        assert keys.setdefault(name, request.headers["idempotency-key"]) == request.headers["idempotency-key"]
        if prediction["sequence"] not in stored:
            stored.append(prediction["sequence"])
    assert report.ledger.balanced
    account = next(iter(report.ledger.sinks.values()))
    assert account.dropped == {"rejected": 1}
    assert account.delivered == 59
    assert stored == list(range(60))  # in order, none left out, none invented
    assert len(set(keys.values())) == 60
    assert not server.script


def test_devices_that_post_become_predictions(linear_file):
    predictions = []
    with open_source("http://127.0.0.1:0/readings") as source:
        pipeline = Pipeline(Model.load(linear_file), [source], [predictions.append])
        report = None

        def run():
            nonlocal report
            report = pipeline.run()

        thread = threading.Thread(target=run)
        thread.start()
        link = http.client.HTTPConnection("127.0.0.1", source.port, timeout=10)
        columns = {name: [0.1 * i for i in range(8)] for name in ("ax", "ay", "az")}
        for device in ("w1", "w2", "w3"):
            for _ in range(4):
                link.request("POST", f"/readings/{device}", json.dumps(columns))
                answer = link.getresponse()
                assert (answer.status, json.loads(answer.read())) == (202, {"taken": 8})
        wait_for(lambda: len(predictions) >= 12)
        link.close()
        pipeline.stop()
        thread.join(20)
    assert {prediction.device for prediction in predictions} == {"w1", "w2", "w3"}
    assert report.ledger.balanced
    assert report.ledger.samples.read == 96
