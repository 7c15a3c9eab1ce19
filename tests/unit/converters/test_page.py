import re
from dataclasses import replace

import numpy as np
import pytest

from converters import page
from converters.evidence import Evidence
from converters.page import inputs, png, ranges, wording
from converters.page.labels import Box, Labels
from converters.page.markup import Html, tag, text
from converters.page.scales import Scale, linear_ticks
from converters.report import Report
from edge_sdk.contract import Output
from tests import reports
from tests.markup import Balanced


def titles(document: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", document)


EVERY = {
    "report": reports.report,
    "several": reports.several,
    "refused": reports.refused,
    "unlabelled": reports.unlabelled,
    "pictures": reports.pictures,
    "grey": lambda: reports.pictures(1),
    "deep": reports.deep,
    "hostile": reports.hostile,
}


@pytest.mark.parametrize("name", EVERY)
def test_a_page_is_well_formed_reaches_for_nothing_and_is_always_the_same(name: str) -> None:
    report = EVERY[name]()
    document = report.html()
    parsed = Balanced(document)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(parsed.names)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in parsed.addresses)
    assert "url(" not in document
    assert "@import" not in document
    assert document.encode() == report.html().encode()
    assert len(document) < 300_000


def test_the_page_of_a_big_model_stays_small_and_says_what_it_leaves_out() -> None:
    document = reports.large().html()
    Balanced(document)
    assert len(document.encode()) < 500_000
    for left_out in ("280 layers", "160 classes", "180 classes", "260 groups", "340 tensors", "160 labels"):
        assert f"… and {left_out} more" in document


def test_names_from_outside_are_text_wherever_they_stand() -> None:
    hostile = reports.hostile()
    failed = replace(hostile.chosen, failure=reports.HOSTILE)
    for shown in (hostile, replace(hostile, chosen=failed, trials=(failed, hostile.chosen))):
        document = shown.html()
        parsed = Balanced(document)
        assert "script" not in parsed.names
        assert not parsed.handlers
        assert not set(document) & {"\x00", "\ud800", "\u202e"}
        document.encode()


def test_sections_are_there_only_where_they_show_something() -> None:
    everything = ["Recipes tried", "Accuracy", "Layers", "Ranges", "Worst examples", "Outputs", "Boards"]
    everything += ["Data", "Lineage"]
    assert titles(reports.several().html()) == everything
    assert titles(reports.report().html()) == everything[1:]
    assert titles(reports.report(layers=()).html()) == [everything[1], *everything[4:]]
    assert titles(reports.unlabelled().html()) == everything[4:]
    same = reports.unlabelled()
    equal = reports.trial("float32", same.original, same.original, same.evidence)
    assert titles(reports.unlabelled_as(equal).html()) == everything[5:]


def test_the_gate_is_told_in_words() -> None:
    passed, refused = words(reports.report()), words(reports.refused())
    assert (
        "Passed. 0.5 points were lost; 1 point may be. The loss is not certain to stay below that" in passed
    )
    assert "Refused. 41.0 points, from 0.998 to 0.588; 1 point may be lost. Nothing was written." in refused
    assert "36.2 dB, at least 10 dB were asked" in words(reports.unlabelled())


def test_figures_stand_before_and_after() -> None:
    shown = words(reports.several())
    assert "0.998 → 0.993 [0.987, 1.000] → [0.979, 0.998]" in shown
    assert "248 kB → 64.3 kB" in shown
    assert "98.0 µs → 61.0 µs" in shown


def test_every_trial_is_listed_with_why_it_failed() -> None:
    report = reports.several()
    shown = words(report)
    for trial in report.trials:
        assert trial.recipe.name in shown
    assert "motion.keras brings no quantization ranges: train with fake-quantization" in shown
    assert "29.8 points, from 0.998 to 0.700" in shown
    assert "3 layers kept in float32" in shown


