"""The load of the demo fits the speed of the machine: what a few users cost says how many there are to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora import pipeline
from mora.dataset import assess_quality, unify, write_experiment
from mora.demo.scaling import Scaling, fitting_users, measure_scaling, with_users
from mora.domain import Window, Workload
from mora.errors import MoraError
from mora.harness.card import observation_card
from mora.harness.plan import Cell, Plan
from mora.seams import Silent
from tests.fakes import FakeCluster, FakeSource

FRONTEND, CART = Workload("default", "frontend"), Workload("default", "cartservice")
CELL = Cell("checkout", 1, 60)


@given(share=st.floats(1e-4, 1.0), replicas=st.integers(1, 10))
def test_a_slower_machine_never_gets_more_users(share: float, replicas: int) -> None:
    assert fitting_users(share * 1.1, replicas) <= fitting_users(share, replicas)


@given(share=st.floats(0.012, 0.25))
def test_one_replica_is_too_few_and_three_are_enough_on_any_machine(share: float) -> None:
    users = fitting_users(share, 3)
    assert users * share > 1.2
    assert users * share / 3 < 0.7


def place_of(monkeypatch: pytest.MonkeyPatch, cost: dict[str, float], driven: list[Cell]) -> pipeline.Place:
    """A shop whose services need `cost` of their CPU limit for one user, and never more than all of it."""
    workloads = tuple(Workload("default", name) for name in cost)

    def collect(plan: Plan, place: pipeline.Place, *, data_dir: Path, **_: Any) -> None:
        (cell,) = plan.cells
        driven.append(cell)
        window = Window(
            datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 0, 0, 9, tzinfo=UTC), timedelta(seconds=1)
        )
        for workload in place.workloads:
            seen = FakeSource().observe(workload, window)
            # The first samples still contain the start of the users.
            used = [0.0] * 8 + [min(cost[workload.name] * cell.users / cell.replicas, 1.0) * 0.18] * 2
            name = cell.experiment(workload.name).id
            frame = unify(
                seen.metrics.assign(cpu_cores_value=used, cpu_limit_cores=0.18),
                experiment_id=name,
                service=workload.name,
                scenario=cell.scenario,
                replica_count=cell.replicas,
                load_users=cell.users,
            )
            card = observation_card(seen, frame, assess_quality(frame, window), window)
            write_experiment(data_dir, frame, card, seen.containers)

    monkeypatch.setattr(pipeline, "collect", collect)
    return pipeline.Place(FakeCluster(), FakeSource(), workloads, "frontend", "http://127.0.0.1:1")


def test_the_service_nearest_to_its_limit_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven: list[Cell] = []
    place = place_of(monkeypatch, {"frontend": 0.03, "cartservice": 0.01}, driven)
    found = measure_scaling(Plan.load("demo"), CELL, place, data_dir=tmp_path, reporter=Silent())
    assert (found.service, found.users) == ("frontend", 57)
    assert found.limit_share_per_user == pytest.approx(0.03)
    assert str(found).endswith("a user takes 3.0% of the CPU limit of one pod of frontend, so the load is 57 users")
    assert [cell.users for cell in driven] == [12]


def test_a_machine_too_slow_for_the_first_few_users_is_asked_with_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven: list[Cell] = []
    place = place_of(monkeypatch, {"frontend": 0.2}, driven)
    found = measure_scaling(Plan.load("demo"), CELL, place, data_dir=tmp_path, reporter=Silent())
    assert [cell.users for cell in driven] == [12, 4]
    assert found == Scaling(9, "frontend", pytest.approx(0.2))  # type: ignore[arg-type]


def test_a_shop_whose_use_was_not_measured_is_an_error_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(monkeypatch, {"frontend": float("nan")}, [])
    with pytest.raises(MoraError, match=r"not measured while 12 users of checkout(.|\n)*idle CPU"):
        measure_scaling(Plan.load("demo"), CELL, place, data_dir=tmp_path, reporter=Silent())


def test_every_cell_of_the_plan_gets_the_users() -> None:
    plan = with_users(Plan.load("demo"), 44)
    assert [(cell.replicas, cell.users) for cell in plan.cells] == [(1, 44), (2, 44), (3, 44)]
    assert [cell.duration for cell in plan.cells] == [cell.duration for cell in Plan.load("demo").cells]
