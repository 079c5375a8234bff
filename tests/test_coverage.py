"""What a recommendation has to cover: a tenth of CPU samples may lie above it, no memory sample, and the SLO is met."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.coverage import CPU_OVER_SHARE, MEMORY_OVER_SHARE, keeps, needed_cpu_cores, needed_memory_bytes
from mora.domain import Slo

SAMPLES = st.lists(st.floats(0, 100), min_size=1, max_size=80).map(np.array)


def share_over(samples: np.ndarray, request: float) -> float:
    return float((samples > request).mean())


@given(SAMPLES)
def test_the_needed_cpu_covers_the_samples_and_the_next_lower_sample_does_not(cpu: np.ndarray) -> None:
    need = needed_cpu_cores(cpu)
    assert share_over(cpu, need) <= CPU_OVER_SHARE + 1e-9
    lower = cpu[cpu < need]
    if len(lower):
        assert share_over(cpu, float(lower.max())) > CPU_OVER_SHARE


@given(SAMPLES)
def test_the_needed_memory_is_the_peak(memory: np.ndarray) -> None:
    need = needed_memory_bytes(memory)
    assert share_over(memory, need) == MEMORY_OVER_SHARE
    assert share_over(memory, need - 1e-6) > MEMORY_OVER_SHARE


def test_missing_samples_count_neither_way() -> None:
    gaps = np.array([1.0, np.nan, 3.0, np.nan])
    assert (needed_cpu_cores(gaps), needed_memory_bytes(gaps)) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("p95", "errors", "is_kept"),
    [(0.3, 0.01, True), (0.31, 0.0, False), (0.1, 0.02, False), (None, 0.0, False), (0.1, None, False)],
)
def test_replicas_are_enough_where_latency_and_errors_are_known_and_within_the_slo(
    p95: float | None, errors: float | None, is_kept: bool
) -> None:
    assert keeps(p95, errors, Slo(0.3, 0.01)) is is_kept
