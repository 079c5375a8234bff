"""What the VPA recommender asks of a Kubernetes API: VPA objects, their status, the Lease of its leader election.

Requests and their errors, and nothing else: what is written is decided in mora/recommender.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from mora.clusters.connection import NotFound as _NotFound
from mora.clusters.connection import connect as _connect
from mora.clusters.connection import in_words as _in_words
from mora.errors import ClusterError

_GROUP, _VERSION, _PLURAL = "autoscaling.k8s.io", "v1", "verticalpodautoscalers"
_MERGE = "application/merge-patch+json"
_PAGE = 500
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Call = Callable[..., Any]


class ChangedMeanwhile(ClusterError):
    """The object was changed by somebody else since it was read; read it again."""


class GoneMeanwhile(ClusterError):
    """The object was deleted since it was read."""


class _Api:
    """A client, and its errors in words. retries: whether a lost connection is tried again, three times."""

    def __init__(
        self, kubeconfig: Path | str | None, context: str | None, request_timeout: timedelta, *, retries: bool = True
    ) -> None:
        from kubernetes import client

        configuration = _connect(kubeconfig, context).configuration
        if not retries:
            configuration.retries = False
        self.client = client.ApiClient(configuration)
        self._timeout_seconds = request_timeout.total_seconds()

    def ask(self, call: Call, *arguments: Any, **options: Any) -> dict[str, Any]:
        with _in_words(self.client.configuration.host), _told_apart():
            answer = call(*arguments, _request_timeout=self._timeout_seconds, **options)
        found: dict[str, Any] = self.client.sanitize_for_serialization(answer)  # type: ignore[no-untyped-call]  # the library's
        return found


@contextmanager
def _told_apart() -> Iterator[None]:
    """409 and 404 of a named object as errors of their own; the rest goes on."""
    from kubernetes.client.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        if error.status == 409:
            raise ChangedMeanwhile("It was changed by somebody else since it was read.") from error
        if error.status == 404 and _names_object(error.body):
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

    Since VPA 0.14 the CRD has a status subresource, and rights on `verticalpodautoscalers/status` suffice. An older
    one is patched as a whole, status alone in the patch, which asks for rights on `verticalpodautoscalers`.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        request_timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        from kubernetes import client

        self._api = _Api(kubeconfig, context, request_timeout)
        self._objects = client.CustomObjectsApi(self._api.client)
        self._has_subresource = True

    def list_vpas(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """Every VPA object of a namespace (None: of all), page by page."""
        found: list[dict[str, Any]] = []
        options: dict[str, Any] = {"limit": _PAGE}
        while True:
            try:
                page = self._page(namespace, options)
            except _NotFound as error:
                raise _no_crd() from error
            found += page["items"]
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            options = {"limit": _PAGE, "_continue": more}

    def _page(self, namespace: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
        if namespace is None:
            return self._api.ask(self._objects.list_cluster_custom_object, _GROUP, _VERSION, _PLURAL, **options)
        call = self._objects.list_namespaced_custom_object
        return self._api.ask(call, _GROUP, _VERSION, namespace, _PLURAL, **options)

    def patch_status(self, namespace: str, name: str, status: Mapping[str, Any], *, version: str) -> None:
        """Merge into an object's status.

        version: the resourceVersion that it was read at. Raises ChangedMeanwhile where it has another one now, and
        GoneMeanwhile where it is no more.
        """
        body = {"metadata": {"resourceVersion": version}, "status": dict(status)} if version else {"status": status}
        where = (_GROUP, _VERSION, namespace, _PLURAL, name, body)
        if self._has_subresource:
            try:
                self._api.ask(self._objects.patch_namespaced_custom_object_status, *where, _content_type=_MERGE)
            except _NotFound:
                self._has_subresource = False
            else:
                return
        self._api.ask(self._objects.patch_namespaced_custom_object, *where, _content_type=_MERGE)


def _no_crd() -> ClusterError:
    return ClusterError(
        "This cluster knows no VerticalPodAutoscaler (autoscaling.k8s.io/v1).",
        hint="Install the VPA's CRDs and its updater and admission controller first; then: kubectl get vpa -A",
    )


class KubernetesLease:
    """One Lease object, as mora.recommender.lease asks for it.

    request_timeout: below the election's retry, so that a leader that is cut off notices before its lease runs out.
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
        # A request that is tried again behind our back would outlast the lease.
        self._api = _Api(kubeconfig, context, request_timeout, retries=False)
        self._leases = client.CoordinationV1Api(self._api.client)

    def read(self) -> dict[str, Any] | None:
        """The Lease object; None where there is none."""
        try:
            return self._api.ask(self._leases.read_namespaced_lease, self.name, self.namespace)
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
            return self._api.ask(self._leases.create_namespaced_lease, self.namespace, body)
        except ChangedMeanwhile:
            return None

    def replace(self, lease: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object with another spec; None where it changed, or went, since it was read."""
        body = {**lease, "spec": dict(spec)}
        try:
            return self._api.ask(self._leases.replace_namespaced_lease, self.name, self.namespace, body)
        except (ChangedMeanwhile, GoneMeanwhile):
            return None


def pod_namespace() -> str | None:
    """The namespace of the pod that this runs in; None outside a cluster."""
    try:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
