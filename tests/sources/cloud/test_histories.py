"""States and histories of many workloads from placed series."""

from __future__ import annotations

import pytest

from mora.domain import Resources, Target
from mora.sources.cloud.histories import by_workload, history_of, state_of
from mora.sources.cloud.placing import Placed, placed
from mora.sources.cloud.signals import Of, Signal
from tests.sources.cloud.made_up import REDIS, WEB, WEB_PODS, MadeUpReader, page, shop, window


def found(reader: MadeUpReader) -> Placed:
    return placed(reader.pages, window())


def test_a_state_has_the_replicas_and_the_requests_of_now() -> None:
    reader = shop()
    state = state_of(WEB, by_workload(found(reader))[WEB], cloud=reader.title, known=reader.signals)
    assert state.allocation.replicas == 2
    assert state.allocation.is_described
    server = state.allocation.main
    assert server is not None
    assert server.resources == Resources(500, 1000, 2**28, 2**28)
    sidecar = next(one for one in state.allocation.containers if one.name == "istio-proxy")
    assert (sidecar.is_injected, sidecar.resources) == (True, Resources())
    assert "read from a made-up cloud alone" in state.reasons[0].text


def test_a_cloud_that_tells_no_requests_does_not_say_that_none_are_set() -> None:
    reader = shop()
    state = state_of(REDIS, by_workload(found(reader))[REDIS], cloud="x", known={Signal.CPU, Signal.MEMORY})
    assert not state.allocation.is_described
    assert "its requests and limits are not known" in state.reasons[0].text


def test_a_history_is_of_the_hottest_pod_and_names_it() -> None:
    reader = shop(24)
    placed_24 = placed(reader.pages, window(24))
    one = by_workload(placed_24)[WEB]
    state = state_of(WEB, one, cloud="x", known=reader.signals)
    history = history_of(state, one, window(24), queries={})
    server = history.containers["server"]
    assert server.cpu_cores.tolist() == pytest.approx([0.3] * 24)
    assert server.peak_pods == {Target.CPU: WEB_PODS[1], Target.MEMORY: WEB_PODS[0]}
    assert (server.pods, server.restarts) == (2, 2)
    assert server.pod_p95_cores == pytest.approx(0.3)
    assert history.replicas is not None
    assert history.replicas.tolist() == [2.0] * 24
    assert sorted(history.containers) == ["istio-proxy", "server"]


def test_a_workload_without_samples_has_a_history_without_containers_and_a_warning() -> None:
    history = history_of(state_of(WEB, Placed(), cloud="x", known=()), Placed(), window(), queries={})
    assert (history.containers, history.replicas) == ({}, None)
    assert history.warnings == ("The cloud has no samples of it in this time range.",)


def test_nodes_belong_to_no_workload() -> None:
    assert by_workload(placed([page(Signal.NODE_CPU, [0.5], Of(node="node-1"))], window())) == {}
