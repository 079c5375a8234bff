"""Histories in any order become recommendations, namespace by namespace, whatever is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from mora.bounds.cpu import cpu_bounds
from mora.domain import (
    Allocation,
    Container,
    Quota,
    Recommendation,
    Resources,
    Target,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.errors import BadInput, NotEnoughData
from mora.fleet.batch import AT_ONCE, bounds_of
from mora.fleet.names import choose, labelled
from mora.fleet.settings import FleetSettings
from mora.fleet.spans import left_out, parse_span
from mora.fleet.stream import stream
from mora.pipeline import find_workload_states, recommend_fleet
from mora.seams import Reporter
from tests.fleet.making import NOW, WINDOW, annotated, codes, container_history, history, state, steady, words


def workloads(*names: str) -> list[WorkloadState]:
    return [state(workload=Workload(*name.split("/"))) for name in names]


def histories(states: list[WorkloadState]) -> Iterator[WorkloadHistory]:
    for number, one in enumerate(states):
        yield history(container_history(cpu_cores=steady(0.1 + 0.01 * number)), workload=one.workload)


def test_every_workload_gets_a_recommendation_and_namespaces_come_whole() -> None:
    states = workloads("a/x", "b/x", "a/y", "b/y", "c/x")
    shuffled = list(histories(states))[::-1]
    given = [advice.workload for advice in stream(states, shuffled, WINDOW, FleetSettings())]
    assert set(given) == {one.workload for one in states}
    namespaces = [workload.namespace for workload in given]
    assert namespaces == sorted(namespaces, key=namespaces.index)


def test_many_at_once_get_the_numbers_that_each_gets_alone() -> None:
    states = workloads(*(f"n{number % 3}/w{number}" for number in range(AT_ONCE + 10)))
    given = {a.workload: a for a in stream(states, histories(states), WINDOW, FleetSettings())}
    for one in states[:: AT_ONCE // 2]:
        seen = next(h for h in histories(states) if h.workload == one.workload)
        use = seen.containers["server"].cpu_cores
        alone = cpu_bounds(use, step_seconds=300, decisions=np.array([len(use)]), horizon_seconds=86_400)
        together = bounds_of([seen], timedelta(hours=24))[0]["server"][Target.CPU].amount
        assert together == float(alone.requests[0])
        assert f"{1000 * together:.0f}m" in words(given[one.workload].main.cpu_request)


def test_a_workload_that_no_history_came_for_is_told_of() -> None:
    states = workloads("a/x", "a/gone")
    given = {a.workload.name: a for a in stream(states, histories(states[:1]), WINDOW, FleetSettings())}
    assert codes(given["gone"].main.cpu_request) == ["no-history"]
    assert given["x"].main.cpu_request.value is not None


def test_a_history_that_nobody_asked_for_or_that_comes_twice_changes_nothing() -> None:
    states = workloads("a/x")
    twice = [*histories(states), *histories(states), *histories(workloads("b/other"))]
    assert [a.workload.name for a in stream(states, twice, WINDOW, FleetSettings())] == ["x"]


def test_no_more_than_a_batch_is_held_at_a_time() -> None:
    states = workloads(*(f"n{number}/w" for number in range(3 * AT_ONCE)))
    asked = 0

    def counted() -> Iterator[WorkloadHistory]:
        nonlocal asked
        for one in histories(states):
            asked += 1
            yield one

    first = next(stream(states, counted(), WINDOW, FleetSettings()))
    assert (first.workload.namespace, asked) == ("n0", AT_ONCE)


# --- quotas ----------------------------------------------------------------------------------------------------------


def in_a_quota(hard_millicores: int, *, requests: tuple[int, ...]) -> list[Recommendation]:
    """Workloads of 2 replicas that need about 110m each, in a namespace where 2 x requests are in use."""
    quota = Quota("compute", Resources(hard_millicores), Resources(2 * sum(requests)))
    states = [
        state(
            Container("server", Resources(request), is_main=True),
            workload=Workload("shop", f"w{number}"),
            quotas=(quota,),
        )
        for number, request in enumerate(requests)
    ]
    seen = (history(container_history(cpu_cores=steady(0.1)), workload=one.workload) for one in states)
    return list(stream(states, seen, WINDOW, FleetSettings()))


def test_a_quota_that_all_advice_together_would_break_is_told_to_those_that_grow() -> None:
    grown = in_a_quota(100, requests=(10, 10))
    assert all("quota" in codes(advice) for advice in grown)
    assert "is too small for all recommendations" in words(grown[0])
    assert "requests.cpu 100m, 40m of it in use" in words(grown[0])


def test_a_quota_with_room_only_after_the_cuts_says_so() -> None:
    # 2 x 10m grows by about 200m; 2 x 400m shrinks to half, 400m less; 50m are free.
    grows, shrinks = in_a_quota(870, requests=(10, 400))
    assert "apply those first" in words(grows)
    assert "quota" not in codes(shrinks)


def test_a_quota_with_room_says_nothing() -> None:
    assert not any("quota" in codes(advice) for advice in in_a_quota(100_000, requests=(10, 10)))


# --- which workloads -------------------------------------------------------------------------------------------------


KNOWN = [
    state(workload=Workload("shop", "frontend")),
    state(workload=Workload("shop", "frontend", "StatefulSet")),
    state(workload=Workload("bank", "frontend")),
    state(workload=Workload("bank", "ledger", "CronJob")),
]


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ([], [0, 1, 2, 3]),
        (["frontend"], [0, 1, 2]),
        (["deployment/frontend"], [0, 2]),
        (["sts/frontend"], [1]),
        (["shop/frontend"], [0, 1]),
        (["cj/ledger", "deploy/frontend"], [0, 2, 3]),
    ],
)
def test_a_name_means_what_kubectl_means_by_it(names: list[str], meant: list[int]) -> None:
    assert choose(KNOWN, names) == [KNOWN[number] for number in meant]


def test_a_name_that_means_nothing_is_told_with_the_nearest() -> None:
    with pytest.raises(BadInput) as caught:
        choose(KNOWN, ["ledgre"])
    assert caught.value.hint == "Found: cronjob/ledger."


def test_labels_choose_as_kubectl_does() -> None:
    web = state(labels={"app": "shop", "app_kubernetes_io_name": "web"})
    db = state(labels={"app": "shop", "tier": "data"})
    assert labelled([web, db], "app=shop") == [web, db]
    assert labelled([web, db], "app.kubernetes.io/name=web") == [web]
    assert labelled([web, db], "app==shop,tier") == [db]
    assert labelled([web, db], "tier!=data") == [web]
    with pytest.raises(BadInput, match="not a label selector"):
        labelled([web], "app in (shop)")


def test_without_any_label_a_selector_cannot_choose() -> None:
    with pytest.raises(BadInput, match="knows no labels"):
        labelled(KNOWN, "app=shop")


# --- the windows that are left out -----------------------------------------------------------------------------------


def test_the_samples_that_touch_a_span_are_left_out() -> None:
    window = Window(NOW, NOW + timedelta(hours=1), timedelta(minutes=5))

    def taken(text: str) -> list[int]:
        return np.flatnonzero(left_out(window, [parse_span(text)])).tolist()

    assert taken("2026-11-20T12:10/2026-11-20T12:20") == [2, 3, 4]  # the last tells of the five minutes before it
    assert taken("2026-11-20T12:11/2026-11-20T12:21") == [3, 4, 5]
    assert taken("2026-11-01/2026-11-02") == []
    assert taken("2026-11-01/2026-12-01") == list(range(13))


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-01", "2026-11-02/2026-11-01", "a/b", "2026-11-01/b/c"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_span(text)


# --- the use-case ----------------------------------------------------------------------------------------------------


class HandMade:
    """A fleet's source that a test wrote down."""

    def __init__(self, states: list[WorkloadState]) -> None:
        self.known = states
        self.asked = 0

    def states(self, namespace: str | None = None) -> list[WorkloadState]:
        return [one for one in self.known if namespace in (None, one.workload.namespace)]

    def histories(
        self, states: object, window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        self.asked += 1
        return (replace(one, window=window) for one in histories(self.known))


def test_workloads_are_found_and_sized_by_prometheus_alone() -> None:
    source = HandMade(workloads("shop/a", "shop/b", "bank/c"))
    found = find_workload_states(source, namespace="shop", kubernetes=False, names=["b"])
    assert [advice.workload.name for advice in recommend_fleet(found, source, WINDOW)] == ["b"]
    with pytest.raises(NotEnoughData, match="no workload in namespace 'nowhere'"):
        find_workload_states(source, namespace="nowhere", kubernetes=False)


def test_a_bad_override_is_refused_before_anything_is_asked() -> None:
    source = HandMade([state(annotations=annotated(cpu_cap="lots"))])
    with pytest.raises(BadInput, match="deployment/frontend"):
        recommend_fleet(source.known, source, WINDOW)
    assert source.asked == 0


def test_a_hold_shorter_than_a_sample_is_refused() -> None:
    source = HandMade(workloads("shop/a"))
    with pytest.raises(BadInput, match="shorter than the 5m between samples"):
        recommend_fleet(source.known, source, WINDOW, settings=FleetSettings(horizon=timedelta(minutes=1)))


def test_a_broken_model_is_told_and_the_history_stands_in(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "shop" / "a"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}", encoding="utf-8")
    source = HandMade(workloads("shop/a"))
    (advice,) = recommend_fleet(source.known, source, WINDOW, models_dir=folder.parent.parent)
    assert (advice.basis, "model-not-used" in codes(advice)) == ("history", True)
    assert advice.main.cpu_request.value is not None


def test_a_standing_without_containers_and_history_is_told_as_a_guess() -> None:
    bare = state(workload=Workload("shop", "a"), allocation=Allocation(1))
    (advice,) = stream([bare], [], WINDOW, FleetSettings())
    assert (advice.main.container, "container-guessed" in codes(advice)) == ("a", True)
