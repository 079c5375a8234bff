"""Questions in parts: nothing is lost or found twice, whatever the names; a store that limits series is read, too."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import WorkloadState
from mora.errors import SourceUnavailable
from mora.sources.prometheus.access import TooLarge, TooMuch
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.parts import in_parts, in_some_part
from tests.sources.prometheus.frontend import in_front_of
from tests.sources.prometheus.shop import assert_same, days, fleet_at, read

names = st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)


def found_in(scope: Scope, pods: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """What a store has of a scope, by the matchers that it is sent."""
    selector = scope.select("kube_pod_owner")
    matchers = dict(re.findall(r'(\w+)=~?"([^"]*)"', selector.replace("\\\\", "\\")))
    return [
        (namespace, pod)
        for namespace, pod in sorted(pods)
        if re.fullmatch(matchers.get("namespace", ".*"), namespace) and re.fullmatch(matchers.get("pod", ".*"), pod)
    ]


@given(st.sets(st.tuples(st.sampled_from(["shop", "web", "data"]), names), max_size=30), st.integers(1, 5))
def test_whatever_a_store_allows_everything_is_found_once(pods: set[tuple[str, str]], most: int) -> None:
    def ask(scope: Scope) -> list[tuple[str, str]]:
        found = found_in(scope, pods)
        if len(found) > most:
            raise TooMuch("too many series", of_series=True)
        return found

    whole = Scope(("data", "shop", "web"))
    try:
        assert sorted(in_parts(ask, whole)) == sorted(pods)
    except TooMuch:  # more names share their last five characters than the store answers for
        assert any(
            sum(pod.endswith(tail) and len(pod) >= 5 for space, pod in pods if space == namespace) > most
            for namespace in ("data", "shop", "web")
            for tail in {pod[-5:] for _, pod in pods}
        )


def test_an_answer_that_is_too_large_at_once_is_read_in_parts_and_one_without_an_end_is_not_read_for_ever() -> None:
    asked: list[Scope] = []

    def ask(scope: Scope, most: int) -> list[str]:
        asked.append(scope)
        pods = {("shop", f"web-{number}") for number in range(10)}
        found = [pod for _, pod in found_in(scope, pods)]
        if len(found) > most:
            raise TooLarge("An answer is too large.")
        return found

    assert sorted(in_parts(lambda scope: ask(scope, 3), Scope(("shop",)))) == [f"web-{number}" for number in range(10)]
    asked.clear()
    with pytest.raises(TooLarge):
        in_parts(lambda scope: ask(scope, -1), Scope(("shop",)))
    assert len(asked) <= 7


def test_a_question_that_any_part_answers_ends_with_the_first_answer() -> None:
    asked: list[Scope] = []

    def ask(scope: Scope) -> str | None:
        asked.append(scope)
        if len(asked) < 3:
            raise TooMuch("too many series", of_series=True)
        return "30s" if scope.endings is not None and "9" in scope.endings.characters else None

    assert in_some_part(ask, Scope(("shop",))) == "30s"
    assert len(asked) == 5


@pytest.mark.parametrize("status", [422, 503])
def test_a_store_that_limits_series_is_read_in_parts(
    url: str, states: dict[str, WorkloadState], histories: dict[str, object], status: int
) -> None:
    """VictoriaMetrics' maxSeries, Mimir's and Thanos' limits."""
    with in_front_of(url, most_series=32, refuses_with=status) as store:
        through = fleet_at(store.url)
        assert {state.workload.name: state for state in through.states("shop")} == states
        chosen = [states[name] for name in ("frontend", "cart", "report", "agent", "young")]
        found = read(through, days(14), chosen)
    assert store.refused > 0
    for name, history in read(fleet_at(url), days(14), chosen).items():
        assert history.containers
        for container, one in history.containers.items():
            assert_same(found[name].containers[container], one)


def test_a_workload_that_a_store_does_not_answer_for_says_so_and_the_others_are_sized(
    url: str, states: dict[str, WorkloadState]
) -> None:
    chosen = [states[name] for name in ("agent", "bare", "cart")]
    with in_front_of(url, most_series=5) as store:
        found = read(fleet_at(store.url), days(2), chosen)
    assert "the number of matching timeseries exceeds 5" in found["agent"].refusal
    assert not found["agent"].containers
    for name, history in read(fleet_at(url), days(2), [states["bare"], states["cart"]]).items():
        assert not found[name].refusal
        for container, one in history.containers.items():
            assert_same(found[name].containers[container], one)


def test_a_store_that_answers_nothing_at_all_is_named_with_its_limit(url: str) -> None:
    with (
        in_front_of(url, most_series=0) as store,
        pytest.raises(SourceUnavailable, match="the number of matching timeseries exceeds 0") as told,
    ):
        fleet_at(store.url).states("shop")
    assert "Raise the limit that it names" in str(told.value.hint)


def test_a_window_is_cut_where_a_store_limits_what_is_not_series(url: str, states: dict[str, WorkloadState]) -> None:
    with in_front_of(url, longest=timedelta(days=1)) as store:  # Mimir's max_total_query_length
        (through,) = read(fleet_at(store.url), days(5), [states["frontend"]]).values()
    (whole,) = read(fleet_at(url), days(5), [states["frontend"]]).values()
    for container, one in whole.containers.items():
        assert_same(through.containers[container], one)
