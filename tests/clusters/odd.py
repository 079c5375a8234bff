"""Objects as real API servers have them, and changes that proxies, other APIs and bugs make to them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}, "annotations": {"kubectl.kubernetes.io/default-container": "server"}},
    "spec": {
        "containers": [
            {
                "name": "server",
                "image": "shop:1",
                "command": ["/bin/server"],
                "args": ["-v"],
                "env": [{"name": "JAVA_OPTS", "value": "-Xmx1g"}, {"name": "POD", "valueFrom": {"fieldRef": {}}}],
                "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"cpu": 1, "memory": "256Mi"}},
                "ports": [{"containerPort": 80}],
            }
        ],
        "initContainers": [{"name": "logs", "image": "logs:1", "restartPolicy": "Always"}],
    },
}


def _meta(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "shop",
        "uid": "1",
        "labels": {"app": "web"},
        "annotations": {"mora.dev/cpu-floor": "50m"},
        "resourceVersion": "7",
        "managedFields": [{"manager": "kubectl"}],
        **more,
    }


def _owned(kind: str, name: str) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True, "uid": "1"}]}


def samples() -> dict[str, dict[str, Any]]:
    """Kind -> an object of it that belongs to the Deployment web, or stands beside it."""
    condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "ok"}
    selector = {"matchLabels": {"app": "web"}}
    spec = {"replicas": 2, "selector": selector, "template": _TEMPLATE}
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 1}
    status = {**counts, "conditions": [condition]}
    nodes = {"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1, "observedGeneration": 1}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}
    found: dict[str, dict[str, Any]] = {
        "Deployment": {"metadata": _meta("web", generation=1), "spec": {**spec, "strategy": rolling}, "status": status},
        "StatefulSet": {"metadata": _meta("db", generation=1), "spec": spec, "status": status},
        "DaemonSet": {
            "metadata": _meta("agent", generation=1),
            "spec": {"selector": selector, "template": _TEMPLATE, "updateStrategy": rolling},
            "status": nodes,
        },
        "CronJob": {
            "metadata": _meta("nightly"),
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": _TEMPLATE}}},
        },
        "Job": {
            "metadata": _meta("import"),
            "spec": {"parallelism": 2, "template": _TEMPLATE},
            "status": {"active": 1},
        },
        "Rollout": {
            "metadata": _meta("canary", generation=1),
            "spec": {"replicas": 1, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
            "status": {"observedGeneration": "3", "replicas": 1},
        },
        "ReplicaSet": {"metadata": _meta("web-1", **_owned("Deployment", "web"))},
        "Pod": {
            "metadata": _meta("web-1-a", **_owned("ReplicaSet", "web-1")),
            "spec": {**_TEMPLATE["spec"], "nodeName": "node-1", "overhead": {"cpu": "10m"}},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [{"name": "server", "restartCount": 0, "state": {"waiting": {"reason": "Wait"}}}],
            },
        },
        "HorizontalPodAutoscaler": {
            "metadata": _meta("web"),
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 1,
                "maxReplicas": 5,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                    },
                    {
                        "type": "ContainerResource",
                        "containerResource": {
                            "name": "memory",
                            "container": "server",
                            "target": {"type": "AverageValue", "averageValue": "100Mi"},
                        },
                    },
                    {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value"}}},
                ],
            },
        },
        "LimitRange": {
            "metadata": _meta("bounds"),
            "spec": {
                "limits": [
                    {"type": "Container", "max": {"cpu": "4"}, "default": {"memory": "1Gi"}},
                    {"type": "Pod", "maxLimitRequestRatio": {"cpu": "4"}, "min": {"cpu": "10m"}},
                ]
            },
        },
        "ResourceQuota": {
            "metadata": _meta("team"),
            "spec": {"hard": {"requests.cpu": "10", "count/pods": "5"}},
            "status": {"hard": {"requests.cpu": "10"}, "used": {"requests.cpu": "2500m"}},
        },
        "Namespace": {"metadata": {"name": "shop", "annotations": {"mora.dev/cpu-floor": "20m"}}},
        "Service": {
            "metadata": _meta("prometheus-operated"),
            "spec": {"clusterIP": "None", "ports": [{"name": "web", "port": 9090, "protocol": "TCP"}]},
        },
        "VerticalPodAutoscaler": {
            "metadata": _meta("web"),
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "recommenders": [{"name": "mora"}],
                "updatePolicy": {"updateMode": "Off"},
                "resourcePolicy": {
                    "containerPolicies": [
                        {"containerName": "*", "minAllowed": {"cpu": "50m"}, "controlledResources": ["cpu", "memory"]}
                    ]
                },
            },
            "status": {
                "conditions": [
                    {"type": "RecommendationProvided", "status": "True", "observedGeneration": 2},
                    {"type": "Other", "status": "False", "lastTransitionTime": "2026-11-21T00:00:00Z"},
                ],
                "recommendation": {
                    "containerRecommendations": [{"containerName": "server", "target": {"cpu": "100m"}}],
                },
            },
        },
        "Lease": {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "mora", "namespace": "shop", "resourceVersion": "3", "uid": "1"},
            "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 2, "strategy": "Other"},
        },
    }
    return deepcopy(found)


ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2.5,
    1e308,
    float("nan"),
    float("inf"),
    10**40,
    "",
    "x",
    "5Kx",
    "1e50",
    "-1",
    "a\nb: c",
    "\u202e",
    "x" * 3000,
    [],
    {},
    [None],
    ["x", 5],
    {"": None},
    {"name": 7},
    {"cpu": "x"},
    [[[[]]]],
)


def paths(item: Any, so_far: Path = ()) -> Iterator[Path]:
    """The path of every value within an object, containers of values included."""
    inner = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, value in inner:
        yield (*so_far, key)
        yield from paths(value, (*so_far, key))


def changed(item: Any, path: Path, value: Any, *, is_removed: bool = False) -> Any:
    """A copy of the object with one value replaced, or taken out."""
    found = deepcopy(item)
    at = found
    for key in path[:-1]:
        at = at[key]
    if is_removed:
        del at[path[-1]]
    else:
        at[path[-1]] = deepcopy(value)
    return found


def with_a_change(item: Any) -> st.SearchStrategy[Any]:
    """The object with one value replaced by an odd one, or taken out; or in whole something else."""
    every = list(paths(item))
    odd = st.sampled_from(ODD_VALUES)
    replaced = st.builds(lambda path, value: changed(item, path, value), st.sampled_from(every), odd)
    removed = st.builds(lambda path: changed(item, path, None, is_removed=True), st.sampled_from(every))
    return st.one_of(replaced, removed, odd)