def test_a_trial_that_gave_nothing_to_compare_spoils_no_plot() -> None:
    report = reports.several()
    odd = [replace(report.trials[1], outputs=(), verdict=None), replace(report.trials[2], latency_us=0.0)]
    equal = reports.unlabelled_as(reports.unlabelled().chosen)
    exact = reports.trial("float32", equal.original, equal.original, equal.evidence)
    for shown in (
        replace(report, trials=(*report.trials, *odd)),
        replace(equal, trials=(equal.chosen, exact)),  # an infinite ratio has its place, too
        replace(equal, trials=(equal.chosen, exact, replace(equal.chosen, failure="no"))),
    ):
        Balanced(shown.html())
    assert "↑ equal" in replace(equal, trials=(equal.chosen, exact)).html()


def test_classes_without_names_are_numbers() -> None:
    document = reports.report(contract=reports.motion_contract(output=Output())).html()
    assert '<th class="row" scope="row">6</th>' in document


def test_the_confusion_shows_what_moved() -> None:
    document = reports.report().html()
    assert document.count('class="confusion"') == 2
    assert '<span class="delta">+1</span>' in document
    assert f'<span class="delta">{wording.MINUS}1</span>' in document


def test_outliers_that_take_the_steps_are_flagged() -> None:
    bad, good = reports.layers(6)[5], reports.layers(6)[0]
    assert ranges.spent(bad).few
    assert not ranges.spent(good).few
    assert ranges.spent(good).crowded == pytest.approx(200, abs=30)
    assert good.scale is not None
    clipped = replace(good, scale=good.scale / 2)
    assert ranges.spent(clipped).clipped
    assert not ranges.spent(replace(clipped, dtype="int16")).clipped
    document = reports.report(layers=(good, bad, clipped)).html()
    assert "2 tensors of 3 flagged" in document
    assert "values reach 2.0 × as far as the steps" in document


def test_kept_layers_and_the_guilty_ones_are_marked() -> None:
    shown = words(reports.several())
    assert "block_1/conv_2d_4 kept" in shown
    worst = words(reports.report()).split("Worst first")[1]
    assert worst.index("block_1/depthwise_conv_2d_5") < worst.index("Ranges")


def test_the_worst_examples_are_changed_decisions_the_surest_first() -> None:
    report = reports.refused()
    labelled = report.labelled
    assert labelled is not None
    before, after = labelled.before.argmax(1), labelled.after.argmax(1)
    changed = np.flatnonzero(before != after)
    surest = sorted(changed, key=lambda i: (-labelled.before[i].max(), i))[:6]
    shown = [int(i) for i in re.findall(r"Input (\d+), subject", report.html())]
    assert shown == [int(i) for i in surest]
    assert f"{len(changed)} of 420 inputs are decided otherwise" in words(report)


def test_examples_of_a_model_that_says_one_score_or_one_class_for_each_place() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(40) % 2
    windows = rng.normal(size=(40, 50, 3)).astype(np.float32)
    single = (labels[:, None] * 0.6 + 0.2).astype(np.float32)
    moved = single.copy()
    moved[3] = 0.1
    evidence = Evidence(None, (windows,), labels)
    chosen = reports.trial("int8", (single,), (moved,), evidence, max_drop=0.1)
    report = reports.report(
        chosen=chosen, trials=(chosen,), evidence=evidence, original=(single,), contract=None
    )
    assert "Input 3: truly 1 " in words(report)
    assert "1 of 40 inputs is decided otherwise" in words(report)

    places = rng.integers(0, 3, (12, 6, 6))
    maps = np.eye(3, dtype=np.float32)[places]
    other = maps.copy()
    other[4, 0, 0] = np.roll(other[4, 0, 0], 1)
    evidence = Evidence(None, (rng.uniform(size=(12, 6, 6, 3)).astype(np.float32),), places)
    chosen = reports.trial("int8", (maps,), (other,), evidence, max_drop=0.1)
    report = reports.report(
        chosen=chosen, trials=(chosen,), evidence=evidence, original=(maps,), contract=None
    )
    assert "1 of 36 places decided otherwise" in words(report)


