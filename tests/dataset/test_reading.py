"""A service's CSVs read back, and what breaks the contract refused by file and line."""

from __future__ import annotations

import json
import shutil
import string
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.dataset import (
    SCHEMA_VERSION,
    discard_experiment,
    read_cards,
    read_dataset,
    read_experiment,
    read_samples,
)
from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.metrics import ALL_COLUMNS, CORE_COLUMNS, EXTRA_COLUMNS, METRIC_COLUMNS, MOST
from tests.dataset.making import edit, make_frame, set_field, write


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


def test_a_dataset_is_sorted_by_experiment_and_time(tmp_path: Path) -> None:
    for suffix in ("_run_2", "", "_run_10"):
        write(tmp_path, make_frame(f"frontend_browsing_replicas_2_users_40{suffix}"))
    frame = read_dataset("frontend", tmp_path)
    keys = list(zip(frame["experiment_id"], frame["timestamp"], strict=True))
    assert keys == sorted(keys)
    assert frame["experiment_id"].nunique() == 3
    assert list(frame.columns) == list(ALL_COLUMNS)
    assert sorted(read_cards("frontend", tmp_path)) == sorted(frame["experiment_id"].unique())


def test_flagged_experiments_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write(tmp_path, make_frame("a"), quality={"is_complete": True})
    write(tmp_path, make_frame("b"), quality={"is_complete": False})
    assert set(read_dataset("frontend", tmp_path)["experiment_id"]) == {"a"}
    assert set(read_dataset("frontend", tmp_path, include_flagged=True)["experiment_id"]) == {"a", "b"}
    discard_experiment(tmp_path, "frontend", "a")
    with pytest.raises(
        NotEnoughData, match=r"None of the 1 experiments .*\(b: its quality check failed\)(.|\n)*--include-flagged"
    ):
        read_dataset("frontend", tmp_path)


def test_a_run_with_one_cell_that_its_load_cannot_explain_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, make_frame(name, rows=40).drop(columns="cpu_limit_cores"), quality={"is_complete": True})
    edit(tmp_path / "frontend" / "b.csv", set_field(9, "cpu_cores_value", "1500"))
    (tmp_path / "frontend" / "b.json").unlink()
    samples = read_samples("frontend", tmp_path)
    assert set(samples.frame["experiment_id"]) == {"a"}
    assert samples.left_out == {
        "b": "outlier_cpu_cores_value: 1 of 40 samples, up to 1500, are above 20 times the usual 0.25"
    }
    assert set(read_dataset("frontend", tmp_path, include_flagged=True)["experiment_id"]) == {"a", "b"}


def test_samples_of_a_history_that_cannot_be_use_are_not_known_and_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        frame = make_frame(name, rows=60).assign(scenario="observed", cpu_limit_cores=float("nan"))
        frame["replica_count"] = frame["load_users"] = float("nan")
        write(tmp_path, frame)
    edit(tmp_path / "frontend" / "b.csv", set_field(9, "cpu_cores_value", "1500"))
    edit(tmp_path / "frontend" / "c.csv", set_field(9, "cpu_cores_value", "15"))
    edit(tmp_path / "frontend" / "d.csv", set_field(9, "mem_bytes_value", str(2**40)))
    samples = read_samples("frontend", tmp_path)
    assert samples.left_out == {}
    assert samples.blanked == {
        "b": "cpu_cores_value: 1 of 60 samples, up to 1500, are above 20 times the usual 0.25",
        "d": "mem_bytes_value: 1 of 60 samples, up to 1.1e+12, are above 20 times the usual 5.243e+07",
    }
    assert samples.frame["cpu_cores_value"].max() == 15
    assert samples.frame["cpu_cores_value"].isna().sum() == samples.frame["mem_bytes_value"].isna().sum() == 1
    (reason,) = samples.reasons
    assert reason.code == "samples-left-out"
    assert reason.text.startswith("2 histories have samples that cannot be use, left out: b (cpu_cores_value: 1 of 60")
    whole = read_samples("frontend", tmp_path, include_flagged=True)
    assert (whole.reasons, whole.frame["cpu_cores_value"].max()) == ((), 1500)


