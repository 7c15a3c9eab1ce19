"""A snapshot as OpenMetrics 1.0 text, or as the Prometheus text format 0.0.4 that came before it.

Source: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from edge_sdk.metrics import Histogram
from edge_sdk.snapshot import ModelState, Snapshot

Format = Literal["openmetrics", "prometheus"]
Kind = Literal["counter", "gauge", "info", "stateset", "histogram"]

CONTENT_TYPES: Final[Mapping[Format, str]] = {
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "prometheus": "text/plain; version=0.0.4; charset=utf-8",
}
#: Bounds of the histograms, s: an invoke takes from microseconds on a desktop to seconds on a Pi Zero;
#: what waits in an outbox for the network may arrive days later.
_INVOKE_S: Final = (
    *(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
_DELIVERY_S: Final = (
    *(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0, 86400.0),
)
#: Labels of one model that get a series of their own; the others share one.
_MOST_LABELS: Final = 1000
_UNITS: Final = ("seconds", "bytes")
_SUFFIXES: Final[Mapping[Kind, str]] = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a part.

    Attributes:
        name: without the suffix of its samples.
        kind: of OpenMetrics.
        text: what it is, for people.
        read: its value now: a number or a histogram, None where there is none; or several by `by`. An info
            gives its labels.
        by: the label that tells several values apart.
        bounds_s: of a histogram's buckets.
    """

    name: str
    kind: Kind
    text: str
    read: Callable[[Any], Any]
    by: str = ""
    bounds_s: tuple[float, ...] = ()


@functools.cache
def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("edgeml-kit")
    except metadata.PackageNotFoundError:  # a source tree
        return "unknown"


