"""Advice that the cluster takes: limits of the namespace, nodes, autoscalers, owners of the template."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.odd_clusters.answer import Answer, Check, cpu, cpu_limit, kept, memory, not_cut, prints, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import GIB, MIB, Box, Series


def _limit_range(series: Series, constraint: str, resource: str, amount: float, kind: str = "Container") -> None:
    labels = {"limitrange": "fair", "type": kind, "resource": resource, "constraint": constraint}
    series.here("kube_limitrange", amount, **labels)


@case("kubernetes/autoscaler#1812")
def limit_range_with_a_ratio(series: Series) -> Sequence[Check]:
    """maxLimitRequestRatio 4 for CPU: a container without a CPU limit is refused, and so is 5 x its request."""
    _limit_range(series, "maxLimitRequestRatio", "cpu", 4)
    series.deployment(
        "web", Box("web", series.wave(0.05), series.steady(100 * MIB), (0.5, 256 * MIB), (1.0, 256 * MIB))
    )
    return cpu_limit("web", 100, 1000), cpu("web", 50, 500)


@case("kubernetes/autoscaler#2080")
def limit_range_of_a_whole_pod(series: Series) -> Sequence[Check]:
    """A pod must request 0.5 cores in all: two containers that need a tenth of that stay at the sum."""
    _limit_range(series, "min", "cpu", 0.5, "Pod")
    boxes = [
        Box(name, series.wave(0.03, seed=at), series.steady(60 * MIB), (0.3, 128 * MIB), (None, 128 * MIB))
        for at, name in enumerate(("web", "helper"))
    ]
    series.deployment("web", *boxes)
    return says("LimitRange", "web"), cpu("web", 200, 500), prints("json", r'"web"')


@case("kubernetes/autoscaler#2049")
def limit_range_maximum(series: Series) -> Sequence[Check]:
    """A container may have one core at most; the service uses 1.4: capped, said, and no confidence claimed."""
    _limit_range(series, "max", "cpu", 1.0)
    series.deployment(
        "web", Box("web", series.wave(1.4), series.steady(200 * MIB), (1.0, 512 * MIB), (None, 512 * MIB))
    )
    return cpu("web", 0, 1000), says("LimitRange", "web")


@case("kubernetes/autoscaler#7147", alone=True, has_nodes=False)
def larger_than_any_node(series: Series) -> Sequence[Check]:
    """The nodes give 3.92 cores and 13.5 GiB; the need is above both: capped at what a node can give."""
    for resource, unit, capacity, allocatable in (("cpu", "core", 4.0, 3.92), ("memory", "byte", 16 * GIB, 13.5 * GIB)):
        labels = {"node": series.node, "resource": resource, "unit": unit}
        series.add("kube_node_status_capacity", capacity, **labels)
        series.add("kube_node_status_allocatable", allocatable, **labels)
    series.add("machine_cpu_cores", 4.0, node=series.node, instance=series.node)
    box = Box(
        "big",
        series.wave(3.4, swing=0.1, noise=0.03),
        series.steady(13 * GIB, wobble=0.02),
        (3.5, 12.8 * GIB),
        (None, None),
    )
    series.stateful_set("big", box)
    return cpu("big", 3000, 3920), memory("big", 12_000, 13_824), says("node", "big")


@case("kubernetes/autoscaler#5236", options=["--allow-any-step"])
def guaranteed_with_whole_cores(series: Series) -> Sequence[Check]:
    """Requests equal limits at 4 cores (static CPU manager): cut to whole cores with the limit kept, or not at all."""
    box = Box("engine", series.wave(1.3, swing=0.1), series.steady(1 * GIB), (4.0, 2 * GIB), (4.0, 2 * GIB))
    series.stateful_set("engine", box)

    def wrong(answer: Answer) -> str | None:
        request, limit = answer.set("engine", "cpu"), answer.set("engine", "cpu limit")
        fine = request is not None and request % 1000 == 0 and limit == request
        return None if fine else f"request {request}, limit {limit}"

    return (Check("whole cores, request and limit alike", wrong),)


@case("robusta-dev/krr#80")
def hpa_on_cpu_utilisation(series: Series) -> Sequence[Check]:
    """An HPA scales at 70 % of the request: to cut the request would multiply the replicas."""
    series.deployment("web", Box("web", series.wave(0.2), series.steady(200 * MIB), (0.4, 512 * MIB)), replicas=3)
    _hpa(series, "web", "web", metric="cpu", kind="utilization", target=70)
    return kept("web", "cpu"), says("HPA|HorizontalPodAutoscaler", "web")


@case("robusta-dev/krr#169")
def hpa_on_an_external_metric(series: Series) -> Sequence[Check]:
    """KEDA scales on a queue: the replicas are the HPA's, and no second HPA is printed."""
    series.deployment("worker", Box("worker", series.wave(0.2), series.steady(200 * MIB), (0.4, 512 * MIB)), replicas=2)
    _hpa(series, "keda-hpa-worker", "worker", metric="s0-rabbitmq", kind="average", target=5)
    return kept("worker", "replicas"), prints("hpa", r"^kind: HorizontalPodAutoscaler", absent=True)


