"""The kinds that the fake API server stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One kind, as an APIResourceList names it. schema: of a custom resource; None takes anything."""

    group: str
    version: str
    plural: str
    kind: str
    is_namespaced: bool = True
    subresources: tuple[str, ...] = ()
    is_custom: bool = False
    schema: dict[str, Any] | None = None
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_status(self) -> bool:
        """Whether status is written through its own subresource alone."""
        return "status" in self.subresources


_SCALED = ("scale", "status")
_RBAC = "rbac.authorization.k8s.io"
_REVIEW = "authorization.k8s.io"

REPLICATION_CONTROLLER = Resource("", "v1", "replicationcontrollers", "ReplicationController", short=("rc",))

RESOURCES = (
    Resource("", "v1", "namespaces", "Namespace", is_namespaced=False, short=("ns",)),
    Resource("", "v1", "pods", "Pod", subresources=("status", "resize"), short=("po",)),
    Resource("", "v1", "services", "Service", subresources=("proxy",), short=("svc",)),
    Resource("", "v1", "configmaps", "ConfigMap", short=("cm",)),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", short=("sa",)),
    Resource("", "v1", "limitranges", "LimitRange", short=("limits",)),
    Resource("", "v1", "resourcequotas", "ResourceQuota", subresources=("status",), short=("quota",)),
    Resource("apps", "v1", "deployments", "Deployment", subresources=_SCALED, short=("deploy",)),
    Resource("apps", "v1", "statefulsets", "StatefulSet", subresources=_SCALED, short=("sts",)),
    Resource("apps", "v1", "daemonsets", "DaemonSet", subresources=("status",), short=("ds",)),
    Resource("apps", "v1", "replicasets", "ReplicaSet", subresources=_SCALED, short=("rs",)),
    Resource("batch", "v1", "jobs", "Job", subresources=("status",)),
    Resource("batch", "v1", "cronjobs", "CronJob", subresources=("status",), short=("cj",)),
    Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short=("hpa",)),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource(_RBAC, "v1", "roles", "Role"),
    Resource(_RBAC, "v1", "rolebindings", "RoleBinding"),
    Resource(_RBAC, "v1", "clusterroles", "ClusterRole", is_namespaced=False),
    Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", is_namespaced=False),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        is_namespaced=False,
        subresources=("status",),
        short=("crd",),
    ),
    Resource("", "v1", "secrets", "Secret"),
    Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    Resource(_REVIEW, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", is_namespaced=False),
    Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", is_namespaced=False),
)
# Argo's Rollout, whose CRD keeps unknown fields of the pod template; the VPA's schema is tests/vpa/schema.py's.
ROLLOUT = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout", subresources=_SCALED, is_custom=True)
VPA = Resource(
    "autoscaling.k8s.io",
    "v1",
    "verticalpodautoscalers",
    "VerticalPodAutoscaler",
    subresources=("status",),
    is_custom=True,
    short=("vpa",),
)


def defined(crd: dict[str, Any]) -> Resource:
    """The resource that a CRD defines; its schema refuses what it does not name, where it keeps no unknown fields."""
    spec = crd["spec"]
    (version,) = spec["versions"]
    return Resource(
        spec["group"],
        version["name"],
        spec["names"]["plural"],
        spec["names"]["kind"],
        is_namespaced=spec["scope"] == "Namespaced",
        subresources=tuple(version.get("subresources") or {}),
        is_custom=True,
        schema=_closed(version["schema"]["openAPIV3Schema"], is_root=True),
        short=tuple(spec["names"].get("shortNames") or ()),
    )


def _closed(schema: Any, *, is_root: bool = False) -> Any:
    """A structural schema as a JSON schema, in which a field that is not named is an error, as the server prunes it."""
    if not isinstance(schema, dict):
        return schema
    found = {name: value for name, value in schema.items() if not name.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    if "properties" in found:
        found["properties"] = {name: _closed(value) for name, value in found["properties"].items()}
        if is_root:
            found["properties"]["metadata"] = {"type": "object"}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found["additionalProperties"] = False
    elif isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = _closed(found["additionalProperties"])
    if "items" in found:
        found["items"] = _closed(found["items"])
    return found
