from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, DatasetError
from train_host.data.importing import Columns, Request, find, run, tables

arrow = pytest.importorskip("pyarrow", reason="pip install 'edgeml-kit[data]'")
import pyarrow.csv  # noqa: E402
import pyarrow.parquet  # noqa: E402

RNG = np.random.default_rng(11)
ALL = Columns(label="activity", group="who", time="t:ms")


def table(**changes: Any) -> dict[str, Any]:
    """Two people who walk, then run, 40 samples each at 50 Hz, one after the other."""
    n = 40
    columns = {
        "t": np.concatenate([np.arange(2 * n) * 20, np.arange(2 * n) * 20]),
        "activity": (["walk"] * n + ["run"] * n) * 2,
        "who": ["anna"] * 2 * n + ["bob"] * 2 * n,
        "x": np.arange(4 * n, dtype=np.float64),
        "y": RNG.normal(size=4 * n),
    }
    return {key: value for key, value in {**columns, **changes}.items() if value is not None}


def put(path: Path, columns: dict[str, Any]) -> Path:
    made = arrow.table(columns)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(made, path)
    else:
        pyarrow.parquet.write_table(made, path, row_group_size=30)
    return path


def import_(path: Path, columns: Columns = ALL, **options: Any) -> Dataset:
    request = Request(sources=[path], output=path.parent / "d", columns=columns, replace=True, **options)
    return run(request, find([path])[0]).dataset


