"""The VPA objects of a cluster: listed, and their status patched.

Requests and their errors only: mora/vpa decides what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mora.clusters.conflicts import conflicts, names_object
from mora.clusters.connection import MERGE, Api, NotFound
from mora.clusters.shapes import Unreadable, fields
from mora.errors import ClusterError

_VPAS = "/apis/autoscaling.k8s.io/v1"


def _pass_by(error: Unreadable) -> None:
    """What is not even an object has no name to report."""


class KubernetesVpas:
    """The VPA objects of a cluster.

    Today's CRD has a status subresource, so rights on `verticalpodautoscalers/status` are enough. An older one (before
    VPA 0.14) is patched as a whole, with only the status in the patch, which needs rights on `verticalpodautoscalers`.
    """

    def __init__(self, *, kubeconfig: Path | str | None = None, context: str | None = None) -> None:
        self._api = Api(kubeconfig=kubeconfig, context=context)
        self._has_subresource = True

    def list_vpas(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """Every VPA object of a namespace (None: of all), page by page, as it is; mora.vpa.objects reads them."""
        within = "" if namespace is None else f"/namespaces/{namespace}"
        try:
            path = f"{_VPAS}{within}/verticalpodautoscalers"
            return list(self._api.pages(path, shape=fields({}, keeps_rest=True), odd=_pass_by))
        except NotFound as error:
            raise ClusterError(
                "This cluster has no VerticalPodAutoscaler (autoscaling.k8s.io/v1).",
                hint="Install the VPA's CRDs, its updater and its admission controller. Then check: kubectl get vpa -A",
            ) from error

    def patch_status(self, namespace: str, name: str, status: Mapping[str, Any], *, version: str) -> None:
        """Merge into an object's status.

        version: the resourceVersion that it was read at. ChangedMeanwhile where it has another one now, GoneMeanwhile
        where it was deleted.
        """
        path = f"{_VPAS}/namespaces/{namespace}/verticalpodautoscalers/{name}"
        body = {"metadata": {"resourceVersion": version}, "status": status}
        with conflicts():
            if self._has_subresource:
                try:
                    self._api.send("PATCH", f"{path}/status", body, content_type=MERGE)
                except NotFound as error:
                    refusal: Any = error.__cause__
                    if names_object(refusal.body):
                        raise
                    self._has_subresource = False
                else:
                    return
            self._api.send("PATCH", path, body, content_type=MERGE)