def test_agreement_on_a_label_is_shown_of_outputs_that_say_one() -> None:
    assert "same label 99.5%" in words(reports.several()).lower()
    values = words(reports.unlabelled())
    assert "Same label" not in values
    assert "same label scores [4] 36.2 dB 0.194 0.0393 –" in values
    rows = np.full((64, 4), 0.25, np.float32)
    foreign = reports.unlabelled()
    chosen = reports.trial("int8", (rows,), (rows + 1e-4,), foreign.evidence)
    assert "Same label 100.0%" in words(replace(foreign, original=(rows,), chosen=chosen, trials=(chosen,)))


def test_reshapes_of_a_tensor_are_drawn_once() -> None:
    one, two, *_ = reports.layers(2)
    again = replace(one, name="reshaped", op="RESHAPE", histogram=tuple(4 * n for n in one.histogram))
    assert "None of 2 tensors is flagged" in words(reports.report(layers=(one, again, two)))


def test_what_the_first_rounding_costs_is_no_fault_of_a_layer() -> None:
    first, *rest = reports.layers(4, bad=())
    rounded = replace(first, channel_sqnr_db=44.0, added_db=56.0)
    shown = words(reports.report(layers=(rounded, *rest)))
    assert "44.0 first rounding" in shown
    assert "56.0" not in shown
    poor = words(reports.report(layers=(replace(first, channel_sqnr_db=12.0, added_db=88.0), *rest)))
    assert "88.0 dB" in poor.split("Worst first")[1]


def test_inputs_are_drawn_as_what_they_are() -> None:
    rng = np.random.default_rng(0)
    shapes = {
        (100, 6): "lines",
        (100,): "lines",
        (1, 64, 1): "lines",
        (5000, 1): "lines",
        (1,): "lines",
        (49, 40): "plane",
        (49, 40, 1): "picture",
        (8, 8, 1): "picture",
        (32, 32, 3): "picture",
        (4, 5, 6, 7): "none",
    }
    for shape, kind in shapes.items():
        samples = rng.normal(size=(3, *shape)).astype(np.float32)
        how = inputs.view(samples, None)
        assert (shape, how.kind) == (shape, kind)
        Balanced(str(inputs.draw(samples[0], how)))
    constant = np.zeros((2, 30, 2), np.int8)
    assert "NaN" not in inputs.draw(constant[0], inputs.view(constant, None))


def test_channels_share_a_scale_where_their_units_or_ranges_are_alike() -> None:
    rows = reports.motion_evidence().inputs[0]
    assert inputs.view(rows, reports.motion_contract().input).lanes == ((0, 1, 2), (3, 4, 5), (6,))
    assert len(inputs.view(rows, None).lanes) == 7
    assert inputs.view(rows[:, :, :3] - rows[:, :, :3].mean(axis=(0, 1)), None).lanes == ((0, 1, 2),)


def test_peaks_survive_thinning() -> None:
    samples = np.zeros((1, 16_000, 1), np.float32)
    samples[0, 7_777] = 5
    drawn = inputs.draw(samples[0], inputs.view(samples, None))
    assert len(drawn) < 4_000
    top = min(float(y) for y in re.findall(r"[M ]\d+\.\d (\d+\.\d)", drawn))
    assert top < 30


def test_a_png_can_be_read_back() -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install 'edgeml-kit[image]'")
    import base64
    import io

    pixels = np.random.default_rng(1).integers(0, 255, (200, 60, 3), dtype=np.uint8)
    for shown in (pixels, pixels[..., 0], pixels[:5, :7]):
        raw = base64.b64decode(png.address(shown).partition(",")[2])
        read = np.asarray(image.open(io.BytesIO(raw)))
        step = 3 if len(shown) == 200 else 1
        np.testing.assert_array_equal(read, shown[::step, ::step])


