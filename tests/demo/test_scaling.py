"""The load of the demo fits the speed of the machine: what a few users cost says how many there are to be."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora import pipeline
from mora.demo.scaling import collect_scaled, fitting_users, measure_scaling, with_users
from mora.domain import Observation, Window, Workload
from mora.errors import MoraError
from mora.harness.drive import Site
from mora.harness.host import HostUse
from mora.harness.plan import Cell, Plan
from mora.seams import Silent
from tests.demo.runs import write_run
from tests.fakes import FakeClock, FakeCluster, FakeLoad, FakeSource
from tests.fakes_host import FakeHost

CELL = Cell("checkout", 1, 60)


@given(share=st.floats(1e-4, 1.0), replicas=st.integers(1, 10))
def test_a_slower_machine_never_gets_more_users(share: float, replicas: int) -> None:
    assert fitting_users(share * 1.1, replicas) <= fitting_users(share, replicas)


@given(share=st.floats(0.012, 0.25))
def test_one_replica_is_too_few_and_three_are_enough_on_any_machine(share: float) -> None:
    users = fitting_users(share, 3)
    assert users * share > 1.2
    assert users * share / 3 < 0.65


class Shop(FakeSource):
    """Services that need `cost` of their CPU limit for a user, and never get more than all of it."""

    def __init__(self, cost: dict[str, float]) -> None:
        super().__init__(tuple(cost))
        self.cost, self.clock, self.driven = cost, FakeClock(), list[int]()

    def observe(self, workload: Workload, window: Window) -> Observation:
        seen = super().observe(workload, window)
        used = min(self.cost[workload.name] * self.driven[-1], 1.0) * 0.18
        # The first rates still contain the start of the users.
        early = [0.0] * (len(seen.metrics) - 3)
        return replace(
            seen, metrics=seen.metrics.assign(cpu_limit_cores=0.18, cpu_cores_value=[*early, used, used, used])
        )

    def start(self, *arguments: Any, **options: Any) -> FakeLoad:
        self.driven.append(options["users"])
        return FakeLoad(self.clock).start(*arguments, **options)

    @property
    def site(self) -> Site:
        workloads = [Workload("default", name) for name in self.cost]
        cluster = FakeCluster(dict.fromkeys(self.cost, 1))
        return Site(cluster, self, workloads, "http://127.0.0.1:1", clock=self.clock, start_load=self.start)


def test_the_service_nearest_to_its_limit_decides() -> None:
    shop = Shop({"frontend": 0.03, "cartservice": 0.01})
    found = measure_scaling(Plan.load("demo"), CELL, shop.site, reporter=Silent())
    assert (found.service, found.users) == ("frontend", 52)
    assert found.limit_share_per_user == pytest.approx(0.03)
    assert str(found).endswith("a user takes 3.0% of the CPU limit of one pod of frontend, so the load is 52 users")
    assert shop.driven == [12]


def test_a_machine_too_slow_for_the_first_few_users_is_asked_with_fewer() -> None:
    shop = Shop({"frontend": 0.2})
    found = measure_scaling(Plan.load("demo"), CELL, shop.site, reporter=Silent())
    assert shop.driven == [12, 4]
    assert found.users == 8
    assert found.limit_share_per_user == pytest.approx(0.2)


def test_a_shop_whose_use_was_not_measured_is_an_error_with_what_to_do() -> None:
    with pytest.raises(MoraError, match=r"not measured while 12 users of checkout(.|\n)*idle CPU"):
        measure_scaling(Plan.load("demo"), CELL, Shop({"frontend": math.nan}).site, reporter=Silent())


def test_every_cell_of_the_plan_gets_the_users() -> None:
    plan = with_users(Plan.load("demo"), 44)
    assert [(cell.replicas, cell.users) for cell in plan.cells] == [(1, 44), (2, 44), (3, 44)]
    assert [cell.duration for cell in plan.cells] == [cell.duration for cell in Plan.load("demo").cells]


def collecting(monkeypatch: pytest.MonkeyPatch, share_per_user: float) -> list[Cell]:
    """Experiments that write data in which a user takes that share of the CPU limit; the cells, as they are driven."""
    driven: list[Cell] = []

    def collect(plan: Plan, place: pipeline.Place, *, data_dir: Path, **_: Any) -> None:
        for cell in plan.cells:
            driven.append(cell)
            used = share_per_user * cell.users / cell.replicas * 0.18
            write_run(data_dir, cell, cpu_cores_value=used, cpu_limit_cores=0.18)

    monkeypatch.setattr(pipeline, "collect", collect)
    return driven


PLACE = pipeline.Place(
    FakeCluster(), FakeSource(), (Workload("default", "frontend"),), "frontend", "http://127.0.0.1:1"
)


def test_a_load_that_fits_is_driven_on_every_replica_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = collecting(monkeypatch, 0.03)
    plan = collect_scaled(with_users(Plan.load("demo"), 50), PLACE, data_dir=tmp_path, reporter=Silent(), say=print)
    assert [(cell.replicas, cell.users) for cell in driven] == [(3, 50), (1, 50), (2, 50)]
    assert sorted(plan.cells) == sorted(driven)


def test_a_load_that_is_too_much_for_the_most_replicas_is_lowered_before_the_others_are_driven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    driven = collecting(monkeypatch, 0.03)
    collect_scaled(with_users(Plan.load("demo"), 80), PLACE, data_dir=tmp_path, reporter=Silent(), say=print)
    assert [(cell.replicas, cell.users) for cell in driven] == [(3, 80), (3, 52), (1, 52), (2, 52)]
    assert "80 users took 80% of a CPU limit on 3 replicas: again with 52" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("use", "users"),
    [
        # 12 users take 0.3 cores: at most 0.8 x 1 core is 32 users, at most 0.8 x 2 cores more than the limits carry.
        (HostUse(cores=1, idle_cores=0.0, target_cores=0.3), 32),
        (HostUse(cores=2, idle_cores=0.0, target_cores=0.3), 52),
        # Where the hypervisor takes what it wants, what was idle is what there is.
        (HostUse(cores=2, idle_cores=0.4, target_cores=0.3, steal_cores=1.0), 22),
        (HostUse(cores=2, idle_cores=0.0, target_cores=0.3, steal_cores=1.7), 9),
        (HostUse(cores=2), 52),
    ],
)
def test_the_load_is_no_more_than_this_machine_has_cpu_for(use: HostUse, users: int) -> None:
    shop = Shop({"frontend": 0.03})
    site = replace(shop.site, host=FakeHost(use=use))
    assert measure_scaling(Plan.load("demo"), CELL, site, reporter=Silent()).users == users
