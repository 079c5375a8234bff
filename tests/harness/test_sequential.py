"""Stopping a run early: never wrong about a run that keeps its SLO, and quick where it is broken."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.harness.record import Second
from mora.harness.sequential import (
    Count,
    design_effect,
    failed_counts,
    is_broken,
    p95_interval,
    quantile_interval,
    slow_counts,
)

SECONDS = 30


def drawn(ratio: float, *, seed: int, rate: int = 40, together: float = 0.0) -> list[Count]:
    """Seconds of requests, of which a ratio is slow; `together`: how much they slow down at the same time (beta)."""
    rng = np.random.default_rng(seed)
    counts = []
    for at in range(SECONDS):
        if at % 3 == 0:
            now = ratio if not together else rng.beta(ratio / together, (1 - ratio) / together)
        counts.append(Count(rate, int(rng.binomial(rate, now))))
    return counts


def stopped(counts: list[Count], allowed: float) -> int | None:
    """The second at which a run would be ended."""
    return next((n for n in range(1, len(counts) + 1) if is_broken(counts[:n], allowed)), None)


@pytest.mark.parametrize("together", [0.0, 0.02, 0.1])
def test_a_run_at_the_very_slo_is_almost_never_called_broken(together: float) -> None:
    runs = [stopped(drawn(0.05, seed=seed, together=together), 0.05) for seed in range(400)]
    assert sum(at is not None for at in runs) <= 4


def test_a_run_that_is_twice_as_slow_as_allowed_and_more_is_ended_early() -> None:
    runs = [stopped(drawn(0.4, seed=seed, together=0.05), 0.05) for seed in range(100)]
    assert all(at is not None and at <= 20 for at in runs)


def test_failures_are_judged_by_the_error_ratio_and_none_may_be_allowed() -> None:
    assert stopped(drawn(0.10, seed=1), 0.01) is not None
    assert stopped(drawn(0.01, seed=1), 0.01) is None
    assert is_broken([Count(100, 1)], 0.0)
    assert not is_broken([Count(100, 100)], 1.0)
    assert not is_broken([], 0.05)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=40), st.floats(0.001, 0.5))
def test_more_slow_requests_never_make_a_broken_run_whole(pairs: list[tuple[int, int]], allowed: float) -> None:
    counts = [Count(requests, min(slow, requests)) for requests, slow in pairs]
    assert design_effect(counts) >= 1
    if counts and is_broken(counts, allowed):
        assert sum(one.slow for one in counts) > allowed * sum(one.requests for one in counts)


def test_an_interval_of_the_p95_covers_it_nineteen_times_of_twenty() -> None:
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values = Counter(np.round(rng.exponential(100, 1200), 1).tolist())
        low, high = quantile_interval(values, 0.95, 1.0) or (0.0, 0.0)
        covered += low <= 299.57 <= high
    assert covered >= 0.93 * 300


def test_an_interval_is_wider_where_requests_slow_down_together() -> None:
    rng = np.random.default_rng(1)

    def seconds(together: bool) -> list[Second]:
        out = []
        for at in range(SECONDS):
            slow = (at // 3) % 5 == 0 if together else at >= 0
            mean = 400 if together and slow else 100
            values = Counter(np.round(rng.exponential(mean, 40), 0).tolist())
            out.append(Second(float(at), 10, 40 * (at + 1), 0, values))
        return out

    apart, close = p95_interval(seconds(False)), p95_interval(seconds(True))
    assert apart is not None
    assert close is not None
    assert close[1] / close[0] > 1.3 * apart[1] / apart[0]
    assert p95_interval([]) is None


def test_seconds_are_counted_by_what_answered_and_what_failed() -> None:
    seconds = [Second(0.0, 1, 3, 0, Counter({10.0: 3})), Second(1.0, 1, 8, 2, Counter({10.0: 1, 500.0: 4}))]
    assert slow_counts(seconds, 0.3) == [Count(3, 0), Count(5, 4)]
    assert failed_counts(seconds) == [Count(5, 2)]
