"""How far one change goes from what is set now: rounding, floors, caps, steps, the LimitRange."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from mora.domain import (
    Allocation,
    Container,
    Demand,
    Reason,
    Resources,
)
from mora.domain.runtimes import Runtime
from mora.policies import PolicySettings, Surroundings, cpu_need, memory_need, recommend, size
from mora.quantities import GIB, KIB, MIB
from tests.policies.making import (
    ANY,
    NOISE_BYTES,
    NOISE_MILLICORES,
    PLAIN,
    allocation,
    codes,
    demand,
    needs,
    pairs,
    within,
)


@given(**ANY)
def test_a_raise_is_deferred_by_a_few_per_cent_of_cpu_alone(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    settings = replace(settings, cpu_cap_millicores=None, memory_cap_bytes=None, touch_autoscaled=True)
    advice = recommend(asked, current, settings)
    for request, need, noise in (
        (advice.main.cpu_request, cpu_need(asked, settings), NOISE_MILLICORES),
        (advice.main.memory_request, memory_need(asked, settings), NOISE_BYTES),
    ):
        refused = {"above-use", "above-now"} & set(codes(request))  # by the last gate (test_gate.py)
        if need.amount is not None and not refused:
            assert request.value is not None
            assert request.value >= (need.amount - noise) / (1 + min(settings.min_change / 2, 0.05))
            assert request.value >= need.amount - noise or request.value == request.now


@given(**ANY)
def test_a_cut_is_worth_a_rollout_and_no_larger_than_a_step(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    advice = recommend(asked, current, settings)
    for pair, max_cut in zip(pairs(advice), (settings.max_cpu_cut, settings.max_memory_cut), strict=True):
        for number in pair:
            if not number.now or number.value is None or number.value >= number.now:
                continue
            cut = 1 - number.value / number.now
            # A step is rounded up to whole Mi, so it may stay below what is worth a rollout by itself.
            assert cut >= settings.min_change - 1e-9 or "stepped" in codes(number)
            assert settings.allow_any_step or cut <= max_cut + 1e-9


@given(**ANY)
def test_the_goal_of_a_step_is_what_any_step_gives_at_once(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    stepped = recommend(asked, current, replace(settings, allow_any_step=False))
    at_once = recommend(asked, current, replace(settings, allow_any_step=True))
    for pair, whole in zip(pairs(stepped), pairs(at_once), strict=True):
        for number, other in zip(pair, whole, strict=True):
            if "above-now" not in codes(pair[0]):  # which --allow-any-step allows, too
                assert number.at_goal.value == other.value
                assert number.goal is None or (number.value is not None and number.goal < number.value)


def test_a_step_says_where_it_ends_and_its_limit_with_it() -> None:
    current = allocation(cpu_request_millicores=1000, memory_request_bytes=1000 * MIB, memory_limit_bytes=1000 * MIB)
    advice = recommend(demand(), current)
    assert (advice.main.cpu_request.value, advice.main.cpu_request.goal) == (500, 120)
    assert (advice.main.memory_request.value, advice.main.memory_request.goal) == (700 * MIB, 230 * MIB)
    assert (advice.main.memory_limit.value, advice.main.memory_limit.goal) == (700 * MIB, 230 * MIB)
    assert advice.at_goal.main.resources == Resources(120, None, 230 * MIB, 230 * MIB)
    assert recommend(demand(), allocation(cpu_request_millicores=200)).main.cpu_request.goal is None


def test_a_goal_stays_within_the_limit_range() -> None:
    current = allocation(cpu_request_millicores=1000, memory_request_bytes=1000 * MIB)
    least = Resources(cpu_request_millicores=300, memory_request_bytes=800 * MIB)
    advice = recommend(demand(), current, around=within(least)).main
    assert (advice.cpu_request.value, advice.cpu_request.at_goal.value) == (500, 300)
    assert (advice.memory_request.value, advice.memory_request.goal) == (800 * MIB, None)


@given(**ANY)
def test_limit_bound_use_never_lowers_a_number(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    asked = replace(
        asked,
        cpu=asked.cpu and replace(asked.cpu, is_limit_bound=True),
        memory=asked.memory and replace(asked.memory, is_limit_bound=True),
    )
    for request, limit in pairs(recommend(asked, current, settings)):
        for number in (request, limit):
            if number.value is not None and number.now is not None:
                assert number.value >= number.now


def test_memory_below_a_mebibyte_is_whole_kibibytes() -> None:
    settings = replace(PLAIN, memory_floor_bytes=0)
    assert recommend(demand(memory=needs(1500.0)), allocation(), settings).main.memory_request.value == 2 * KIB


def test_memory_that_was_oom_killed_is_not_cut() -> None:
    current = allocation(memory_request_bytes=GIB, memory_limit_bytes=2 * GIB)
    advice = recommend(demand(oom_kills=1), current)
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (GIB, 2 * GIB)
    assert codes(advice.main.memory_request)[-2] == codes(advice.main.memory_limit)[-1] == "kept-limit-bound"


def test_limit_bound_use_is_not_cut() -> None:
    advice = recommend(
        demand(cpu=needs(0.18, 0.2, is_limit_bound=True)), allocation(cpu_request_millicores=800)
    ).main.cpu_request
    assert (advice.value, codes(advice)[-2]) == (800, "kept-limit-bound")


def test_floors_raise_and_say_so() -> None:
    advice = recommend(demand(cpu=needs(0.001), memory=needs(MIB)), allocation())
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (10, 16 * MIB)
    assert (codes(advice.main.cpu_request)[-1], codes(advice.main.memory_request)[-1]) == ("floor", "floor")


def test_a_cpu_cap_lowers_the_number_and_takes_its_confidence() -> None:
    advice = recommend(demand(), allocation(), PolicySettings(cpu_cap_millicores=100)).main.cpu_request
    assert (advice.value, advice.confidence, codes(advice)[-1]) == (100, None, "cap")


def test_a_memory_cap_below_what_must_be_covered_gives_no_number() -> None:
    advice = recommend(demand(), allocation(memory_limit_bytes=MIB), PolicySettings(memory_cap_bytes=200 * MIB))
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (None, None)
    assert advice.main.memory_request.reasons[-1] == Reason(
        "cap-below-need", "the cap of 200Mi is below the 220Mi that must be covered"
    )
    assert advice.main.resources.memory_limit_bytes == MIB


def test_a_memory_cap_may_eat_into_the_buffer_only() -> None:
    advice = recommend(demand(), allocation(), PolicySettings(memory_cap_bytes=225 * MIB)).main.memory_request
    assert (advice.value, advice.confidence) == (225 * MIB, None)


def test_a_cut_below_ten_per_cent_is_deferred_and_one_of_ten_is_not() -> None:
    deferred = recommend(demand(), allocation(cpu_request_millicores=133)).main.cpu_request
    assert (deferred.value, deferred.confidence) == (133, 0.9)
    assert deferred.reasons[-1] == Reason(
        "deferred", "stays at 133m: the cut to 120m (9.8%) is deferred; cuts below 10% are not worth a rollout"
    )
    exactly = demand(cpu=needs(0.09, 0.09), memory=needs(90 * MIB, 90 * MIB))
    unbuffered = PolicySettings(cpu_buffer=1.0, memory_buffer=1.0)
    cut = recommend(exactly, allocation(cpu_request_millicores=100, memory_request_bytes=100 * MIB), unbuffered)
    assert (cut.main.cpu_request.value, cut.main.memory_request.value) == (90, 90 * MIB)


def test_one_step_cuts_half_of_the_cpu_and_three_tenths_of_the_memory() -> None:
    current = allocation(cpu_request_millicores=1000, memory_request_bytes=1000 * MIB)
    advice = recommend(demand(), current)
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (500, 700 * MIB)
    assert advice.main.cpu_request.reasons[-1] == Reason(
        "stepped", "step limit: one change cuts at most 50% of 1, so 500m for now and 120m later"
    )
    at_once = recommend(demand(), current, PolicySettings(allow_any_step=True))
    assert (at_once.main.cpu_request.value, at_once.main.memory_request.value) == (120, 230 * MIB)


@pytest.mark.parametrize("now", [None, 0])
def test_an_unset_request_gets_the_whole_number(now: int | None) -> None:
    advice = recommend(demand(), allocation(cpu_request_millicores=now, memory_request_bytes=now))
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (120, 230 * MIB)
    assert advice.main.cpu_request.change is None


def test_a_limit_range_raises_what_is_below_its_least() -> None:
    allowed = within(Resources(cpu_request_millicores=250, memory_request_bytes=GIB))
    advice = recommend(demand(), allocation(), around=allowed)
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (250, GIB)
    assert advice.main.memory_limit.value == GIB
    assert codes(advice.main.cpu_request)[-1] == codes(advice.main.memory_request)[-1] == "limit-range"


def test_a_limit_range_lowers_cpu_and_takes_its_confidence() -> None:
    advice = recommend(demand(), allocation(), around=within(most=Resources(cpu_limit_millicores=50)))
    assert (advice.main.cpu_request.value, advice.main.cpu_request.confidence) == (50, None)
    assert codes(advice.main.cpu_limit) == ["limit-unset", "limit-range"]


def test_a_limit_range_below_what_must_be_covered_gives_no_memory_number() -> None:
    advice = recommend(demand(), allocation(), around=within(most=Resources(memory_limit_bytes=100 * MIB)))
    assert (advice.main.memory_request.value, codes(advice.main.memory_request)[-1]) == (None, "cap-below-need")
    assert "LimitRange" in advice.main.memory_request.reasons[-1].text


def test_memory_that_may_not_be_cut_is_raised_all_the_same() -> None:
    kept = Surroundings(no_memory_cut=Reason("kept-jvm", "a Java heap takes what it is given"))
    cut = recommend(demand(), allocation(memory_request_bytes=GIB, memory_limit_bytes=2 * GIB), around=kept)
    assert (cut.main.memory_request.value, cut.main.memory_limit.value) == (GIB, 2 * GIB)
    assert codes(cut.main.memory_request)[-1] == codes(cut.main.memory_limit)[-1] == "kept-jvm"
    assert recommend(demand(), allocation(memory_request_bytes=MIB), around=kept).main.memory_request.value == 230 * MIB


def test_where_nothing_may_be_cut_raises_stay_and_no_number_has_a_confidence() -> None:
    kept = Surroundings(no_cut=Reason("crash-loop", "server keeps crashing"))
    now = allocation(cpu_request_millicores=1000, memory_request_bytes=GIB, memory_limit_bytes=2 * GIB)
    cut = recommend(demand(), now, around=kept).main
    assert (cut.cpu_request.value, cut.memory_request.value, cut.memory_limit.value) == (1000, GIB, 2 * GIB)
    raised = recommend(demand(), allocation(cpu_request_millicores=10), around=kept).main
    assert raised.cpu_request.value == 120
    for advice in (cut.cpu_request, cut.memory_request, raised.cpu_request, raised.memory_request):
        assert (advice.confidence, "server keeps crashing" in advice.reasons[-1].text) == (None, True)


# --- runtimes with a maximum of memory --------------------------------------------------------------------------------


def told(most: int | None) -> Surroundings:
    return Surroundings(runtime=Runtime("Java", most, "-Xmx3g in JAVA_OPTS"))


def test_memory_is_not_cut_below_what_a_runtime_may_take() -> None:
    now = allocation(memory_request_bytes=8 * GIB, memory_limit_bytes=8 * GIB)
    settings = PolicySettings(allow_any_step=True)
    cut = recommend(demand(), now, settings, told(3 * GIB)).main
    assert (cut.memory_request.value, cut.memory_limit.value) == (3840 * MIB, 3840 * MIB)
    text = next(reason.text for reason in cut.memory_request.reasons if reason.code == "runtime")
    assert "-Xmx3g in JAVA_OPTS lets Java take 3 GiB" in text
    assert "lower both together, Java to 184 MiB" in text
    assert "cpu" not in text
    # What is set now is not raised for it, and a smaller heap changes nothing.
    small = allocation(memory_request_bytes=2 * GIB, memory_limit_bytes=2 * GIB)
    assert recommend(demand(), small, settings, told(3 * GIB)).main.memory_request.value == 2 * GIB
    free = recommend(demand(), now, settings, told(64 * MIB)).main.memory_request
    assert (free.value, "runtime" in codes(free)) == (230 * MIB, False)


def test_the_goal_behind_a_step_is_not_below_what_a_runtime_may_take_either() -> None:
    now = allocation(memory_request_bytes=8 * GIB, memory_limit_bytes=8 * GIB)
    cut = recommend(demand(), now, around=told(3 * GIB)).main.memory_request
    assert (cut.value, cut.goal) == (5735 * MIB, 3840 * MIB)
    assert cut.summary.startswith("Java may take 3 GiB; step limit: ")


def test_a_limit_above_the_request_leaves_a_runtime_its_room() -> None:
    now = allocation(memory_request_bytes=200 * MIB, memory_limit_bytes=8 * GIB)
    advice = recommend(demand(), now, PolicySettings(allow_any_step=True), told(3 * GIB)).main
    assert (advice.memory_request.value, advice.memory_limit.value) == (230 * MIB, 3840 * MIB)
    assert "raise both together" in next(
        reason.text for reason in advice.memory_request.reasons if reason.code == "runtime"
    )


def test_a_limit_that_is_added_has_room_for_what_a_runtime_may_take() -> None:
    advice = recommend(demand(), allocation(), around=told(16 * GIB)).main
    assert (advice.memory_request.value, advice.memory_limit.value) == (20 * GIB, 20 * GIB)


def test_a_cut_down_to_what_a_runtime_may_take_is_deferred_like_others() -> None:
    now = allocation(memory_request_bytes=4 * GIB, memory_limit_bytes=4 * GIB)
    advice = recommend(demand(), now, around=told(3 * GIB)).main
    assert (advice.memory_request.value, advice.memory_limit.value) == (4 * GIB, 4 * GIB)
    assert {"runtime", "deferred"} <= set(codes(advice.memory_request))
    # Not a byte is added where nothing may be cut, though a number to set is a whole Mi.
    odd = allocation(memory_request_bytes=10**9, memory_limit_bytes=10**9)
    assert recommend(demand(), odd, around=told(3 * GIB)).main.memory_request.value == 10**9


@pytest.mark.parametrize(
    ("now", "value"),
    [(119, 119), (115, 115), (114, 120), (100, 120)],
    ids=["0.8 %", "4.3 %", "5.3 %", "20 %"],
)
def test_a_raise_of_cpu_below_five_per_cent_is_deferred(now: int, value: int) -> None:
    advice = recommend(demand(), allocation(cpu_request_millicores=now)).main.cpu_request  # needs 120m
    assert advice.value == value
    assert ("deferred" in codes(advice)) == (value == now)
    assert (advice.confidence is None) == (value == now)


def test_memory_that_must_be_covered_and_limit_bound_use_are_raised_however_little_is_missing() -> None:
    needed = demand(memory=needs(200 * MIB, 210 * MIB, peak=229 * MIB))  # the mean with its buffer is 230Mi
    kept = recommend(needed, allocation(memory_request_bytes=229 * MIB)).main.memory_request
    assert kept.value == 229 * MIB
    low = recommend(needed, allocation(memory_request_bytes=228 * MIB)).main.memory_request
    assert low.value == 230 * MIB
    bound = demand(cpu=needs(0.1, 0.1, is_limit_bound=True))
    assert recommend(bound, allocation(cpu_request_millicores=119)).main.cpu_request.value == 120
    at_once = PolicySettings(min_change=0.0)
    assert recommend(demand(), allocation(cpu_request_millicores=119), at_once).main.cpu_request.value == 120


@pytest.mark.parametrize(("now", "value"), [(4000, 2000), (3000, 2000), (2000, 2000), (1000, 2000)])
def test_whole_cores_stay_whole(now: int, value: int) -> None:
    asked = demand(cpu=needs(1.2, 1.3))  # 1440m with the buffer
    container = Container("server", Resources(now, now, 512 * MIB, 512 * MIB), is_main=True)
    settings = PolicySettings(cpu_limit="request")
    advice = size(asked, container, settings, Surroundings(keeps_cores=True))
    assert (advice.cpu_request.value, advice.cpu_limit.value) == (value, value)
    assert advice.cpu_request.goal in (None, 2000)
