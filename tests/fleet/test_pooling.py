"""Requests on a node add up to what it must hold; no number grows, and what cannot be pooled says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import (
    AmountRange,
    Autoscaler,
    NodeLoad,
    Reason,
    Recommendation,
    Resources,
    Target,
    Window,
    Workload,
)
from mora.fleet.pooling import PooledNode, pooled_nodes, with_pools
from mora.fleet.settings import FleetSettings
from mora.policies import PolicySettings
from tests.fleet.making import codes, state, words
from tests.outputs import examples

DAY = timedelta(days=1)
STEP = timedelta(minutes=15)
WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC), STEP)
COUNT = WINDOW.sample_count
ANY_STEP = FleetSettings(policy=PolicySettings(allow_any_step=True))


def advised(name: str, millicores: int, now: int | None = None, **changes: Any) -> Recommendation:
    known = examples.frontend()
    request = replace(known.main.cpu_request, now=now, value=millicores, goal=None)
    return replace(
        known,
        workload=Workload("shop", name, changes.pop("kind", "Deployment")),
        containers=(replace(known.main, cpu_request=request),),
        **changes,
    )


def load(node: str, pods: dict[str, int], cores: float = 1.0, **changes: Any) -> NodeLoad:
    rng = np.random.default_rng(len(node))
    use = cores * (1 + 0.05 * rng.standard_normal(COUNT))
    counts = np.full(COUNT, float(sum(pods.values())))
    known = {"cpu_cores": use, "counts": counts} | changes
    return NodeLoad(node, pods={Workload("shop", name): count for name, count in pods.items()}, **known)


def test_the_requests_of_a_node_add_up_to_its_bound() -> None:
    advice = [advised("a", 900), advised("b", 300)]
    loads = [load("node-1", {"a": 2, "b": 2}, cores=1.0)]
    nodes = pooled_nodes(advice, loads, WINDOW, DAY)
    node = nodes["node-1"]
    assert node.alone == pytest.approx(2.4)
    assert 1.0 < node.together < 1.3
    a, b = with_pools(advice, [], loads, nodes, ANY_STEP)
    together = 2 * (a.main.cpu_request.value + b.main.cpu_request.value)  # type: ignore[operator]
    assert node.together * 1000 <= together <= node.together * 1000 + 4
    assert a.main.cpu_request.confidence == node.confidence
    assert "need 1.1 cores together" in words(a.main.cpu_request) or "together" in words(a.main.cpu_request)
    assert a.main.memory_request == advice[0].main.memory_request


@given(
    st.lists(st.tuples(st.integers(10, 2000), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6),
    st.floats(0.05, 8.0),
    st.floats(0.05, 8.0),
)
def test_on_every_node_the_requests_cover_what_it_must_hold(rows: Any, first: float, second: float) -> None:
    advice = [advised(f"w{number}", millicores) for number, (millicores, _, _) in enumerate(rows)]
    loads, nodes = [], {}
    for column, together in ((1, first), (2, second)):
        pods = {f"w{number}": row[column] for number, row in enumerate(rows) if row[column]}
        alone = sum(rows[int(name[1:])][0] * count for name, count in pods.items()) / 1000
        if pods:
            loads.append(load(f"node-{column}", pods))
            nodes[f"node-{column}"] = PooledNode(f"node-{column}", sum(pods.values()), alone, together, 0.9, 9)
    pooled = {
        one.workload: one.main.cpu_request.at_goal.value for one in with_pools(advice, [], loads, nodes, ANY_STEP)
    }
    for one in advice:
        before, after = one.main.cpu_request.value, pooled[one.workload]
        assert before is not None
        assert after is not None
        assert 10 <= after <= before
    for one_load in loads:
        node = nodes[one_load.node]
        total = sum((pooled[workload] or 0) * count for workload, count in one_load.pods.items())
        assert total >= min(node.together, node.alone) * 1000 - 1e-6


def test_one_change_goes_no_further_than_the_step_limit() -> None:
    node = PooledNode("n", 2, 2.0, 0.4, 0.9, 9)
    advice = [advised("a", 1000, now=1000)]
    request = with_pools(advice, [], [load("n", {"a": 2})], {"n": node}, FleetSettings())[0].main.cpu_request
    assert (request.value, request.goal) == (500, 200)
    small = replace(node, together=1.9)
    assert with_pools(advice, [], [load("n", {"a": 2})], {"n": small}, FleetSettings()) == advice, "below 10 %"


def test_more_pods_than_the_past_had_need_more() -> None:
    grown = load("n", {"a": 4}, counts=np.full(COUNT, 2.0))
    np.testing.assert_allclose(grown.as_now(), 2 * grown.cpu_cores)
    fewer = load("n", {"a": 1}, counts=np.full(COUNT, 2.0))
    np.testing.assert_array_equal(fewer.as_now(), fewer.cpu_cores)
    assert np.isnan(load("n", {"a": 1}, counts=np.zeros(COUNT), cpu_cores=np.zeros(COUNT)).as_now()).all()


def guaranteed(advice: Recommendation) -> Recommendation:
    limits = [replace(one, goal=None) for one in (advice.main.cpu_request, advice.main.memory_request)]
    main = replace(advice.main, cpu_limit=limits[0], memory_limit=limits[1])
    return replace(
        advice, containers=(main,), current=replace(advice.current, containers=advice.current.containers[:1])
    )


def unsure(advice: Recommendation) -> Recommendation:
    request = replace(advice.main.cpu_request, confidence=None)
    return replace(advice, containers=(replace(advice.main, cpu_request=request),))


def test_what_jobs_request_is_nothing_that_others_may_rest_on() -> None:
    job = Workload("shop", "nightly", "CronJob")
    advice = [advised("a", 900), replace(advised("nightly", 9000), workload=job)]
    with_job = load("node-1", {"a": 2}, cores=1.5)
    with_job = replace(with_job, pods={**with_job.pods, job: 3})
    node = pooled_nodes(advice, [with_job], WINDOW, DAY)["node-1"]
    assert node.pods == 2
    assert node.alone == pytest.approx(1.8)


def test_the_floor_of_the_workload_is_kept() -> None:
    own = replace(state(), workload=Workload("shop", "a"), annotations={"mora.dev/cpu-floor": "300m"})
    node = {"n": PooledNode("n", 1, 0.5, 0.1, 0.9, 9)}
    (found,) = with_pools([advised("a", 500)], [own], [load("n", {"a": 1})], node, ANY_STEP)
    assert found.main.cpu_request.value == 300


def test_what_cannot_be_pooled_says_why() -> None:
    young = load("young", {"a": 1}, cpu_cores=np.where(np.arange(COUNT) > COUNT - 96, 1.0, np.nan))
    advice = [advised("a", 500)]
    assert pooled_nodes(advice, [young], WINDOW, DAY) == {}
    node = {"n": PooledNode("n", 1, 0.5, 0.1, 0.9, 9)}
    sick = Reason("deferred-abnormal", "cuts are deferred while it is abnormal")
    by_cpu = Autoscaler("a", Target.CPU, True, 80, 1, 4)
    wanted = replace(state(), workload=advice[0].workload, annotations={"mora.dev/cpu-quantile": "0.99"})
    tied = replace(state(), workload=advice[0].workload, limit_range=AmountRange(cpu_ratio=2.0))
    for loads, states, one, why in (
        ([young], [], advice[0], "no past of 3 windows is known of young"),
        ([], [], advice[0], "which nodes its pods run on is not known"),
        ([load("n", {"a": 1})], [tied], advice[0], "a LimitRange ties"),
        ([load("n", {"a": 1})], [], advised("a", 500, kind="CronJob"), "the pods of a job come and go"),
        ([load("n", {"a": 1})], [], advised("a", 500, reasons=(sick,)), "it is abnormal now"),
        ([load("n", {"a": 1})], [], advised("a", 500, autoscalers=(by_cpu,)), "an HPA scales on its CPU requests"),
        ([load("n", {"a": 1})], [wanted], advice[0], "cpu-quantile asks for 99% of its own samples"),
        ([load("n", {"a": 1})], [], guaranteed(advice[0]), "its pods are Guaranteed"),
        ([load("n", {"a": 1})], [], unsure(advice[0]), "no confidence is known"),
    ):
        (found,) = with_pools([one], states, loads, node, ANY_STEP)
        assert found.main.cpu_request.value == 500
        assert why in f"{words(found)} {words(found.main.cpu_request)}"


def test_a_minimum_of_the_namespace_is_kept() -> None:
    least = replace(state(), workload=Workload("shop", "a"), limit_range=AmountRange(minimum=Resources(250)))
    node = {"n": PooledNode("n", 1, 0.5, 0.1, 0.9, 9)}
    (found,) = with_pools([advised("a", 500)], [least], [load("n", {"a": 1})], node, ANY_STEP)
    assert found.main.cpu_request.value == 250
    assert "pooled" in codes(found.main.cpu_request)