def test_only_markup_is_not_escaped() -> None:
    assert tag("b", "<i>", Html("<i></i>")) == "<b>&lt;i&gt;<i></i></b>"
    assert tag("p", title='"><x', class_=None) == '<p title="&quot;&gt;&lt;x"></p>'
    assert text(1.0) == "1"
    assert text(-0.001) == "0"
    assert text(float("nan")) == "0"
    assert tag("line", x1=0.5, stroke_width=2) == '<line x1="0.5" stroke-width="2"/>'


def test_style_holds_below_one_class_only() -> None:
    document = reports.report().html()
    style = document[document.index("<style>") + 7 : document.index("</style>")]
    selectors = re.findall(r"([^{}]+)\{", re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL))
    for selector in selectors:
        for part in re.split(r",(?![^(]*\))", selector):
            assert part.strip().startswith((".edgeml-report", "@media", "@container"))
    assert reports.report()._repr_html_() == document


@pytest.mark.parametrize("count", [2, 9, 25])
def test_labels_of_points_in_a_heap_do_not_overlap(count: int) -> None:
    rng = np.random.default_rng(count)
    labels = Labels(Box(0, 0, 500, 300))
    for i, (x, y) in enumerate(rng.uniform((200, 120), (300, 180), (count, 2))):
        labels.put(f"dynamic_int8 {i}", x, y)
    for i, box in enumerate(labels.taken):
        assert not any(box.overlaps(other) for other in labels.taken[:i])
        assert labels.room.holds(box)
    assert len(labels.taken) >= min(count, 9)


def test_ticks_are_round_and_few() -> None:
    assert linear_ticks(0.93, 1.0, 4) == pytest.approx([0.94, 0.96, 0.98, 1.0])
    assert linear_ticks(3, 3, 4) == [3]
    assert Scale(40, 3000, 0, 300, log=True).ticks == pytest.approx([100, 300, 1000, 3000])
    for low, high in ((1, 1000), (40, 3000), (50_000, 220_000), (1e-3, 1e6)):
        ticks = Scale(low, high, 0, 300, log=True).ticks
        assert ticks == sorted(ticks)
        assert all(low <= tick <= high for tick in ticks)
        assert 1 <= len(ticks) <= 4


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (wording.size(None), "–"),
        (wording.size(999), "999 B"),
        (wording.size(62_900), "62.9 kB"),
        (wording.size(999_990), "1.0 MB"),
        (wording.size(8e9), "8.0 GB"),
        (wording.duration(44.71), "44.7 µs"),
        (wording.duration(2510), "2.51 ms"),
        (wording.duration(3.2e6), "3.20 s"),
        (wording.points(0.0031), "+0.3"),
        (wording.points(-0.02, sign=False), "−2.0"),
        (wording.points(-0.0001), "0.0"),
        (wording.decibels(float("inf")), "equal"),
        (wording.decibels(float("nan")), "not a number"),
        (wording.significant(0.000012345), "1.23e−5"),
        (wording.significant(123456.7), "123,457"),
        (wording.counted(1, "class"), "1 class"),
        (wording.counted(2, "class"), "2 classes"),
        (wording.clipped("a" * 50, 10), "aaa…aaaaaa"),
    ],
)
def test_figures_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def test_names_of_tensors_lose_what_they_share() -> None:
    names = ["net/a/conv/Relu;net/a/conv/BiasAdd", "net/b/conv/Relu", "net/b/dense/MatMul"]
    assert wording.short_names(names) == ["a/conv", "b/conv", "b/dense"]
    assert wording.short_names(["x"]) == ["x"]
    assert wording.short_names(["out:0", "net/a/Relu", "net/b/Relu"]) == ["out:0", "a", "b"]
    assert wording.short_names(["n/x/Add", "n/x/Mul"]) == ["Add", "Mul"]


def words(report: Report) -> str:
    """The text of a page, without its tags."""
    document = page.render(report)
    body = document[document.index("<body") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace(" .", ".")
