"""Collecting history: what a source has, as observed experiments."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mora.backtest.traces import read_service
from mora.dataset import list_services, read_cards, read_dataset
from mora.domain import Observation, Window, Workload
from mora.errors import BadDataset, NotEnoughData
from mora.harness.history import collect_history
from tests.fakes import SHOP, FakeSource

WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 2, tzinfo=UTC), timedelta(seconds=60))


class LateSource(FakeSource):
    """Has no samples of the first hour, a gap later, and ends ten minutes early."""

    def observe(self, workload: Workload, window: Window) -> Observation:
        observation = super().observe(workload, window)
        for rows in (slice(0, 60), slice(80, 82), slice(111, None)):
            observation.metrics.iloc[rows] = math.nan
        observation.metrics["pod_restarts_value"] = 0.0  # 0 where nothing ran
        return observation


def test_history_becomes_an_observed_experiment_a_service(tmp_path: Path) -> None:
    paths = collect_history(FakeSource(), SHOP, WINDOW, tmp_path)
    assert [path.name for path in paths] == [
        "cartservice_observed_20261101T000000Z.csv",
        "frontend_observed_20261101T000000Z.csv",
    ]
    frame = read_dataset("frontend", tmp_path)
    assert len(frame) == WINDOW.sample_count == 121
    assert set(frame["scenario"]) == {"observed"}
    assert frame[["replica_count", "load_users"]].isna().all(axis=None)


def test_a_card_of_history_names_no_plan_and_keeps_the_resources_seen_last(tmp_path: Path) -> None:
    collect_history(FakeSource(), SHOP, WINDOW, tmp_path)
    (card,) = read_cards("frontend", tmp_path).values()
    assert (card["plan"], card["run_id"], card["load_test"], card["startup"]) == (None, None, None, None)
    assert card["window"] == {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T02:00:00Z", "step_seconds": 60.0}
    assert card["resources"]["cpu_request_millicores"] == 340
    assert card["quality"]["is_complete"] is True
    assert card["warnings"] == []
    assert "cpu_cores_value" in card["queries"]


def test_a_file_starts_and_ends_with_known_samples_says_so_and_keeps_gaps(tmp_path: Path) -> None:
    collect_history(LateSource(), SHOP, WINDOW, tmp_path)
    frame = read_dataset("frontend", tmp_path)
    assert len(frame) == 51
    assert frame["cpu_cores_value"].isna().sum() == 2
    (experiment_id, card), *_ = read_cards("frontend", tmp_path).items()
    assert experiment_id == "frontend_observed_20261101T010000Z"
    assert card["quality"]["is_complete"] is True
    assert "samples: 2026-11-01 01:00 UTC to 2026-11-01 01:50 UTC" in card["warnings"][0]


def test_a_service_without_history_is_an_error_with_those_that_have_some_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match=r"There are no metrics of web(.|\n)*cartservice, frontend"):
        collect_history(FakeSource(), [*SHOP, Workload("default", "web")], WINDOW, tmp_path)
    assert list_services(tmp_path) == []


def later(hours: float) -> Window:
    """The window, that much later."""
    return Window(WINDOW.start + timedelta(hours=hours), WINDOW.end + timedelta(hours=hours), WINDOW.step)


def collect_twice(folder: Path, second: Window, source: FakeSource | None = None) -> tuple[FakeSource, list[str]]:
    """Collect the window, then another one; the source and the lines of the second run."""
    lines: list[str] = []
    collect_history(FakeSource(), SHOP, WINDOW, folder)
    asked = source or FakeSource()
    collect_history(asked, SHOP, second, folder, say=lines.append)
    return asked, lines


@pytest.mark.parametrize("hours", [0.5, 1.0, 2.0, 2.0 + 1 / 60])
def test_a_second_run_continues_after_the_first_and_both_are_one_history(tmp_path: Path, hours: float) -> None:
    source, lines = collect_twice(tmp_path, later(hours))
    assert {window.start for _, window in source.asked} == {WINDOW.end + WINDOW.step}
    frame = read_dataset("frontend", tmp_path)
    assert frame["experiment_id"].nunique() == 2
    assert set(frame["timestamp"].diff().dropna()) == {WINDOW.step}
    assert len(frame) == later(hours).end.timestamp() // 60 - WINDOW.start.timestamp() // 60 + 1
    assert "frontend: continues after 2026-11-01 02:00 UTC." in lines or hours > 2
    replayed = read_service(frame, "frontend")  # as training and the backtest see it
    assert (replayed.sample_count, replayed.step_seconds) == (len(frame), 60)
    assert replayed.cpu is not None
    assert not np.isnan(replayed.cpu).any()


def test_without_new_samples_nothing_is_queried_or_written_and_a_line_says_so(tmp_path: Path) -> None:
    source, lines = collect_twice(tmp_path, later(-1))
    assert source.asked == []
    assert "frontend: no new samples since 2026-11-01 02:00 UTC." in lines
    assert any("frontend: samples before 2026-11-01 00:00 UTC are not read" in line for line in lines)
    assert read_dataset("frontend", tmp_path)["experiment_id"].nunique() == 1


def test_a_gap_longer_than_the_window_gets_a_line(tmp_path: Path) -> None:
    _, lines = collect_twice(tmp_path, later(5))
    gap = "frontend: 2026-11-01 02:00 UTC to 2026-11-01 05:00 UTC remains a gap"
    assert any(gap in line for line in lines)
    assert len(read_dataset("frontend", tmp_path)) == 2 * WINDOW.sample_count


def test_a_deleted_service_keeps_its_history_and_does_not_stop_the_others(tmp_path: Path) -> None:
    _, lines = collect_twice(tmp_path, later(1), FakeSource(["cartservice"]))
    assert "frontend: no data since 2026-11-01 02:00 UTC." in lines
    assert len(read_dataset("frontend", tmp_path)) == 121
    assert len(read_dataset("cartservice", tmp_path)) == 181


def test_another_step_than_before_is_refused_with_the_step_to_use(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"a step of 1m, and this window has one of 30s(.|\n)*--step 1m"):
        collect_twice(tmp_path, Window(later(1).start, later(1).end, timedelta(seconds=30)))
    assert read_dataset("frontend", tmp_path)["experiment_id"].nunique() == 1


def test_the_next_run_reads_what_a_killed_one_missed(tmp_path: Path) -> None:
    collect_history(FakeSource(), SHOP, WINDOW, tmp_path)
    collect_history(FakeSource(), SHOP[:1], later(1), tmp_path)  # as if it was killed between two services
    collect_history(FakeSource(), SHOP, later(2), tmp_path)
    assert {len(read_dataset(workload.name, tmp_path)) for workload in SHOP} == {241}


def test_another_namespace_gets_its_own_folder(tmp_path: Path) -> None:
    collect_history(FakeSource(["cart"]), [Workload("shop", "cart")], WINDOW, tmp_path)
    assert list_services(tmp_path, namespace="shop") == ["cart"]
