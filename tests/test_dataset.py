"""The unified CSV: what is written is read back, and what breaks the contract is refused by file and line."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.dataset import (
    SCHEMA_VERSION,
    assess_quality,
    discard_experiment,
    is_finished,
    list_services,
    read_cards,
    read_dataset,
    read_experiment,
    unify,
    write_experiment,
)
from mora.domain import Window
from mora.errors import BadDataset, BadInput, MoraError, NotEnoughData
from mora.files import write_files
from mora.metrics import ALL_COLUMNS, CORE_COLUMNS, EXTRA_COLUMNS, METRIC_COLUMNS

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def make_frame(
    experiment_id: str = "frontend_browsing_replicas_2_users_40", *, rows: int = 20, service: str = "frontend"
) -> pd.DataFrame:
    index = pd.date_range(START, periods=rows, freq="1s", unit="us")
    columns = [*METRIC_COLUMNS, *EXTRA_COLUMNS]
    metrics = pd.DataFrame({name: 0.25 + n for n, name in enumerate(columns)}, index=index)
    metrics["mem_bytes_value"] = 52_428_800.0
    return unify(
        metrics, experiment_id=experiment_id, service=service, scenario="browsing", replica_count=2, load_users=40
    )


def make_card(frame: pd.DataFrame, **more: Any) -> dict[str, Any]:
    first = frame.iloc[0]
    return {"experiment_id": first["experiment_id"], "service": first["service"], **more}


def write(data_dir: Path, frame: pd.DataFrame, **more: Any) -> Path:
    return write_experiment(data_dir, frame, make_card(frame, **more))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write(tmp_path, make_frame())


def edit(path: Path, change: Callable[[list[str]], None]) -> None:
    """Change a file's lines; line n of a message is lines[n - 1]."""
    lines = path.read_text().split("\n")
    change(lines)
    path.write_text("\n".join(lines))


def set_field(line: int, column: str, value: str) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        fields = lines[line - 1].split(",")
        fields[lines[0].split(",").index(column)] = value
        lines[line - 1] = ",".join(fields)

    return change


# --- round trip ------------------------------------------------------------------------------------------------------

_numbers = st.one_of(
    st.just(float("nan")), st.floats(min_value=0, max_value=1e15, allow_nan=False, allow_infinity=False)
)


@settings(max_examples=25)  # each writes and reads a file of three dozen columns
@given(st.data(), st.integers(min_value=1, max_value=8))
def test_what_is_written_is_read_back_to_nine_digits(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: int
) -> None:
    frame = make_frame(rows=rows)
    for column in (*METRIC_COLUMNS, *EXTRA_COLUMNS):
        frame[column] = data.draw(st.lists(_numbers, min_size=rows, max_size=rows))
    folder = tmp_path_factory.mktemp("given")
    back = read_experiment(write(folder, frame))
    whole = [c for c in ALL_COLUMNS if "bytes" in c and not c.startswith("net_")]
    pd.testing.assert_frame_equal(back[whole], frame[whole].round())
    pd.testing.assert_frame_equal(back.drop(columns=whole), frame.drop(columns=whole), check_exact=False, rtol=1e-8)
    again = read_experiment(write(folder / "again", back))
    pd.testing.assert_frame_equal(again, back)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  hypothesis
def test_timestamps_are_iso_8601_in_utc_and_come_back_to_the_microsecond(
    tmp_path_factory: pytest.TempPathFactory, start: datetime
) -> None:
    frame = make_frame(rows=3)
    frame["timestamp"] = pd.date_range(start, periods=3, freq="1s", unit="us")
    folder = tmp_path_factory.mktemp("given")
    path = write(folder, frame)
    assert list(read_experiment(path)["timestamp"]) == list(frame["timestamp"])
    assert path.read_text().split("\n")[1].split(",")[5].endswith("Z")


def test_the_eighteen_columns_come_first_and_empty_extras_are_left_out(tmp_path: Path) -> None:
    frame = make_frame()
    frame["latency_p99_seconds"] = np.nan
    path = write(tmp_path, frame)
    header = path.read_text().split("\n")[0].split(",")
    assert tuple(header[:18]) == CORE_COLUMNS
    assert "latency_p99_seconds" not in header
    assert list(read_experiment(path).columns) == list(ALL_COLUMNS)
    assert read_experiment(path)["latency_p99_seconds"].isna().all()