def contents(dataset: Dataset) -> dict[tuple[str, str | None, str], list[float]]:
    """First channel of each recording."""
    return {
        (r.group, r.label, Path(r.file).stem.rpartition("_")[2]): dataset.read(r).samples[:, 0].tolist()
        for r in dataset.recordings
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_become_a_recording_for_each_stretch_of_a_label_and_a_group(tmp_path: Path, suffix: str) -> None:
    dataset = import_(put(tmp_path / f"all{suffix}", table()))
    assert dataset.rate_hz == 50
    assert [channel.name for channel in dataset.channels] == ["x", "y"]
    assert {Path(r.file).suffix for r in dataset.recordings} == {suffix}
    assert contents(dataset) == {
        ("anna", "walk", "1"): list(range(40)),
        ("anna", "run", "2"): list(range(40, 80)),
        ("bob", "walk", "1"): list(range(80, 120)),
        ("bob", "run", "2"): list(range(120, 160)),
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_groups_that_take_turns_are_put_together(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train_host.data.importing.batches._ROWS", 7)
    monkeypatch.setattr("train_host.data.importing.batches._BYTES", 300)
    mixed = np.argsort(np.arange(160) % 80, kind="stable")  # anna, bob, anna, bob, …
    columns = {key: np.asarray(value)[mixed] for key, value in table().items()}
    dataset = import_(put(tmp_path / f"all{suffix}", columns))
    assert contents(dataset)["anna", "walk", "1"] == list(range(40))
    assert contents(dataset)["bob", "run", "2"] == list(range(120, 160))
    assert len(dataset.recordings) == 4


def test_gaps_and_steps_back_in_time_end_a_recording(tmp_path: Path) -> None:
    t = table()["t"].copy()
    t[20:80] += 2000
    t[100:160] -= 10_000
    found = contents(import_(put(tmp_path / "all.parquet", table(t=t))))
    assert {key: len(values) for key, values in found.items()} == {
        ("anna", "walk", "1"): 20,
        ("anna", "walk", "2"): 20,
        ("anna", "run", "3"): 40,
        ("bob", "walk", "1"): 20,
        ("bob", "walk", "2"): 20,
        ("bob", "run", "3"): 40,
    }


def test_a_recording_column_tells_recordings_apart_and_names_them(tmp_path: Path) -> None:
    columns = table(session=[f"m{n // 20}" for n in range(160)], t=np.arange(160) * 20)
    dataset = import_(
        put(tmp_path / "all.parquet", columns),
        Columns(label="activity", group="who", recording="session", time="t:ms"),
    )
    assert {(r.group, Path(r.file).stem.rpartition("_")[2]) for r in dataset.recordings} == {
        *(("anna", f"m{n}") for n in range(4)),
        *(("bob", f"m{n}") for n in range(4, 8)),
    }


def test_points_in_time_are_a_clock(tmp_path: Path) -> None:
    stamps = np.datetime64("2026-03-01T10:00:00", "ns") + np.arange(160) * np.timedelta64(20, "ms")
    for suffix in (".csv", ".parquet"):
        dataset = import_(
            put(tmp_path / f"all{suffix}", table(t=stamps)), Columns(label="activity", group="who", time="t")
        )
        assert dataset.rate_hz == 50
        assert len(dataset.recordings) == 4


def test_without_a_clock_the_rate_must_be_given(tmp_path: Path) -> None:
    path = put(tmp_path / "all.csv", table(t=None))
    columns = Columns(label="activity", group="who")
    with pytest.raises(DatasetError, match="no rate.*--rate-hz"):
        import_(path, columns)
    assert len(import_(path, columns, rate_hz=50).recordings) == 4


def test_missing_cells_become_nan_and_missing_labels_none(tmp_path: Path) -> None:
    x = [None if n == 3 else float(n) for n in range(160)]
    activity = [None if n < 40 else a for n, a in enumerate(table()["activity"])]
    for suffix in (".csv", ".parquet"):
        dataset = import_(put(tmp_path / f"all{suffix}", table(x=x, activity=activity)))
        found = contents(dataset)
        assert np.isnan(found["anna", None, "1"][3])
        assert found["anna", None, "1"][4] == 4


def test_numbers_as_labels_and_groups_are_names(tmp_path: Path) -> None:
    columns = table(who=[1.0] * 80 + [2.0] * 80, activity=[3] * 80 + [4] * 80)
    for suffix in (".csv", ".parquet"):
        dataset = import_(put(tmp_path / f"all{suffix}", columns))
        assert (dataset.groups, dataset.labels) == (("1", "2"), ("3", "4"))


def test_a_split_column_is_taken_over_whatever_it_calls_the_sides(tmp_path: Path) -> None:
    columns = table(side=["training"] * 80 + ["Testing"] * 80)
    given = Columns(label="activity", group="who", time="t:ms", split="side")
    dataset = import_(put(tmp_path / "all.parquet", columns), given)
    assert {(r.group, r.split) for r in dataset.recordings} == {("anna", "train"), ("bob", "test")}
    with pytest.raises(DatasetError, match="column 'side': expected one of train.*found maybe"):
        import_(put(tmp_path / "all.parquet", table(side=["maybe"] * 160)), given)


def test_targets_of_a_regression_are_means_over_a_recording(tmp_path: Path) -> None:
    flow = np.repeat([5.0, 9.0], 80) + np.tile([-1.0, 1.0], 80)
    level = [None if n == 150 else 2.0 for n in range(160)]
    given = Columns(group="who", time="t:ms", targets=("flow:l/min:0:40", "level"))
    for suffix in (".csv", ".parquet"):
        dataset = import_(put(tmp_path / f"all{suffix}", table(activity=None, flow=flow, level=level)), given)
        assert dataset.task == "regression"
        assert dataset.targets == (Channel("flow", "l/min", (0.0, 40.0)), Channel("level"))
        assert [channel.name for channel in dataset.channels] == ["x", "y"]
        assert {(r.group, r.label, r.target) for r in dataset.recordings} == {
            ("anna", None, (5.0, 2.0)),
            ("bob", None, None),  # a row does not say
        }
    with pytest.raises(ConfigError, match="--target-column: expected NAME"):
        import_(tmp_path / "all.csv", Columns(group="who", time="t:ms", targets=("flow:l/min:0",)))
    with pytest.raises(ConfigError, match="--target-column: expected one of t, who.*found speed"):
        import_(tmp_path / "all.csv", Columns(group="who", time="t:ms", targets=("speed",)))


def test_several_labels_at_once_and_anomalies_are_said_in_advance(tmp_path: Path) -> None:
    path = put(tmp_path / "all.csv", table(activity=["fan+mixer"] * 80 + ["none"] * 80))
    dataset = import_(path, task="multilabel")
    assert (dataset.task, dataset.labels) == ("multilabel", ("fan", "mixer"))
    with pytest.raises(DatasetError, match="what is normal is not known"):
        import_(path, task="anomaly")


def test_a_row_without_a_time_is_refused(tmp_path: Path) -> None:
    t = [None if n == 70 else n * 20 for n in range(160)]
    for suffix in (".csv", ".parquet"):
        with pytest.raises(DatasetError, match="row 71: expected a time in column 't', found nothing"):
            import_(put(tmp_path / f"all{suffix}", table(t=t)))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_long_table_that_is_taken_for_a_recording_says_what_to_do(tmp_path: Path, suffix: str) -> None:
    put(tmp_path / f"walk_1{suffix}", table())
    with pytest.raises(
        DatasetError, match=r"expected a? ?numbers?,.*long table.*--label-column, --group-column"
    ):
        import_(tmp_path / f"walk_1{suffix}", Columns(), rate_hz=50)


def test_files_of_a_tree_may_need_their_clock_named_only(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "walk"
    folder.mkdir(parents=True)
    for name in ("anna_1", "bob_7"):
        (folder / f"{name}.csv").write_text("timestamp;x\n" + "\n".join(f"{n * 10};{n}" for n in range(50)))
    request = Request(
        sources=[tmp_path / "raw"], output=tmp_path / "d", columns=Columns(time="timestamp:ms"), replace=True
    )
    dataset = run(request, find([tmp_path / "raw"])[0]).dataset
    assert dataset.rate_hz == 100
    assert [r.file for r in dataset.recordings] == ["recordings/walk/anna_1.csv", "recordings/walk/bob_7.csv"]


def test_a_recording_that_is_too_large_goes_on_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MOST_IN_ONE", 50)
    monkeypatch.setattr("train_host.data.importing.batches._ROWS", 10)
    found = contents(import_(put(tmp_path / "all.parquet", table())))
    assert found["anna", "walk", "1"] == list(range(30))
    assert found["anna", "walk", "2"] == list(range(30, 40))


def test_recordings_that_have_not_grown_for_long_leave_the_memory_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MOST_IN_ALL", 100)
    monkeypatch.setattr("train_host.data.importing.batches._ROWS", 10)
    dataset = import_(put(tmp_path / "all.parquet", table(activity=["walk"] * 160)))
    found = contents(dataset)
    assert sum(map(len, found.values())) == 160
    assert {key for key in found if key[0] == "bob"} == {("bob", "walk", "1"), ("bob", "walk", "2")}


@pytest.mark.parametrize(
    ("columns", "given", "error", "message"),
    [
        (table(), Columns(label="activty"), ConfigError, "--label-column: expected one of t.*'activity'"),
        (table(), Columns(time="t"), ConfigError, "--time-column: expected t:s or t:ms.*found t"),
        (table(), Columns(time="t:h"), ConfigError, "found t:h"),
        (table(), Columns(time="who:s"), DatasetError, "column 'who': expected numbers or points in time"),
        (table(who=["anna", ""] * 80), ALL, DatasetError, "row 2: expected a group in column 'who'"),
        ({"who": ["anna"]}, Columns(group="who"), DatasetError, "channels: expected columns of numbers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_that_cannot_be_meant_are_refused(
    tmp_path: Path, suffix: str, columns: dict[str, Any], given: Columns, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        import_(put(tmp_path / f"all{suffix}", columns), given, rate_hz=50)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d").exists()


def test_a_cell_that_is_no_number_is_named_by_line_and_column(tmp_path: Path) -> None:
    lines = ["t,activity,who,x", *(f"{n * 20},walk,anna,{n}" for n in range(200))]
    lines[101] = "2000,walk,anna,oops"
    (tmp_path / "all.csv").write_text("\n".join(lines))
    from train_host.data.importing import parse_channels

    with pytest.raises(
        DatasetError, match=r"all\.csv: line 102, column 'x': expected a number, found 'oops'"
    ):
        import_(tmp_path / "all.csv", channels=parse_channels("x:g"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("all.csv", b"", r"malformed \.csv"),
        ("all.csv", b"t,activity,who,x\n", "no rows|channels"),
        ("all.csv", b"t,activity,who,x\n0,walk,anna,1\n20,walk\n", "malformed|columns"),
        ("all.csv", bytes(range(256)) * 4, "malformed|column"),
        ("all.parquet", b"PAR1 and nothing more", r"malformed \.parquet"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DatasetError, ConfigError), match=message) as caught:
        import_(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
