"""The Lease object of a leader election, and the namespace that this pod runs in.

Requests and their errors only: mora/serving/lease.py decides who leads. Bodies are sent as they were made: the client
library's own classes would write the times of a Lease in another form than Kubernetes does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from mora.clusters import kinds
from mora.clusters.conflicts import ChangedMeanwhile, GoneMeanwhile, conflicts
from mora.clusters.connection import Api
from mora.clusters.shapes import read

_LEASES = "/apis/coordination.k8s.io/v1"
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class KubernetesLease:
    """One Lease object, for mora.serving.lease.

    request_timeout: at most the election's retry, so that a leader that loses its connection notices it before its
        lease expires.
    """

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        request_timeout: timedelta = timedelta(seconds=2),
    ) -> None:
        self.namespace, self.name = namespace, name
        self._path = f"{_LEASES}/namespaces/{namespace}/leases"
        # No retries: a request that is tried again on its own would outlast the lease.
        self._api = Api(kubeconfig=kubeconfig, context=context, request_timeout=request_timeout, backoff=None)

    def read(self) -> dict[str, Any] | None:
        """The Lease object; None where there is none."""
        try:
            with conflicts():
                answer = self._api.get(f"{self._path}/{self.name}")
        except GoneMeanwhile:
            return None
        found: dict[str, Any] = read(kinds.LEASE, answer)
        return found

    def create(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The created object; None where another client was faster."""
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": dict(spec),
        }
        try:
            with conflicts():
                return self._api.send("POST", self._path, body)
        except ChangedMeanwhile:
            return None

    def replace(self, lease: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object with another spec; None where it changed, or went, since it was read."""
        try:
            with conflicts():
                return self._api.send("PUT", f"{self._path}/{self.name}", {**lease, "spec": dict(spec)})
        except (ChangedMeanwhile, GoneMeanwhile):
            return None


def pod_namespace() -> str | None:
    """The namespace of the pod that this runs in; None outside a cluster."""
    try:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
