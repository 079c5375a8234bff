"""Adaptive plans run end to end with a shop of plain Python, whose knee is known; killed, resumed, refused."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.dataset import read_cards
from mora.domain import Observation, Slo, Window, Workload
from mora.errors import BadInput, MoraError
from mora.harness.arrivals import Offered
from mora.harness.experiment import RunReport, run_plan
from mora.harness.plan import Plan
from mora.harness.record import LoadRecord, Second
from tests.fakes import SHOP, FakeClock, FakeCluster, FakeSource

PLAN = """
scenarios = ["busy.py"]
duration = "30s"
settle = "10s"
ramp = "2s"

[adaptive]
first_users = 10
below = "20s"
short = "20s"
"""
LIMIT, CORES_A_USER = 0.4, 0.008


class Shop(AbstractContextManager["Shop"]):
    """A cluster's load and metrics in one: a pod breaks 300 ms at `knee` users; CPU is full before that."""

    def __init__(self, knee: float = 52.0, *, requests: int = 2, fails: bool = False, cpu: bool = True) -> None:
        self.knee, self.requests, self.fails, self.cpu = knee, requests, fails, cpu
        self.clock, self.cluster, self.driven = FakeClock(), FakeCluster(), list[int]()
        self.users = 0

    def start(self, scenario_file: Path, url: str, **options: Any) -> Shop:
        self.users, self.since = options["users"], self.clock.now()
        self.driven.append(self.users)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def share(self) -> float:
        return self.users / self.cluster.replicas["frontend"]

    def record(self) -> LoadRecord:
        passed = int((self.clock.now() - self.since).total_seconds())
        each = self.requests * self.users
        answer = round(min(max(300.0 * (self.share / self.knee) ** 5, 5.0), 20_000.0), 1)
        start = self.since.replace(microsecond=0).timestamp()
        return LoadRecord(
            [
                Second(start + n, self.users, each * n, each * n * self.fails, Counter({answer: each}))
                for n in range(passed)
            ]
        )

    def spawned_at(self) -> datetime | None:
        return self.since + timedelta(seconds=1)

    def check_running(self) -> None:
        return None

    def recent_error_ratio(self, now: datetime) -> float:
        return 0.0

    def offered(self, start: datetime, end: datetime) -> Offered | None:
        return None


class Metrics(FakeSource):
    """The CPU that the shop's users cost, up to the limit; fails at its `at`-th question, like a kill."""

    def __init__(self, shop: Shop, *, at: float = math.inf) -> None:
        super().__init__()
        self.shop, self.at = shop, at

    def observe(self, workload: Workload, window: Window) -> Observation:
        if len(self.asked) + 1 >= self.at:
            raise KeyboardInterrupt
        found = super().observe(workload, window)
        use = min(CORES_A_USER * self.shop.share, LIMIT) if workload.name == "frontend" else 0.001
        found.metrics["cpu_cores_value"] = use if self.shop.cpu else math.nan
        found.metrics["cpu_limit_cores"] = LIMIT
        found.metrics["throttled_ratio"] = 0.0
        return found


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "busy.py").write_text("# a locustfile\n")
    (tmp_path / "small.toml").write_text(PLAN)
    return Plan.load(tmp_path / "small.toml")


def run(plan: Plan, data: Path, shop: Shop, *, at: float = math.inf, **options: Any) -> RunReport:
    return run_plan(
        plan,
        shop.cluster,
        Metrics(shop, at=at),
        workloads=SHOP,
        entry_service="frontend",
        load_url="http://127.0.0.1:8080",
        data_dir=data,
        clock=shop.clock,
        start_load=shop.start,
        **options,
    )


def test_a_run_brackets_the_knee_and_says_what_a_pod_carries(plan: Plan, tmp_path: Path) -> None:
    shop = Shop(52)
    report = run(plan, tmp_path / "data", shop)
    (found,) = report.capacities
    assert len(report.written) <= 8
    assert found.bracket.kept is not None
    assert found.bracket.broken is not None
    assert found.bracket.kept.users <= 52 <= found.bracket.broken.users <= 1.1 * found.bracket.kept.users + 1
    assert found.full is not None
    assert (found.full.service, round(found.full.users_per_pod)) == ("frontend", 35)
    assert [(trial.replicas, trial.users) for trial in found.several] == [(2, 70)]
    assert shop.cluster.replicas == {"cartservice": 1, "frontend": 2}


def test_a_run_that_has_broken_the_slo_ends_early_and_its_card_says_so(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path / "data", Shop(40))
    cards = read_cards("frontend", tmp_path / "data")
    early = {card["load_users"] for card in cards.values() if card["ended_early"]}
    broken = {card["load_users"] for card in cards.values() if card["load_test"]["latency_p95_seconds"] > 0.3}
    assert early == broken != set()
    for card in cards.values():
        assert card["quality"]["samples"] == (30 if card["load_users"] == 10 else 15 if card["ended_early"] else 20)
        low, high = card["load_test"]["latency_p95_interval_seconds"]
        assert low <= card["load_test"]["latency_p95_seconds"] <= high


