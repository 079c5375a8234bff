"""What a Prometheus lacks altogether is named by its metric, for the run and for each workload."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.domain import Target
from mora.sources.prometheus.needed import use_that_is_absent
from tests.fleet import rig
from tests.fleet.making import advised, codes, words
from tests.sources.prometheus.shop import END, FLEET, days, fleet_at, read

WEB = rig.Fleet((FLEET.service("payment"),), END)


@pytest.mark.parametrize(
    ("metric", "target", "other"),
    [
        ("container_cpu_usage_seconds_total", Target.CPU, Target.MEMORY),
        ("container_memory_working_set_bytes", Target.MEMORY, Target.CPU),
    ],
)
def test_a_metric_of_use_that_is_not_there_is_the_reason_and_not_the_workload(
    tmp_path: Path, metric: str, target: Target, other: Target
) -> None:
    with rig.serving(tmp_path, WEB, keep=lambda name: name != metric) as url:
        fleet = fleet_at(url)
        (state,) = fleet.states("shop")
        history = read(fleet, days(3), [state])["payment"]
    assert list(history.lacks) == [target]
    main = advised(state, history).main
    numbers = {Target.CPU: main.cpu_request, Target.MEMORY: main.memory_request}
    assert codes(numbers[target])[0] == "metric-missing"
    assert f"{metric} has no samples" in words(numbers[target])
    assert "/metrics/cadvisor" in words(numbers[target])
    assert "metric-missing" not in codes(numbers[other])


def test_without_cadvisor_no_workload_is_blamed(tmp_path: Path) -> None:
    with rig.serving(tmp_path, WEB, keep=lambda name: not name.startswith("container_")) as url:
        fleet = fleet_at(url)
        (state,) = fleet.states("shop")
        history = read(fleet, days(3), [state])["payment"]
    advice = advised(state, history)
    assert codes(advice.main.cpu_request) == ["metric-missing"]
    assert "is gone" not in words(advice.main.cpu_request)


def test_only_use_that_is_absent_takes_numbers_away() -> None:
    assert use_that_is_absent({"kube_pod_start_time": "x"}) == {}


@pytest.mark.parametrize(
    ("metric", "code"),
    [
        ("kube_pod_container_resource_requests", "requests-unknown"),
        ("kube_deployment_spec_replicas", "replicas-unknown"),
        ("kube_pod_container_info", "no-containers"),
    ],
)
def test_a_metric_of_the_state_that_is_not_there_is_named_with_what_to_enable(
    tmp_path: Path, metric: str, code: str
) -> None:
    with rig.serving(tmp_path, WEB, keep=lambda name: name != metric) as url:
        states = {state.workload.name: state for state in fleet_at(url).states("shop")}
    (why,) = [reason for reason in states["payment"].reasons if reason.code == code]
    assert metric in why.text
    assert "--resources" in why.text
    assert states["payment"].allocation.is_described is (code != "requests-unknown")
