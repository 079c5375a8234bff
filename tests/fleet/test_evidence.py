"""What a container's numbers rest on, with excluded time ranges left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from mora.fleet.spans import parse_span
from mora.quantities import GIB, MIB
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    NOW,
    SAMPLES,
    STEP,
    advised,
    codes,
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


def test_cpu_and_memory_samples_are_counted_apart_and_a_gap_is_named() -> None:
    cpu = steady()
    cpu[: SAMPLES // 2] = np.nan
    advice = advised(seen=history(container_history(cpu_cores=cpu)))
    evidence = advice.main.evidence
    assert evidence is not None
    assert (evidence.samples, evidence.cpu_samples, evidence.mem_samples) == (SAMPLES, SAMPLES // 2 + 1, SAMPLES)
    (told,) = [one.text for one in advice.reasons if one.code == "samples-missing"]
    begin, end = NOW - timedelta(days=14), NOW - timedelta(days=7)
    assert told == (
        f"CPU samples are missing in 50% of the time range (the longest gap 7d, from {begin:%Y-%m-%d %H:%M} UTC to "
        f"{end:%Y-%m-%d %H:%M} UTC): what was used then is not known"
    )


def test_a_gap_of_both_is_named_once_and_what_is_excluded_is_no_gap() -> None:
    cpu, memory = steady(), steady(200 * MIB)
    night = np.arange(SAMPLES) % DAY < DAY // 3
    cpu[night], memory[night] = np.nan, np.nan
    advice = advised(seen=history(container_history(cpu_cores=cpu, mem_bytes=memory)))
    (told,) = [one.text for one in advice.reasons if one.code == "samples-missing"]
    assert told.startswith("CPU and memory samples are missing in 32% of the time range (the longest gap 8h, ")
    begin = NOW - timedelta(days=3)
    span = parse_span(f"{begin:%Y-%m-%dT%H:%M}/{NOW:%Y-%m-%dT%H:%M}")
    assert "samples-missing" not in codes(advised(settings=replace(AT_ONCE, excluded=(span,))))
