"""The JSON files have every field that Helios' have, under its names, in its shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from mora.contest.artifacts import artifacts
from tests.contest.compared import compared

AT = datetime(2026, 1, 1, 10, 0, 0, 5, tzinfo=UTC)


def test_the_files_are_named_as_helios_names_them_one_a_target_and_horizon() -> None:
    comparison, histories = compared()
    assert sorted(artifacts(comparison, histories, at=AT)) == [
        "data_summary_20260101_100000.json",
        "metrics_cpu_1h_20260101_100000.json",
        "metrics_cpu_24h_20260101_100000.json",
        "metrics_memory_1h_20260101_100000.json",
        "metrics_memory_24h_20260101_100000.json",
    ]


def test_metrics_have_all_fields_of_helios() -> None:
    comparison, histories = compared()
    found = json.loads(artifacts(comparison, histories, at=AT)["metrics_cpu_24h_20260101_100000.json"])
    assert found["timestamp"] == "2026-01-01T10:00:00Z"
    assert found["data_points"] == 2 * 8 * 288
    # 8 of the time and 14 of each of two metrics; a ratio of CPU to memory.
    assert found["features"] == 8 + 2 * 14 + 1
    naive, failing = found["models"]["naive"], found["models"]["failing"]
    assert {"mae", "rmse", "mape", "skill_score", "coverage"} <= set(naive)
    assert naive["skill_score"] == 0.0
    # A share, as in its document, and no percents.
    assert 0 < naive["mape"] < 1
    assert failing["mae"] is None


def test_the_data_summary_has_all_fields_of_helios_document_and_code() -> None:
    comparison, histories = compared()
    found = json.loads(artifacts(comparison, histories, at=AT)["data_summary_20260101_100000.json"])
    assert found["columns"] == ["timestamp", "cpu_cores_value", "mem_bytes_value"]
    assert found["shape"] == [found["n_records"], found["n_columns"]] == [2 * 8 * 288, 3]
    assert (
        found["time_range"]
        == found["date_range"]
        == {
            "start": "2026-01-01T00:00:00Z",
            "end": "2026-01-08T23:55:00Z",
        }
    )
    use = np.concatenate([history.columns["cpu_cores_value"] for history in histories])
    statistics = found["statistics"]["cpu_cores_value"]
    assert statistics == pytest.approx({"mean": use.mean(), "std": use.std(ddof=1), "min": use.min(), "max": use.max()})
    assert found["series"][1]["missing"] == {"cpu_cores_value": 0.0, "mem_bytes_value": 0.0}