def test_what_was_left_out_is_named_up_to_three(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d", "e"):
        write(tmp_path, make_frame(name), quality={"is_complete": name == "e", "flags": ["few_samples"]})
    (reason,) = read_samples("frontend", tmp_path).reasons
    assert reason.code == "experiments-left-out"
    assert reason.text == ("4 flagged experiments are not used: a (few_samples); b (few_samples); c (few_samples); ...")


def test_a_service_without_data_is_refused_with_those_that_have_some(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"no data of 'cart'(.|\n)*frontend"):
        read_dataset("cart", tmp_path)
    with pytest.raises(BadDataset, match="mora collect"):
        read_dataset("cart", tmp_path / "elsewhere")
    with pytest.raises(BadDataset, match=r"Did you mean frontend\?"):
        read_dataset("fronted", tmp_path)
    with pytest.raises(BadInput, match="not a valid service name"):
        read_dataset("../frontend", tmp_path)


def test_a_file_that_is_no_dataset_at_all_is_refused_without_a_list_of_its_columns(written: Path) -> None:
    written.write_text("garbage,1,2\n", encoding="utf-8")
    with pytest.raises(BadDataset, match="not the header of a unified CSV") as refused:
        read_experiment(written)
    assert "from experiment_id to" in str(refused.value.hint)


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


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("mem_bytes_value", "1e308"),
        ("cpu_cores_value", "1000000"),
        ("cpu_cores_value", "2049"),
        ("load_users", "1e12"),
        ("replica_count", "1e9"),
        ("error_ratio", "1e3"),
        ("latency_p95_seconds", "1e6"),
        ("mem_limit_bytes", "1e19"),
    ],
)
def test_what_no_machine_and_no_cluster_can_have_is_refused_by_file_and_line(
    written: Path, column: str, value: str
) -> None:
    edit(written, set_field(7, column, value))
    with pytest.raises(BadDataset, match=rf"{written.name}, line 7: {column} is impossibly large") as refused:
        read_experiment(written)
    assert "from 0 to" in str(refused.value.hint)


@given(st.data())
def test_no_value_beyond_its_columns_bounds_is_ever_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(tmp_path_factory.mktemp("given"), make_frame(rows=2))
    column = data.draw(st.sampled_from(sorted(MOST)))
    value = data.draw(st.floats(allow_nan=False))
    edit(path, set_field(2, column, repr(value)))
    edit(path, set_field(3, column, repr(value)))
    is_whole = column not in ("replica_count", "load_users") or value % 1 == 0
    if 0 <= value <= MOST[column] and is_whole:
        assert (read_experiment(path)[column] == value).all()
    else:
        with pytest.raises(BadDataset, match=f"{path.name}, line 2: {column} is "):
            read_experiment(path)


@pytest.mark.parametrize("column", ["replica_count", "load_users"])
def test_half_a_replica_and_half_a_user_are_refused(written: Path, column: str) -> None:
    edit(written, set_field(2, column, "1.5"))
    with pytest.raises(BadDataset, match=rf"line 2: {column} is 1.5, not a whole number"):
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


def test_one_wrong_time_does_not_lay_a_grid_over_decades(written: Path) -> None:
    edit(written, set_field(2, "timestamp", "2001-01-01T00:00:00Z"))
    with pytest.raises(BadDataset, match=rf"{written.name}: the samples span 9,435 days .* at one every 1s"):
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
    with pytest.raises(BadDataset, match=rf"zz\.csv, line 2: the experiment is '{written.stem}'"):
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


@pytest.mark.parametrize("year", ["1970", "1999", "2101", "9999"])
def test_times_that_no_working_clock_shows_are_refused(written: Path, year: str) -> None:
    edit(written, set_field(4, "timestamp", f"{year}-11-01T12:00:02Z"))
    with pytest.raises(BadDataset, match=rf"{written.name}, line 4: timestamp is '{year}-.*not between 2000 and 2100"):
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
def test_whatever_is_below_the_header_is_refused_by_file_and_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("given") / "any.csv"
    path.write_text(",".join(CORE_COLUMNS) + "\n" + text, encoding="utf-8", newline="")
    with pytest.raises(BadDataset, match=r"any\.csv"):
        read_experiment(path)


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
