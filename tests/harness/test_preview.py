"""What a run would do: its experiments, its duration, its queries, its targets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mora.errors import BadConfig
from mora.harness.plan import Plan
from mora.harness.preview import dry_run, experiment_duration, target_workloads, whole_second
from tests.fakes import SHOP, FakeClock, FakeSource


@pytest.fixture
def plan() -> Plan:
    return replace(Plan.load("quick"), duration=timedelta(seconds=20), settle=timedelta(seconds=10))


def test_a_dry_run_lists_experiments_duration_and_queries(plan: Plan) -> None:
    source = FakeSource()
    dry = dry_run(plan, source, SHOP, clock=FakeClock())
    assert list(dry.cells) == plan.experiments()
    assert dry.duration == 12 * experiment_duration(plan, plan.cells[0])
    assert dry.duration > 12 * (plan.ramp + plan.settle + plan.duration)
    assert dry.queries["frontend"]["cpu_cores_value"] == 'cpu_cores_value{service="frontend"}'
    assert source.asked == []  # no query was sent


def test_a_cell_with_a_window_of_its_own_takes_as_long_as_that(plan: Plan) -> None:
    first, *others = plan.cells
    shorter = replace(plan, cells=(replace(first, duration=timedelta(seconds=10)), *others))
    full, short = (dry_run(one, FakeSource(), SHOP, clock=FakeClock()).duration for one in (plan, shorter))
    assert full - short == timedelta(seconds=10)


def test_a_dry_run_refuses_a_target_that_is_not_measured(plan: Plan) -> None:
    with pytest.raises(
        BadConfig, match=r"targets: 'web' is not one of the measured services\.\nMeasured services: cart"
    ):
        dry_run(replace(plan, targets=("web",)), FakeSource(), SHOP, clock=FakeClock())


def test_the_targets_are_those_of_the_plan_else_all(plan: Plan) -> None:
    assert target_workloads(plan, SHOP) == list(SHOP)
    assert target_workloads(replace(plan, targets=("frontend",)), SHOP) == [SHOP[1]]


def test_a_moment_becomes_the_next_whole_second(tmp_path: Path) -> None:
    start = datetime(2026, 11, 1, 12, 0, 59, tzinfo=UTC)
    assert whole_second(start) == start
    assert whole_second(start + timedelta(microseconds=1)) == start + timedelta(seconds=1)