@pytest.mark.parametrize("at", [1, 2, 4, 7, 9])
def test_a_killed_run_is_resumed_with_the_same_experiments(plan: Plan, tmp_path: Path, at: int) -> None:
    whole = run(plan, tmp_path / "whole", Shop(52))
    shop = Shop(52)
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path / "data", shop, at=at)
    assert shop.cluster.replicas == {"cartservice": 1, "frontend": 2}
    rest = run(plan, tmp_path / "data", shop, resume=True)
    assert (*rest.skipped, *rest.written) == whole.written
    assert rest.capacities[0].users == whole.capacities[0].users
    again = run(plan, tmp_path / "data", shop, resume=True)
    assert (again.written, again.skipped) == ((), whole.written)
    assert again.capacities[0].users == whole.capacities[0].users


def test_another_slo_is_another_run(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path / "data", Shop(52))
    with pytest.raises(BadInput, match="cannot be continued"):
        run(plan.looking_for(Slo(0.2, 0.01), None), tmp_path / "data", Shop(52), resume=True)
    with pytest.raises(BadInput, match="already has"):
        run(plan, tmp_path / "data", Shop(52))


def test_a_scenario_without_requests_writes_nothing_and_can_be_continued(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(MoraError, match="The scenario busy sent no request"):
        run(plan, tmp_path / "data", Shop(52, requests=0))
    assert not list((tmp_path / "data").glob("*/*.csv"))
    assert run(plan, tmp_path / "data", Shop(52), resume=True).capacities


def test_a_target_that_hangs_at_a_later_load_ends_the_run_in_place_of_going_round(plan: Plan, tmp_path: Path) -> None:
    class Hanging(Shop):
        def start(self, scenario_file: Path, url: str, **options: Any) -> Shop:
            self.requests = 2 if not self.driven else 0
            assert len(self.driven) < 9, "the same load again and again"
            return super().start(scenario_file, url, **options)

    shop = Hanging(52)
    with pytest.raises(MoraError, match=r"The target answered no request of busy, 1 replica, \d+ users\.") as caught:
        run(plan, tmp_path / "data", shop)
    assert len(shop.driven) == 2
    assert "--resume" in (caught.value.hint or "")
    assert run(plan, tmp_path / "data", Shop(52), resume=True).capacities


def test_a_target_with_errors_only_is_refused_before_anything_is_written(plan: Plan, tmp_path: Path) -> None:
    shop = Shop(52, fails=True)
    with pytest.raises(MoraError, match="with errors only"):
        run(plan, tmp_path / "data", shop)
    assert not list((tmp_path / "data").glob("*/*.csv"))
    assert shop.cluster.replicas == {"cartservice": 1, "frontend": 2}


def test_an_slo_that_one_user_breaks_is_refused_with_the_figure(plan: Plan, tmp_path: Path) -> None:
    shop = Shop(0.5)
    with pytest.raises(MoraError, match=r"with one user p95 9\.6s is over 300ms"):
        run(plan, tmp_path / "data", shop)
    assert shop.driven == [10, 3, 1]


def test_targets_without_cpu_samples_end_the_run_in_place_of_going_round(plan: Plan, tmp_path: Path) -> None:
    shop = Shop(52, cpu=False)
    with pytest.raises(MoraError, match="no CPU and memory samples of the targets during busy, 1 replica"):
        run(plan, tmp_path / "data", shop)
    assert len(shop.driven) == 1


def test_a_progress_line_counts_the_runs_that_are_expected(plan: Plan, tmp_path: Path) -> None:
    lines: list[tuple[float, float]] = []

    class Notes:
        def advance(self, task: str, done: float, total: float, note: str = "") -> None:
            lines.append((done, total))

    report = run(plan, tmp_path / "data", Shop(52), reporter=Notes())
    assert all(done <= total <= 8 for done, total in lines)
    assert lines[0][1] == 6
    assert lines[-1][1] == len(report.written)


def test_a_listed_plan_says_nothing_of_capacity(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "listed.toml").write_text(
        'scenarios = ["busy.py"]\nreplicas = [1]\nusers = [60]\nduration = "20s"\nsettle = "10s"\nramp = "2s"\n'
    )
    report = run(Plan.load(tmp_path / "listed.toml"), tmp_path / "data", Shop(40))
    assert report.capacities == ()
    card = json.loads((tmp_path / "data/frontend/frontend_busy_replicas_1_users_60.json").read_text())
    assert card["ended_early"] is False
