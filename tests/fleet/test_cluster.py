"""Both sides at once: workloads from a Kubernetes API (the strict fake), use from a real Prometheus."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import running
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.test_inventory import limit_range, pod, replica_set
from tests.clusters.test_kubernetes import deployment
from tests.fleet import rig
from tests.test_extras import ALL_HIDDEN, mora_without

MIB = 2**20


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rig.serving(tmp_path_factory.mktemp("shop"), rig.shop(time.time() + 600)) as address:
        yield address


def frontend(**annotations: str) -> dict[str, Any]:
    """The Deployment whose pods the Prometheus knows; its proxy is put into the pods and stands in no template."""
    manifest = deployment("frontend")
    manifest["metadata"]["annotations"] = {f"mora.dev/{name.replace('_', '-')}": v for name, v in annotations.items()}
    resources = {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"cpu": "1500m", "memory": "512Mi"}}
    server = {"name": "server", "image": "shop:1", "resources": resources}
    manifest["spec"]["template"]["spec"] = {
        "containers": [server],
        "initContainers": [{"name": "migrate", "image": "shop:1"}],
    }
    return manifest


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster()
    cluster.add(frontend(cpu_buffer="1.3"))
    cluster.add(replica_set("frontend-2aa", "frontend", 1))
    proxy = {"name": "istio-proxy", "image": "proxy:1", "resources": {"requests": {"cpu": "100m"}}}
    server = {"name": "server", "image": "shop:1"}
    amounts = {"default": {"cpu": "1", "memory": "512Mi"}, "max": {"cpu": "2", "memory": "4Gi"}}
    cluster.add(limit_range({"type": "Container", **amounts}))
    cluster.add(pod("frontend-2aa-0", ("ReplicaSet", "frontend-2aa"), server, proxy))
    return cluster


@pytest.fixture
def api(fake: FakeCluster) -> Iterator[FakeApi]:
    with serving(fake) as server:
        yield server


def mora(folder: Path, api: FakeApi | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    kubeconfig = folder / "nowhere" if api is None else api.kubeconfig(folder / "config")
    return running.mora(*arguments, cwd=folder, KUBECONFIG=str(kubeconfig))


def told(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return {one["service"]: one for one in json.loads(done.stdout)["recommendations"]}


def codes(advice: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in advice["reasons"]]


def test_the_api_s_workloads_get_what_prometheus_alone_would_give_them(
    url: str, fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    ask = ("recommend", "-n", "shop", "deployment/frontend", "--prometheus", url, "-o", "json")
    by_api, by_prometheus = told(mora(tmp_path, api, *ask)), told(mora(tmp_path, None, *ask, "--no-kubernetes"))
    one, other = by_api["frontend"], by_prometheus["frontend"]
    for name in ("cpu_request_millicores", "memory_request_bytes", "memory_limit_bytes", "cpu_limit_millicores"):
        assert (one[name]["now"], one[name]["value"]) == (other[name]["now"], other[name]["value"])
    assert [(part["name"], part["role"]) for part in one["containers"]] == [
        ("server", "app"),
        ("migrate", "init"),
        ("istio-proxy", "sidecar"),
    ]
    assert "known-by-prometheus" not in codes(one)
    assert fake.changes == []  # nothing was changed, nor tried to be


def test_the_prometheus_of_the_cluster_is_found_and_asked_through_its_api(
    url: str, fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    port = {"name": "http-web", "port": 9090}
    service = {"metadata": {"name": "prometheus-operated", "namespace": "monitoring"}, "spec": {"ports": [port]}}
    fake.add({"apiVersion": "v1", "kind": "Service", **service})
    fake.proxied["monitoring", "prometheus-operated:9090"] = url
    done = mora(tmp_path, api, "recommend", "-n", "shop", "deployment/frontend", "-o", "json")
    assert told(done)["frontend"]["cpu_request_millicores"]["value"] is not None
    assert "monitoring/prometheus-operated" in done.stderr


def test_a_workload_that_is_gone_in_between_is_named(url: str, fake: FakeCluster, api: FakeApi, tmp_path: Path) -> None:
    fake.add(deployment("ghost"))
    found = told(mora(tmp_path, api, "recommend", "-n", "shop", "--all", "--prometheus", url, "-o", "json"))
    assert set(found) == {"frontend", "ghost"}
    assert codes(found["ghost"]["cpu_request_millicores"]) == ["no-history"]
    assert found["frontend"]["cpu_request_millicores"]["value"] is not None


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({"memory_floor": "64MB"}, "deployment/frontend in namespace shop: annotation mora.dev/memory-floor"),
        ({"cpu_bufer": "2"}, "Did you mean cpu-buffer?"),
    ],
)
def test_a_bad_annotation_is_refused_before_prometheus_is_asked(
    annotations: dict[str, str], words: str, fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    fake.add(frontend(**annotations))
    # Nothing listens there: who asked it would say so.
    done = mora(tmp_path, api, "recommend", "-n", "shop", "--all", "--prometheus", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_a_bad_annotation_and_an_object_that_cannot_be_read_hide_no_other_workload(
    url: str, fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    bad, torn = deployment("bad"), deployment("torn")
    bad["metadata"]["annotations"] = {"mora.dev/memory-floor": "64MB"}
    fake.add(bad)
    torn["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "5Kx"}}
    torn["metadata"]["namespace"] = "shop"
    fake.objects["deployments", "shop", "torn"] = torn
    done = mora(tmp_path, api, "recommend", "-n", "shop", "--all", "--prometheus", url, "-o", "json")
    assert done.returncode == 1
    assert "Not sized, since something is wrong with the object itself: shop/bad, shop/torn." in done.stderr
    found = {one["service"]: one for one in json.loads(done.stdout)["recommendations"]}
    assert found["frontend"]["cpu_request_millicores"]["value"] is not None
    for name, code, words in (
        ("bad", "bad-annotation", "annotation mora.dev/memory-floor"),
        ("torn", "unreadable", "resources.requests['cpu'] is '5Kx', not a Kubernetes quantity"),
    ):
        request = found[name]["cpu_request_millicores"]
        assert (request["value"], codes(request)) == (None, [code])
        assert words in request["reasons"][0]["text"]


def test_without_rights_the_way_around_the_api_is_named(
    url: str, fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    fake.forbidden.add(("list", "deployments"))
    done = mora(tmp_path, api, "recommend", "-n", "shop", "--all", "--prometheus", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--no-kubernetes" in done.stderr
    assert "deployments" in done.stderr


def test_without_a_kubeconfig_the_way_around_it_is_named(url: str, tmp_path: Path) -> None:
    done = mora(tmp_path, None, "recommend", "-A", "--prometheus", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "kubeconfig" in done.stderr
    assert "--no-kubernetes" in done.stderr


def test_a_base_install_recommends_what_a_full_one_does(url: str, tmp_path: Path) -> None:
    ask = ("recommend", "--all", "-n", "shop", "--prometheus", url, "--no-kubernetes", "-o", "json")
    base = mora_without(ALL_HIDDEN, *ask, cwd=tmp_path)
    full = mora(tmp_path, None, *ask)
    shown = told(base)
    assert len(shown) > 10
    numbers = [
        {name: advice["cpu_request_millicores"]["value"] for name, advice in one.items()} for one in (shown, told(full))
    ]
    assert numbers[0] == numbers[1]


def test_a_base_install_explains(url: str, tmp_path: Path) -> None:
    ask = ("explain", "deployment/frontend", "-n", "shop", "--prometheus", url, "--no-kubernetes")
    done = mora_without(ALL_HIDDEN, *ask, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Deployment shop/frontend" in done.stdout
