"""CsvSource over files that dataset.py wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from mora import dataset
from mora.domain import Window, Workload
from mora.errors import BadDataset, BadInput, SourceUnavailable
from mora.metrics import CONTEXT_COLUMNS, METRIC_COLUMNS
from mora.sources.csvfile import CsvSource

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = timedelta(seconds=15)
FRONTEND = Workload("default", "frontend")


def write(data_dir: Path, number: int, *, is_complete: bool = True) -> None:
    """An experiment of 20 rows that begins `number` hours after START; its CPU is its number."""
    experiment_id = f"frontend_browsing_replicas_2_users_{10 * (number + 1)}"
    times = pd.date_range(START + timedelta(hours=number), periods=20, freq=STEP, unit="us")
    frame = pd.DataFrame({column: [0.5] * 20 for column in METRIC_COLUMNS}).assign(
        experiment_id=experiment_id,
        service="frontend",
        scenario="browsing",
        replica_count=2.0,
        load_users=10.0 * (number + 1),
        timestamp=times,
        cpu_cores_value=float(number + 1),
        mem_limit_bytes=2.0**28,
    )
    card = {
        "experiment_id": experiment_id,
        "service": "frontend",
        "container": "server",
        "container_chosen_by": "the only container",
        "quality": {"is_complete": is_complete},
    }
    frame = frame[[*CONTEXT_COLUMNS, *METRIC_COLUMNS, "mem_limit_bytes"]]
    dataset.write_experiment(data_dir, frame, card)


def test_an_observation_is_the_rows_inside_the_window(tmp_path: Path) -> None:
    write(tmp_path, 0)
    write(tmp_path, 1)
    source = CsvSource(tmp_path)
    window = Window(START + timedelta(seconds=30), START + timedelta(hours=1, seconds=30), STEP)
    seen = source.observe(FRONTEND, window)
    assert seen.metrics["cpu_cores_value"].tolist() == [1.0] * 18 + [2.0] * 3
    assert seen.metrics.index[0] == window.start
    assert seen.metrics.index[-1] == window.end
    assert list(seen.metrics.columns) == [*METRIC_COLUMNS, "mem_limit_bytes"]
    assert (seen.main_container, seen.main_container_chosen_by) == ("server", "the only container")
    assert source.services("default") == ["frontend"]
    assert source.services("shop") == []


def test_flagged_experiments_are_observed_on_demand_only(tmp_path: Path) -> None:
    write(tmp_path, 0)
    write(tmp_path, 1, is_complete=False)
    window = Window(START, START + timedelta(hours=2), STEP)
    assert len(CsvSource(tmp_path).observe(FRONTEND, window).metrics) == 20
    assert len(CsvSource(tmp_path, include_flagged=True).observe(FRONTEND, window).metrics) == 40


def test_a_window_without_samples_is_reported_with_the_time_range_that_has_some(tmp_path: Path) -> None:
    write(tmp_path, 0)
    with pytest.raises(SourceUnavailable, match=r"no samples of 'frontend'[^$]*2026-03-01 12:00:00"):
        CsvSource(tmp_path).observe(FRONTEND, Window(START - timedelta(days=2), START - timedelta(days=1), STEP))


def test_a_service_without_files_is_reported_with_those_that_have_some(tmp_path: Path) -> None:
    write(tmp_path, 0)
    with pytest.raises(BadDataset, match="frontend"):
        CsvSource(tmp_path).observe(Workload("default", "cart"), Window(START, START, STEP))


def test_it_is_opened_by_its_registered_name_and_read_like_any_other_source(tmp_path: Path) -> None:
    from mora import pipeline
    from mora.harness.history import collect_history
    from mora.settings import Settings

    write(tmp_path / "there", 0)
    source = pipeline.open_source(Settings(), f"csv:{tmp_path / 'there'}")
    (path,) = collect_history(source, [FRONTEND], Window(START, START + 40 * STEP, STEP), tmp_path / "here")
    assert path.is_relative_to(tmp_path / "here")
    rows = dataset.read_dataset("frontend", tmp_path / "here", include_flagged=True)
    assert rows["cpu_cores_value"].tolist() == [1.0] * 20
    assert rows["timestamp"].min() == START


@pytest.mark.parametrize(
    ("named", "words"), [("csv", "needs an address"), ("influx:x", "no 'influx' among the sources")]
)
def test_a_source_that_cannot_be_opened_is_refused(named: str, words: str) -> None:
    from mora import pipeline
    from mora.settings import Settings

    with pytest.raises(BadInput, match=words):
        pipeline.open_source(Settings(), named)