_HEALTHS: Final = ("ok", "degraded", "failing")
PIPELINE: Final = (
    Metric("edgeml", "info", "What runs here.", lambda now: {"device": now.device, "version": _version()}),
    Metric("edgeml_uptime_seconds", "gauge", "Since the run began.", lambda now: now.uptime_s),
    Metric("edgeml_ready", "gauge", "1 once every part was opened.", lambda now: now.ready),
    Metric(
        "edgeml_health",
        "stateset",
        "failing: no source or no sink works; degraded: a part does not.",
        lambda now: {health: health == now.health for health in _HEALTHS},
        "edgeml_health",
    ),
    Metric(
        "edgeml_clock_synced", "gauge", "1: the wall clock can be believed.", lambda now: now.clock_synced
    ),
    Metric("edgeml_ledger_balanced", "gauge", "1: the books add up.", lambda now: now.ledger.balanced),
    Metric("edgeml_samples_read", "counter", "Samples that came.", lambda now: now.ledger.samples.read),
    Metric(
        "edgeml_samples_used", "counter", "Of them, were in a window.", lambda now: now.ledger.samples.used
    ),
    Metric("edgeml_samples_pending", "gauge", "Wait in a window.", lambda now: now.ledger.samples.pending),
    Metric(
        "edgeml_samples_dropped",
        "counter",
        "Never used, by reason.",
        lambda now: now.ledger.samples.dropped,
        "reason",
    ),
    Metric(
        "edgeml_received_predictions",
        "counter",
        "Predictions that came from firmware.",
        lambda now: now.ledger.received.read if now.ledger.received else None,
    ),
    Metric(
        "edgeml_received_predictions_dropped",
        "counter",
        "Of them, never decided on, by reason.",
        lambda now: now.ledger.received.dropped if now.ledger.received else {},
        "reason",
    ),
    Metric("edgeml_faults", "counter", "Faults of sensors.", lambda now: now.ledger.faults, "reason"),
    Metric("edgeml_predictions", "counter", "Predictions made.", lambda now: now.ledger.predictions),
    Metric(
        "edgeml_predictions_delivered",
        "counter",
        "Every sink that wanted it has it.",
        lambda now: now.ledger.delivered,
    ),
    Metric("edgeml_predictions_queued", "gauge", "A sink still owes it.", lambda now: now.ledger.queued),
    Metric("edgeml_predictions_lost", "counter", "A sink gave it up.", lambda now: now.ledger.lost),
    Metric(
        "edgeml_crash_lost_predictions",
        "gauge",
        "Lost when the run before crashed.",
        lambda now: now.ledger.lost_in_crash,
        "sink",
    ),
)
SOURCE: Final = (
    Metric("edgeml_source_connected", "gauge", "1: open and not lost since.", lambda part: part.connected),
    Metric("edgeml_source_silent_seconds", "gauge", "Since its last block.", lambda part: part.silent_s),
    Metric("edgeml_source_waiting_blocks", "gauge", "On their way to the model.", lambda part: part.waiting),
    Metric("edgeml_source_devices", "gauge", "Device ids that it serves now.", lambda part: part.devices),
    Metric("edgeml_source_faults", "counter", "Its faults.", lambda part: part.faults, "reason"),
    Metric("edgeml_source_reopened", "counter", "How often it was lost.", lambda part: part.reopened),
)
MODEL: Final = (
    Metric(
        "edgeml_model",
        "info",
        "Its file, and the run of its predictions.",
        lambda part: {"digest": part.digest, "run_id": part.run_id},
    ),
    Metric(
        "edgeml_model_invoke_seconds",
        "histogram",
        "The runtime's time for one window.",
        lambda part: part.invoke,
        bounds_s=_INVOKE_S,
    ),
    Metric(
        "edgeml_model_windows",
        "counter",
        "Windows that went through, here or in firmware.",
        lambda part: part.windows,
    ),
    Metric("edgeml_model_batches", "counter", "Invokes of the runtime.", lambda part: part.batches),
    Metric("edgeml_model_devices", "gauge", "Devices with a window.", lambda part: part.devices),
    Metric("edgeml_model_device_bytes", "gauge", "Memory for one of them.", lambda part: part.device_bytes),
    Metric(
        "edgeml_model_troubled_devices", "gauge", "With a faulty sensor now.", lambda part: len(part.troubled)
    ),
    Metric("edgeml_model_labels", "counter", "Predictions by label.", lambda part: _labels(part), "label"),
)
SINK: Final = (
    Metric("edgeml_sink_connected", "gauge", "1: its last attempt went well.", lambda part: part.connected),
    Metric("edgeml_sink_carried", "counter", "Owed by earlier runs.", lambda part: part.account.carried),
    Metric("edgeml_sink_offered", "counter", "Meant for it.", lambda part: part.account.offered),
    Metric("edgeml_sink_delivered", "counter", "Acknowledged by it.", lambda part: part.account.delivered),
    Metric("edgeml_sink_queued", "gauge", "Wait for it.", lambda part: part.account.queued),
    Metric("edgeml_sink_dropped", "counter", "Given up.", lambda part: part.account.dropped, "reason"),
    Metric("edgeml_sink_retries", "counter", "It was tried again.", lambda part: part.retries),
    Metric(
        "edgeml_sink_latency_seconds",
        "histogram",
        "From a block's arrival to the acknowledgement.",
        lambda part: part.latency,
        bounds_s=_DELIVERY_S,
    ),
)
OUTBOX: Final = (
    Metric("edgeml_outbox_rows", "gauge", "Predictions on disk.", lambda box: box.rows),
    Metric("edgeml_outbox_bytes", "gauge", "What they take.", lambda box: box.bytes),
    Metric("edgeml_outbox_quota_bytes", "gauge", "What they may take.", lambda box: box.max_bytes),
    Metric("edgeml_outbox_oldest_seconds", "gauge", "Age of the oldest, powered.", lambda box: box.oldest_s),
    Metric("edgeml_outbox_dead_rows", "gauge", "Refused for good and kept.", lambda box: box.dead),
    Metric("edgeml_outbox_written_bytes", "counter", "Payload written.", lambda box: box.written_bytes),
)
#: Named as Prometheus' own clients do.
PROCESS: Final = (
    Metric("process_cpu_seconds", "counter", "User and system time.", lambda _: time.process_time()),
    Metric("process_resident_memory_bytes", "gauge", "Memory in use.", lambda _: _resident_bytes()),
    Metric("process_open_fds", "gauge", "Open file descriptors.", lambda _: _open_descriptors()),
)