def test_numbers_are_compact_and_counts_and_bytes_whole(written: Path) -> None:
    row = dict(zip(CORE_COLUMNS, written.read_text().split("\n")[1].split(","), strict=False))
    assert row["replica_count"] == "2"
    assert row["load_users"] == "40"
    assert row["mem_bytes_value"] == "52428800"
    assert row["cpu_cores_value"] == "0.25"
    assert row["timestamp"] == "2026-11-01T12:00:00Z"


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    frame = make_frame()
    frame.loc[3, "cpu_cores_value"] = np.nan
    assert read_experiment(write(tmp_path, frame))["cpu_cores_value"].isna().tolist() == [n == 3 for n in range(20)]


def test_observed_data_has_no_replica_count_and_no_users(tmp_path: Path) -> None:
    index = pd.date_range(START, periods=3, freq="1s", unit="us")
    metrics = pd.DataFrame({"cpu_cores_value": 0.1}, index=index)
    frame = unify(metrics, experiment_id="cart_observed_20261101T120000Z", service="cart", scenario="observed")
    back = read_experiment(write(tmp_path, frame))
    assert back[["replica_count", "load_users"]].isna().all(axis=None)


def test_types_are_the_same_with_and_without_values(written: Path) -> None:
    types = read_experiment(written).dtypes
    assert str(types["timestamp"]) == "datetime64[us, UTC]"
    assert all(
        types[column] == "float64" for column in ("replica_count", "load_users", *METRIC_COLUMNS, *EXTRA_COLUMNS)
    )


def test_a_byte_order_mark_and_windows_line_ends_are_read(written: Path) -> None:
    before = read_experiment(written)
    written.write_bytes(b"\xef\xbb\xbf" + written.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(read_experiment(written), before)


# --- a service's experiments -----------------------------------------------------------------------------------------


def test_a_dataset_is_sorted_by_experiment_and_time(tmp_path: Path) -> None:
    for suffix in ("_run_2", "", "_run_10"):
        write(tmp_path, make_frame(f"frontend_browsing_replicas_2_users_40{suffix}"))
    frame = read_dataset("frontend", tmp_path)
    keys = list(zip(frame["experiment_id"], frame["timestamp"], strict=True))
    assert keys == sorted(keys)
    assert frame["experiment_id"].nunique() == 3
    assert list(frame.columns) == list(ALL_COLUMNS)
    assert sorted(read_cards("frontend", tmp_path)) == sorted(frame["experiment_id"].unique())


def test_other_containers_files_are_no_experiments(tmp_path: Path) -> None:
    frame = make_frame()
    containers = pd.DataFrame(
        {"timestamp": frame["timestamp"], "container": "proxy", "cpu_cores": 0.1, "mem_bytes": 1e6}
    ).assign(cpu_request_cores=np.nan, cpu_limit_cores=np.nan, mem_request_bytes=np.nan, mem_limit_bytes=np.nan)
    path = write_experiment(tmp_path, frame, make_card(frame), containers)
    text = path.with_name(f"{path.stem}.containers.csv").read_text()
    assert text.split("\n")[1] == "2026-11-01T12:00:00Z,proxy,0.1,1000000,,,,"
    assert len(read_dataset("frontend", tmp_path)) == 20


def test_flagged_experiments_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write(tmp_path, make_frame("a"), quality={"is_complete": True})
    write(tmp_path, make_frame("b"), quality={"is_complete": False})
    assert set(read_dataset("frontend", tmp_path)["experiment_id"]) == {"a"}
    assert set(read_dataset("frontend", tmp_path, include_flagged=True)["experiment_id"]) == {"a", "b"}
    discard_experiment(tmp_path, "frontend", "a")
    with pytest.raises(NotEnoughData, match="None of the 1 experiments"):
        read_dataset("frontend", tmp_path)


def test_a_namespace_has_a_folder_of_its_own(tmp_path: Path) -> None:
    frame = make_frame()
    write(tmp_path, frame)
    path = write_experiment(tmp_path, make_frame(rows=3), make_card(frame), namespace="shop")
    assert path.parent == tmp_path / "shop/frontend"
    assert len(read_dataset("frontend", tmp_path, namespace="shop")) == 3
    assert list_services(tmp_path) == ["frontend"]
    assert list_services(tmp_path, namespace="shop") == ["frontend"]
    assert list_services(tmp_path, namespace="other") == []


def test_a_service_without_data_is_refused_with_those_that_have_some(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"no data of 'cart'(.|\n)*frontend"):
        read_dataset("cart", tmp_path)
    with pytest.raises(BadDataset, match="mora collect"):
        read_dataset("cart", tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="not a valid service name"):
        read_dataset("../frontend", tmp_path)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["abc", "nan", "NaN", "NA", "null", "0x10", "1_0", "1;2", "True", "1,5"])
