"""What this user is allowed to do in the cluster, asked of its API server by MOrA's own client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mora.doctor.finding import Check, State

if TYPE_CHECKING:
    from mora.settings import Settings

_ANSWER = timedelta(seconds=10)  # an API server that takes longer has a problem of its own
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

# Purpose -> (verb, resource, API group); how bad it is to lack one; the manifests that grant it.
PURPOSES: tuple[tuple[str, tuple[tuple[str, str, str], ...], State, str], ...] = (
    (
        "read workloads",
        (
            ("list", "deployments", "apps"),
            ("list", "statefulsets", "apps"),
            ("list", "daemonsets", "apps"),
            ("list", "pods", ""),
        ),
        State.MISSING,
        "manifests/base",
    ),
    (
        "read what bounds them (without it, a number may break an HPA, a VPA, a LimitRange or a quota)",
        (
            ("list", "replicasets", "apps"),
            ("list", "jobs", "batch"),
            ("list", "cronjobs", "batch"),
            ("list", "horizontalpodautoscalers", "autoscaling"),
            ("list", "verticalpodautoscalers", "autoscaling.k8s.io"),
            ("list", "limitranges", ""),
            ("list", "resourcequotas", ""),
        ),
        State.WARNING,
        "manifests/base",
    ),
    (
        "scale and restart them (only `mora collect` does)",
        (("patch", "deployments", "apps"), ("patch", "deployments/scale", "apps")),
        State.WARNING,
        "manifests/collect",
    ),
)


def check_cluster(settings: Settings) -> Iterator[Check]:
    """One check a purpose: all its rights are there, or which are missing. OK where no cluster is configured."""
    given = os.environ.get("KUBECONFIG")
    paths = [path for path in (given or str(Path.home() / ".kube" / "config")).split(os.pathsep) if path]
    if not any(Path(path).is_file() for path in paths) and not _IN_CLUSTER.is_file():
        if given:
            yield Check(
                "cluster",
                State.WARNING,
                f"KUBECONFIG names {given}, which does not exist",
                "Correct it, or unset it to use ~/.kube/config.",
            )
        else:
            yield Check("cluster", State.OK, "no cluster is configured (no kubeconfig); the sandbox needs none")
        return
    yield from _rights(settings.namespace)


def _rights(namespace: str) -> Iterator[Check]:
    from mora.clusters.connection import Api
    from mora.clusters.rights import Right, is_allowed

    api = Api(request_timeout=_ANSWER, backoff=None)
    for purpose, rights, state, manifests in PURPOSES:
        asked = [Right(verb, resource, group) for verb, resource, group in rights]
        refused = [str(right) for right in asked if not is_allowed(api, right, namespace)]
        if refused:
            words = f"in namespace {namespace}: not allowed to {purpose}: {', '.join(refused)}"
            yield Check("cluster", state, words, f"Ask for the roles in {manifests}.")
        else:
            yield Check("cluster", State.OK, f"in namespace {namespace}: allowed to {purpose}")
