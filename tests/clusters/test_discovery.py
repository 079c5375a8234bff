"""The cluster's own Prometheus is found by its Service and asked through the API server, a real one included."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mora import pipeline
from mora.clusters.discovery import find_prometheus
from mora.config import load_settings
from mora.domain import Window, Workload
from mora.errors import BadInput, ClusterError, SourceUnavailable
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.observe import PrometheusSource
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.sources.rig import backfill, cluster, serve


def service(name: str, port: int = 9090, *, namespace: str = "monitoring", **more: Any) -> dict[str, Any]:
    spec = {"ports": [{"name": more.pop("port_name", "http-web"), "port": port}], **more.pop("spec", {})}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": more.pop("labels", {})},
        "spec": spec,
    }


OPERATED = service("prometheus-operated", spec={"clusterIP": "None"})
BYSTANDERS = (
    service("kube-prometheus-stack-alertmanager", 9093),
    service("kube-prometheus-stack-operator", 443, port_name="https"),
    service("prometheus-pushgateway", 9091, labels={"app.kubernetes.io/name": "prometheus-pushgateway"}),
    service("kube-prometheus-stack-prometheus-node-exporter", 9100),
    service("frontend", 80, namespace="shop"),
)


@pytest.fixture
def fake() -> FakeCluster:
    found = FakeCluster()
    for one in BYSTANDERS:
        found.add(one)
    return found


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ((service("kube-prometheus-stack-prometheus"), OPERATED), "http:kube-prometheus-stack-prometheus:9090"),
        ((OPERATED,), "http:prometheus-operated:9090"),
        ((service("prometheus-server", 80, port_name="http"),), "http:prometheus-server:80"),
        ((service("prometheus-k8s", port_name="web"),), "http:prometheus-k8s:9090"),
        ((service("vmsingle-main", 8428, port_name="http"),), "http:vmsingle-main:8428"),
        ((service("thanos-query", 9090, port_name="http"),), "http:thanos-query:9090"),
        (
            (service("mine", 8080, port_name="https", labels={"app.kubernetes.io/name": "prometheus"}),),
            "https:mine:8080",
        ),
    ],
)
def test_a_prometheus_is_known_by_the_name_or_labels_of_its_service(
    fake: FakeCluster, api: FakeApi, tmp_path: Path, services: tuple[dict[str, Any], ...], expected: str
) -> None:
    for one in services:
        fake.add(one)
    found = find_prometheus(api.kubeconfig(tmp_path / "config"))
    assert found.url == f"http://127.0.0.1:{api.server_port}/api/v1/namespaces/monitoring/services/{expected}/proxy"
    assert found.token == FakeApi.TOKEN
    assert FakeApi.TOKEN not in f"{found} {found!r}"
    assert f"monitoring/{expected.partition(':')[2]}" in str(found)
    assert "context fake" in str(found)


def test_a_mimir_answers_under_a_path(fake: FakeCluster, api: FakeApi, tmp_path: Path) -> None:
    fake.add(service("mimir-nginx", 80, port_name="http"))
    assert find_prometheus(api.kubeconfig(tmp_path / "config")).url.endswith("http:mimir-nginx:80/proxy/prometheus")


def test_several_are_named_and_none_is_chosen(fake: FakeCluster, api: FakeApi, tmp_path: Path) -> None:
    fake.add(service("kube-prometheus-stack-prometheus"))
    fake.add(service("thanos-query", port_name="http"))
    with pytest.raises(ClusterError) as told:
        find_prometheus(api.kubeconfig(tmp_path / "config"))
    assert "monitoring/kube-prometheus-stack-prometheus:9090, monitoring/thanos-query:9090" in told.value.message
    assert "--prometheus http://127.0.0.1:9090" in str(told.value.hint)


def test_a_cluster_without_a_prometheus_is_reported(api: FakeApi, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="No Service of this cluster looks like a Prometheus"):
        find_prometheus(api.kubeconfig(tmp_path / "config"))


def test_a_forbidden_proxy_is_reported_with_the_rule_and_another_way(
    fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    fake.add(OPERATED)
    fake.forbidden = {("get", "services/proxy")}
    with pytest.raises(ClusterError) as told:
        find_prometheus(api.kubeconfig(tmp_path / "config"))
    assert '{apiGroups: [""], resources: ["services/proxy"], verbs: ["get"]}' in str(told.value.hint)
    assert "kubectl port-forward -n monitoring svc/prometheus-operated 9090:9090" in str(told.value.hint)


def test_a_service_without_pods_is_reported_as_by_the_api_server(
    fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    fake.add(OPERATED)
    found = find_prometheus(api.kubeconfig(tmp_path / "config"))
    source = PrometheusSource(found.url, access=Access(token=found.token), retries=0)
    with pytest.raises(SourceUnavailable, match="no endpoints available for service"):
        source.services("shop")


def test_a_real_prometheus_answers_through_the_api_server(
    fake: FakeCluster,
    certificate: tuple[Path, ssl.SSLContext],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = time.time() // 60 * 60
    series = cluster({"frontend": ("server",)}, start=end - 1200, end=end, every=15)
    settings = load_settings({}, {}, tmp_path)
    with pytest.raises(BadInput, match="Which Prometheus"):
        pipeline.open_prometheus(settings)
    said: list[str] = []
    with serve(backfill(series, tmp_path)) as url, serving(fake, tls=certificate[1]) as api:
        fake.add(OPERATED)
        fake.proxied["monitoring", "prometheus-operated:9090"] = url
        trust = {"certificate-authority": str(certificate[0])}
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "config", cluster=trust)))
        source = pipeline.open_prometheus(settings, discover=True, say=said.append)
        until = datetime.fromtimestamp(end, UTC) - timedelta(minutes=5)
        window = Window(until - timedelta(minutes=5), until, timedelta(seconds=15))
        observation = source.observe(Workload("shop", "frontend"), window)
    assert observation.metrics["cpu_cores_value"].notna().all()
    assert said == [
        f"Prometheus: Service monitoring/prometheus-operated:9090, through the API server of {api_name(api)}."
    ]


def api_name(api: FakeApi) -> str:
    return f"context fake (cluster fake at https://127.0.0.1:{api.server_port}, user ada)"
