"""History: what a source holds, as observed experiments."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mora.dataset import list_services, read_cards, read_dataset
from mora.domain import Observation, Window, Workload
from mora.errors import BadDataset, NotEnoughData
from mora.harness.history import collect_history
from tests.fakes import SHOP, FakeSource

WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 2, tzinfo=UTC), timedelta(seconds=60))


class LateSource(FakeSource):
    """Knows nothing of the first hour, has a gap later, and ends ten minutes early."""

    def observe(self, workload: Workload, window: Window) -> Observation:
        observation = super().observe(workload, window)
        for rows in (slice(0, 60), slice(80, 82), slice(111, None)):
            observation.metrics.iloc[rows] = math.nan
        observation.metrics["pod_restarts_value"] = 0.0  # answered with 0 where nothing ran
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


def test_time_before_and_after_what_is_known_is_left_off_and_said_and_gaps_stay(tmp_path: Path) -> None:
    collect_history(LateSource(), SHOP, WINDOW, tmp_path)
    frame = read_dataset("frontend", tmp_path)
    assert len(frame) == 51
    assert frame["cpu_cores_value"].isna().sum() == 2
    (experiment_id, card), *_ = read_cards("frontend", tmp_path).items()
    assert experiment_id == "frontend_observed_20261101T010000Z"
    assert card["quality"]["is_complete"] is True
    assert "known from 2026-11-01T01:00:00Z to 2026-11-01T01:50:00Z" in card["warnings"][0]


def test_a_service_without_history_is_refused_with_those_that_have_some_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match=r"Nothing is known of web(.|\n)*cartservice, frontend"):
        collect_history(FakeSource(), [*SHOP, Workload("default", "web")], WINDOW, tmp_path)
    assert list_services(tmp_path) == []


def test_time_that_was_collected_before_is_refused_and_later_time_is_not(tmp_path: Path) -> None:
    collect_history(FakeSource(), SHOP, WINDOW, tmp_path)
    for hours in (0, 1, 2):
        shift = timedelta(hours=hours)
        with pytest.raises(BadDataset, match=r"already holds what cartservice did from 2026-11-01 00:00 to"):
            collect_history(FakeSource(), SHOP, Window(WINDOW.start + shift, WINDOW.end + shift, WINDOW.step), tmp_path)
    shift = timedelta(hours=2, minutes=1)
    collect_history(FakeSource(), SHOP, Window(WINDOW.start + shift, WINDOW.end + shift, WINDOW.step), tmp_path)
    assert read_dataset("frontend", tmp_path)["experiment_id"].nunique() == 2


def test_another_namespace_gets_its_own_folder(tmp_path: Path) -> None:
    collect_history(FakeSource(["cart"]), [Workload("shop", "cart")], WINDOW, tmp_path)
    assert list_services(tmp_path, namespace="shop") == ["cart"]
