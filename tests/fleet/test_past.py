"""What a chart shows of a history: its peaks and its means, in a few hundred columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import PodUse, Target, Window
from mora.fleet.past import MAX_COLUMNS, past_of
from mora.quantities import MIB
from tests.fleet.making import AT_ONCE, NOW, SAMPLES, STEP, WINDOW, advised, container_history, history, steady


def test_two_weeks_become_hours_and_no_peak_is_lost() -> None:
    use = steady(200 * MIB)
    use[777] = 900 * MIB
    past = past_of(container_history(mem_bytes=use), WINDOW, None)
    assert past is not None
    assert (past.start, past.step) == (WINDOW.start, timedelta(hours=1))
    assert len(past.highest[Target.MEMORY]) == len(past.mean[Target.CPU]) == 337
    assert float(past.highest[Target.MEMORY][777 // 12]) == 900 * MIB
    assert np.isclose(past.mean[Target.MEMORY][0], use[:12].mean(), rtol=1e-6)


def test_gaps_stay_gaps_and_what_came_before_the_first_sample_is_left_out() -> None:
    cpu, memory = steady(), steady(200 * MIB)
    cpu[:2400] = memory[:2400] = np.nan
    cpu[3000:3100] = np.nan
    past = past_of(container_history(cpu_cores=cpu, mem_bytes=memory), WINDOW, None)
    assert past is not None
    assert past.start == WINDOW.start + 2400 * STEP
    assert past.step == 5 * STEP
    assert np.flatnonzero(np.isnan(past.mean[Target.CPU])).tolist() == list(range(120, 140))
    assert not np.isnan(past.mean[Target.MEMORY]).any()
    nothing = np.full(SAMPLES, np.nan)
    assert past_of(container_history(cpu_cores=nothing, mem_bytes=nothing), WINDOW, None) is None


def test_cpu_is_of_the_pods_that_the_request_is_sized_on() -> None:
    pods = (PodUse(steady(0.1)), PodUse(steady(0.2)))
    past = past_of(container_history(cpu_cores=steady(0.9), by_pod=pods), WINDOW, None)
    assert past is not None
    assert float(past.highest[Target.CPU].max()) < 0.23


def test_throttling_and_kills_are_there_where_they_were_seen() -> None:
    throttled = np.zeros(SAMPLES)
    quiet = past_of(container_history(throttled=throttled), WINDOW, None)
    throttled[100] = 0.4
    busy = past_of(container_history(throttled=throttled, oom_kills=1, oom_rows=(100,)), WINDOW, None)
    assert quiet is not None
    assert busy is not None
    assert (quiet.throttled, quiet.oom_kills) == (None, ())
    assert busy.throttled is not None
    assert float(busy.throttled[8]) == np.float32(0.4)
    assert busy.oom_kills == (WINDOW.start + 100 * STEP,)


def test_it_is_kept_with_the_upper_bound_of_the_request_where_it_is_asked_for() -> None:
    assert advised().main.past is None
    kept = advised(settings=replace(AT_ONCE, keeps_past=True))
    past = kept.main.past
    assert past is not None
    assert past.bounds[Target.CPU] <= (kept.main.cpu_request.value or 0) / 1000
    assert past.bounds[Target.MEMORY] <= (kept.main.memory_request.value or 0)
    assert kept == advised()


def test_a_container_without_a_number_keeps_its_history() -> None:
    few = np.full(SAMPLES, np.nan)
    few[-3:] = 0.2
    advice = advised(seen=history(container_history(cpu_cores=few)), settings=replace(AT_ONCE, keeps_past=True))
    assert advice.main.cpu_request.value is None
    assert advice.main.past is not None
    assert Target.CPU not in advice.main.past.bounds


@given(st.integers(1, 2000), st.data())
def test_the_highest_of_all_columns_is_the_highest_sample(count: int, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    use = np.where(rng.random(count) < 0.3, np.nan, rng.random(count))
    window = Window(NOW - (count - 1) * STEP, NOW, STEP)
    past = past_of(container_history(cpu_cores=use, mem_bytes=use), window, None)
    if past is None:
        assert np.isnan(use).all()
        return
    assert len(past.highest[Target.CPU]) <= MAX_COLUMNS
    assert np.nanmax(past.highest[Target.CPU]) == np.float32(np.nanmax(use))
    assert bool((np.nan_to_num(past.mean[Target.CPU]) <= np.nan_to_num(past.highest[Target.CPU])).all())