def test_values_that_are_not_numbers_are_refused(written: Path, value: str) -> None:
    edit(written, set_field(6, "mem_bytes_value", value))
    with pytest.raises(BadDataset, match=rf"{written.name}, line 6: ") as caught:
        read_experiment(written)
    assert caught.value.message.endswith("not a number.") or "fields" in caught.value.message


@pytest.mark.parametrize(
    ("value", "word"),
    [("-1", "negative"), ("-0.001", "negative"), ("inf", "infinite"), ("1e999", "infinite"), ("-inf", "infinite")],
)
def test_negative_and_infinite_values_are_refused(written: Path, value: str, word: str) -> None:
    edit(written, set_field(21, "cpu_cores_value", value))
    with pytest.raises(BadDataset, match=rf"{written.name}, line 21: cpu_cores_value is {word}"):
        read_experiment(written)


@pytest.mark.parametrize("column", CORE_COLUMNS)
def test_a_missing_column_is_named(written: Path, column: str) -> None:
    frame = pd.read_csv(written)
    frame.drop(columns=column).to_csv(written, index=False)
    with pytest.raises(BadDataset, match=rf"{written.name}, line 1: missing column {column}"):
        read_experiment(written)


def test_columns_in_another_order_unknown_or_twice_are_refused(written: Path) -> None:
    whole = written.read_text()
    for old, new, words in (
        ("experiment_id,service,", "service,experiment_id,", "another order"),
        ("throttled_ratio", "throttle_ratio", "unknown column 'throttle_ratio'"),
        ("throttled_ratio", "oom_kills", "'oom_kills' stands twice"),
    ):
        written.write_text(whole.replace(old, new, 1))
        with pytest.raises(BadDataset, match=rf"{written.name}, line 1: .*{words}"):
            read_experiment(written)


@given(st.integers(min_value=1, max_value=200))
def test_a_torn_last_line_is_refused_wherever_it_was_torn(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("given")
    path = write(folder, make_frame())
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(
        BadDataset, match=rf"{path.name}, line \d+: the last line is torn|{path.name}, line \d+: \d+ fields"
    ):
        read_experiment(path)


def test_a_line_with_other_fields_is_refused(written: Path) -> None:
    edit(written, lambda lines: lines.insert(3, "1,2"))
    with pytest.raises(BadDataset, match=r"line 4: 2 fields where the header has 31"):
        read_experiment(written)


def test_rows_out_of_order_and_rows_twice_are_refused(written: Path) -> None:
    whole = written.read_text()
    edit(written, lambda lines: lines.insert(3, lines.pop(8)))
    with pytest.raises(BadDataset, match=r"line 5: rows out of order"):
        read_experiment(written)
    written.write_text(whole)
    edit(written, lambda lines: lines.insert(3, lines[2]))
    with pytest.raises(BadDataset, match=r"line 4: rows out of order"):
        read_experiment(written)


@pytest.mark.parametrize("column", ["experiment_id", "service", "scenario", "replica_count", "load_users"])
def test_two_experiments_in_one_file_are_refused(written: Path, column: str) -> None:
    edit(written, set_field(9, column, "7"))
    with pytest.raises(BadDataset, match=rf"line 9: {column} changes from .* two experiments share one file or one id"):
        read_experiment(written)


def test_two_files_with_one_id_are_refused(written: Path, tmp_path: Path) -> None:
    for ending in (".csv", ".json"):
        shutil.copy(written.with_suffix(ending), tmp_path / f"frontend/zz{ending}")
    with pytest.raises(BadDataset, match=rf"zz\.csv, line 2: experiment '{written.stem}' is in {written.name} as well"):
        read_dataset("frontend", tmp_path)


def test_a_file_that_is_named_or_placed_wrongly_is_refused(written: Path, tmp_path: Path) -> None:
    for ending in (".csv", ".json"):
        written.with_suffix(ending).rename(tmp_path / f"frontend/zz{ending}")
    with pytest.raises(BadDataset, match=rf"zz\.csv, line 2: holds experiment '{written.stem}'"):
        read_dataset("frontend", tmp_path)
    (tmp_path / "frontend").rename(tmp_path / "cart")
    for ending in (".csv", ".json"):
        (tmp_path / f"cart/zz{ending}").rename(tmp_path / f"cart/{written.stem}{ending}")
    with pytest.raises(BadDataset, match="belongs to service 'frontend', not 'cart'"):
        read_dataset("cart", tmp_path)


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-01 12:00", "2026-11-01T12:00:00", ""])
def test_times_that_are_none_are_refused(written: Path, value: str) -> None:
    edit(written, set_field(4, "timestamp", value))
    with pytest.raises(BadDataset, match=rf"{written.name}, line 4: timestamp is '{value}', not a time"):
        read_experiment(written)


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"  "])
def test_an_empty_file_is_refused(written: Path, raw: bytes) -> None:
    written.write_bytes(raw)
    with pytest.raises(BadDataset, match=f"{written.name} is empty"):
        read_experiment(written)


