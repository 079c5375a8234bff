"""Files of load experiments, as a run writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from mora.dataset import assess_quality, unify, write_experiment
from mora.domain import Window, Workload
from mora.harness.card import observation_card
from mora.harness.plan import Cell
from tests.fakes import FakeSource


def write_run(
    data_dir: Path, cell: Cell, *, p95_seconds: float | None = 1.5, contended: str = "", **columns: float
) -> None:
    """The files of one load experiment of the frontend. contended: how that shows. columns: other values of it."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    window = Window(start, start + timedelta(seconds=39), timedelta(seconds=1))
    observation = FakeSource().observe(Workload("default", "frontend"), window)
    frame = unify(
        observation.metrics.assign(**columns),
        experiment_id=cell.experiment("frontend").id,
        service="frontend",
        scenario=cell.scenario,
        replica_count=cell.replicas,
        load_users=cell.users,
    )
    card = observation_card(observation, frame, assess_quality(frame, window), window)
    card["load_test"] = {"latency_p95_seconds": p95_seconds, "error_ratio": 0.0}
    card["contention"] = {"is_contended": bool(contended), "reasons": [contended] if contended else []}
    write_experiment(data_dir, frame, card, observation.containers)
