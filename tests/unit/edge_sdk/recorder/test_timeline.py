import pytest

from edge_sdk.errors import ConfigError, DatasetError
from edge_sdk.recorder.cues import Conductor, Cue, read_cues
from edge_sdk.recorder.keys import parse_keys
from edge_sdk.recorder.timeline import Timeline


def test_a_block_is_cut_where_the_label_changed():
    timeline = Timeline(None)
    timeline.set("walk", 10.1)
    timeline.set("rest", 10.3)
    assert list(timeline.pieces(10.0, 100.0, 50)) == [(0, 10, None), (10, 30, "walk"), (30, 50, "rest")]
    assert list(timeline.pieces(10.3, 100.0, 50)) == [(0, 50, "rest")]
    assert list(timeline.pieces(9.0, 100.0, 50)) == [(0, 50, None)]


def test_what_is_set_between_two_samples_makes_no_empty_piece():
    timeline = Timeline("walk")
    timeline.set("rest", 10.0001)
    timeline.set("fall", 10.0002)
    assert list(timeline.pieces(10.0, 100.0, 4)) == [(0, 4, "fall")]


def test_a_clock_that_is_behind_does_not_rewrite_what_was():
    timeline = Timeline("walk")
    timeline.set("rest", 20.0)
    timeline.set("fall", 19.0)
    assert timeline.at(19.5) == "walk"
    assert timeline.now == "fall"


def test_cues_one_behind_the_other():
    conductor, timeline = Conductor(read_cues("rest:5,-:1,walk:10"), repeat=2, settle_s=0.5), Timeline(None)
    conductor.begin(timeline, 100.0)
    assert [timeline.at(at) for at in (99.0, 100.4, 100.5, 104.9, 105.5, 106.4, 106.6, 115.9)] == [
        None,
        None,
        "rest",
        "rest",
        None,
        None,
        "walk",
        "walk",
    ]
    assert [timeline.at(at) for at in (116.6, 131.9, 132.0)] == ["rest", "walk", None]
    assert conductor.ends_s == 132.0
    assert conductor.at(99.0) == (None, 0.0, Cue("rest", 5.0))
    cue, left_s, follows = conductor.at(108.0)
    assert (cue, left_s, follows) == (Cue("walk", 10.0), 8.0, Cue("rest", 5.0))
    assert conductor.at(140.0)[0] is None


def test_the_same_label_twice_is_one_recording():
    conductor, timeline = Conductor(read_cues("walk:1,walk:1"), settle_s=0.5), Timeline(None)
    conductor.begin(timeline, 0.0)
    assert list(timeline.pieces(0.5, 10.0, 15)) == [(0, 15, "walk")]


def test_a_sheet_from_a_file(tmp_path):
    (tmp_path / "cues.csv").write_text("label,seconds\nrest,5\n\n-,1.5\nwalk,10\n")
    cues = read_cues(str(tmp_path / "cues.csv"))
    assert cues == (Cue("rest", 5.0), Cue(None, 1.5), Cue("walk", 10.0))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("walk:0", "a positive number, found '0'"),
        ("walk:ten", "a positive number, found 'ten'"),
        ("-:5", "1 to 10000 cues with a label"),
        ("absent.csv", "absent.csv: cannot be read"),
    ],
)
def test_a_sheet_that_says_nothing(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        read_cues(text)


def test_a_label_that_no_folder_can_have():
    with pytest.raises(DatasetError, match=r"expected a name that a file may have, found '../walk'"):
        read_cues("../walk:5")


@pytest.mark.parametrize("line", ["walk", "walk,5,more", "walk,soon"])
def test_a_sheet_with_a_wrong_line(tmp_path, line):
    (tmp_path / "cues.csv").write_text(f"label,seconds\n{line}\n")
    with pytest.raises(ConfigError, match=r"cues.csv: line 2"):
        read_cues(str(tmp_path / "cues.csv"))


def test_keys():
    assert parse_keys("walk, rest ,f=fall") == {"1": "walk", "2": "rest", "f": "fall"}


@pytest.mark.parametrize("text", ["q=walk", "1=a,b", "ab=walk", "a,a", ",".join("abcdefghij"), " =walk"])
def test_keys_that_cannot_be(text):
    with pytest.raises((ConfigError, DatasetError), match="expected"):
        parse_keys(text)
