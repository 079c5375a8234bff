"""What kube-state-metrics says of workloads: names that Kubernetes does not allow go no further, and are told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from mora.domain import AmountRange, Autoscaler, Resources, Target, Workload
from mora.sources.prometheus import inventory
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.wire import Wire

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EVIL = ["web --kubeconfig=/tmp/evil", "web\n---\nkind: ClusterRoleBinding", "-n kube-system", "$(id)", "\u202ebew", "A"]
POD = {"namespace": "shop", "pod": "web-1"}
HPA = {"namespace": "shop", "horizontalpodautoscaler": "web"}
TARGET = {"metric_name": "cpu", "metric_target_type": "utilization"}


class Client:
    """Answers instant queries by the metric that they read."""

    def __init__(self, rows: Mapping[str, list[tuple[dict[str, str], float]]]) -> None:
        self.rows = rows

    def custom_query(self, query: str, params: Any) -> list[dict[str, Any]]:
        metric = re.match(r"\w+", query)
        assert metric is not None
        return [{"metric": labels, "value": [0, str(value)]} for labels, value in self.rows.get(metric[0], [])]

    def get_series(self, start: datetime, end: datetime, params: Any) -> list[dict[str, str]]:
        return []

    def get_label_values(self, label: str, params: Any) -> list[str]:
        return []


def wire(rows: Mapping[str, list[tuple[dict[str, str], float]]]) -> Wire:
    made = Wire("http://127.0.0.1:1", Access(), timedelta(seconds=1), 0, timedelta(0))
    made._client, made._session = Client(rows), SimpleNamespace(warnings={})  # type: ignore[assignment] # no network
    return made


def shop(**more: list[tuple[dict[str, str], float]]) -> dict[str, list[tuple[dict[str, str], float]]]:
    """One Deployment with a pod, a container, an HPA and a quota."""
    rows = {
        "kube_deployment_spec_replicas": [({"namespace": "shop", "deployment": "web"}, 2.0)],
        "kube_pod_owner": [({**POD, "owner_kind": "ReplicaSet", "owner_name": "web-1"}, 1.0)],
        "kube_replicaset_owner": [
            ({"namespace": "shop", "replicaset": "web-1", "owner_kind": "Deployment", "owner_name": "web"}, 1.0)
        ],
        "kube_pod_container_info": [({**POD, "container": "server", "image": "shop/web:1"}, 1.0)],
        "kube_horizontalpodautoscaler_info": [
            ({**HPA, "scaletargetref_kind": "Deployment", "scaletargetref_name": "web"}, 1.0)
        ],
        "kube_horizontalpodautoscaler_spec_target_metric": [({**HPA, **TARGET}, 70.0)],
        "kube_resourcequota": [({"namespace": "shop", "resourcequota": "all", "resource": "cpu", "type": "hard"}, 4.0)],
    }
    return {metric: [*rows.get(metric, []), *more.get(metric, [])] for metric in {*rows, *more}}


@pytest.mark.parametrize("name", EVIL)
def test_names_that_kubernetes_does_not_allow_are_left_out_and_told(name: str) -> None:
    asked = wire(
        shop(
            kube_pod_container_info=[({**POD, "container": name, "image": "shop/web:1"}, 1.0)],
            kube_horizontalpodautoscaler_info=[
                (
                    {
                        "namespace": "shop",
                        "horizontalpodautoscaler": name,
                        "scaletargetref_kind": "Deployment",
                        "scaletargetref_name": "web",
                    },
                    1.0,
                )
            ],
            kube_horizontalpodautoscaler_spec_target_metric=[
                ({"namespace": "shop", "horizontalpodautoscaler": name, **TARGET}, 50.0),
                ({**HPA, **TARGET, "metric_name": "memory", "container": name}, 50.0),
            ],
            kube_resourcequota=[({"namespace": "shop", "resourcequota": name, "resource": "cpu", "type": "hard"}, 1.0)],
            kube_deployment_labels=[
                ({"namespace": "shop", "deployment": "web", "label_app": "a\nb", "label_team": "x"}, 1.0)
            ],
        )
    )
    ((state,), _) = inventory.read(asked, Scope(("shop",)), NOW)
    assert [container.name for container in state.allocation.containers] == ["server"]
    assert state.autoscalers == (Autoscaler("web", Target.CPU, True, 70, 1, 1),)
    assert [quota.name for quota in state.quotas] == ["all"]
    assert state.labels == {"team": "x"}
    told = "\n".join(asked.warnings)
    for what in ("a container", "an HPA", "a ResourceQuota"):
        assert f"{name!a} is not a valid name of {what}: what Prometheus has of it is left out." in told
    assert "\x1b" not in told


def test_an_image_that_is_none_is_not_known_and_the_container_stays() -> None:
    rows = shop()
    rows["kube_pod_container_info"] = [({**POD, "container": "server", "image": "web; rm -rf /"}, 1.0)]
    asked = wire(rows)
    ((state,), _) = inventory.read(asked, Scope(("shop",)), NOW)
    assert [(one.name, one.image) for one in state.allocation.containers] == [("server", None)]
    assert asked.warnings == (
        "'web; rm -rf /' is not a valid name of an image: what Prometheus has of it is left out.",
    )


def test_ordinary_names_leave_nothing_out() -> None:
    asked = wire(shop())
    ((state,), warnings) = inventory.read(asked, Scope(("shop",)), NOW)
    assert state.workload == Workload("shop", "web")
    assert (warnings, asked.warnings) == ((), ())


def test_limit_ranges_of_pods_and_ratios_are_read_beside_those_of_containers() -> None:
    def row(kind: str, resource: str, constraint: str, value: float) -> tuple[dict[str, str], float]:
        return {"namespace": "shop", "type": kind, "resource": resource, "constraint": constraint}, value

    ranges = [
        row("Container", "cpu", "maxLimitRequestRatio", 4.0),
        row("Container", "cpu", "maxLimitRequestRatio", 3.0),
        row("Pod", "cpu", "min", 0.5),
        row("Pod", "memory", "min", 2.0**29),
        row("Pod", "memory", "maxLimitRequestRatio", 2.0),
    ]
    ((state,), _) = inventory.read(wire(shop(kube_limitrange=ranges)), Scope(("shop",)), NOW)
    assert state.limit_range == AmountRange(cpu_ratio=3.0)
    assert state.pod_range == AmountRange(Resources(500, 500, 2**29, 2**29), memory_ratio=2.0)


def test_where_names_are_in_exported_labels_no_workload_is_made_of_them() -> None:
    owner = {"namespace": "monitoring", "pod": "ksm-0", "exported_pod": "web-1", "owner_kind": "", "owner_name": ""}
    assert inventory.read(wire({"kube_pod_owner": [(owner, 1.0)]}), Scope(), NOW) == ([], ())
