"""One odd thing must neither end nor hide the run: unknown owners, missing metrics, hostile names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Answer, Check, cpu, exits, memory, never_says, row, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import GIB, MIB, Box, Series


def _ordinary(series: Series, name: str = "web") -> None:
    series.deployment(name, Box(name, series.wave(0.2), series.steady(200 * MIB)))


@case("own")
def replicas_of_another_are_no_number(series: Series) -> Sequence[Check]:
    """A recording rule divides 0 by 0: NaN replicas of one Deployment must not end the run for the other."""
    _ordinary(series)
    series.deployment("broken", Box("broken", series.wave(0.1), series.steady(100 * MIB)))
    labels = {"namespace": series.namespace, "deployment": "broken"}
    series.drop(lambda labels: labels.get("deployment") == "broken")
    series.add_as_it_is("kube_deployment_spec_replicas", np.full(series.count, np.nan), **labels)
    return cpu("web", 200, 420), row("broken"), exits(0)


@case("own")
def limit_is_infinite(series: Series) -> Sequence[Check]:
    """An exporter says +Inf for a limit and NaN for a request."""
    _ordinary(series)
    series.deployment("odd", Box("odd", series.wave(0.1), series.steady(100 * MIB), (None, None), (None, None)))
    for side, resource, unit, value in (("limits", "memory", "byte", np.inf), ("requests", "cpu", "core", np.nan)):
        labels = {"namespace": series.namespace, "pod": "odd-7d4b9c-x0", "container": "odd"}
        values = np.full(series.count, value)
        series.add_as_it_is(
            f"kube_pod_container_resource_{side}",
            values,
            **labels,
            resource=resource,
            unit=unit,
        )
    return cpu("web", 200, 420), cpu("odd", 100, 210), never_says("Infinity|NaN")


@case("robusta-dev/krr#372")
def pods_of_owners_that_are_no_workloads(series: Series) -> Sequence[Check]:
    """A StrimziPodSet, a CNPG cluster, an Argo workflow, a Ray cluster and a bare pod beside one Deployment."""
    _ordinary(series)
    for pod, owner, cores in (
        ("kafka-kafka-0", ("StrimziPodSet", "kafka-kafka"), 0.8),
        ("pg-1", ("Cluster", "pg"), 0.6),
        ("etl-xyz-123", ("Workflow", "etl-xyz"), 0.5),
        ("ray-worker-1", ("RayCluster", "ray"), 0.7),
        ("lonely", None, 0.3),
    ):
        box = Box("main", series.wave(cores), series.steady(500 * MIB), (cores * 4, 2 * GIB), (None, 2 * GIB))
        series.pod(pod, owner, [box])
    return (
        cpu("web", 200, 420),
        says("StrimziPodSet"),
        says("Workflow"),
        says("RayCluster"),
        says("lonely|bare pod|no owner|without an owner"),
    )


@case("robusta-dev/krr#139")
def deployment_config_by_its_replication_controller(series: Series) -> Sequence[Check]:
    """OpenShift's DeploymentConfig owns a ReplicationController that owns the pods."""
    _ordinary(series)
    owned = {"owner_kind": "DeploymentConfig", "owner_name": "legacy", "owner_is_controller": "true"}
    series.here("kube_replicationcontroller_owner", replicationcontroller="legacy-7", **owned)
    box = Box("legacy", series.wave(0.5), series.steady(500 * MIB), (2.0, 2 * GIB), (None, 2 * GIB))
    series.pod("legacy-7-abc", ("ReplicationController", "legacy-7"), [box])
    return cpu("web", 200, 420), says("legacy")


@case("kubernetes/kube-state-metrics#1590", alone=True)
def no_replica_set_owner_metric(series: Series) -> Sequence[Check]:
    """kube-state-metrics runs without --resources=replicasets: the metric that is missing is named."""
    _ordinary(series)
    series.drop(lambda labels: labels["__name__"] == "kube_replicaset_owner")
    return (says("kube_replicaset_owner"),)


@case("own")
def silent_shard_of_kube_state_metrics(series: Series) -> Sequence[Check]:
    """The shard with this Deployment has been silent for eight minutes: the workload does not vanish."""
    _ordinary(series, "there")
    box = Box("gone", series.wave(0.3), series.steady(300 * MIB), (1.0, 1 * GIB), (None, 1 * GIB))
    series.deployment("gone", box)
    series.silence(
        lambda labels: labels["__name__"].startswith("kube_") and "gone" in "".join(labels.values()),
        scrapes=8 * 60 // series.every,
    )
    return row("there"), says("gone")


@case("own")
def hostile_label_values(series: Series) -> Sequence[Check]:
    """Label values with quotes, newlines, escape codes and commands: nothing of them reaches a terminal or YAML raw."""
    _ordinary(series)
    box = Box("server$(reboot)", series.wave(0.1), series.steady(100 * MIB), image="a\x1b[31mred:1\nkind: Secret")
    series.deployment('evil"} or vector(1) #', box)

    def wrong(answer: Answer) -> str | None:
        for output in ("table", "csv", "patch", "commands", "pr-body"):
            _, out, messages = answer.output("-o", output)
            if "\x1b" in out or "\x1b" in messages:
                return f"-o {output} prints an escape code"
            if "\nkind: Secret" in out:
                return f"-o {output} prints a document of the label's"
        return None

    return cpu("web", 200, 420), Check("no control character in any output", wrong)


@case("own")
def container_without_any_request(series: Series) -> Sequence[Check]:
    """BestEffort: no request, no limit, on both resources."""
    series.deployment("free", Box("free", series.wave(0.3), series.steady(300 * MIB), (None, None), (None, None)))
    need = float(np.quantile(series.wave(0.3), 0.95)) * 1000
    return cpu("free", need * 0.97, need * 1.35), memory("free", 305, 420), never_says('"now": 0,')


@case("own")
def a_container_that_uses_nothing(series: Series) -> Sequence[Check]:
    """A placeholder that sleeps: a small number above zero, never 0m."""
    series.deployment("sleep", Box("sleep", 0.0, series.steady(1 * MIB), (0.1, 64 * MIB), (None, 64 * MIB)))
    return cpu("sleep", 1, 100), memory("sleep", 1, 64)


@case("own")
def no_cpu_series_at_all(series: Series) -> Sequence[Check]:
    """cAdvisor's memory is there, its CPU is dropped by a relabelling rule: CPU has a reason, memory a number."""
    box = Box("web", None, None, (0.5, 512 * MIB))
    series.deployment("web", box)
    series.add("container_memory_working_set_bytes", series.steady(300 * MIB), **series.cadvisor("web-7d4b9c-x0", box))
    return memory("web", 305, 420), says("cpu.*(no|not|missing|without)|no.*cpu", "web")


@case("own", has_answer=False)
def an_empty_namespace(series: Series) -> Sequence[Check]:
    """Nothing runs here: an error that says so, not an empty table."""
    series.here("kube_namespace_status_phase", phase="Active")

    def wrong(answer: Answer) -> str | None:
        code, out, messages = answer.output()
        return None if code == 1 and "workload" in (out + messages).lower() else f"exit {code}: {messages[:200]}"

    return (Check("an error that names the namespace", wrong),)
