"""What a container's numbers rest on, with excluded time ranges left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mora.fleet.spans import parse_span
from mora.quantities import GIB, MIB
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    NOW,
    SAMPLES,
    STEP,
    advised,
    container_history,
    history,
    steady,
)


def test_an_excluded_time_range_is_left_out_and_named() -> None:
    use = steady(200 * MIB, seed=2)
    incident = slice(SAMPLES - 2 * DAY, SAMPLES - 2 * DAY + 12)
    use[incident] = 3 * GIB
    seen = history(container_history(mem_bytes=use))
    at = NOW - timedelta(days=2)
    span = parse_span(f"{at - STEP:%Y-%m-%dT%H:%M}/{at + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    without, with_it = advised(seen=seen, settings=replace(AT_ONCE, excluded=(span,))), advised(seen=seen)
    assert (with_it.main.memory_request.value or 0) >= 3 * GIB
    assert (without.main.memory_request.value or 0) < 300 * MIB
    assert without.main.evidence is not None
    assert without.main.evidence.left_out == (f"{span}: 14 samples (--exclude)",)
    assert without.main.evidence.mem_peak_pod is None  # the pod that was named had the peak that is left out
    assert with_it.main.evidence is not None
    assert with_it.main.evidence.mem_peak_pod == "frontend-def"
    assert without.main.evidence.samples == without.main.evidence.expected == SAMPLES - 14
