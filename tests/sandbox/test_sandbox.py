"""The sandbox as it runs: real processes, the kernel's limits, a real Prometheus."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import mora.sandbox
from mora.domain import Resources
from mora.errors import BadInput, ClusterError
from mora.quantities import MIB
from mora.sandbox import SandboxHandle
from mora.sandbox.spec import SERVICES
from tests.sandbox.shopper import CARD, Shopper, crowd, query, until, value

pytestmark = pytest.mark.slow

SERVICE_NAMES = sorted(spec.name for spec in SERVICES)
SHIPPED = {spec.name: spec.resources for spec in SERVICES}
# Pods of a Deployment by their owners, as FIELD.md 5.1 asks for them on any cluster.
OWNER = (
    'group by (namespace, pod) (label_replace(kube_pod_owner{{owner_kind="ReplicaSet"}}, "replicaset", "$1",'
    ' "owner_name", "(.+)") * on (namespace, replicaset) group_left() group by (namespace, replicaset)'
    ' (kube_replicaset_owner{{owner_kind="Deployment", owner_name="{service}"}}))'
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHandle]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORA_SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        handle = mora.sandbox.start("test")
        yield handle
        handle.down()


@pytest.fixture(autouse=True)
def as_shipped(sandbox: SandboxHandle) -> Iterator[None]:
    """Every test leaves the sandbox as it found it."""
    yield
    for service, resources in SHIPPED.items():
        sandbox.set_resources(service, resources)
    sandbox.scale(dict.fromkeys(SERVICE_NAMES, 1))
    sandbox.wait_ready()


def labels_of(sandbox: SandboxHandle, selector: str) -> dict[str, str]:
    result = query(sandbox, selector)
    assert result, f"no series {selector}"
    labels: dict[str, str] = result[0]["metric"]
    return labels


def needs_cgroups(sandbox: SandboxHandle) -> None:
    if not sandbox.enforcement.startswith("cgroups"):
        pytest.skip(f"{sandbox.enforcement_reason}; test_supervisor_mode.py tests the same there")


def test_it_says_what_runs_and_where(sandbox: SandboxHandle) -> None:
    status = sandbox.status()
    assert sandbox.services == SERVICE_NAMES
    assert (sandbox.namespace, sandbox.entry_service) == ("default", "frontend")
    assert "token" not in status
    for service in status["services"].values():
        assert (service["replicas"], service["ready"], service["is_settled"]) == (1, 1, True)
        assert Path(f"/proc/{service['pods'][0]['pid']}").exists()
    state = Path(status["folder"]) / "state.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700


def test_a_customer_can_look_around_fill_a_cart_and_pay(sandbox: SandboxHandle) -> None:
    shopper = Shopper(sandbox.shop_url)
    assert "/product/" in shopper.get("/")
    assert "Search: oak mug" in shopper.get("/search?q=oak+mug")
    assert "Add to cart" in shopper.get("/product/OLJCESPC7Z")
    assert "<td>3</td>" in shopper.add("OLJCESPC7Z", 3)
    assert "Thank you" in shopper.post("/cart/checkout", CARD)
    assert "Your cart is empty." in shopper.get("/cart")
    with pytest.raises(OSError, match="409"):
        shopper.post("/cart/checkout", CARD)


@pytest.mark.parametrize(
    ("series", "job", "labels"),
    [
        ("container_cpu_usage_seconds_total", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_memory_working_set_bytes", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_memory_rss", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_oom_events_total", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_cpu_cfs_periods_total", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_cpu_cfs_throttled_periods_total", "kubelet", {"namespace", "pod", "container", "image"}),
        ("kube_pod_owner", "kube-state-metrics", {"namespace", "pod", "owner_kind", "owner_name"}),
        ("kube_replicaset_owner", "kube-state-metrics", {"namespace", "replicaset", "owner_kind", "owner_name"}),
        ("kube_deployment_spec_replicas", "kube-state-metrics", {"namespace", "deployment"}),
        ("kube_deployment_status_replicas_available", "kube-state-metrics", {"namespace", "deployment"}),
        ("kube_deployment_status_observed_generation", "kube-state-metrics", {"namespace", "deployment"}),
        ("kube_pod_container_resource_requests", "kube-state-metrics", {"pod", "container", "resource", "unit"}),
        ("kube_pod_container_resource_limits", "kube-state-metrics", {"pod", "container", "resource", "unit"}),
        ("kube_pod_container_status_restarts_total", "kube-state-metrics", {"namespace", "pod", "container"}),
        ("kube_pod_container_status_ready", "kube-state-metrics", {"namespace", "pod", "container"}),
        ("kube_pod_status_phase", "kube-state-metrics", {"namespace", "pod", "phase"}),
        ("kube_pod_info", "kube-state-metrics", {"namespace", "pod", "node", "host_network"}),
        ("kube_pod_container_info", "kube-state-metrics", {"namespace", "pod", "container", "image", "image_spec"}),
        ("kube_pod_start_time", "kube-state-metrics", {"namespace", "pod"}),
        ("kube_node_status_allocatable", "kube-state-metrics", {"node", "resource", "unit"}),
        ("node_cpu_seconds_total", "node-exporter", {"cpu", "mode", "instance"}),
        ("node_memory_MemAvailable_bytes", "node-exporter", {"instance"}),
        ("node_memory_MemTotal_bytes", "node-exporter", {"instance"}),
        ("node_uname_info", "node-exporter", {"nodename", "instance"}),
    ],
)
def test_a_series_has_the_job_and_labels_that_it_has_on_a_cluster(
    sandbox: SandboxHandle, series: str, job: str, labels: set[str]
) -> None:
    selector = f'{series}{{container="server"}}' if "container" in labels else series
    found = labels_of(sandbox, selector)
    assert found["job"] == job
    assert labels <= found.keys()
    assert found.get("namespace", "default") == "default"
    assert found.get("metrics_path") == ("/metrics/cadvisor" if job == "kubelet" else None)


def test_the_pods_own_group_and_network_have_no_container(sandbox: SandboxHandle) -> None:
    for series in ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes"):
        pod_level = [r["metric"] for r in query(sandbox, f'{series}{{container=""}}')]
        assert len(pod_level) == len(SERVICE_NAMES)
        assert all("image" not in labels and "name" not in labels for labels in pod_level)
    for direction in ("receive", "transmit"):
        labels = labels_of(sandbox, f"container_network_{direction}_bytes_total")
        assert (labels["interface"], labels["job"]) == ("eth0", "kubelet")
        assert "container" not in labels


def test_the_owners_lead_from_a_deployment_to_its_pods_alone(sandbox: SandboxHandle) -> None:
    for service in SERVICE_NAMES:
        pods = [r["metric"]["pod"] for r in query(sandbox, OWNER.format(service=service))]
        assert pods == [sandbox.status()["services"][service]["pods"][0]["name"]]


def test_the_node_of_a_pod_can_be_joined_to_its_figures(sandbox: SandboxHandle) -> None:
    joined = (
        'count(kube_pod_info * on (node) group_left() label_replace(node_uname_info, "node", "$1", "nodename", "(.+)"))'
    )
    assert value(sandbox, joined) == len(SERVICE_NAMES)
    busy = value(sandbox, '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5s]))')
    assert busy is None or 0 <= busy <= 1


def test_requests_and_limits_are_those_that_are_set(sandbox: SandboxHandle) -> None:
    for service, resources in SHIPPED.items():
        assert resources.cpu_request_millicores is not None
        for kind, resource, amount in (
            ("requests", "cpu", resources.cpu_request_millicores / 1000),
            ("limits", "memory", resources.memory_limit_bytes),
        ):
            selector = f'kube_pod_container_resource_{kind}{{pod=~"{service}-.*", resource="{resource}"}}'
            assert value(sandbox, selector) == amount


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


def test_a_restart_replaces_every_pod_and_forgets_what_was(sandbox: SandboxHandle) -> None:
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
    # The pod's counters go on when its container is killed.
    assert value(sandbox, f'resets(container_network_receive_bytes_total{{pod="{pod["name"]}"}}[5m])') == 0
    assert value(sandbox, f"resets(container_cpu_usage_seconds_total{{{selector}}}[5m])") == 0


def fill_carts_until_killed(sandbox: SandboxHandle) -> None:
    """Sessions that nobody orders from, until cartservice has been restarted."""
    for _ in range(500):
        shopper = Shopper(sandbox.shop_url)
        try:
            for quantity in (1, 2, 3, 4):
                shopper.add("OLJCESPC7Z", quantity)
        except OSError:
            if sandbox.status()["services"]["cartservice"]["restarts"]:
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
    # Of another job, so scraped at another moment.
    until(lambda: value(sandbox, limit) is None, "no CPU limit")


def test_memory_follows_the_sessions_and_comes_back(sandbox: SandboxHandle) -> None:
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
    until(lambda: (value(sandbox, working_set) or 0) < empty + MIB, "memory that the carts gave back")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nothing": 1}, "no service 'nothing'"),
        ({"frontend": 21}, "0 to 20 replicas"),
        ({"frontend": -1}, "0 to 20 replicas"),
    ],
)
def test_an_impossible_scale_is_refused_and_changes_nothing(
    sandbox: SandboxHandle, change: dict[str, int], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        sandbox.scale({"cartservice": 2, **change})
    assert sandbox.status()["services"]["cartservice"]["replicas"] == 1


def test_impossible_resources_are_refused(sandbox: SandboxHandle) -> None:
    with pytest.raises(BadInput, match="above its limit"):
        sandbox.set_resources("frontend", Resources(cpu_request_millicores=200, cpu_limit_millicores=100))
    with pytest.raises(BadInput, match="must be positive"):
        sandbox.set_resources("frontend", Resources(memory_request_bytes=0))


def test_the_same_name_twice_is_refused_and_an_unknown_one_named(sandbox: SandboxHandle) -> None:
    with pytest.raises(ClusterError, match="'test' is already running"):
        mora.sandbox.start("test")
    with pytest.raises(ClusterError, match=r"No sandbox named 'other' is running.\nThese are: test\."):
        mora.sandbox.connect("other")
    assert mora.sandbox.connect("test").pid == sandbox.pid
