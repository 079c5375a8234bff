"""Labelled series: what is training data and what is judged, and files that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.health.labelled import SETS, read_file, read_set, traces_folder
from tests.health.making import labelled_file, labelled_rows


def test_the_first_part_is_training_and_its_last_quarter_calibrates(tmp_path: Path) -> None:
    api, web = read_file(labelled_file(tmp_path), window=10)
    assert (api.name, web.name) == ("shop/api", "shop/web")
    assert (api.fit, api.calibrate, api.judge) == (slice(0, 158), slice(158, 210), slice(210, 600))
    assert list(api.frame.columns) == ["timestamp", "cpu", "latency"]
    assert api.labels.sum() == 24
    assert np.diff(api.seconds).tolist() == [60.0] * 599


def test_rows_in_any_order_epoch_seconds_and_parquet_give_the_same(tmp_path: Path) -> None:
    path = labelled_file(tmp_path)
    rows = pd.read_csv(path)
    rows["timestamp"] = (
        pd.to_datetime(rows["timestamp"], utc=True).astype("datetime64[ns, UTC]").astype("int64") // 10**9
    )
    other = tmp_path / "other" / "shop.parquet"
    other.parent.mkdir()
    rows.sample(frac=1, random_state=1).to_parquet(other)
    for one, same in zip(read_file(path), read_file(other), strict=True):
        pd.testing.assert_frame_equal(one.frame, same.frame, check_dtype=False)
        np.testing.assert_array_equal(one.seconds, same.seconds)
        np.testing.assert_array_equal(one.labels, same.labels)


def test_labels_and_verdicts_are_no_metrics(tmp_path: Path) -> None:
    rows = labelled_rows().drop(columns="series_id")
    path = tmp_path / "one.csv"
    rows.assign(is_anomaly=rows["label"], predicted_anomaly=rows["label"], anomaly_score=0.5).to_csv(path, index=False)
    (one,) = read_file(path)
    assert list(one.frame.columns) == ["timestamp", "cpu", "latency"]


def test_a_file_says_itself_what_is_training_data(tmp_path: Path) -> None:
    rows = labelled_rows().drop(columns="series_id").assign(split=["train"] * 200 + ["test"] * 400)
    path = tmp_path / "one.csv"
    rows.to_csv(path, index=False)
    (one,) = read_file(path)
    assert (one.name, one.judge) == ("one/one", slice(200, 600))
    rows["split"] = rows["split"].to_numpy()[::-1]
    rows.to_csv(path, index=False)
    with pytest.raises(BadDataset, match="follow others"):
        read_file(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="label"), "no column 'label'"),
        (lambda rows: rows.drop(columns="timestamp"), "no column 'timestamp'"),
        (lambda rows: rows.drop(columns=["cpu", "latency"]), "no metric"),
        (lambda rows: rows.assign(label=2), "neither 0 nor 1"),
        (lambda rows: rows.assign(label=np.nan), "neither 0 nor 1"),
        (lambda rows: rows.assign(timestamp="yesterday"), "cannot be read"),
        (lambda rows: rows.assign(series_id=["web", *[None] * (len(rows) - 1)]), "599 rows have no series_id"),
        (lambda rows: rows.assign(timestamp=[np.nan, *rows["timestamp"][1:]]), "no timestamp"),
    ],
)
def test_an_error_names_what_a_file_lacks(tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "wrong.csv"
    change(labelled_rows()).to_csv(path, index=False)  # type: ignore[operator]  # a function of rows
    with pytest.raises(BadDataset, match=message):
        read_file(path)


def test_too_short_or_without_a_label_where_it_is_judged_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    labelled_rows(rows=150).to_csv(path, index=False)
    with pytest.raises(NotEnoughData, match="52 rows of training data"):
        read_file(path)
    labelled_rows().assign(label=0).to_csv(path, index=False)
    with pytest.raises(NotEnoughData, match="no label in the judged part"):
        read_file(path)


@pytest.mark.parametrize("content", [b"", b"PAR1 no", b"\xff\xfe\x00", b"a,b\n1,2,3\n"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadDataset, match="damaged"):
        read_file(path)


def test_wrong_options_and_sets_are_errors(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"0\.05 to 0\.9"):
        read_file(tmp_path / "any.csv", train_share=1.0)
    with pytest.raises(BadInput, match="window of VUS-PR"):
        read_file(tmp_path / "any.csv", window=-1)
    with pytest.raises(BadInput, match="no labelled set 'clouds'"):
        read_set("clouds", tmp_path)
    with pytest.raises(BadInput, match="MORA_TRACES"):
        read_set("nab", tmp_path)


@pytest.mark.skipif(not (traces_folder() / "anomaly_nab.parquet").is_file(), reason="no traces: set MORA_TRACES")
@pytest.mark.parametrize(("name", "series", "window"), [("nab", 49, 100), ("servers", 12, 24), ("pods", 10, 10)])
def test_the_recorded_sets(name: str, series: int, window: int) -> None:
    found = read_set(name, traces_folder())
    assert (len(found), found[0].window, found[0].set_name) == (series, window, name)
    for one in found:
        parts = [set(range(*part.indices(len(one.frame)))) for part in (one.fit, one.calibrate, one.judge)]
        assert len(set.union(*parts)) == sum(map(len, parts))
        assert one.labels[one.judge].any()
        assert one.frame.drop(columns="timestamp").notna().any().all()
    assert set(SETS) == {"nab", "servers", "pods"}
