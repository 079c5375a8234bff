"""What a service needs under a load, from load experiments."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain import Question, Reason, Slo, TargetDemand
from mora.errors import BadInput
from mora.model import ServiceModel, train
from mora.model.driven_demand import largest
from tests import fakes_learning as fakes
from tests.model.conftest import QUICK, Data


@pytest.mark.slow
def test_without_a_load_the_highest_that_kept_the_slo_is_sized_for_with_a_reason(
    model: ServiceModel, data: Data
) -> None:
    demand = model.demand(data[0])
    assert demand.load is not None
    assert demand.load.users == 40
    assert demand.reasons[0].code == "highest-load-within-slo"
    assert demand.cpu is not None
    assert demand.memory is not None
    assert demand.replicas is not None
    truth = data[0].query(
        f"scenario == '{demand.load.scenario}' and load_users == 40"
        f" and replica_count == {demand.replicas.point_forecast}"
    )
    assert demand.cpu.point_forecast == pytest.approx(truth["cpu_cores_value"].mean(), rel=0.15)
    assert demand.memory.point_forecast == pytest.approx(truth["mem_bytes_value"].mean(), rel=0.15)
    for sized in (demand.cpu, demand.memory):
        assert sized.bound >= sized.point_forecast
        assert 0 <= sized.confidence <= 1
    assert demand.memory.bound >= truth["mem_bytes_value"].max() * 0.98
    assert (demand.startup_cpu_cores, demand.oom_kills) == (0.12, 0)


@pytest.mark.slow
def test_every_number_has_its_arithmetic(model: ServiceModel, data: Data) -> None:
    cpu = model.demand(data[0]).cpu
    assert cpu is not None
    codes = [reason.code for reason in cpu.reasons]
    assert codes[:2] == ["point-forecast", "bound"]
    assert "mean use = " in cpu.reasons[0].text
    assert "validation windows" in cpu.reasons[1].text


@pytest.mark.slow
def test_more_users_never_need_fewer_replicas_and_the_pod_is_sized_at_that_count(
    model: ServiceModel, data: Data
) -> None:
    answers = [model.demand(data[0], Question(users=users, scenario="checkout")) for users in (10, 20, 40, 60)]
    counts = [answer.replicas.point_forecast for answer in answers if answer.replicas is not None]
    assert counts == sorted(counts)
    packed = model.demand(data[0], Question(users=20, scenario="checkout", replicas=1))
    spread = model.demand(data[0], Question(users=20, scenario="checkout", replicas=3))
    assert packed.cpu is not None
    assert spread.cpu is not None
    assert packed.cpu.point_forecast > spread.cpu.point_forecast * 1.5


@pytest.mark.slow
def test_a_load_far_beyond_what_was_driven_gets_a_reason_and_no_number(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0], Question(users=61, scenario="browsing"))
    assert (demand.cpu, demand.memory, demand.replicas) == (None, None, None)
    assert demand.reasons[-1].code == "beyond-driven-load"
    assert "61 users of browsing are more than 1.5x the highest load driven (40 users)" in demand.reasons[-1].text
    within = model.demand(data[0], Question(users=60, scenario="browsing"))
    assert within.cpu is not None


@pytest.mark.slow
def test_a_cell_that_was_never_driven_has_the_bound_of_undriven_cells(model: ServiceModel, data: Data) -> None:
    driven = model.demand(data[0], Question(users=20, scenario="browsing", replicas=2)).cpu
    between = model.demand(data[0], Question(users=25, scenario="browsing", replicas=2)).cpu
    assert driven is not None
    assert between is not None
    multiplier = model.calibrations["undriven"]["cpu"].multiplier
    assert between.bound >= between.point_forecast * multiplier * (1 - 1e-5)


@pytest.mark.slow
def test_use_that_was_throttled_is_marked_as_at_least_the_limit(model: ServiceModel, data: Data) -> None:
    cpu = model.demand(data[0], Question(users=40, scenario="checkout", replicas=1)).cpu
    assert cpu is not None
    assert cpu.is_limit_bound
    assert cpu.bound >= fakes.CPU_LIMIT_CORES
    assert any(reason.code == "limit-bound" for reason in cpu.reasons)


@pytest.mark.slow
def test_where_no_load_kept_the_slo_there_is_a_reason(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0], Question(slo=Slo(p95_seconds=0.001)))
    assert demand.replicas is None
    assert demand.reasons[0].code == "no-load-kept-slo"
    assert demand.cpu is not None
    assert any(reason.code == "sized-at-fewest-replicas" for reason in demand.reasons)


@pytest.mark.slow
def test_where_no_count_keeps_the_slo_the_pod_is_sized_for_the_current_replicas(
    model: ServiceModel, data: Data
) -> None:
    impossible = Slo(p95_seconds=0.001)
    unknown = model.demand(data[0], Question(users=20, scenario="checkout", slo=impossible))
    state = model.demand(data[0], Question(users=20, scenario="checkout", slo=impossible), current_replicas=3)
    assert state.replicas is None
    assert state.cpu is not None
    assert unknown.cpu is not None
    assert unknown.cpu.bound > 1.5 * state.cpu.bound
    assert any(reason.code == "sized-at-current-replicas" for reason in state.reasons)
    capped = model.demand(data[0], Question(users=40, scenario="checkout", max_replicas=1), current_replicas=1)
    assert capped.replicas is None
    assert capped.cpu is not None
    assert capped.cpu.is_limit_bound


@pytest.mark.slow
def test_the_confidence_in_replicas_is_of_what_was_tested(model: ServiceModel, data: Data) -> None:
    seen = {question: targets["replicas"].confidence for question, targets in model.calibrations.items()}
    driven = model.demand(data[0], Question(users=20, scenario="checkout")).replicas
    between = model.demand(data[0], Question(users=25, scenario="checkout")).replicas
    assert driven is not None
    assert between is not None
    assert (driven.confidence, between.confidence) == (seen["driven"], seen["undriven"])
    assert "confidence-in-other-slo" not in [reason.code for reason in driven.reasons]
    stricter = model.demand(data[0], Question(users=20, scenario="checkout", slo=Slo(p95_seconds=0.25))).replicas
    assert stricter is not None
    assert stricter.reasons[-1].code == "confidence-in-other-slo"
    assert "p95 300ms" in stricter.reasons[-1].text
    tighter = model.demand(data[0], Question(users=20, scenario="checkout", target_utilisation=0.9)).replicas
    assert tighter is not None
    assert "target utilisation of 70%, not of 90%" in tighter.reasons[-1].text


@pytest.mark.slow
def test_replicas_that_were_asked_for_are_no_recommendation(model: ServiceModel, data: Data) -> None:
    assert model.demand(data[0], Question(users=40, scenario="checkout", replicas=1)).replicas is None


def test_the_reasons_of_a_larger_scenario_come_with_its_number() -> None:
    def needs(point_forecast: float, bound: float, scenario: str, *, is_limit_bound: bool = False) -> TargetDemand:
        reasons = [Reason("point-forecast", f"{scenario}: {point_forecast}"), Reason("bound", f"{scenario}: {bound}")]
        reasons += [Reason("limit-bound", f"{scenario} was limit-bound")] if is_limit_bound else []
        return TargetDemand(point_forecast, bound, bound, 0.9, 5, is_limit_bound, tuple(reasons))

    answers: list[tuple[TargetDemand | None, tuple[Reason, ...]]] = [
        (needs(0.1, 0.3, "checkout"), ()),
        (needs(0.2, 0.25, "browsing", is_limit_bound=True), ()),
    ]
    most, ruling, why = largest(answers)
    assert (ruling, why) == (0, ())
    assert most is not None
    assert (most.point_forecast, most.bound, most.is_limit_bound) == (0.2, 0.3, True)
    texts = [reason.text for reason in most.reasons]
    assert texts == ["checkout: 0.1", "checkout: 0.3", "browsing: 0.2", "browsing was limit-bound"]


@pytest.mark.slow
def test_unknown_scenarios_and_impossible_loads_are_refused(model: ServiceModel, data: Data) -> None:
    with pytest.raises(BadInput, match="Driven: browsing, checkout"):
        model.demand(data[0], Question(scenario="payments"))
    with pytest.raises(BadInput, match="at least 1 user"):
        model.demand(data[0], Question(users=0))
    with pytest.raises(BadInput, match="1 replica or more"):
        model.demand(data[0], Question(replicas=0))


@pytest.mark.slow
def test_rows_in_another_order_change_nothing(model: ServiceModel, data: Data) -> None:
    assert model.demand(data[0].sample(frac=1.0, random_state=3)) == model.demand(data[0])


@pytest.mark.slow
def test_without_the_windows_prophet_answers_alone_with_a_reason(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0].head(0))
    assert demand.cpu is not None
    assert any(reason.code == "window-missing" for reason in demand.reasons)


@pytest.mark.slow
def test_scaling_the_history_scales_the_demand(model: ServiceModel, data: Data) -> None:
    frame, cards = fakes.driven(scale=4.0)
    scaled = train(frame, cards, fakes.WORKLOAD, settings=QUICK)
    one, other = model.demand(data[0]), scaled.demand(frame)
    for target in ("cpu", "memory"):
        small, large = getattr(one, target), getattr(other, target)
        assert large.point_forecast == pytest.approx(4 * small.point_forecast, rel=0.05)
        assert large.bound == pytest.approx(4 * small.bound, rel=0.1)
        assert large.peak == pytest.approx(4 * small.peak, rel=1e-4)
    assert one.replicas == other.replicas


@pytest.mark.slow
def test_a_service_without_load_tests_is_sized_without_replicas(data: Data) -> None:
    cards = {name: {**card, "load_test": None} for name, card in data[1].items()}
    frame = data[0].assign(latency_p95_seconds=np.nan, error_ratio=np.nan)
    mute = train(frame, cards, fakes.WORKLOAD, settings=QUICK)
    demand = mute.demand(frame)
    assert demand.replicas is None
    assert demand.cpu is not None
    assert demand.reasons[0].code == "no-load-test"


def test_a_rate_is_the_load_of_the_users_who_send_it(model: ServiceModel, data: Data) -> None:
    asked = model.demand(data[0], Question(requests_per_second=60.0, scenario="checkout"))
    users = model.demand(data[0], Question(users=40, scenario="checkout"))
    assert asked.load == users.load
    assert (asked.cpu, asked.memory, asked.replicas) == (users.cpu, users.memory, users.replicas)
    (reason,) = (reason for reason in asked.reasons if reason.code == "rate-as-users")
    assert reason.text == "60 requests/s of checkout are those of 40 users, who sent 1.5 requests/s each"


def test_a_rate_between_two_users_counts_for_the_next(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0], Question(requests_per_second=46.0, scenario="checkout"))
    assert demand.load is not None
    assert demand.load.users == 31


def test_users_and_a_rate_are_not_asked_together(model: ServiceModel, data: Data) -> None:
    with pytest.raises(BadInput, match="in users, or in requests per second"):
        model.demand(data[0], Question(users=40, requests_per_second=40.0))
