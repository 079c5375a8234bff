"""The load response: monotone everywhere, honest at limits, silent where nothing was driven."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Load, Slo, Target
from mora.errors import BadInput, NotEnoughData
from mora.response import LoadResponse
from tests.response.driven import SLO, fit, grid, run

RUNS = st.lists(
    st.builds(
        lambda users, replicas, cpu, memory, latency, errors, is_pinned: {
            "users": users,
            "replicas": replicas,
            "cpu": cpu,
            "memory_mib": memory,
            "latency": latency,
            "errors": errors,
            "cpu_limit": 0.5,
            "throttled": 0.3 if is_pinned else 0.0,
            "memory_limit_mib": 400,
            "oom_kills": 1.0 if is_pinned else 0.0,
        },
        users=st.integers(1, 60),
        replicas=st.integers(1, 5),
        cpu=st.floats(0.001, 1.0),
        memory=st.floats(10, 500),
        latency=st.floats(0.01, 5),
        errors=st.floats(0, 1),
        is_pinned=st.booleans(),
    ),
    min_size=1,
    max_size=8,
).map(lambda runs: [run(**fields, name=f"run-{number}") for number, fields in enumerate(runs)])


@given(runs=RUNS, users=st.integers(1, 90), more=st.integers(0, 30), replicas=st.integers(1, 6))
def test_more_users_on_a_pod_never_lower_what_it_uses(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]], users: int, more: int, replicas: int
) -> None:
    response = fit(*runs)
    for target in (Target.CPU, Target.MEMORY):
        less = response.use(target, Load("browsing", users), replicas)
        most = response.use(target, Load("browsing", users + more), replicas)
        if less.value is None or most.value is None:
            assert most.value is None  # what is known of the heavier load is known of the lighter
            continue
        assert less.upper is not None
        assert most.upper is not None
        assert most.value >= less.value - 1e-9
        assert most.upper >= less.upper - 1e-9
        assert less.upper >= less.value


@given(
    runs=RUNS, users=st.integers(1, 90), more=st.integers(0, 30), replicas=st.integers(1, 6), added=st.integers(0, 3)
)
def test_latency_and_errors_rise_with_users_and_fall_with_replicas(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]], users: int, more: int, replicas: int, added: int
) -> None:
    response = fit(*runs)
    for answer in (response.latency_p95_seconds, response.error_ratio):
        here = answer(Load("browsing", users), replicas)
        heavier = answer(Load("browsing", users + more), replicas)
        wider = answer(Load("browsing", users), replicas + added)
        if here is not None:
            assert heavier is None or heavier >= here - 1e-12
            assert wider is not None
            assert wider <= here + 1e-12


@given(runs=RUNS, out=st.sets(st.integers(0, 7)))
def test_without_some_runs_it_is_what_the_others_alone_teach(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]], out: set[int]
) -> None:
    names = {f"run-{number}" for number in out}
    others = [(frame, card) for frame, card in runs if card["experiment_id"] not in names]
    response = fit(*runs)
    if others:
        assert response.without(names) == fit(*others)
    else:
        with pytest.raises(NotEnoughData, match="0 of 0 experiments"):
            response.without(names)


@given(runs=RUNS, users=st.integers(1, 90))
def test_a_saved_response_answers_to_the_last_digit(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]], users: int
) -> None:
    response = fit(*runs)
    again = LoadResponse.from_dict(json.loads(json.dumps(response.to_dict(), allow_nan=False)))
    load = Load("browsing", users)
    assert again == response
    assert again.use(Target.CPU, load, 2) == response.use(Target.CPU, load, 2)
    assert again.choose_replicas(load, SLO) == response.choose_replicas(load, SLO)


# Key of MOrA 0.1.0 (models of schema 1) -> what it is called since.
OLD_KEYS = {
    "is_cpu_pinned": "is_cpu_limit_bound",
    "is_memory_pinned": "is_memory_limit_bound",
    "pinned_from": "limit_bound_from",
}


def test_a_response_of_a_model_of_schema_1_is_still_read() -> None:
    limited = run(20, 1, cpu=0.193, cpu_limit=0.2, memory_mib=127, memory_limit_mib=128, throttled=0.4, oom_kills=1)
    response = fit(run(10, 1, cpu=0.1), limited, run(40, 2, cpu=0.1))
    text = json.dumps(response.to_dict())
    for old, new in OLD_KEYS.items():
        assert f'"{new}": ' in text
        text = text.replace(f'"{new}": ', f'"{old}": ')
    read = LoadResponse.from_dict(json.loads(text))
    assert read == response
    assert any(one.is_cpu_limit_bound and one.is_memory_limit_bound for one in read.runs)
    assert any(curve.limit_bound_from for curve in read.curves["browsing"].values())


def test_a_response_that_was_written_by_mora_0_1_0_is_read_and_written_with_todays_keys() -> None:
    kept = (Path(__file__).parents[1] / "model" / "schema_1" / "driven" / "response.json").read_text(encoding="utf-8")
    assert all(f'"{old}": ' in kept for old in OLD_KEYS)
    written = json.dumps(LoadResponse.from_dict(json.loads(kept)).to_dict())
    assert all(f'"{old}": ' not in written and f'"{new}": ' in written for old, new in OLD_KEYS.items())


@given(runs=RUNS, users=st.integers(1, 90), floor=st.integers(1, 4))
def test_chosen_replicas_keep_the_slo_the_floor_and_what_was_measured(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]], users: int, floor: int
) -> None:
    response = fit(*runs)
    load = Load("browsing", users)
    choice = response.choose_replicas(load, SLO, min_replicas=floor)
    assert choice.reasons
    if choice.replicas is None:
        return
    assert choice.replicas >= floor
    latency, errors = (
        response.latency_p95_seconds(load, choice.replicas),
        response.error_ratio(load, choice.replicas),
    )
    assert latency is not None
    assert latency <= SLO.p95_seconds
    assert errors is not None
    assert errors <= SLO.error_ratio
    use = response.use(Target.CPU, load, choice.replicas)
    assert use.value is not None


@given(runs=RUNS, users=st.integers(1, 90), more=st.integers(0, 30))
def test_more_users_never_get_fewer_replicas(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]], users: int, more: int
) -> None:
    response = fit(*runs)
    few = response.choose_replicas(Load("browsing", users), SLO).replicas
    many = response.choose_replicas(Load("browsing", users + more), SLO).replicas
    if few is not None and many is not None:
        assert many >= few


@settings(max_examples=30)  # each asks for every count on its own
@given(runs=RUNS, users=st.integers(1, 20), floor=st.integers(1, 4))
def test_the_chosen_replicas_are_the_first_of_all_counts_that_miss_nothing(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]], users: int, floor: int
) -> None:
    response = fit(*runs)
    load = Load("browsing", users)

    def keeps(count: int) -> bool:
        return response.choose_replicas(load, SLO, min_replicas=count, max_replicas=count).replicas is not None

    chosen = response.choose_replicas(load, SLO, min_replicas=floor).replicas
    assert chosen == next(filter(keeps, range(floor, 110)), None)


def test_a_load_of_a_hundred_million_users_is_answered_with_figures_and_without_a_number() -> None:
    choice = fit(run(100_000_000, 1, cpu=0.1, latency=1.0)).choose_replicas(Load("browsing", 100_000_000), SLO)
    assert choice.replicas is None
    assert "1 replica cannot keep" in choice.reasons[0].text
    few_each = fit(run(1, 1, cpu=0.1), run(100_000_000, 1, cpu=1.0, latency=9.0))
    choice = few_each.choose_replicas(Load("browsing", 100_000_000), Slo(0.05, 0.01))
    assert choice.replicas is None
    assert "1 to 10000 replicas cannot keep" in choice.reasons[0].text


def test_a_throttled_run_needs_at_least_its_limit() -> None:
    response = fit(run(10, 1, cpu=0.1), run(20, 1, cpu=0.17, cpu_limit=0.2, throttled=0.4))
    heavy, light = (response.use(Target.CPU, Load("browsing", users), 1) for users in (20, 10))
    assert heavy.is_at_least
    assert heavy.upper == pytest.approx(0.2)
    assert "may be higher than 200m" in heavy.reasons[-1].text
    assert not light.is_at_least


def test_between_a_free_run_and_a_throttled_one_the_need_is_at_least_what_is_read() -> None:
    response = fit(run(10, 1, cpu=0.1), run(20, 1, cpu=0.15, cpu_limit=0.2, throttled=0.4))
    assert response.use(Target.CPU, Load("browsing", 15), 1).is_at_least
    assert not response.use(Target.CPU, Load("browsing", 10), 1).is_at_least
    assert not response.use(Target.CPU, Load("browsing", 10), 2).is_at_least


def test_beyond_the_driven_load_use_goes_on_as_a_straight_line_up_to_half_as_much_again() -> None:
    response = fit(*grid())
    point = response.use(Target.CPU, Load("browsing", 60), 1)
    assert point.value == pytest.approx(0.02 + 0.005 * 60)
    assert [reason.code for reason in point.reasons] == ["extrapolated"]
    refused = response.use(Target.CPU, Load("browsing", 61), 1)
    assert (refused.value, refused.upper) == (None, None)
    assert "61 users of browsing are more than 1.5x the highest load driven (40 users)" in refused.reasons[0].text


def test_too_many_users_on_one_pod_are_refused_although_the_load_was_driven() -> None:
    response = fit(run(40, 2, cpu=0.1), run(40, 4, cpu=0.05))
    assert response.use(Target.CPU, Load("browsing", 40), 1).value is None
    assert response.use(Target.CPU, Load("browsing", 30), 1).value is not None


def test_fewer_users_a_pod_than_driven_cost_what_the_fewest_did() -> None:
    response = fit(run(20, 1, cpu=0.1), run(40, 1, cpu=0.2))
    point = response.use(Target.CPU, Load("browsing", 5), 1)
    assert point.value == pytest.approx(0.1)
    assert [reason.code for reason in point.reasons] == ["below-driven"]


def test_a_scenario_that_was_not_driven_gets_words_and_no_number() -> None:
    response = fit(*grid())
    point = response.use(Target.CPU, Load("sale", 20), 1)
    assert point.value is None
    assert "'sale'; driven were browsing" in point.reasons[0].text
    assert response.choose_replicas(Load("sale", 20), SLO).replicas is None
    assert response.latency_p95_seconds(Load("sale", 20), 1) is None


def test_latency_beyond_the_users_per_pod_driven_is_not_known() -> None:
    response = fit(*grid())
    assert response.latency_p95_seconds(Load("browsing", 40), 1) == pytest.approx(1.5)
    assert response.latency_p95_seconds(Load("browsing", 41), 1) is None


def test_the_fewest_replicas_that_meet_the_slo_are_chosen_and_one_fewer_is_explained() -> None:
    choice = fit(*grid()).choose_replicas(Load("browsing", 40), SLO)
    assert choice.replicas == 2
    assert choice.reasons[0].text == (
        "40 users of browsing on 2 replicas: p95 200ms, 0.00% errors; SLO: p95 300ms, 1.00% errors; "
        "with 1: p95 1.5s is over 300ms"
    )


def test_errors_alone_can_ask_for_another_replica() -> None:
    response = fit(run(40, 1, cpu=0.1, errors=0.02), run(40, 2, cpu=0.1, errors=0.005))
    choice = response.choose_replicas(Load("browsing", 40), SLO)
    assert choice.replicas == 2
    assert "2.00% errors are over 1.00%" in choice.reasons[0].text


def test_pods_stay_under_the_target_utilisation_of_their_cpu_limit() -> None:
    response = fit(*grid(cpu_limit=0.15, throttled=0.0))
    assert response.choose_replicas(Load("browsing", 40), SLO, target_utilisation=0.7).replicas == 3
    assert response.choose_replicas(Load("browsing", 40), SLO, target_utilisation=0.9).replicas == 2


@pytest.mark.parametrize(
    ("fields", "is_said"),
    [
        ({"cpu": 0.02, "cpu_limit": 0.5}, True),
        ({"cpu": 0.3, "cpu_limit": 0.5}, False),
        ({"cpu": 0.02, "cpu_limit": 0.5, "oom_kills": 1.0, "memory_limit_mib": 100.0}, False),
        ({"cpu": 0.02}, False),
    ],
)
def test_an_idle_service_that_follows_another_one_gets_that_as_a_reason(fields: dict[str, Any], is_said: bool) -> None:
    response = fit(run(40, 1, latency=0.9, **fields), run(40, 2, latency=0.1, cpu=0.02, cpu_limit=0.5))
    choice = response.choose_replicas(Load("browsing", 40), SLO)
    assert choice.replicas == 2
    assert ("scaled-together" in {reason.code for reason in choice.reasons}) is is_said


def test_the_minimum_of_replicas_is_respected_and_a_reason() -> None:
    choice = fit(*grid()).choose_replicas(Load("browsing", 20), SLO, min_replicas=2)
    assert choice.replicas == 2
    assert "replicas-floor" in [reason.code for reason in choice.reasons]


def test_a_count_that_was_measured_to_fail_is_not_chosen_although_the_curve_would() -> None:
    # The pooled curve at 20 users a pod is (0.25 + 0.35) / 2 = 0.3: kept. But two replicas failed at 40 users.
    runs = [run(20, 1, cpu=0.1, latency=0.25), run(40, 2, cpu=0.1, latency=0.35), run(40, 4, cpu=0.05, latency=0.1)]
    response = fit(*runs)
    choice = response.choose_replicas(Load("browsing", 40), SLO)
    assert choice.replicas == 3
    assert "2 replicas were measured to fail at 40 users (p95 350ms, 0.00% errors)" in choice.reasons[0].text
    assert response.choose_replicas(Load("browsing", 20), SLO).replicas == 1


def test_one_bad_run_with_more_replicas_does_not_outvote_a_harder_one_that_kept_the_slo() -> None:
    runs = [run(20, 1, cpu=0.1, latency=0.1), run(20, 3, cpu=0.1, latency=0.35), run(40, 1, cpu=0.1, latency=0.25)]
    assert fit(*runs).choose_replicas(Load("browsing", 20), SLO).replicas == 1


def test_replicas_that_were_never_driven_are_judged_by_users_per_pod_and_say_so() -> None:
    choice = fit(*grid()).choose_replicas(Load("browsing", 56), Slo(0.06, 0.01))
    assert choice.replicas == 5
    assert "56 users on 5 replicas were not driven (replicas 1, 2, 3, up to 40 users)" in choice.reasons[-1].text


def test_where_no_count_keeps_the_slo_there_is_no_number_but_the_figures() -> None:
    choice = fit(*grid()).choose_replicas(Load("browsing", 40), Slo(0.01, 0.01))
    assert choice.replicas is None
    assert choice.reasons[0].code == "no-replicas-keep-slo"
    words = "1 to 6 replicas cannot keep p95 10ms, 1.00% errors; at 6: p95 50ms is over 10ms"
    assert words in choice.reasons[0].text


def test_a_cap_on_the_replicas_can_leave_no_number() -> None:
    response = fit(*grid())
    assert response.choose_replicas(Load("browsing", 40), SLO, max_replicas=1).replicas is None
    with pytest.raises(BadInput, match="2 and 1"):
        response.choose_replicas(Load("browsing", 40), SLO, min_replicas=2, max_replicas=1)


def test_without_load_tests_no_replica_count_is_chosen() -> None:
    response = fit(run(20, 1, cpu=0.1, latency=None))
    assert response.use(Target.CPU, Load("browsing", 20), 1).value == pytest.approx(0.1)
    choice = response.choose_replicas(Load("browsing", 20), SLO)
    assert (choice.replicas, choice.reasons[0].code) == (None, "no-load-test")


def test_the_highest_load_that_kept_the_slo_is_found_across_scenarios() -> None:
    response = fit(
        *grid(),
        run(40, 1, cpu=0.5, latency=0.2, scenario="checkout"),
        run(60, 1, cpu=0.9, latency=2, scenario="checkout"),
    )
    assert response.scenarios == ("browsing", "checkout")
    assert response.highest_load_within(SLO) == Load("checkout", 40)
    assert response.highest_load_within(SLO, "browsing") == Load("browsing", 40)
    assert response.highest_load_within(Slo(0.06, 0.01), "browsing") == Load("browsing", 40)
    assert response.highest_load_within(Slo(0.01, 0.01)) is None
    assert response.highest_load_within(SLO, "sale") is None


@pytest.mark.parametrize("replicas", [0, -1])
def test_a_load_needs_a_replica(replicas: int) -> None:
    with pytest.raises(BadInput, match="1 replica"):
        fit(*grid()).use(Target.CPU, Load("browsing", 20), replicas)


def test_replicas_are_not_a_use() -> None:
    with pytest.raises(BadInput, match="choose_replicas"):
        fit(*grid()).use(Target.REPLICAS, Load("browsing", 20), 1)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_the_target_utilisation_is_a_share(share: float) -> None:
    with pytest.raises(BadInput, match="utilisation"):
        fit(*grid()).choose_replicas(Load("browsing", 20), SLO, target_utilisation=share)


def test_answering_needs_no_scikit_learn() -> None:
    saved = json.dumps(fit(*grid()).to_dict())
    code = (
        "import json, sys; from mora.response import LoadResponse; from mora.domain import Load, Slo;"
        "r = LoadResponse.from_dict(json.loads(sys.stdin.read()));"
        "print(r.choose_replicas(Load('browsing', 40), Slo()).replicas, 'sklearn' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], input=saved, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["2", "False"]


def test_a_user_sends_what_those_of_runs_within_the_slo_sent() -> None:
    def rated(users: int, rate: float | None, latency: float) -> tuple[pd.DataFrame, dict[str, Any]]:
        frame, card = run(users, 1, cpu=0.004 * users, latency=latency)
        card["load_test"]["requests_per_second"] = rate
        return frame, card

    runs = [rated(10, 10.0, 0.1), rated(20, 19.0, 0.1), rated(60, 30.0, 0.9), rated(5, None, 0.1)]
    response = fit(*runs)
    assert response.requests_of_a_user("browsing", SLO) == pytest.approx(0.975)
    assert response.requests_of_a_user("browsing", Slo(0.01, 0.0)) == pytest.approx(0.95)
    assert fit(rated(5, None, 0.1)).requests_of_a_user("browsing", SLO) is None
