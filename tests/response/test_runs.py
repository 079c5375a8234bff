"""The figures of one run: of its samples, of its card, and at least its limit where that bound it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.domain import Load, Target
from mora.errors import NotEnoughData
from mora.metrics import OBSERVED_SCENARIO
from mora.quantities import MIB
from mora.response import LoadResponse
from tests.response.driven import SLO, fit, run


def test_the_high_level_is_the_p95_of_cpu_and_the_peak_of_memory() -> None:
    response = fit(run(20, 1, cpu=0.1, memory_mib=100, spread=0.2))
    cpu, memory = (response.use(target, Load("browsing", 20), 1) for target in (Target.CPU, Target.MEMORY))
    assert cpu.value == pytest.approx(0.1)
    assert cpu.upper == pytest.approx(0.1 * 1.18)
    assert memory.upper == pytest.approx(120 * MIB)


def test_use_close_under_its_limit_is_the_limit() -> None:
    response = fit(run(20, 1, cpu=0.193, cpu_limit=0.2, memory_mib=127, memory_limit_mib=128))
    cpu, memory = (response.use(target, Load("browsing", 20), 1) for target in (Target.CPU, Target.MEMORY))
    assert (cpu.is_at_least, memory.is_at_least) == (True, True)
    assert cpu.upper == pytest.approx(0.2)
    assert memory.upper == 128 * MIB


def test_an_oom_killed_run_needs_at_least_its_limit_however_little_it_used_when_seen() -> None:
    response = fit(
        run(10, 1, cpu=0.1, memory_mib=80), run(20, 1, cpu=0.2, memory_mib=70, memory_limit_mib=128, oom_kills=2)
    )
    point = response.use(Target.MEMORY, Load("browsing", 20), 1)
    assert (point.value, point.upper, point.is_at_least) == (128 * MIB, 128 * MIB, True)
    assert response.runs[1].oom_kills == 2


def test_without_cards_the_entry_services_own_columns_tell_latency_and_errors() -> None:
    slow, fast = (
        run(40, replicas, cpu=0.1, latency=None)[0].assign(latency_p95_seconds=latency, error_ratio=0.0)
        for replicas, latency in ((1, 0.5), (2, 0.1))
    )
    choice = LoadResponse.fit(pd.concat([slow, fast]), {}).choose_replicas(Load("browsing", 40), SLO)
    assert choice.replicas == 2


def test_observed_rows_are_no_runs() -> None:
    frame, card = run(20, 1, cpu=0.1)
    observed = frame.assign(scenario=OBSERVED_SCENARIO, replica_count=np.nan, load_users=np.nan, experiment_id="o")
    cards = {card["experiment_id"]: card}
    assert len(LoadResponse.fit(pd.concat([frame, observed]), cards).runs) == 1
    with pytest.raises(NotEnoughData, match="0 of 1 experiments are driven runs"):
        LoadResponse.fit(observed, {})


def test_a_run_without_cpu_samples_is_left_out() -> None:
    frame, _ = run(20, 1, cpu=0.1)
    with pytest.raises(NotEnoughData, match="at least 1 is needed"):
        LoadResponse.fit(frame.assign(cpu_cores_value=np.nan), {})
