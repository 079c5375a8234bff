"""While a workload is abnormal its cuts are deferred, its raises are made, and its numbers are less sure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mora.domain import ContainerHistory, Demand, Reason, Role, TargetDemand, Workload, WorkloadState
from mora.fleet.health import COVERED_CPU, COVERED_MEMORY
from mora.quantities import MIB
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    NOW,
    SAMPLES,
    STEP,
    advised,
    annotated,
    codes,
    container,
    container_history,
    history,
    part,
    state,
    steady,
    words,
)

MARKED = replace(AT_ONCE, marks_abnormal=True)


def sick(name: str = "server", *, cores: float = 0.2, rows: int = 6, factor: float = 2.0) -> ContainerHistory:
    """Steady use, and in the last samples `factor` times as much CPU, still below what is requested."""
    cpu = steady(cores)
    cpu[SAMPLES - rows :] *= factor
    return container_history(name, cpu_cores=cpu)


def test_no_cut_is_made_while_a_service_is_abnormal_and_the_reason_says_since_when() -> None:
    advice = advised(seen=history(sick()))
    assert advice.main.cpu_request.value == advice.main.cpu_request.now == 500
    assert advice.main.memory_request.value == advice.main.memory_request.now == 512 * MIB
    assert advice.main.memory_limit.value == 512 * MIB
    assert "deferred-abnormal" in codes(advice.main.cpu_request)
    assert "deferred-abnormal" in codes(advice)
    assert "most of all its CPU" in words(advice)
    assert "server is abnormal, since 2026-11-20 11:35 UTC" in words(advice.main.cpu_request)


def test_a_healthy_service_is_cut_as_ever() -> None:
    advice = advised()
    assert (advice.main.cpu_request.value or 0) < 500
    assert (advice.main.memory_request.value or 0) < 512 * MIB
    assert not any("abnormal" in code for code in (*codes(advice), *codes(advice.main.cpu_request)))


def test_a_raise_is_made_although_the_service_is_abnormal() -> None:
    short = state(container(cpu_request_millicores=50, memory_request_bytes=64 * MIB, memory_limit_bytes=64 * MIB))
    advice = advised(short, history(sick()))
    assert (advice.main.cpu_request.value or 0) > 200
    assert (advice.main.memory_request.value or 0) > 200 * MIB
    assert "deferred-abnormal" not in codes(advice.main.cpu_request)


def test_no_number_is_surer_than_others_of_such_moments() -> None:
    usual, lowered = (advised(seen=history(one)).main for one in (container_history(), sick()))
    for before, after, covered in (
        (usual.cpu_request, lowered.cpu_request, COVERED_CPU),
        (usual.memory_request, lowered.memory_request, COVERED_MEMORY),
    ):
        assert before.confidence is not None
        assert after.confidence is not None
        assert after.confidence < before.confidence
        assert after.confidence <= covered
        assert "confidence-abnormal" in codes(after)


def test_a_caller_that_knows_what_is_in_force_gets_the_cut_and_the_reason_to_defer_it() -> None:
    advice = advised(seen=history(sick()), settings=replace(AT_ONCE, holds_cuts=False))
    assert (advice.main.cpu_request.value or 0) < 500
    assert "deferred-abnormal" in codes(advice)
    assert "confidence-abnormal" in codes(advice.main.cpu_request)


def test_one_abnormal_container_defers_the_cuts_of_the_whole_pod() -> None:
    both = state(container(cpu_request_millicores=500), container("cache", cpu_request_millicores=300))
    advice = advised(both, history(container_history(), sick("cache", cores=0.1)))
    assert [part(advice, name).cpu_request.value for name in ("server", "cache")] == [500, 300]
    assert "cache is abnormal" in words(advice.main.cpu_request)


def test_a_sidecar_and_a_job_hold_nothing_up() -> None:
    own = container(cpu_request_millicores=500)
    proxy = container("istio-proxy", Role.SIDECAR, cpu_request_millicores=300)
    advice = advised(state(own, proxy), history(container_history(), sick("istio-proxy")))
    assert (advice.main.cpu_request.value or 0) < 500
    job = WorkloadState(Workload("shop", "frontend", "CronJob"), state().allocation)
    found = advised(job, history(sick(), workload=job.workload))
    assert "deferred-abnormal" not in codes(found)


def test_cuts_are_made_where_they_are_asked_for_all_the_same() -> None:
    for cut in (
        advised(seen=history(sick()), settings=replace(AT_ONCE, cut_while_abnormal=True)),
        advised(state(annotations=annotated(cut_while_abnormal="true")), history(sick())),
    ):
        assert (cut.main.memory_request.value or 0) < 512 * MIB
        assert not any("abnormal" in code for code in codes(cut.main.memory_request))
    kept = state(annotations=annotated(cut_while_abnormal="false"))
    asked = replace(AT_ONCE, cut_while_abnormal=True)
    assert advised(kept, history(sick()), settings=asked).main.memory_request.value == 512 * MIB


def test_what_has_ended_or_lasts_longer_than_a_day_defers_nothing() -> None:
    over = steady()
    over[SAMPLES - 40 : SAMPLES - 20] *= 3
    moved = steady(0.1)
    moved[SAMPLES - 3 * DAY :] *= 2
    for cpu in (over, moved):
        advice = advised(seen=history(container_history(cpu_cores=cpu)))
        assert (advice.main.memory_request.value or 0) < 512 * MIB


def test_the_whole_history_is_marked_where_that_is_asked_for() -> None:
    cpu = steady()
    cpu[SAMPLES - 5 * DAY : SAMPLES - 5 * DAY + 12] *= 4
    seen = history(container_history(cpu_cores=cpu))
    evidence = advised(seen=seen, settings=MARKED).main.evidence
    assert evidence is not None
    assert evidence.abnormal is not None
    begin = NOW - 5 * timedelta(days=1) + STEP
    assert any(one.start <= begin and one.end >= begin + 11 * STEP and one.metric == "CPU" for one in evidence.abnormal)
    plain = advised(seen=seen).main.evidence
    assert plain is not None
    assert plain.abnormal is None  # not examined, which is not the same as healthy


def test_marks_change_no_number() -> None:
    for one in (container_history(), sick()):
        plain, marked = (advised(seen=history(one), settings=chosen) for chosen in (AT_ONCE, MARKED))
        assert marked.main.resources == plain.main.resources
        assert marked.reasons == plain.reasons


def test_the_same_history_gets_the_same_numbers_whatever_is_drawn() -> None:
    """The page and explain deferred cuts that the table made, where a detector saw more than the quick look."""
    noise = np.random.default_rng(1)
    drawn_only = 0
    for _ in range(8):
        cpu = steady(0.1) * np.exp(0.1 * noise.standard_normal(SAMPLES))
        cpu *= 1 + 0.5 * np.sin(2 * np.pi * np.arange(SAMPLES) / DAY)
        cpu[-int(noise.integers(3, 10)) :] *= noise.uniform(1.5, 1.9)
        seen = history(container_history(cpu_cores=cpu))
        for cuts in (False, True):
            chosen = replace(AT_ONCE, cut_while_abnormal=cuts)
            plain, marked = (advised(seen=seen, settings=one) for one in (chosen, replace(chosen, marks_abnormal=True)))
            assert marked.main.resources == plain.main.resources
            assert marked.reasons == plain.reasons
            assert marked.main.cpu_request.confidence == plain.main.cpu_request.confidence
        evidence = marked.main.evidence
        assert evidence is not None
        drawn_only += bool(evidence.abnormal) and "deferred-abnormal" not in codes(plain)
    assert drawn_only


def test_a_history_without_a_sample_says_nothing_of_health() -> None:
    nothing = np.full(SAMPLES, np.nan)
    advice = advised(seen=history(container_history(cpu_cores=nothing, mem_bytes=nothing)), settings=MARKED)
    assert "deferred-abnormal" not in codes(advice)


@pytest.mark.parametrize("known", [0, DAY])
def test_too_short_a_history_claims_no_healthy_past(known: int) -> None:
    cpu, memory = steady(), steady(200 * MIB)
    cpu[: SAMPLES - known] = memory[: SAMPLES - known] = np.nan
    evidence = advised(seen=history(container_history(cpu_cores=cpu, mem_bytes=memory)), settings=MARKED).main.evidence
    assert evidence is None or evidence.abnormal is None


def test_a_workload_that_cannot_be_read_is_not_examined() -> None:
    refused = state(problem=Reason("unreadable", "spec.replicas is text"))
    assert "deferred-abnormal" not in codes(advised(refused, history(sick()), settings=MARKED))


@pytest.mark.parametrize(("carry", "value"), [(2.0, 5), (7.0, 7)])
def test_no_replica_is_taken_away_while_a_service_is_abnormal(carry: float, value: int) -> None:
    trained = Demand(
        Workload("shop", "frontend"),
        None,
        NOW,
        TargetDemand(0.1, 0.15, 0.15, 0.95, 20),
        TargetDemand(1e8, 1.5e8, 1.5e8, 0.95, 20),
        TargetDemand(carry, carry, carry, 0.95, 20),
    )
    assert advised(state(replicas=5), model=trained).replicas.value == carry
    advice = advised(state(replicas=5), history(sick()), model=trained).replicas
    assert advice.value == value
    assert ("deferred-abnormal" in codes(advice)) == (value == 5)


def test_health_is_judged_by_the_history_with_a_trained_model_too() -> None:
    """The advice took the main container's history, as its model needs it, for the history with incidents."""
    demand = advised().main.cpu_request
    assert demand.value is not None
    trained = Demand(
        Workload("shop", "frontend"),
        None,
        NOW,
        TargetDemand(0.1, 0.15, 0.15, 0.95, 20),
        TargetDemand(1e8, 1.5e8, 1.5e8, 0.95, 20),
        None,
    )
    for whole in (None, history(sick())):
        advice = advised(seen=history(sick()), model=trained, whole=whole)
        assert advice.basis == "both"
        assert "deferred-abnormal" in codes(advice.main.cpu_request)
        assert "confidence-abnormal" in codes(advice.main.cpu_request)
