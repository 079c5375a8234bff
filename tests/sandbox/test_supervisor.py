"""The supervisor of a running sandbox: scaling, restarts, limits and helpers, with real processes and Prometheus."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import mora.sandbox
from mora.domain import Resources
from mora.quantities import MIB
from mora.sandbox import SandboxHandle
from mora.sandbox.spec import SERVICES
from tests.running import until
from tests.sandbox.shopper import Shopper, crowd, value
from tests.sandbox.traces import Traces

pytestmark = pytest.mark.slow

SERVICE_NAMES = sorted(spec.name for spec in SERVICES)
SHIPPED = {spec.name: spec.resources for spec in SERVICES}


def needs_cgroups(sandbox: SandboxHandle) -> None:
    if not sandbox.enforcement.startswith("cgroups"):
        pytest.skip(f"{sandbox.enforcement_reason}; test_enforcement.py tests the same there")


def test_scaling_under_load_loses_no_request_and_every_replica_works(sandbox: SandboxHandle) -> None:
    with crowd(sandbox.shop_url, 6) as (answered, failures):
        sandbox.scale({"frontend": 3, "productcatalogservice": 3})
        sandbox.wait_ready()
        pods = 'count(rate(container_network_transmit_bytes_total{pod=~"frontend-.*"}[3s]) > 0)'
        until(lambda: value(sandbox, pods) == 3, "three frontends that answer")
        available = 'kube_deployment_status_replicas_available{deployment="frontend"}'
        until(lambda: value(sandbox, available) == 3, "three available replicas in Prometheus")
        sandbox.scale({"frontend": 1, "productcatalogservice": 1})
        sandbox.wait_ready()
        before = answered[0]
        until(lambda: answered[0] > before + 10, "answers after scaling down")
    assert failures == []


def test_carts_are_found_after_scaling_up_and_down(sandbox: SandboxHandle) -> None:
    shoppers = [Shopper(sandbox.shop_url) for _ in range(12)]
    for shopper in shoppers:
        shopper.add("OLJCESPC7Z", 2)
    for replicas in (3, 2):
        sandbox.scale({"cartservice": replicas})
        sandbox.wait_ready()
        until(lambda: all("<td>2</td>" in shopper.get("/cart") for shopper in shoppers), f"carts at {replicas}")
    assert all("<td>3</td>" in shopper.add("OLJCESPC7Z", 1) for shopper in shoppers)


def test_a_restart_replaces_every_pod(sandbox: SandboxHandle) -> None:
    before = sandbox.status()["services"]
    with crowd(sandbox.shop_url, 2) as (_, failures):
        sandbox.restart()
        sandbox.wait_ready()
    after = sandbox.status()["services"]
    for service in SERVICE_NAMES:
        assert {pod["name"] for pod in before[service]["pods"]}.isdisjoint(
            pod["name"] for pod in after[service]["pods"]
        )
        assert after[service]["generation"] > before[service]["generation"]
        assert all(pod["restarts"] == 0 for pod in after[service]["pods"])
    assert failures == []


def test_a_full_cart_service_is_killed_by_the_kernel_restarted_and_counted(sandbox: SandboxHandle) -> None:
    needs_cgroups(sandbox)
    before = sandbox.status()["services"]["cartservice"]["oom_kills"]
    sandbox.set_resources("cartservice", Resources(100, 200, 20 * MIB, 20 * MIB))
    sandbox.wait_ready()
    fill_carts_until_killed(sandbox)
    until(lambda: sandbox.status()["services"]["cartservice"]["is_settled"], "a restarted cartservice")
    pod = sandbox.status()["services"]["cartservice"]["pods"][0]
    assert pod["last_terminated_reason"] == "OOMKilled"
    assert sandbox.status()["services"]["cartservice"]["oom_kills"] > before
    selector = f'pod="{pod["name"]}", container="server"'
    until(
        lambda: (value(sandbox, f"kube_pod_container_status_restarts_total{{{selector}}}") or 0) >= 1,
        "the restart in Prometheus",
    )
    until(lambda: (value(sandbox, f"container_oom_events_total{{{selector}}}") or 0) >= 1, "the OOM kill in Prometheus")
    reason = f'kube_pod_container_status_last_terminated_reason{{{selector}, reason="OOMKilled"}}'
    assert value(sandbox, reason) == 1
    # The pod's counters continue when its container is killed.
    assert value(sandbox, f'resets(container_network_receive_bytes_total{{pod="{pod["name"]}"}}[5m])') == 0
    assert value(sandbox, f"resets(container_cpu_usage_seconds_total{{{selector}}}[5m])") == 0


def fill_carts_until_killed(sandbox: SandboxHandle) -> None:
    """Fill carts without ordering, until cartservice has been restarted."""
    before = sandbox.status()["services"]["cartservice"]["restarts"]
    for _ in range(500):
        shopper = Shopper(sandbox.shop_url)
        try:
            for quantity in (1, 2, 3, 4):
                shopper.add("OLJCESPC7Z", quantity)
        except OSError:
            if sandbox.status()["services"]["cartservice"]["restarts"] > before:
                return
    pytest.fail("500 carts fit into 20 MiB")


def test_a_cpu_limit_throttles_and_without_one_there_are_no_periods(sandbox: SandboxHandle) -> None:
    tight = replace(SHIPPED["frontend"], cpu_request_millicores=50, cpu_limit_millicores=50)
    sandbox.set_resources("frontend", tight)
    sandbox.wait_ready()
    throttled = 'sum(container_cpu_cfs_throttled_periods_total{pod=~"frontend-.*", container="server"})'
    periods = 'sum(container_cpu_cfs_periods_total{pod=~"frontend-.*", container="server"})'
    with crowd(sandbox.shop_url, 4):
        until(lambda: (value(sandbox, throttled) or 0) >= 10, "throttled periods")
    assert (value(sandbox, periods) or 0) >= (value(sandbox, throttled) or 0)
    sandbox.set_resources("frontend", replace(tight, cpu_limit_millicores=None))
    sandbox.wait_ready()
    until(lambda: value(sandbox, periods) is None, "no quota, no periods")
    limit = 'kube_pod_container_resource_limits{pod=~"frontend-.*", resource="cpu"}'
    # From another job, so scraped at another time.
    until(lambda: value(sandbox, limit) is None, "no CPU limit")


def test_memory_grows_and_shrinks_with_the_carts(sandbox: SandboxHandle) -> None:
    working_set = 'max(container_memory_working_set_bytes{pod=~"cartservice-.*", container="server"})'
    sandbox.restart(["cartservice"])
    sandbox.wait_ready()
    until(lambda: value(sandbox, working_set) is not None, "a fresh cartservice in Prometheus")
    empty = value(sandbox, working_set) or 0
    shoppers = [Shopper(sandbox.shop_url) for _ in range(20)]
    for shopper in shoppers:
        for product_id in ("OLJCESPC7Z", "66VCHSJNUP", "1YMWWN1N4O"):
            shopper.add(product_id)
    until(lambda: (value(sandbox, working_set) or 0) > empty + 2 * MIB, "memory that grew with the carts")
    for shopper in shoppers:
        shopper.post("/cart/empty", {})
    until(lambda: (value(sandbox, working_set) or 0) < empty + MIB, "memory that was freed")


def test_a_killed_replica_watchdog_or_prometheus_is_restarted(home: Path) -> None:
    handle: SandboxHandle = mora.sandbox.start("robust", await_metrics=False)
    before = handle.status()
    payment = before["services"]["paymentservice"]["pods"][0]
    for pid in (before["watchdog_pid"], before["prometheus_pid"], payment["pid"]):
        os.kill(pid, signal.SIGKILL)

    def recovered() -> bool:
        now = handle.status()
        pod = now["services"]["paymentservice"]["pods"][0]
        return bool(
            now["services"]["paymentservice"]["is_settled"]
            and (pod["name"], pod["restarts"], pod["last_terminated_reason"]) == (payment["name"], 1, "Error")
            and now["watchdog_pid"] != before["watchdog_pid"]
            and now["prometheus_pid"] != before["prometheus_pid"]
        )

    until(recovered, "everything restarted")
    traces = Traces(handle.status())
    os.kill(handle.pid, signal.SIGKILL)
    traces.until_gone()
