"""The last screen of ``edgeml demo``."""

from __future__ import annotations

from train_host.demo.job import DATABASE, KERAS, PIPELINE, TFLITE, Shown


def render(shown: Shown) -> str:
    """What the demo did, and how to do it again."""
    facts, dataset, folder = shown.as_dict(), shown.dataset, shown.folder
    latency, ledger = facts["latency_us"], shown.report.ledger
    who, tested = f"{len(dataset.groups)} {dataset.group}s", ", ".join(shown.tested)
    reasons = "".join(
        f" + {count:,} dropped ({why})" for why, count in ledger.samples.dropped.items() if count
    )
    fates = f"{ledger.delivered:,} delivered + {ledger.queued} queued + {ledger.lost} lost"
    verdict = "balanced" if ledger.balanced else "NOT balanced"
    rows = [
        ("data", f"{len(dataset.recordings)} recordings of {who}, {len(dataset.labels)} exercises"),
        ("licence", dataset.licence),
        ("accuracy", f"{_share(facts['accuracy_float'], facts['interval_float'])}  float32"),
        ("", f"{_share(facts['accuracy_int8'], facts['interval_int8'])}  int8"),
        ("", f"n = {facts['n']} windows of {tested}, never seen in training; [95 % interval]"),
        ("agreement", f"{facts['agreement']:.1%} of windows get the same label from both"),
        ("size", f"{facts['bytes']:,} bytes"),
        ("latency", f"{_micro(latency['p50'])} p50, {_micro(latency['p99'])} p99 a window, on this machine"),
        ("ledger", f"{ledger.samples.read:,} samples = {ledger.samples.used:,} used{reasons}"),
        ("", f"{ledger.predictions:,} predictions = {fates}: {verdict}"),
        ("model", str(folder / TFLITE)),
        ("reports", f"{facts['training_report']}: how good it is, and where it fails"),
        ("", f"{facts['report']}: what int8 changed"),
        ("database", str(folder / DATABASE)),
        ("time", f"{shown.seconds['total']:.0f} s"),
    ]
    again = [
        "",
        "Again, on your own recordings (a dataset folder: edgeml data import --help):",
        f"  edgeml train data -o {KERAS} --augment rotation",
        f"  edgeml convert {KERAS} -o {TFLITE} --recipe int8",
        f"  edgeml run {PIPELINE}          ({folder / PIPELINE} is one to start from)",
    ]
    return "\n".join(["", *(f"{name:<10} {text}" for name, text in rows), *again])


def _share(value: float, interval: list[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _micro(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} µs"