def render(snapshot: Snapshot, form: Format = "openmetrics") -> bytes:
    """The whole text of one snapshot, UTF-8."""
    groups: tuple[tuple[tuple[Metric, ...], str, Sequence[Any]], ...] = (
        (PIPELINE, "", [snapshot]),
        (SOURCE, "source", snapshot.sources),
        (MODEL, "model", snapshot.models),
        (SINK, "sink", snapshot.sinks),
        (OUTBOX, "", [] if snapshot.outbox is None else [snapshot.outbox]),
        (PROCESS, "", [None]),
    )
    lines: list[str] = []
    for metrics, label, parts in groups:
        names = [{label: part.name} if label else {} for part in parts]
        for metric in metrics:
            series = [
                pair for name, part in zip(names, parts, strict=True) for pair in _series(metric, name, part)
            ]
            if series:
                lines += _head(metric, form)
                lines += _samples(metric, series)
    if form == "openmetrics":
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def _series(metric: Metric, name: Mapping[str, str], part: Any) -> Iterator[tuple[str, Any]]:
    """A part's labels as text, each with its value."""
    value = metric.read(part)
    if metric.kind == "info":
        yield _text({**name, **value}), 1
    elif metric.by:
        for key, number in value.items():
            yield _text({**name, metric.by: key}), number
    elif value is not None:
        yield _text(name), value


def _head(metric: Metric, form: Format) -> Iterator[str]:
    if form == "prometheus":
        # There a type belongs to the samples' name, and infos and state sets are not known.
        name = metric.name + _SUFFIXES.get(metric.kind, "")
        yield f"# HELP {name} {metric.text}"
        yield f"# TYPE {name} {'gauge' if metric.kind in ('info', 'stateset') else metric.kind}"
        return
    yield f"# TYPE {metric.name} {metric.kind}"
    unit = metric.name.rpartition("_")[2]
    if unit in _UNITS:
        yield f"# UNIT {metric.name} {unit}"
    yield f"# HELP {metric.name} {metric.text}"


def _samples(metric: Metric, series: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """The lines, each series once: one that came twice would make the whole text invalid."""
    name = metric.name + _SUFFIXES.get(metric.kind, "")
    for labels, value in dict(series).items():
        if isinstance(value, Histogram):
            yield from _histogram(metric, labels, value)
        else:
            yield f"{name}{{{labels}}} {_number(value)}" if labels else f"{name} {_number(value)}"


def _histogram(metric: Metric, labels: str, histogram: Histogram) -> Iterator[str]:
    still = histogram.copy()  # the loop may observe between two lines
    counts = still.buckets([bound * 1e6 for bound in metric.bounds_s])
    for bound, below in zip((*metric.bounds_s, "+Inf"), counts, strict=True):
        yield f'{metric.name}_bucket{{{labels},le="{bound}"}} {below}'
    yield f"{metric.name}_count{{{labels}}} {counts[-1]}"
    yield f"{metric.name}_sum{{{labels}}} {_number(still.total_us / 1e6)}"


def _text(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    """As both formats want it; what is no Unicode, a file's name for one, is written as its escapes."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, int) else repr(round(value, 6))


def _labels(model: ModelState) -> dict[str, int]:
    """A model's labels in the order in which they first came, so that a series that is there stays."""
    counts = iter(model.labels.items())
    shown = dict(islice(counts, _MOST_LABELS))
    if others := sum(count for _, count in counts):
        shown["(others)"] = others
    return shown


def _resident_bytes() -> int | None:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read at each scrape
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return None


def _open_descriptors() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - without the one that lists them
    except OSError:
        return None
