"""The shapes of the Kubernetes objects that MOrA reads, field by field (mora/clusters/shapes.py).

A field that is read anywhere is named here first; what is not named is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mora.clusters.shapes import (
    MOST_BYTES,
    MOST_CORES,
    Shape,
    amount,
    anything,
    checked,
    fields,
    flag,
    generation,
    listed,
    mapped,
    name,
    text,
    whole,
    whole_or_percent,
)
from mora.quantities import parse_quantity

_OWNER = fields({"apiVersion": text, "kind": text, "name": text, "controller": flag}, needed=("kind", "name"))
_META: Mapping[str, Shape] = {
    "name": text,  # one that Kubernetes does not allow is left out by its list, and reported
    "namespace": name,
    "labels": mapped(text),
    "annotations": mapped(text),
    "ownerReferences": listed(_OWNER),
    "generation": generation,
    "resourceVersion": text,
    "creationTimestamp": text,
    "deletionTimestamp": text,
}
META = fields(_META, needed=("name", "namespace"))
"""The metadata of what lives in a namespace."""

_CLUSTER_META = fields(_META, needed=("name",))

# What a pod can be given, and what a quota or a LimitRange bounds. Other resources (GPUs, counts of objects) are kept
# as quantities.
_CORES, _BYTES = amount(MOST_CORES), amount(MOST_BYTES)
_OF_A_POD = mapped(amount(), {"cpu": _CORES, "memory": _BYTES})
_OF_A_NAMESPACE = mapped(amount())
_RESOURCES = fields({"requests": _OF_A_POD, "limits": _OF_A_POD})

_VARIABLE = fields({"name": text, "value": text}, needed=("name",))
_CONTAINER_FIELDS: Mapping[str, Shape] = {
    "name": text,
    "image": text,
    "command": listed(text),
    "args": listed(text),
    "env": listed(_VARIABLE),
    "resources": _RESOURCES,
    "restartPolicy": text,
}
_CONTAINER = fields(_CONTAINER_FIELDS, needed=("name",))
_POD_SPEC: Mapping[str, Shape] = {
    "containers": listed(_CONTAINER),
    "initContainers": listed(_CONTAINER),
    "overhead": _OF_A_POD,
    "resources": _RESOURCES,
    "nodeName": text,
    "nodeSelector": mapped(text),
    "runtimeClassName": text,
    "priorityClassName": text,
}


def _names_of_containers(spec: Mapping[str, Any]) -> str | None:
    names = [one["name"] for part in ("containers", "initContainers") for one in spec.get(part) or []]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"has two containers named {twice[0][:40]!a}" if twice else None


def _containers(spec: Mapping[str, Any]) -> str | None:
    return _names_of_containers(spec) if spec["containers"] else "has no containers"


POD_SPEC = checked(fields(_POD_SPEC, needed=("containers",)), _containers)
_TEMPLATE = fields({"metadata": fields(_META), "spec": POD_SPEC}, needed=("spec",))
# Argo writes an empty template beside a workloadRef.
_MAYBE_TEMPLATE = fields({"metadata": fields(_META), "spec": checked(fields(_POD_SPEC), _names_of_containers)})
_CONDITION_FIELDS: Mapping[str, Shape] = {"type": text, "status": text, "reason": text, "message": text}
_CONDITION = fields(_CONDITION_FIELDS)

_ROLLING = fields({"maxSurge": whole_or_percent, "maxUnavailable": whole_or_percent})
_STRATEGY = fields({"type": text, "rollingUpdate": _ROLLING})
_REFERENCE = fields({"apiVersion": text, "kind": text, "name": text}, needed=("kind", "name"))
_SELECTOR = fields({"matchLabels": mapped(text)})
_WORKLOAD_SPEC: Mapping[str, Shape] = {
    "replicas": whole,
    "selector": _SELECTOR,
    "template": _TEMPLATE,
    "strategy": _STRATEGY,
    "updateStrategy": _STRATEGY,
    "workloadRef": _REFERENCE,
    "parallelism": whole,
    "completions": whole,
    "suspend": flag,
    "schedule": text,
}
_COUNTS = (
    "replicas",
    "readyReplicas",
    "updatedReplicas",
    "availableReplicas",
    "desiredNumberScheduled",
    "updatedNumberScheduled",
    "numberAvailable",
    "active",
    "succeeded",
    "failed",
)
_STATUS: Mapping[str, Shape] = {
    **dict.fromkeys(_COUNTS, whole),
    "observedGeneration": generation,
    "conditions": listed(_CONDITION),
}


def _workload(spec: Shape, status: Mapping[str, Shape] = _STATUS) -> Shape:
    return fields(
        {"apiVersion": text, "kind": text, "metadata": META, "spec": spec, "status": fields(status)},
        needed=("metadata", "spec"),
    )


_WITH_TEMPLATE = _workload(fields(_WORKLOAD_SPEC, needed=("template",)))
_JOB_TEMPLATE = fields({"spec": fields(_WORKLOAD_SPEC, needed=("template",))}, needed=("spec",))
WORKLOADS: Mapping[str, Shape] = {
    "Deployment": _WITH_TEMPLATE,
    "StatefulSet": _WITH_TEMPLATE,
    "DaemonSet": _WITH_TEMPLATE,
    "Job": _WITH_TEMPLATE,
    # Argo counts generations as text.
    "Rollout": _workload(
        fields({**_WORKLOAD_SPEC, "template": _MAYBE_TEMPLATE}), {**_STATUS, "observedGeneration": text}
    ),
    "CronJob": _workload(
        fields({"schedule": text, "suspend": flag, "jobTemplate": _JOB_TEMPLATE}, needed=("jobTemplate",)),
        {},
    ),
}

_WAITING = fields({"reason": text, "message": text})
_CONTAINER_STATUS = fields(
    {"name": text, "state": fields({"waiting": _WAITING}), "restartCount": whole}, needed=("name",)
)
POD = fields(
    {
        "metadata": META,
        "spec": POD_SPEC,
        "status": fields(
            {"phase": text, "conditions": listed(_CONDITION), "containerStatuses": listed(_CONTAINER_STATUS)}
        ),
    },
    needed=("metadata", "spec"),
)

# What the resize of a running pod reads beside that; the lists of an inventory need none of it.
_POLICY = fields({"resourceName": text, "restartPolicy": text}, needed=("resourceName",))
_RESIZABLE = fields({**_CONTAINER_FIELDS, "resizePolicy": listed(_POLICY)}, needed=("name",))
_ENDED = fields({"terminated": fields({"reason": text, "finishedAt": text})})
_RUNNING_STATUS = fields(
    {"name": text, "restartCount": whole, "resources": _RESOURCES, "state": _ENDED, "lastState": _ENDED},
    needed=("name",),
)
RUNNING_POD = fields(
    {
        "metadata": fields({**_META, "uid": text}, needed=("name", "namespace", "uid", "resourceVersion")),
        "spec": checked(
            fields(
                {**_POD_SPEC, "containers": listed(_RESIZABLE), "initContainers": listed(_RESIZABLE)},
                needed=("containers",),
            ),
            _containers,
        ),
        "status": fields(
            {
                "phase": text,
                "startTime": text,
                "conditions": listed(fields({**_CONDITION_FIELDS, "lastTransitionTime": text})),
                "containerStatuses": listed(_RUNNING_STATUS),
                "initContainerStatuses": listed(_RUNNING_STATUS),
            }
        ),
    },
    needed=("metadata", "spec"),
)

IDENTITY = fields({"metadata": fields({"name": text, "uid": text}, needed=("uid",))}, needed=("metadata",))
"""What tells an object from another one of its name."""

OWNED = fields({"metadata": META}, needed=("metadata",))
"""A ReplicaSet or Job of which only the owner matters."""

NAMESPACE = fields({"metadata": _CLUSTER_META}, needed=("metadata",))


def _target_of_metric(target: Mapping[str, Any]) -> str | None:
    wanted = {"Utilization": "averageUtilization", "AverageValue": "averageValue"}.get(target["type"])
    if wanted is None:
        return f"has the type {target['type'][:40]!a}, not Utilization or AverageValue"
    if wanted not in target:
        return f"has no {wanted}"
    return None if parse_quantity(str(target[wanted])) > 0 else f"has an {wanted} of 0"


def _resource_metric(amounts: Shape) -> Shape:
    target = fields({"type": text, "averageUtilization": whole, "averageValue": amounts}, needed=("type",))
    return fields(
        {"name": text, "container": text, "target": checked(target, _target_of_metric)}, needed=("name", "target")
    )


_METRIC = fields(
    {
        "type": text,
        "resource": _resource_metric(amount()),
        "containerResource": _resource_metric(amount()),
    }
)
HPA_TARGET = fields(
    {"metadata": META, "spec": fields({"scaleTargetRef": _REFERENCE}, needed=("scaleTargetRef",), keeps_rest=True)},
    needed=("metadata", "spec"),
)
"""An HPA of which no more is certain than what it scales."""

_HPA_SPEC = fields(
    {"scaleTargetRef": _REFERENCE, "minReplicas": whole, "maxReplicas": whole, "metrics": listed(_METRIC)},
    needed=("scaleTargetRef", "maxReplicas"),
)


def _replicas_of_hpa(spec: Mapping[str, Any]) -> str | None:
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    return None if 1 <= most >= least else f"has a maxReplicas of {most}, below its minReplicas of {max(least, 1)}"


HPA = fields({"metadata": META, "spec": checked(_HPA_SPEC, _replicas_of_hpa)}, needed=("metadata", "spec"))

# What is given to a pod, or asked of it, is an amount of a pod; a maximum may be as large as nothing.
_GIVEN = dict.fromkeys(("min", "default", "defaultRequest"), _OF_A_POD)
_BOUNDS = dict.fromkeys(("max", "maxLimitRequestRatio"), _OF_A_NAMESPACE)
LIMIT_RANGE = fields(
    {"metadata": META, "spec": fields({"limits": listed(fields({"type": text, **_GIVEN, **_BOUNDS}))})},
    needed=("metadata", "spec"),
)

QUOTA = fields(
    {
        "metadata": META,
        "spec": fields({"hard": _OF_A_NAMESPACE, "scopes": listed(text), "scopeSelector": anything}),
        "status": fields({"hard": _OF_A_NAMESPACE, "used": _OF_A_NAMESPACE}),
    },
    needed=("metadata", "spec"),
)

_PORT = fields({"name": text, "port": whole, "protocol": text}, needed=("port",))
SERVICE = fields(
    {"metadata": META, "spec": fields({"clusterIP": text, "ports": listed(_PORT)})}, needed=("metadata", "spec")
)

_CONTAINER_POLICY = fields(
    {
        "containerName": text,
        "mode": text,
        "controlledResources": listed(text),
        "controlledValues": text,
        "minAllowed": mapped(anything),
        "maxAllowed": mapped(anything),
    }
)
# What other recommenders wrote into a status stays as it is, so that a write keeps it.
_VPA_CONDITION = fields({"type": text, "status": text, "reason": text, "message": text}, keeps_rest=True)
_WRITTEN = fields(
    {
        "containerName": text,
        **dict.fromkeys(("target", "lowerBound", "upperBound", "uncappedTarget"), mapped(anything)),
    },
    keeps_rest=True,
)
VPA = fields(
    {
        "metadata": META,
        "spec": fields(
            {
                "targetRef": fields({"apiVersion": text, "kind": text, "name": text}),
                "recommenders": listed(fields({"name": text})),
                "updatePolicy": fields({"updateMode": text}),
                "resourcePolicy": fields({"containerPolicies": listed(_CONTAINER_POLICY)}),
            }
        ),
        "status": fields(
            {
                "conditions": listed(_VPA_CONDITION),
                "recommendation": fields({"containerRecommendations": listed(_WRITTEN)}),
            }
        ),
    },
    needed=("metadata",),
)

# A Lease is written back whole.
LEASE = fields(
    {
        "metadata": fields({"name": text}, keeps_rest=True),
        "spec": fields(
            {
                "holderIdentity": text,
                "leaseDurationSeconds": whole,
                "leaseTransitions": whole,
                "acquireTime": text,
                "renewTime": text,
            },
            keeps_rest=True,
        ),
    },
    keeps_rest=True,
)
