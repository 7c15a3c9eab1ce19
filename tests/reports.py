"""Reports of conversions that never took place: real verdicts over made-up scores, without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import recipes, verify
from converters.evidence import Evidence
from converters.layers import Layer
from converters.report import Report, Trial
from edge_sdk.contract import Channel, Contract, Input, Lineage, Output
from tests.models import Linear, flatbuffer

ACTIVITIES = ("lying", "sitting", "standing", "walking", "walking_upstairs", "walking_downstairs", "running")
MOTION = (
    *(Channel(name, "g") for name in ("ax", "ay", "az")),
    *(Channel(name, "dps") for name in ("gx", "gy", "gz")),
    Channel("p", "Pa"),
)
#: A name that would become markup, reach for the network, break the encoding and turn the text around it.
HOSTILE = "</td></table><script src=//evil.example/x.js></script>\"'&amp;\x00\ud800\u202egnp.exe"
VERSIONS = {"tensorflow": "2.21.0", "numpy": "2.3.1", "litert-quantizer": "0.11.0"}


def report(**changes: Any) -> Report:
    """Seven activities from an inertial sensor, as int8; it passes."""
    evidence = motion_evidence()
    original, chosen = _int8()
    facts: dict[str, Any] = {
        "chosen": chosen,
        "trials": (chosen,),
        "source": "models/motion.keras",
        "output": Path("motion.tflite"),
        "page": Path("motion.report.html"),
        "kind": "Keras",
        "size_bytes": 64_312,
        "source_bytes": 248_006,
        "parameters": 54_343,
        "digest": "sha256:9f2c41ab" + "0" * 56,
        "contract": motion_contract(),
        "max_drop": 0.01,
        "flatbuffer": flatbuffer(),
        "evidence": evidence,
        "original": original,
        "layers": layers(12),
        "board": None,
        "target": "host:",
        "notes": ("class 'running' lost 6.1 points, from 0.970 to 0.909",),
        "seconds": {"load": 1.2},
    }
    return Report(**{**facts, **changes})


@cache
def _int8() -> tuple[tuple[NDArray[np.float32], ...], Trial]:
    evidence = motion_evidence()
    original = scores(evidence.labels, 7)
    return original, trial("int8", original, (noisy(original[0], 0.03),), evidence)


def trial(
    recipe: str,
    original: tuple[NDArray[Any], ...],
    result: tuple[NDArray[Any], ...],
    evidence: Evidence,
    *,
    max_drop: float = 0.01,
    size: int = 60_000,
    **changes: Any,
) -> Trial:
    """A trial with the verdict that these outputs deserve."""
    found = recipes.find(recipe)
    verdict = verify.judge(original, result, evidence, recipe=found, max_drop=max_drop)
    facts: dict[str, Any] = {
        "recipe": found,
        "flatbuffer": bytes(size),
        "failure": verdict.failure,
        "verdict": verdict,
        "outputs": result,
        "arena_bytes": 18_432,
    }
    return Trial(**{**facts, **changes})


def motion_contract(**changes: Any) -> Contract:
    lineage = Lineage(
        dataset="sha256:41ab" + "7" * 60,
        split="subject",
        seed=7,
        source="sha256:77aa" + "3" * 60,
        versions=VERSIONS,
    )
    facts = Contract(
        name="motion",
        task="classification",
        input=Input(MOTION, 50.0, 100, 50),
        output=Output(ACTIVITIES),
        lineage=lineage,
    )
    return replace(facts, **changes)


@cache
def motion_evidence(n: int = 420) -> Evidence:
    rng = np.random.default_rng(4)
    labels = np.arange(n) % 7
    t = np.arange(100) / 50.0
    windows = rng.normal(size=(n, 100, 7)) * [0.1, 0.1, 0.1, 12, 12, 12, 2] + [0, 0, 1, 0, 0, 0, 101_300]
    windows[:, :, 0] += np.sin(2 * np.pi * (1 + labels[:, None] / 3) * t) * 0.5
    windows[:, :, 3] += np.cos(2 * np.pi * (1 + labels[:, None] / 3) * t) * 90
    groups = tuple(f"subject {i}" for i in rng.integers(1, 7, n))
    counts = tuple((name, 28) for name in sorted(ACTIVITIES))
    calibration = windows[:196].astype(np.float32)
    return Evidence((calibration,), (windows.astype(np.float32),), labels, groups, counts=counts)


def scores(labels: NDArray[np.int64], classes: int, *, seed: int = 1) -> tuple[NDArray[np.float32], ...]:
    """float32 [n, classes]: probabilities that are mostly right, and wrong among neighbours."""
    rng = np.random.default_rng(seed)
    near = np.exp(-np.abs(labels[:, None] - np.arange(classes)) / 1.2)
    logits = 3.0 * near + rng.normal(size=near.shape) * 0.45
    return (softmax(2.2 * logits),)


def noisy(rows: NDArray[Any], noise: float, *, seed: int = 2) -> NDArray[np.float32]:
    """Probabilities as a coarser model would give them."""
    error = np.random.default_rng(seed).normal(size=rows.shape) * noise * 10
    return softmax(np.log(rows + 1e-6) + error)


def softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def layers(count: int, *, kept: tuple[int, ...] = (), bad: tuple[int, ...] = (5,)) -> tuple[Layer, ...]:
    """Layers that lose a little each; those of `bad` lose much, and suffer from outliers."""
    rng, level, made = np.random.default_rng(8), 52.0, []
    for i in range(count):
        added = 0.2 + float(rng.random()) * 0.5 + (13.0 if i in bad else 0.0)
        level -= added if i in bad else added * 12 / count
        op = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "FULLY_CONNECTED")[i % 4]
        values = np.maximum(rng.normal(size=4000), -0.4 if i % 2 else -9)
        if i in bad:
            values[0] = 160.0
        low, high = float(values.min()), float(values.max())
        histogram = tuple(np.histogram(values, 40, (low, high))[0].tolist())
        floating, scope = i in kept, f"functional_1/block_{i // 4}/{op.lower()}_{i}"
        made.append(
            Layer(
                name=f"{scope}/Relu;{scope}/BiasAdd",
                op=op,
                dtype="float32" if floating else "int8",
                sqnr_db=level + 3,
                channel_sqnr_db=round(100.0 if floating else level, 2),
                added_db=0.0 if floating else round(added, 2),
                low=low,
                high=high,
                histogram=histogram,
                scale=None if floating else (high - low) / 255,
            )
        )
    return tuple(made)


@cache
def several() -> Report:
    """Auto, with eight trials: two that fail their gate and one that could not be made."""
    evidence = motion_evidence()
    original = scores(evidence.labels, 7)

    def tried(recipe: str, noise: float, size: int, latency_us: float, **changes: Any) -> Trial:
        result = (noisy(original[0], noise),) if noise else original
        return trial(recipe, original, result, evidence, size=size, latency_us=latency_us, **changes)

    kept = tuple(layer.name for layer in layers(12)[4:7])
    chosen = tried("mixed", 0.006, 71_200, 61.0, kept=kept, arena_bytes=24_576)
    trials = (
        tried("float32", 0.0, 218_400, 98.0, arena_bytes=65_536),
        tried("float16", 0.0004, 110_900, 97.2, arena_bytes=65_536),
        tried("weight_int8", 0.004, 63_900, 99.5, arena_bytes=65_536),
        tried("dynamic_int8", 0.009, 63_700, 121.0, arena_bytes=65_536),
        tried("int4_weights", 0.19, 41_000, 99.0, arena_bytes=65_536),
        tried("int8", 0.24, 62_900, 44.7),
        chosen,
        tried("int16x8", 0.0008, 66_800, 2510.0, arena_bytes=36_864),
        Trial(
            recipe=recipes.find("qat"),
            failure="motion.keras brings no quantization ranges: train with fake-quantization",
        ),
    )
    return report(
        chosen=chosen,
        trials=trials,
        layers=layers(12, kept=(4, 5, 6)),
        board="rpi4",
        notes=("kept in float32: 3 layers",),
    )


@cache
def refused() -> Report:
    """A single recipe that lost too much."""
    evidence = motion_evidence()
    original = scores(evidence.labels, 7)
    chosen = trial("int8", original, (noisy(original[0], 0.3),), evidence)
    return report(chosen=chosen, trials=(chosen,), layers=layers(12, bad=(2, 5)))


@cache
def unlabelled() -> Report:
    """A foreign model with two inputs, judged on random numbers."""
    rng = np.random.default_rng(3)
    inputs = (rng.normal(size=(64, 24)).astype(np.float32), rng.normal(size=(64, 6)).astype(np.float32))
    original = (inputs[0][:, :4] * 3 + inputs[1][:, :4],)
    result = tuple((array + rng.normal(size=array.shape) * 0.05).astype(np.float32) for array in original)
    note = "no evaluation data: compared on random normal inputs, accuracy unknown"
    evidence = Evidence(None, inputs, basis="random inputs", notes=(note,))
    chosen = trial("dynamic_int8", original, result, evidence)
    return report(
        chosen=chosen,
        trials=(chosen,),
        source="nets:build",
        kind="PyTorch",
        source_bytes=None,
        contract=None,
        evidence=evidence,
        original=original,
        layers=(),
        notes=(note,),
    )


@cache
def pictures(channels: int = 3) -> Report:
    """A classifier of small pictures."""
    rng = np.random.default_rng(6)
    labels = np.arange(200) % 4
    grid = np.linspace(-1, 1, 48)
    x, y = np.meshgrid(grid, grid)
    shapes: tuple[Callable[[float, float], NDArray[Any]], ...] = (
        lambda a, b: np.hypot(x - a, y - b) < 0.5,
        lambda a, b: np.maximum(abs(x - a), abs(y - b)) < 0.45,
        lambda a, b: abs(x - a) + abs(y - b) < 0.6,
        lambda a, b: abs(np.hypot(x - a, y - b) - 0.45) < 0.12,
    )
    images = np.stack([shapes[k](*rng.uniform(-0.3, 0.3, 2)).astype(float) for k in labels])
    colours = rng.uniform(0.3, 1.0, (200, 1, 1, channels))
    inputs = (
        np.clip(images[..., None] * colours + rng.normal(size=(200, 48, 48, channels)) * 0.06, 0, 1) * 255
    )
    evidence = Evidence((inputs[:40].astype(np.float32),), (inputs.astype(np.float32),), labels)
    original = scores(labels, 4)
    chosen = trial("int8", original, (noisy(original[0], 0.08),), evidence, max_drop=0.05)
    described = motion_contract(
        name="shapes",
        input=Input(tuple(Channel(name) for name in "rgb"[:channels]), None, 48, 48, layout="HWC"),
        output=Output(("disc", "square", "diamond", "ring")),
    )
    return report(
        chosen=chosen,
        trials=(chosen,),
        contract=described,
        evidence=evidence,
        original=original,
        source="shapes.onnx",
        kind="ONNX",
        max_drop=0.05,
        notes=(),
    )


@cache
def deep(count: int = 60) -> Report:
    """A network of many layers."""
    return report(layers=layers(count, bad=(7, 33), kept=(12, 13)))


def large() -> Report:
    """As much of everything as a big model brings: 400 layers, 200 classes, 300 groups, pictures of noise."""
    rng = np.random.default_rng(9)
    labels = np.arange(400) % 200
    inputs = rng.uniform(0, 255, (400, 96, 96, 3)).astype(np.float32)
    groups = tuple(f"site {i % 300}" for i in range(400))
    counts = tuple((f"class {i}", 5) for i in range(200))
    evidence = Evidence((inputs[:8],), (inputs,), labels, groups, counts=counts)
    original = scores(labels, 200)
    chosen = trial(
        "int8",
        original,
        (noisy(original[0], 0.05),),
        evidence,
        max_drop=0.2,
        kept=tuple("k" * 90 + str(i) for i in range(150)),
    )
    described = motion_contract(
        input=Input(tuple(Channel(name) for name in "rgb"), None, 96, 96, layout="HWC"),
        output=Output(tuple(f"a class of a rather long name {i}" for i in range(200))),
    )
    return report(
        chosen=chosen,
        trials=(chosen, *(replace(chosen, flatbuffer=bytes(50_000 + 999 * i)) for i in range(30))),
        contract=described,
        evidence=evidence,
        original=original,
        layers=layers(400),
        max_drop=0.2,
        flatbuffer=flatbuffer(Linear(window=16)),
    )


def unlabelled_as(chosen: Trial) -> Report:
    """`unlabelled` with another trial."""
    return replace(unlabelled(), chosen=chosen, trials=(chosen,))


def hostile() -> Report:
    """`HOSTILE` wherever a name comes from outside, and very long ones."""
    first = replace(layers(1)[0], name=HOSTILE, op=HOSTILE)
    evidence = motion_evidence()
    assert evidence.groups is not None
    names = [f"{HOSTILE}{i}" + "w" * 80 for i in range(7)]
    described = motion_contract(
        name=HOSTILE * 3,
        input=Input(tuple(Channel(name, HOSTILE) for name in names), 50.0, 100, 50),
        output=Output(tuple(names)),
        lineage=Lineage(dataset=HOSTILE, split=HOSTILE, source=HOSTILE, versions={HOSTILE: HOSTILE}),
    )
    plain = report()
    chosen = replace(plain.chosen, kept=(first.name,), float_ops=(HOSTILE,), latency_us=3.0)
    return replace(
        plain,
        chosen=chosen,
        trials=(chosen,),
        source=HOSTILE,
        kind=HOSTILE,
        digest=f"sha256:{HOSTILE}",
        target=HOSTILE,
        board=HOSTILE,
        notes=(HOSTILE, "w" * 500),
        layers=(first, replace(first, name=HOSTILE + "w" * 200), *layers(3)),
        evidence=replace(
            evidence,
            groups=tuple(HOSTILE + "w" * 80 + group for group in evidence.groups),
            basis=HOSTILE + "w" * 200,
            counts=((HOSTILE + "w" * 200, 3),),
        ),
        contract=described,
    )
