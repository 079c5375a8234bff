from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.coverage import needed_cpu_cores
from mora.domain import ContainerHistory, PodUse
from mora.quantities import MIB
from mora.record.numbers import Key
from mora.record.store import InForce
from mora.web.uses import Watch, use_since
from tests.fleet.making import SAMPLES, WINDOW, container_history, history

HALF = SAMPLES // 2


def stepped(before: float, after: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.where(np.arange(SAMPLES) < HALF, before, after)


def applied(number: str, since: float) -> InForce:
    return InForce(7, Key("", "shop", "Deployment", "frontend", "server", number), since, 1)


def at_half() -> float:
    return (WINDOW.start + HALF * WINDOW.step).timestamp()


def test_only_what_was_used_since_the_change_counts() -> None:
    one = container_history(cpu_cores=stepped(4.0, 0.5), mem_bytes=stepped(900.0 * MIB, 100.0 * MIB))
    watch = Watch([applied("cpu_request", at_half())])
    watch.look(history(one))
    assert watch.found[7].needed == pytest.approx(500)
    assert watch.found[7].samples == SAMPLES - HALF
    watch = Watch([applied("memory_request", at_half())])
    watch.look(history(one))
    assert watch.found[7].needed == 100 * MIB
    watch = Watch([applied("memory_request", WINDOW.start.timestamp() - 9999)])
    watch.look(history(one))
    assert watch.found[7].needed == 900 * MIB


def test_of_several_pods_the_one_that_needs_most_counts() -> None:
    pods = (PodUse(np.full(SAMPLES, 0.2)), PodUse(np.full(SAMPLES, 0.9)))
    one = container_history(cpu_cores=np.full(SAMPLES, 0.9), by_pod=pods)
    assert use_since(one, "cpu_request", 0, since=0.0, until=1.0).needed == pytest.approx(900)


def test_page_cache_that_the_kernel_gives_back_is_no_need() -> None:
    one = container_history(mem_bytes=np.full(SAMPLES, 9e8), mem_less_cache_bytes=np.full(SAMPLES, 2e8))
    assert use_since(one, "memory_request", 0, since=0.0, until=1.0).needed == 2e8


def test_oom_kills_before_the_change_are_not_counted() -> None:
    one = container_history(oom_rows=(3, HALF - 1, HALF, HALF + 9), oom_kills=4)
    assert use_since(one, "memory_request", HALF, since=0.0, until=1.0).oom_kills == 2
    assert use_since(one, "cpu_request", HALF, since=0.0, until=1.0).oom_kills is None


def test_without_samples_nothing_is_known() -> None:
    one = container_history(cpu_cores=stepped(1.0, np.nan), mem_bytes=stepped(1.0, np.nan))
    for number in ("cpu_request", "memory_request"):
        use = use_since(one, number, HALF, since=0.0, until=1.0)
        assert (use.samples, use.needed) == (0, None)


def test_other_workloads_and_containers_are_not_looked_at() -> None:
    watch = Watch(iter_once([applied("cpu_request", at_half())]))
    watch.look(history(container_history("other")))
    assert watch.found == {}


def iter_once(values: list[InForce]) -> Iterator[InForce]:
    yield from values


@given(st.lists(st.floats(min_value=0, max_value=64), min_size=1, max_size=60), st.integers(min_value=0, max_value=59))
def test_the_need_since_is_the_criterion_of_the_backtest(values: list[float], first: int) -> None:
    series = np.array(values)
    one = ContainerHistory("server", series, series)
    use = use_since(one, "cpu_request", first, since=0.0, until=1.0)
    if first < len(values):
        assert use.needed == pytest.approx(needed_cpu_cores(series[first:]) * 1000)
    else:
        assert use.needed is None
