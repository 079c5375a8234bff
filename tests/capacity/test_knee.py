"""What one pod carries, from runs whose knee is known."""

from __future__ import annotations

import math

import pytest

from mora.capacity import (
    Capacity,
    Trial,
    Use,
    bracket,
    capacity_of,
    describe,
    first_full,
    predicted_knee,
    rate_at,
    trials,
)
from mora.domain import Slo
from mora.response import Run

SLO = Slo(0.3, 0.01)


def trial(users: int, p95: float, *, replicas: int = 1, errors: float = 0.0, cpu: float | None = None) -> Trial:
    """One load of a shop that uses 4 of 180 millicores for each user, who sends a request a second."""
    share = users / replicas
    used = Use(min(0.004 * share if cpu is None else cpu, 0.18), 0.18)
    return Trial("browsing", users, replicas, 1, float(users), p95, None, errors, {"frontend": used})


def found(tried: list[Trial]) -> Capacity:
    return capacity_of(tried, "browsing", SLO, target_utilisation=0.7)


def run(name: str, users: int, replicas: int, *, p95: float, cpu: float, limit: float | None = 0.18) -> Run:
    return Run(
        name, "browsing", users, replicas, cpu, cpu, limit, False, 1e7, 1e7, None, False, 0, p95, 0.0, 0.9 * users,
        (0.9 * p95, 1.2 * p95),
    )  # fmt: skip


def test_repeats_are_one_trial_and_every_service_has_its_use() -> None:
    runs = {
        "cart": [run("a", 10, 1, p95=0.1, cpu=0.01), run("b", 10, 1, p95=0.3, cpu=0.03)],
        "frontend": [run("c", 10, 1, p95=0.1, cpu=0.04), run("d", 20, 2, p95=0.1, cpu=0.04, limit=None)],
    }
    one, two = trials(runs, "browsing")
    assert (one.users, one.replicas, one.repeats) == (10, 1, 2)
    assert one.p95_seconds == pytest.approx(0.2)
    assert one.p95_interval == pytest.approx((0.18, 0.24))
    assert one.uses["cart"].utilisation == pytest.approx(0.02 / 0.18)
    assert two.uses["frontend"].utilisation is None
    assert trials(runs, "checkout") == ()


def test_the_knee_lies_between_the_highest_load_below_every_broken_one_and_the_lowest_broken_one() -> None:
    tried = [trial(10, 0.02), trial(40, 0.1), trial(50, 0.4), trial(55, 0.2), trial(60, 0.5)]
    knee = bracket(tried, SLO)
    assert knee.kept is not None
    assert knee.broken is not None
    assert (knee.kept.users, knee.broken.users) == (40, 50)
    assert bracket(tried[:2], SLO).ratio == math.inf


def test_a_pod_serves_what_lies_on_the_line_between_both_and_says_it_in_both_units() -> None:
    capacity = found([trial(10, 0.02), trial(50, 0.2), trial(54, 0.4)])
    assert capacity.users == pytest.approx(52)
    assert capacity.requests_per_second == pytest.approx(52)
    assert describe(capacity)[0] == (
        "One pod serves 52 users (52 requests/s) of browsing at p95 <= 300ms, between 50 and 54: there p95 400ms is "
        "over 300ms."
    )
    assert describe(capacity)[1] == (
        "Replicas are sized for 31 users a pod (31.5 requests/s): there frontend uses 70% of its CPU limit."
    )


def test_a_pod_of_thousands_of_requests_is_written_without_an_exponent() -> None:
    assert describe(found([trial(10_000, 0.1, cpu=0.01), trial(12_345, 0.4, cpu=0.01)])) == [
        "One pod serves 11563 users (11563 requests/s) of browsing at p95 <= 300ms, between 10000 and 12345: "
        "there p95 400ms is over 300ms."
    ]


def test_errors_that_break_the_slo_end_it_before_the_p95_does() -> None:
    capacity = found([trial(10, 0.02), trial(50, 0.2), trial(54, 0.1, errors=0.2)])
    assert capacity.users == pytest.approx(50.2)
    assert found([trial(50, 0.2), trial(54, 0.4, errors=0.2)]).users == pytest.approx(50.2)
    assert "20.00% errors are over 1.00%" in describe(capacity)[0]


def test_a_shop_that_nothing_broke_serves_at_least_what_was_driven() -> None:
    assert "at least 50 users" in describe(found([trial(10, 0.02), trial(50, 0.2)]))[0]
    nothing = describe(found([trial(10, 0.4)]))
    assert nothing == ["No driven load of browsing kept p95 <= 300ms: at 10 users p95 400ms is over 300ms."]


def test_two_replicas_are_a_check() -> None:
    lines = describe(found([trial(10, 0.02), trial(50, 0.2), trial(54, 0.4), trial(60, 0.05, replicas=2)]))
    assert lines[-1] == "Checked with 60 users on 2 replicas, 30 a pod: p95 50ms."
    lines = describe(found([trial(10, 0.02), trial(50, 0.2), trial(54, 0.4), trial(60, 0.5, replicas=2)]))
    assert lines[-1].startswith("Not so with 60 users on 2 replicas, 30 a pod: p95 500ms is over 300ms.")


def test_the_knee_is_predicted_from_one_low_load() -> None:
    # CPU is full at 45 users; with one request a user and second, 300 ms of waiting are worth 300/1.7 ms of users.
    assert predicted_knee([trial(10, 0.02)], SLO) == pytest.approx(45 * (1 + 0.3 / 1.7))


@pytest.mark.parametrize("cpu", [0.0, 1e-9])
def test_a_service_without_cpu_use_predicts_nothing(cpu: float) -> None:
    idle = trial(10, 0.02, cpu=cpu)
    assert first_full([idle], 1.0) is None
    assert predicted_knee([idle], SLO) is None
    assert found([idle]).full is None


def test_the_use_is_interpolated_between_loads_and_a_pinned_run_does_not_bend_it() -> None:
    full = first_full([trial(10, 0.02), trial(30, 0.02), trial(60, 0.02)], 0.7)
    assert full is not None
    assert 31 < full.users_per_pod < 33


def test_a_rate_lies_between_those_that_were_measured() -> None:
    tried = [trial(10, 0.02), trial(20, 0.02)]
    assert [rate_at(tried, users) for users in (0, 5, 15, 50)] == [0, 5, 15, 20]
    assert rate_at([], 5) is None