@case("kubernetes/autoscaler#8401")
def resource_quota_is_nearly_full(series: Series) -> Sequence[Check]:
    """The namespace's quota leaves 100m: a raise by 1.5 cores would not be scheduled, and a reason says so."""
    series.deployment(
        "web", Box("web", series.wave(1.2), series.steady(200 * MIB), (0.3, 512 * MIB), (None, 512 * MIB))
    )
    for kind, amount in (("hard", 0.4), ("used", 0.3)):
        series.here("kube_resourcequota", amount, resourcequota="team", resource="requests.cpu", type=kind)
    return (says("quota"),)


@case("argoproj/argo-rollouts#1072")
def rollout_with_a_canary(series: Series) -> Sequence[Check]:
    """Four stable pods with one core, one canary with 200m: what is set now is what most pods have."""
    series.replica_set("web-stable", "Rollout", "web", replicas=4)
    series.replica_set("web-canary", "Rollout", "web", replicas=1, first=series.days_ago(0.2))
    series.here("rollout_info", rollout="web", name="web", strategy="canary")
    for number in range(4):
        series.pod(
            f"web-stable-{number}",
            ("ReplicaSet", "web-stable"),
            [Box("web", series.wave(0.3, seed=number), series.steady(500 * MIB), (1.0, 1 * GIB), (None, 1 * GIB))],
        )
    first = series.days_ago(0.2)
    late = series.count - first
    box = Box("web", series.wave(0.3)[-late:], series.steady(500 * MIB)[-late:], (0.2, 640 * MIB), (None, 640 * MIB))
    series.pod("web-canary-0", ("ReplicaSet", "web-canary"), [box], first=first)

    def wrong(answer: Answer) -> str | None:
        number = answer.number("web", "cpu_request_millicores")
        return None if number and number["now"] == 1000 else f"now {number and number['now']}"

    return (Check("1 core is set now", wrong),)


@case("mitodl/ol-infrastructure#5142")
def vpa_that_rules_the_pods(series: Series) -> Sequence[Check]:
    """A VPA sizes the pods: kube-state-metrics shows it, and a reason says who sets them."""
    series.deployment(
        "web", Box("web", series.wave(0.1), series.steady(200 * MIB), (0.25, 420 * MIB), (None, 840 * MIB))
    )
    labels = {
        "verticalpodautoscaler": "web",
        "target_api_version": "apps/v1",
        "target_kind": "Deployment",
        "target_name": "web",
    }
    series.here("kube_customresource_verticalpodautoscaler_spec_updatepolicy_updatemode", **labels, update_mode="Auto")
    series.here("kube_verticalpodautoscaler_spec_updatepolicy_updatemode", **labels, update_mode="Auto")
    return (says("VPA|VerticalPodAutoscaler", "web"),)


@case("robusta-dev/krr#276")
def injected_container_of_unknown_name(series: Series) -> Sequence[Check]:
    """Two containers stand in the pods and nothing says whose the second is: a patch of both may be refused whole."""
    boxes = (
        Box("web", series.wave(0.2), series.steady(200 * MIB)),
        Box("otc-container", series.wave(0.01), series.steady(50 * MIB), (0.2, 256 * MIB), (None, 256 * MIB)),
    )
    series.deployment("web", *boxes)
    return (cpu("web", 200, 420, container="web"),)


@case("own")
def deadband_on_the_last_millicore(series: Series) -> Sequence[Check]:
    """A raise by one or two millicores is no reason to roll a StatefulSet."""
    series.stateful_set("store", Box("store", 0.3, series.steady(300 * MIB), (0.331, 360 * MIB), (None, 360 * MIB)))

    def wrong(answer: Answer) -> str | None:
        value = answer.set("store", "cpu") or 0
        return f"331m -> {value}m" if value != 331 and abs(value - 331) < 10 else None

    return (Check("no change of less than 3 %", wrong),)


