"""What a pod can be given: limits follow up and not down, others' numbers stay, QoS class and version bound it."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Advice, Autoscaler, Container, Reason, Resources, Target, VerticalScaler, quality_of
from mora.domain.pods import RunningContainer, RunningPod
from mora.inplace.fit import in_words, possible, stepped, wanted_of
from mora.policies import PolicySettings
from mora.quantities import MIB
from tests.inplace.rig import WEB, recommendation

NEW = (1, 35)


def pod(resources: Resources, restarted_by: frozenset[Target] = frozenset()) -> RunningPod:
    return RunningPod(
        WEB, "web-0", "u", "1", (RunningContainer(Container("server", resources), restarted_by=restarted_by),)
    )


BURSTABLE = Resources(400, 800, 512 * MIB, 512 * MIB)


def given_to(now: Resources, then: Resources, version: tuple[int, int] = NEW) -> Resources:
    found, _ = possible(pod(now), {"server": then}, None, version)
    return found.get("server", now)


def test_a_cpu_limit_follows_its_request_up_and_stays_when_it_falls() -> None:
    up = given_to(BURSTABLE, replace(BURSTABLE, cpu_request_millicores=600))
    assert (up.cpu_request_millicores, up.cpu_limit_millicores) == (600, 1200)
    down = given_to(BURSTABLE, replace(BURSTABLE, cpu_request_millicores=100))
    assert (down.cpu_request_millicores, down.cpu_limit_millicores) == (100, 800)


def test_a_limit_is_never_added_since_no_resize_could_remove_it() -> None:
    now = Resources(400, None, 512 * MIB, None)
    assert given_to(now, Resources(200, 500, 400 * MIB, 400 * MIB)) == Resources(200, None, 400 * MIB, None)


amounts = st.integers(1, 4000)


@given(amounts, amounts, amounts, st.booleans(), amounts, amounts, st.sampled_from([(1, 33), (1, 35)]))
def test_nothing_changes_the_qos_class_or_puts_a_request_above_its_limit(
    cpu: int, memory: int, more: int, is_guaranteed: bool, new_cpu: int, new_memory: int, version: tuple[int, int]
) -> None:
    limits = (cpu, memory) if is_guaranteed else (cpu + more, memory + more)
    now = Resources(cpu, limits[0], memory * MIB, limits[1] * MIB)
    then = given_to(
        now,
        replace(
            now,
            cpu_request_millicores=new_cpu,
            memory_request_bytes=new_memory * MIB,
            memory_limit_bytes=new_memory * MIB,
        ),
        version,
    )
    assert quality_of([Container("a", then)]) == quality_of([Container("a", now)])
    assert (then.cpu_request_millicores or 0) <= (then.cpu_limit_millicores or 0)
    assert (then.memory_request_bytes or 0) <= (then.memory_limit_bytes or 0)
    if version < NEW:
        assert (then.memory_limit_bytes or 0) >= limits[1] * MIB


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize(("target", "stays"), [(Target.MEMORY, "memory"), (Target.CPU, "cpu")])
def test_what_would_restart_the_container_is_left_out(target: Target, stays: str, factor: float) -> None:
    restarted = pod(BURSTABLE, restarted_by=frozenset({target}))
    memory = round(512 * MIB * factor)
    wanted = Resources(round(400 * factor), None, memory, memory)
    found, notes = possible(restarted, {"server": wanted}, None, NEW)
    before, after = (
        {name: amount for name, amount in asdict(one).items() if name.startswith(stays)}
        for one in (BURSTABLE, found["server"])
    )
    assert before == after
    assert "its resizePolicy restarts it" in notes[0]


def test_a_memory_limit_is_not_cut_below_the_highest_use_that_was_seen() -> None:
    advice = recommendation(cpu=400, memory=200)
    seen = replace(advice.main.evidence, mem_peak_bytes=300.5 * MIB) if advice.main.evidence else None
    advice = replace(advice, containers=(replace(advice.main, evidence=seen),))
    cut = replace(BURSTABLE, memory_request_bytes=200 * MIB, memory_limit_bytes=200 * MIB)
    found, _ = possible(pod(BURSTABLE), {"server": cut}, advice, NEW)
    assert (found["server"].memory_request_bytes, found["server"].memory_limit_bytes) == (200 * MIB, 301 * MIB)


def test_where_no_memory_limit_is_recommended_the_pods_stays() -> None:
    advice = recommendation()
    unset = replace(advice.main, memory_limit=Advice(512 * MIB, None, is_unset=True))
    found = wanted_of(pod(BURSTABLE), replace(advice, containers=(unset,)))["server"]
    assert (found.then.memory_request_bytes, found.then.memory_limit_bytes) == (350 * MIB, 512 * MIB)


@pytest.mark.parametrize("container", [None, "server"])
def test_what_an_hpa_measures_against_stays(container: str | None) -> None:
    hpa = Autoscaler("web", Target.CPU, True, 70, 1, 5, container)
    found = wanted_of(pod(BURSTABLE), recommendation(autoscalers=(hpa,)))["server"]
    assert found.then.cpu_request_millicores == 400
    assert found.then.memory_request_bytes == 350 * MIB
    assert "the HPA web scales on cpu utilisation" in found.notes[0]


def test_what_a_vpa_sets_stays_unless_it_is_off() -> None:
    for mode, cpu in (("Auto", 400), ("Off", 200)):
        vpas = (VerticalScaler("web", mode),)
        found = wanted_of(pod(BURSTABLE), recommendation(vpas=vpas))["server"]
        assert found.then.cpu_request_millicores == cpu


def test_a_cut_that_is_deferred_while_the_workload_is_abnormal_is_none() -> None:
    advice = recommendation()
    deferred = replace(advice.main, cpu_request=Advice(400, 200, reasons=(Reason("deferred-abnormal", "x"),)))
    found = wanted_of(pod(BURSTABLE), replace(advice, containers=(deferred,)))["server"]
    assert found.then.cpu_request_millicores == 400


@given(amounts, amounts)
def test_a_step_never_passes_what_is_wanted_nor_the_share_that_may_be_cut(now: int, then: int) -> None:
    found = stepped(Resources(now), Resources(then), PolicySettings()).cpu_request_millicores or 0
    assert min(now, then) <= found <= max(now, then)
    assert found >= now / 2 or found == then >= now / 2


def test_a_change_is_spelled_out() -> None:
    assert in_words(BURSTABLE, replace(BURSTABLE, cpu_request_millicores=2000)) == "CPU request 400m -> 2"