def test_a_header_without_samples_is_refused(written: Path) -> None:
    written.write_text(written.read_text().split("\n")[0] + "\n")
    with pytest.raises(BadDataset, match="a header and no samples"):
        read_experiment(written)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"caf\xe9", b"\x80"])
def test_another_encoding_is_refused(written: Path, raw: bytes) -> None:
    lines = written.read_bytes().split(b"\n")
    lines[2] = raw + lines[2]
    written.write_bytes(b"\n".join(lines))
    with pytest.raises(BadDataset, match=rf"{written.name}, line 3: byte 0x.. is not UTF-8"):
        read_experiment(written)
    written.write_text(written.name, encoding="utf-16")
    with pytest.raises(BadDataset, match="line 1: byte 0xff is not UTF-8"):
        read_experiment(written)


@given(st.text(alphabet=string.printable, min_size=1, max_size=300))
def test_whatever_stands_below_the_header_is_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("given") / "any.csv"
    path.write_text(",".join(CORE_COLUMNS) + "\n" + text, encoding="utf-8", newline="")
    with pytest.raises(BadDataset, match=r"any\.csv"):
        read_experiment(path)


def test_a_csv_without_its_json_was_never_finished(written: Path, tmp_path: Path) -> None:
    assert is_finished(tmp_path, "frontend", written.stem)
    written.with_suffix(".json").unlink()
    assert not is_finished(tmp_path, "frontend", written.stem)


def test_a_csv_without_its_json_is_data_all_the_same(written: Path, tmp_path: Path) -> None:
    written.with_suffix(".json").unlink()
    assert len(read_dataset("frontend", tmp_path)) == len(read_experiment(written))
    assert read_cards("frontend", tmp_path) == {}


def test_a_json_that_is_newer_torn_or_foreign_is_refused(written: Path, tmp_path: Path) -> None:
    path = written.with_suffix(".json")
    path.write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(BadDataset, match=rf"schema version {SCHEMA_VERSION + 1}, .* reads up to {SCHEMA_VERSION}"):
        read_cards("frontend", tmp_path)
    path.write_text('{"schema_version": 1,\n"service": ')
    with pytest.raises(BadDataset, match="line 2: this is not JSON"):
        read_cards("frontend", tmp_path)
    for text in ("[]", "{}", '{"schema_version": "1"}'):
        path.write_text(text)
        with pytest.raises(BadDataset, match="no schema_version"):
            read_cards("frontend", tmp_path)


# --- quality ---------------------------------------------------------------------------------------------------------


def window(samples: int = 30) -> Window:
    return Window(START, START + (samples - 1) * SECOND, SECOND)


def steady(samples: int = 30) -> pd.DataFrame:
    frame = make_frame(rows=samples)
    frame["cpu_cores_value"] = 0.1
    return frame


def test_a_whole_and_steady_experiment_has_no_flags() -> None:
    quality = assess_quality(steady(), window())
    assert (quality.expected_samples, quality.samples, quality.flags) == (30, 30, ())
    assert quality.is_complete
    assert quality.is_steady
    assert set(quality.missing_ratio) == set(METRIC_COLUMNS)


