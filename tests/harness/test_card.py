"""The JSON beside a CSV: what driven and observed data share, and the peaks at start-up."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pandas as pd

from mora.dataset import assess_quality, unify
from mora.domain import Observation, Window, Workload
from mora.harness.card import observation_card, startup_peaks
from tests.fakes import FakeSource

WINDOW = Window(
    datetime(2026, 11, 1, 12, tzinfo=UTC), datetime(2026, 11, 1, 12, 0, 19, tzinfo=UTC), timedelta(seconds=1)
)
FRONTEND = Workload("default", "frontend")


def observed() -> tuple[Observation, pd.DataFrame]:
    observation = FakeSource().observe(FRONTEND, WINDOW)
    frame = unify(observation.metrics, experiment_id="frontend_observed_1", service="frontend", scenario="observed")
    return observation, frame


def test_a_card_names_workload_container_window_and_queries() -> None:
    observation, frame = observed()
    card = observation_card(observation, frame, assess_quality(frame, WINDOW), WINDOW)
    assert (card["namespace"], card["kind"], card["service"]) == ("default", "Deployment", "frontend")
    assert (card["container"], card["container_chosen_by"]) == ("frontend", "named like the workload")
    assert card["window"] == {"start": "2026-11-01T12:00:00Z", "end": "2026-11-01T12:00:19Z", "step_seconds": 1.0}
    assert card["queries"]["cpu_cores_value"] == 'cpu_cores_value{service="frontend"}'
    assert (card["rate_window_seconds"], card["quality"]["samples"]) == (10.0, 20)


def test_what_only_a_load_experiment_has_is_none() -> None:
    observation, frame = observed()
    card = observation_card(observation, frame, assess_quality(frame, WINDOW), WINDOW)
    for field in ("run_id", "plan", "order", "seed", "load_test", "startup", "replica_count", "load_users"):
        assert card[field] is None, field


def test_the_peaks_at_start_up_are_the_largest_known_samples() -> None:
    metrics = pd.DataFrame({"cpu_cores_value": [0.1, math.nan, 0.3], "mem_bytes_value": [math.nan] * 3})
    assert startup_peaks(metrics) == {"cpu_cores": 0.3, "mem_bytes": None}


def test_without_a_known_sample_there_are_no_peaks() -> None:
    assert startup_peaks(pd.DataFrame({"cpu_cores_value": [math.nan]})) is None
    assert startup_peaks(pd.DataFrame()) is None