@case("FairwindsOps/goldilocks#676")
def deployment_and_daemon_set_of_one_name(series: Series) -> Sequence[Check]:
    """A Deployment and a DaemonSet share a name: two rows, each with its own numbers."""
    series.deployment("dns", Box("dns", series.wave(0.4), series.steady(100 * MIB)))
    series.daemon_set("dns", Box("dns", series.wave(0.05), series.steady(50 * MIB)))

    def wrong(answer: Answer) -> str | None:
        kinds = sorted(one["kind"] for one in answer.document.get("recommendations", ()))
        return None if kinds == ["DaemonSet", "Deployment"] else f"rows of {kinds}"

    return (Check("a row for each", wrong),)


@case("FairwindsOps/goldilocks#84")
def daemon_set_is_sized(series: Series) -> Sequence[Check]:
    """A DaemonSet gets CPU and memory, and its replicas are the nodes'."""
    series.daemon_set(
        "agent", Box("agent", series.wave(0.05), series.steady(150 * MIB), (0.2, 256 * MIB), (None, 256 * MIB))
    )
    return cpu("agent", 45, 110), memory("agent", 155, 256), kept("agent", "replicas")


@case("own")
def scaled_to_zero(series: Series) -> Sequence[Check]:
    """Scaled to zero two days ago: its past says what it needs; no replicas are advised."""
    first, last = 0, series.days_ago(2)
    series.here("kube_deployment_spec_replicas", 0.0, deployment="idle")
    series.replica_set("idle-7d4b9c", "Deployment", "idle", replicas=0)
    box = Box("idle", series.wave(0.2)[:last], series.steady(200 * MIB)[:last])
    series.pod("idle-7d4b9c-x0", ("ReplicaSet", "idle-7d4b9c"), [box], first=first, last=last)
    return kept("idle", "replicas"), not_cut("idle", "replicas")


def _hpa(series: Series, name: str, scaled: str, *, metric: str, kind: str, target: float) -> None:
    labels = {"horizontalpodautoscaler": name}
    series.here("kube_horizontalpodautoscaler_info", **labels, scaletargetref_kind="Deployment",
                scaletargetref_name=scaled, scaletargetref_api_version="apps/v1")  # fmt: skip
    series.here("kube_horizontalpodautoscaler_spec_target_metric", target, **labels, metric_name=metric,
                metric_target_type=kind)  # fmt: skip
    for bound, replicas in (("min", 2.0), ("max", 10.0)):
        series.here(f"kube_horizontalpodautoscaler_spec_{bound}_replicas", replicas, **labels)


@case("kubernetes/autoscaler#7063")
def limit_range_with_a_default_limit(series: Series) -> Sequence[Check]:
    """A default CPU limit of 3 cores: a container without one gets it, which its request must not exceed."""
    _limit_range(series, "default", "cpu", 3.0)
    _limit_range(series, "max", "cpu", 3.0)
    series.deployment("web", Box("web", series.wave(0.2), series.steady(200 * MIB), (0.5, 512 * MIB)))
    return cpu("web", 200, 420), kept("web", "cpu limit"), says("LimitRange", "web")


@case("own")
def statefulset_with_an_hpa_on_memory(series: Series) -> Sequence[Check]:
    """An HPA on memory utilisation: a cut of the memory request would multiply the replicas."""
    series.stateful_set("web", Box("web", series.wave(0.2), series.steady(200 * MIB), (0.4, 512 * MIB)), replicas=2)
    labels = {"horizontalpodautoscaler": "web"}
    series.here("kube_horizontalpodautoscaler_info", **labels, scaletargetref_kind="StatefulSet",
                scaletargetref_name="web", scaletargetref_api_version="apps/v1")  # fmt: skip
    series.here("kube_horizontalpodautoscaler_spec_target_metric", 70.0, **labels, metric_name="memory",
                metric_target_type="utilization")  # fmt: skip
    for bound, replicas in (("min", 2.0), ("max", 10.0)):
        series.here(f"kube_horizontalpodautoscaler_spec_{bound}_replicas", replicas, **labels)
    return kept("web", "memory"), kept("web", "replicas"), cpu("web", 200, 420)
