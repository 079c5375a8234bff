"""Which folder of manifests/ allows what, for errors that say how to get a right; a test holds it to the folders."""

from __future__ import annotations

from collections.abc import Mapping

_Rules = Mapping[tuple[str, str], frozenset[str]]

_READ = frozenset({"get", "list"})
_WORKLOADS: _Rules = {
    **{("apps", plural): _READ for plural in ("deployments", "statefulsets", "daemonsets", "replicasets")},
    **{("batch", plural): _READ for plural in ("jobs", "cronjobs")},
    ("argoproj.io", "rollouts"): _READ,
    **{("", plural): _READ for plural in ("pods", "replicationcontrollers", "limitranges", "resourcequotas")},
    ("", "namespaces"): frozenset({"get"}),
    ("autoscaling", "horizontalpodautoscalers"): _READ,
    ("autoscaling.k8s.io", "verticalpodautoscalers"): _READ,
}
_VPAS: _Rules = {
    ("autoscaling.k8s.io", "verticalpodautoscalers"): _READ,
    ("autoscaling.k8s.io", "verticalpodautoscalers/status"): frozenset({"patch"}),
}
_LEASES: _Rules = {("coordination.k8s.io", "leases"): frozenset({"create", "get", "update"})}

# Folder -> (API group, resource) -> verbs of its Roles, without those of the folder that it stands on.
OF_A_NAMESPACE: Mapping[str, _Rules] = {
    "manifests/base": _WORKLOADS,
    "manifests/collect": {
        **{("apps", plural): frozenset({"patch"}) for plural in ("deployments", "statefulsets", "daemonsets")},
        **{("apps", plural): frozenset({"get", "patch"}) for plural in ("deployments/scale", "statefulsets/scale")},
    },
    "manifests/recommender": {**_VPAS, **_LEASES},
    "manifests/in-place": {("", "pods/resize"): frozenset({"patch"}), **_LEASES},
    "manifests/cronjob": {("", "configmaps"): frozenset({"patch"})},
}
# The same of ClusterRoles.
OF_THE_CLUSTER: Mapping[str, _Rules] = {"manifests/cluster-wide": {**_WORKLOADS, **_VPAS}}


def rule(verb: str, group: str, resource: str) -> str:
    """The RBAC rule that allows one verb on a resource.

    >>> rule("patch", "apps", "deployments/scale")
    '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}'
    """
    return f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}'


def folder_of(verb: str, group: str, resource: str, *, is_of_cluster: bool = False) -> str | None:
    """The folder whose roles allow it; None where none does.

    >>> folder_of("list", "apps", "deployments"), folder_of("patch", "apps", "deployments/scale")
    ('manifests/base', 'manifests/collect')
    >>> folder_of("list", "", "services") is None
    True
    """
    folders = OF_THE_CLUSTER if is_of_cluster else OF_A_NAMESPACE
    return next((name for name, rules in folders.items() if verb in rules.get((group, resource), ())), None)
