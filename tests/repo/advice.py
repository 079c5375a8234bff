"""Recommendations for workloads that tests have manifests of."""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Recommendation, Workload
from tests.outputs import examples


def advised(name: str = "web", namespace: str = "shop", kind: str = "Deployment") -> Recommendation:
    """More memory, less CPU, no CPU limit, two replicas in place of three; a container `server` and a mesh's sidecar.

    CPU request 500m -> 254m, CPU limit 1 -> none, memory request 64Mi and limit 128Mi -> 228Mi.
    """
    return replace(examples.frontend(), workload=Workload(namespace, name, kind))
