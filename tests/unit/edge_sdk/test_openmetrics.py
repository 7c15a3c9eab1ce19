"""The text that Prometheus reads, through a reader as strict as the specification."""

import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import openmetrics
from edge_sdk.ledger import SinkAccount
from edge_sdk.snapshot import SinkState, SourceState
from tests.exposition import parse
from tests.moments import moment

DOCS = Path(__file__).parents[3] / "docs"


def read(snapshot):
    return parse(openmetrics.render(snapshot).decode())


def test_the_books_are_told():
    told = read(moment(sources=2, sinks=2, predictions=1000))
    assert told["edgeml_predictions"].value() == 1000
    assert told["edgeml_predictions_queued"].value() == 1
    assert told["edgeml_samples_read"].value() == 4054
    assert told["edgeml_samples_dropped"].value(reason="gap") == 50
    assert told["edgeml_sink_queued"].value(sink="https://host-1.example/hook") == 1
    assert told["edgeml_source_connected"].value(source="mqtt://broker/plant/line-0/+/imu") == 1
    assert told["edgeml_model_labels"].value(model="motion", label="walk") == 500
    assert told["edgeml_outbox_quota_bytes"].value() == 64 << 20
    assert told["edgeml_health"].value(edgeml_health="ok") == 1
    assert told["edgeml_health"].value(edgeml_health="failing") == 0
    assert told["edgeml_uptime_seconds"].unit == "seconds"
    assert told["edgeml"].samples[0][1]["device"] == "press-7"


def test_latencies_are_histograms_in_seconds():
    now = moment()
    invoke = read(now)["edgeml_model_invoke_seconds"]
    buckets = {labels["le"]: value for suffix, labels, value in invoke.samples if suffix == "_bucket"}
    assert buckets["1e-05"] == 0
    assert 550 < buckets["5e-05"] < 700  # log-normal around 44 µs
    assert buckets["+Inf"] == 1000
    (total,) = (value for suffix, _, value in invoke.samples if suffix == "_sum")
    assert total / 1000 == pytest.approx(44e-6 * 1.083, rel=0.05)  # e^(0.4²/2)


def test_what_is_not_there_is_left_out():
    now = moment(sources=1, sinks=0)
    now.sources[0].silent_s, now.outbox = None, None
    told = read(now)
    assert not {"edgeml_source_silent_seconds", "edgeml_outbox_rows", "edgeml_sink_queued"} & told.keys()
    assert "edgeml_source_connected" in told


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_name_breaks_the_text(device, source, label):
    now = moment(sources=0, sinks=0)
    now.device, now.sources = device, [SourceState(source, faults=Counter({label: 2}))]
    now.models[0].labels = Counter({label: 3})
    told = read(now)
    assert told["edgeml"].samples[0][1]["device"] == device
    assert told["edgeml_source_faults"].value(source=source, reason=label) == 2
    assert told["edgeml_model_labels"].value(model="motion", label=label) == 3


@pytest.mark.parametrize("form", ["openmetrics", "prometheus"])
def test_hostile_names_are_one_line_each(form):
    now = moment(sources=0, sinks=0)
    name = 'a"} 1\n# EOF\nx\\n{\r\u2028\udc80'
    now.sinks = [SinkState(name, "direct", account=SinkAccount(0, 5, 5))]
    text = openmetrics.render(now, form).decode()
    (line,) = (line for line in text.split("\n") if line.startswith("edgeml_sink_offered_total"))
    assert line == ('edgeml_sink_offered_total{sink="a\\"} 1\\n# EOF\\nx\\\\n{\r\u2028\\\\udc80"} 5')


def test_two_parts_of_one_name_are_one_series():
    now = moment(sources=0, sinks=0)
    now.sources = [SourceState("a"), SourceState("a")]
    read(now)


def test_a_model_of_very_many_labels_gets_a_bounded_number_of_series():
    now = moment()
    now.models[0].labels = Counter({f"label {n}": 1 for n in range(5000)})
    labels = read(now)["edgeml_model_labels"]
    assert len(labels.samples) == 1001
    assert labels.value(model="motion", label="(others)") == 4000


def test_the_older_format_has_no_infos_and_no_end():
    text = openmetrics.render(moment(), "prometheus").decode()
    assert "# EOF" not in text
    assert "# UNIT" not in text
    assert "# TYPE edgeml_info gauge\n" in text
    assert "# TYPE edgeml_predictions_total counter\nedgeml_predictions_total 1000\n" in text
    kinds = set(re.findall(r"^# TYPE \S+ (\w+)$", text, re.MULTILINE))
    assert kinds == {"counter", "gauge", "histogram"}
    typed = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    for name in re.findall(r"^(\w+)[ {]", text, re.MULTILINE):
        assert name in typed or re.sub("_(bucket|count|sum)$", "", name) in typed


def test_the_process_is_told_as_it_is():
    told = read(moment())
    assert told["process_resident_memory_bytes"].value() > 10 << 20
    assert told["process_cpu_seconds"].value() == pytest.approx(time.process_time(), abs=5)
    before = told["process_open_fds"].value()
    with (DOCS / "service.md").open():
        assert read(moment())["process_open_fds"].value() == before + 1


def test_the_page_has_every_metric_and_no_other():
    page = (DOCS / "service.md").read_text(encoding="utf-8")
    groups = (openmetrics.PIPELINE, openmetrics.SOURCE, openmetrics.MODEL, openmetrics.SINK)
    metrics = [m for group in (*groups, openmetrics.OUTBOX, openmetrics.PROCESS) for m in group]
    suffix = {"counter": "_total", "info": "_info"}
    names = {metric.name + suffix.get(metric.kind, "") for metric in metrics}
    assert set(re.findall(r"^\| `(\w+)(?:\{[^`]*\})?` \|", page, re.MULTILINE)) == names