@pytest.mark.parametrize(("rows", "is_complete"), [(27, True), (26, False), (0, False)])
def test_nine_tenths_of_the_samples_are_enough(rows: int, is_complete: bool) -> None:
    quality = assess_quality(steady().iloc[:rows], window())
    assert quality.is_complete is is_complete
    assert quality.samples == rows
    assert any(flag.startswith(f"few_samples: {rows} of 30") for flag in quality.flags) is not is_complete


@pytest.mark.parametrize("column", ["cpu_cores_value", "mem_bytes_value", "replica_count_value"])
def test_one_gap_in_twenty_is_allowed_for_what_is_recommended(column: str) -> None:
    frame = steady(40)
    frame.loc[:1, column] = np.nan
    assert assess_quality(frame, window(40)).is_complete
    frame.loc[2, column] = np.nan
    quality = assess_quality(frame, window(40))
    assert not quality.is_complete
    assert quality.flags == (f"missing_{column}: 7.5% of the samples (at most 5%)",)
    assert quality.missing_ratio[column] == 0.075


def test_gaps_in_other_metrics_are_reported_and_exclude_nothing() -> None:
    frame = steady()
    frame["node_cpu_util_value"] = np.nan
    quality = assess_quality(frame, window())
    assert quality.is_complete
    assert quality.missing_ratio["node_cpu_util_value"] == 1.0


@pytest.mark.parametrize(
    ("before", "after", "is_steady"),
    [
        (0.1, 0.114, True),
        (0.1, 0.116, False),
        (0.1, 0.084, False),
        (0.01, 0.0145, True),
        (0.01, 0.016, False),
        (0, 0, True),
    ],
)
def test_steadiness_marks_and_does_not_exclude(before: float, after: float, is_steady: bool) -> None:
    frame = steady()
    frame["cpu_cores_value"] = [5.0] * 10 + [before] * 10 + [after] * 10
    quality = assess_quality(frame, window())
    assert quality.is_steady is is_steady
    assert quality.is_complete


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_finished_experiment_is_never_overwritten(written: Path, tmp_path: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(BadDataset, match="already in"):
        write(tmp_path, make_frame(rows=5))
    assert written.read_bytes() == before


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    for column, value, words in (
        ("cpu_cores_value", -1.0, "negative"),
        ("cpu_cores_value", np.inf, "infinite"),
        ("load_users", 7.0, "two experiments"),
    ):
        frame = make_frame()
        frame.loc[4, column] = value
        with pytest.raises(BadDataset, match=words):
            write(tmp_path, frame)
    with pytest.raises(BadDataset, match="rows out of order"):
        write(tmp_path, make_frame().iloc[::-1])
    frame = make_frame("../../escaped")
    with pytest.raises(BadInput, match="cannot name a file"):
        write(tmp_path, frame)
    with pytest.raises(BadInput, match="of another experiment"):
        write_experiment(tmp_path, make_frame(), {"experiment_id": "other", "service": "frontend"})
    assert not any(tmp_path.iterdir())


def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "wall").write_text("a file where a folder is needed")
    with pytest.raises(MoraError, match=r"Cannot write .*(Not a directory|File exists)"):
        write_files([(tmp_path / "a/one", "1"), (tmp_path / "wall/two", "2")])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["wall"]


def test_a_temporary_file_that_a_crash_left_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    folder.mkdir()
    (folder / ".frontend_browsing_replicas_2_users_40.csv.tmp").write_text("torn")
    path = write(tmp_path, make_frame())
    assert sorted(p.name for p in folder.iterdir()) == [path.name, f"{path.stem}.json"]
    assert len(read_dataset("frontend", tmp_path)) == 20


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tiny_disk: Path) -> None:
    kept = write(tiny_disk, make_frame(rows=20))
    frame = make_frame("frontend_browsing_replicas_2_users_40_run_2", rows=2000)
    with pytest.raises(MoraError, match=r"Cannot write .*run_2\.csv: No space left on device\.\nFree some space"):
        write(tiny_disk, frame)
    assert sorted(p.name for p in kept.parent.iterdir()) == [kept.name, f"{kept.stem}.json"]
    assert len(read_dataset("frontend", tiny_disk)) == 20


def test_a_full_device_is_said(tmp_path: Path) -> None:
    (tmp_path / ".full.tmp").symlink_to("/dev/full")
    with pytest.raises(MoraError, match=r"full: No space left on device"):
        write_files([(tmp_path / "full", "x")])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(MoraError, match="Cannot write"):
        write(Path("/proc"), make_frame())
