"""What the VPA recommender asks of a Kubernetes API: VPA objects, their status, the Lease of its leader election.

Requests and their errors, and nothing else: what is written is decided in mora/recommender. Bodies go out as they were
made: the client library's own classes would write the times of a Lease in another form than Kubernetes does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from mora.clusters.connection import MERGE, Api, NotFound
from mora.errors import ClusterError

_VPAS = "/apis/autoscaling.k8s.io/v1"
_LEASES = "/apis/coordination.k8s.io/v1"
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class ChangedMeanwhile(ClusterError):
    """The object was changed by somebody else since it was read; read it again."""


class GoneMeanwhile(ClusterError):
    """The object was deleted since it was read."""


@contextmanager
def _told_apart() -> Iterator[None]:
    """409, and 404 of a named object, as errors of their own; the rest goes on."""
    try:
        yield
    except ClusterError as error:
        refusal: Any = error.__cause__
        status = getattr(refusal, "status", None)
        if status == 409:
            raise ChangedMeanwhile("It was changed by somebody else since it was read.") from error
        if status == 404 and _names_object(refusal.body):
            raise GoneMeanwhile("It is no longer there.") from error
        raise


def _names_object(body: str | bytes | None) -> bool:
    """Whether a 404 is of an object, and not of a path that the server does not serve."""
    try:
        answer = json.loads(body or "")
    except ValueError:
        return False
    return isinstance(answer, dict) and bool((answer.get("details") or {}).get("name"))


class KubernetesVpas:
    """The VPA objects of a cluster.

    Today's CRD has a status subresource, and rights on `verticalpodautoscalers/status` suffice. An older one (before
    VPA 0.14) is patched as a whole, status alone in the patch, which asks for rights on `verticalpodautoscalers`.
    """

    def __init__(self, *, kubeconfig: Path | str | None = None, context: str | None = None) -> None:
        self._api = Api(kubeconfig=kubeconfig, context=context)
        self._has_subresource = True

    def list_vpas(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """Every VPA object of a namespace (None: of all), page by page."""
        within = "" if namespace is None else f"/namespaces/{namespace}"
        try:
            return list(self._api.pages(f"{_VPAS}{within}/verticalpodautoscalers"))
        except NotFound as error:
            raise ClusterError(
                "This cluster knows no VerticalPodAutoscaler (autoscaling.k8s.io/v1).",
                hint="Install the VPA's CRDs and its updater and admission controller first; then: kubectl get vpa -A",
            ) from error

    def patch_status(self, namespace: str, name: str, status: Mapping[str, Any], *, version: str) -> None:
        """Merge into an object's status.

        version: the resourceVersion that it was read at. Raises ChangedMeanwhile where it has another one now, and
        GoneMeanwhile where it is no more.
        """
        path = f"{_VPAS}/namespaces/{namespace}/verticalpodautoscalers/{name}"
        body = {"metadata": {"resourceVersion": version}, "status": status}
        with _told_apart():
            if self._has_subresource:
                try:
                    self._api.send("PATCH", f"{path}/status", body, content_type=MERGE)
                except NotFound as error:
                    refusal: Any = error.__cause__
                    if _names_object(refusal.body):
                        raise
                    self._has_subresource = False
                else:
                    return
            self._api.send("PATCH", path, body, content_type=MERGE)


class KubernetesLease:
    """One Lease object, as mora.serving.lease asks for it.

    request_timeout: at most the election's retry, so that a leader that is cut off notices before its lease runs out.
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
        from kubernetes import client

        self.namespace, self.name = namespace, name
        self._path = f"{_LEASES}/namespaces/{namespace}/leases"
        self._api = Api(kubeconfig=kubeconfig, context=context, request_timeout=request_timeout)
        # A request that is tried again behind our back would outlast the lease.
        configuration = self._api.client.configuration
        configuration.retries = False
        self._api.client = client.ApiClient(configuration)

    def read(self) -> dict[str, Any] | None:
        """The Lease object; None where there is none."""
        try:
            with _told_apart():
                return self._api.get(f"{self._path}/{self.name}")
        except GoneMeanwhile:
            return None

    def create(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The created object; None where somebody was faster."""
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": dict(spec),
        }
        try:
            with _told_apart():
                return self._api.send("POST", self._path, body)
        except ChangedMeanwhile:
            return None

    def replace(self, lease: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object with another spec; None where it changed, or went, since it was read."""
        try:
            with _told_apart():
                return self._api.send("PUT", f"{self._path}/{self.name}", {**lease, "spec": dict(spec)})
        except (ChangedMeanwhile, GoneMeanwhile):
            return None


def pod_namespace() -> str | None:
    """The namespace of the pod that this runs in; None outside a cluster."""
    try:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
