"""One history gets one verdict, whichever road asks: a driven run, an observed history, a fleet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mora.domain import ContainerHistory, Question, Reason, Target, Window, WorkloadHistory
from mora.fleet.batch import bounds_of
from mora.fleet.need import need_of
from mora.fleet.settings import FleetSettings, sizing_of
from mora.metrics import ALL_COLUMNS
from mora.model.observed_demand import ObservedAnswer
from mora.quantities import MIB
from mora.response import LoadResponse
from mora.saturation import Floats, limit_bound
from tests import fakes_learning as fakes
from tests.fleet.making import DAY, FRONTEND, NOW, SAMPLES, STEP, state, steady

NUMBERS = np.arange(SAMPLES)
LAST_WEEK = NUMBERS >= SAMPLES - 7 * DAY
USE, MEMORY = steady(0.2), steady(200 * MIB, seed=2)
BUSY, IDLE = np.quantile(USE, 0.9) <= USE, np.quantile(USE, 0.2) > USE


def since(days: float, before: float, after: float) -> Floats:
    """One level up to `days` ago, another from then on."""
    return np.where(SAMPLES - round(days * DAY) > NUMBERS, before, after)


def level(amount: float) -> Floats:
    return np.full(SAMPLES, amount)


@dataclass(frozen=True)
class Case:
    """Two weeks of one container, and whether the demand of its last week was seen in full."""

    name: str
    is_bound: bool
    target: Target = Target.CPU
    use: Floats = field(default_factory=lambda: USE)
    limit: Floats | None = None
    throttled: Floats | None = None
    oom_kills: int = 0


CPU = [
    Case("no limit and no counter", is_bound=False),
    Case("far below its limit", is_bound=False, limit=level(1.0), throttled=level(0.0)),
    Case("at its limit, without throttling counters", is_bound=True, use=np.minimum(USE, 0.2), limit=level(0.2)),
    Case(
        "at its limit and throttled",
        is_bound=True,
        use=np.minimum(USE, 0.2),
        limit=level(0.2),
        throttled=np.where(USE >= 0.2, 0.8, 0.0),
    ),
    Case(
        "at its limit, and not one period throttled",
        is_bound=False,
        use=np.minimum(USE, 0.2),
        limit=level(0.2),
        throttled=level(0.0),
    ),
    Case(
        "at its limit in one sample of a hundred",
        is_bound=False,
        use=np.where(NUMBERS % 100 == 0, 0.3, USE),
        limit=level(0.3),
    ),
    Case("throttled when busy", is_bound=True, throttled=np.where(BUSY, 0.4, 0.0)),
    Case("throttled when busy, below its limit", is_bound=True, limit=level(0.5), throttled=np.where(BUSY, 0.4, 0.0)),
    Case("throttled while idle", is_bound=False, throttled=np.where(IDLE, 0.9, 0.0)),
    Case("hardly throttled", is_bound=False, limit=level(0.5), throttled=level(0.05)),
    Case("throttled all the time", is_bound=True, limit=level(0.5), throttled=level(0.2)),
    Case("throttled before the last week", is_bound=False, throttled=np.where(LAST_WEEK, 0.0, 0.6)),
    Case(
        "limit raised three days ago",
        is_bound=False,
        use=np.minimum(steady(0.3), since(3, 0.2, 1.0)),
        limit=since(3, 0.2, 1.0),
    ),
    Case(
        "limit taken away three days ago",
        is_bound=False,
        use=np.minimum(steady(0.3), since(3, 0.2, 9.0)),
        limit=since(3, 0.2, np.nan),
    ),
    Case(
        "throttled under a limit that was raised three days ago",
        is_bound=False,
        use=np.minimum(steady(0.3), since(3, 0.2, 1.0)),
        limit=since(3, 0.2, 1.0),
        throttled=since(3, 0.9, 0.0),
    ),
    Case(
        "limit raised three days ago, and reached again since",
        is_bound=True,
        use=np.minimum(steady(0.5), since(3, 0.2, 0.45)),
        limit=since(3, 0.2, 0.45),
    ),
    Case(
        "limit raised an hour ago",
        is_bound=True,
        use=np.minimum(steady(0.25), since(1 / 24, 0.2, 1.0)),
        limit=since(1 / 24, 0.2, 1.0),
    ),
    Case(
        "limit cut three days ago, and not reached since",
        is_bound=False,
        use=np.where(since(3, 1, 0) > 0, 0.5, 0.1) * steady(1.0, seed=4),
        limit=since(3, 1.0, 0.4),
    ),
    Case(
        "limit cut three days ago, and reached since",
        is_bound=True,
        use=np.minimum(steady(0.5), since(3, 1.0, 0.4)),
        limit=since(3, 1.0, 0.4),
    ),
    Case(
        "gone for two days, at its limit before",
        is_bound=True,
        use=np.where(since(2, 1, 0) > 0, 0.2, np.nan),
        limit=level(0.2),
    ),
]
MEM = [
    Case("no memory limit", is_bound=False, target=Target.MEMORY, use=MEMORY),
    Case("memory far below its limit", is_bound=False, target=Target.MEMORY, use=MEMORY, limit=level(512.0 * MIB)),
    Case(
        "memory at its limit once, without a kill",
        is_bound=True,
        target=Target.MEMORY,
        use=np.where(NUMBERS == SAMPLES - DAY, 300.0 * MIB, MEMORY),
        limit=level(300.0 * MIB),
    ),
    Case(
        "memory limit raised three days ago",
        is_bound=False,
        target=Target.MEMORY,
        use=np.minimum(steady(300 * MIB, seed=5), since(3, 200.0 * MIB, 900.0 * MIB)),
        limit=since(3, 200.0 * MIB, 900.0 * MIB),
    ),
    Case(
        "an OOM kill below the limit of today",
        is_bound=True,
        target=Target.MEMORY,
        use=MEMORY,
        limit=level(512.0 * MIB),
        oom_kills=1,
    ),
]
CASES = [pytest.param(case, id=case.name) for case in (*CPU, *MEM)]


@pytest.mark.parametrize("case", CASES)
def test_a_history_gets_one_verdict(case: Case) -> None:
    found = limit_bound(
        case.target, case.use, step=STEP, limit=case.limit, throttled=case.throttled, oom_kills=case.oom_kills
    )
    assert (found is not None) is case.is_bound


def verdict(target: Target, use: Floats, **given: Any) -> tuple[str, float, str]:
    found = limit_bound(target, use, step=STEP, **given)
    assert found is not None
    assert found.reason == Reason("limit-bound", found.text)
    return found.cause, found.level, found.text


def test_a_verdict_says_the_least_that_is_needed_and_how_that_is_known() -> None:
    at_limit = verdict(Target.CPU, np.where(NUMBERS % 4 == 0, 0.2, 0.1), limit=level(0.2))
    assert at_limit == (
        "at-limit",
        0.2,
        "limit-bound: CPU use was at its limit of 200m in 25.0% of the samples in the last 7 days, so real demand may "
        "be higher",
    )
    cause, least, text = verdict(Target.CPU, USE, throttled=level(0.4), limit=since(3, 0.5, 1.0))
    assert cause == "throttled"
    assert least == pytest.approx(np.quantile(USE[SAMPLES - 3 * DAY :], 0.95))
    assert text == (
        "limit-bound: CPU was throttled in 40% of its periods when it was busiest since its limit was raised, so real "
        "demand may be higher than the p95 of use, 218m"
    )
    killed = verdict(Target.MEMORY, MEMORY, oom_kills=2, oom_limit_bytes=512.0 * MIB)
    assert killed == (
        "oom-killed",
        MEMORY.max(),
        "limit-bound: 2 OOM kills at 512 MiB, so real memory demand is higher than the limit was",
    )


def test_a_kill_at_a_limit_that_is_not_known_happened_at_the_highest_use_or_above() -> None:
    assert verdict(Target.MEMORY, MEMORY, oom_kills=1)[1] == MEMORY.max()
    assert limit_bound(Target.MEMORY, np.full(SAMPLES, np.nan), step=STEP) is None


def test_kills_and_memory_say_nothing_of_cpu() -> None:
    assert limit_bound(Target.CPU, USE, step=STEP, oom_kills=3) is None


def test_a_short_run_is_judged_by_all_of_its_samples() -> None:
    use, throttled = np.full(60, 0.1), np.zeros(60)
    use[:6], throttled[:6] = 0.15, 0.5
    second = timedelta(seconds=10)
    assert limit_bound(Target.CPU, use, step=second, throttled=throttled) is None
    assert limit_bound(Target.CPU, use, step=second, throttled=3 * throttled) is not None


def rows(case: Case) -> pd.DataFrame:
    """The case as rows of the unified CSV."""
    frame = pd.DataFrame(
        {
            "experiment_id": "frontend_one",
            "service": "frontend",
            "scenario": "observed",
            "timestamp": pd.date_range(end=NOW, periods=SAMPLES, freq=STEP, unit="us"),
            "cpu_cores_value": USE,
            "mem_bytes_value": MEMORY,
        }
    ).reindex(columns=list(ALL_COLUMNS))
    is_cpu = case.target is Target.CPU
    frame["cpu_cores_value" if is_cpu else "mem_bytes_value"] = case.use
    if case.limit is not None:
        frame["cpu_limit_cores" if is_cpu else "mem_limit_bytes"] = case.limit
    if case.throttled is not None:
        frame["throttled_ratio"] = case.throttled
    frame["oom_kills"] = np.where(NUMBERS == SAMPLES - DAY, float(case.oom_kills), 0.0)
    return frame


@pytest.mark.parametrize("case", CASES)
def test_a_driven_run_gets_the_verdict(case: Case) -> None:
    driven = rows(case).assign(scenario="browsing", replica_count=1.0, load_users=10.0)
    (run,) = LoadResponse.fit(driven, {}).runs
    assert (run.is_cpu_limit_bound if case.target is Target.CPU else run.is_memory_limit_bound) is case.is_bound


@pytest.mark.parametrize("case", CASES)
def test_an_observed_history_gets_the_verdict(case: Case) -> None:
    card: dict[str, Any] = {"settings": {"horizon_seconds": 86_400.0}}
    answer = ObservedAnswer(fakes.WORKLOAD, card, {}, {})
    demand = answer.demand(rows(case), Question(horizon=timedelta(days=1)))
    sized = demand.cpu if case.target is Target.CPU else demand.memory
    assert sized is not None
    assert sized.is_limit_bound is case.is_bound


@pytest.mark.parametrize("case", CASES)
def test_a_container_of_a_fleet_gets_the_verdict(case: Case) -> None:
    is_cpu = case.target is Target.CPU
    history = ContainerHistory(
        "server",
        cpu_cores=case.use if is_cpu else USE,
        mem_bytes=MEMORY if is_cpu else case.use,
        cpu_limit_cores=case.limit if is_cpu else None,
        mem_limit_bytes=None if is_cpu else case.limit,
        throttled=case.throttled,
        oom_kills=case.oom_kills,
        oom_limit_bytes=256.0 * MIB if case.oom_kills else None,
    )
    window = Window(NOW - timedelta(days=14), NOW, STEP)
    settings = FleetSettings()
    predicted = bounds_of([WorkloadHistory(FRONTEND, window, {"server": history})], settings.horizon)[0]["server"]
    need = need_of(
        FRONTEND, history, window, predicted=predicted, horizon=settings.horizon, sizing=sizing_of(state(), settings)
    )
    sized = need.demand.cpu if is_cpu else need.demand.memory
    assert sized is not None
    assert sized.is_limit_bound is case.is_bound
