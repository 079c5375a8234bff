"""What the API server allows this user: one question a right (SelfSubjectAccessReview), as `kubectl auth can-i` asks.

A review changes nothing, and every authenticated user may ask about himself.
"""

from __future__ import annotations

from dataclasses import dataclass

from mora.clusters.connection import Api
from mora.clusters.grants import folder_of, rule
from mora.errors import ClusterError

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A verb on a resource. resource: its plural, with the subresource after a slash. group: empty for the core API.

    >>> print(Right("patch", "deployments/scale", "apps"))
    patch deployments.apps/scale
    """

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        plural, slash, subresource = self.resource.partition("/")
        return f"{self.verb} {plural}{'.' if self.group else ''}{self.group}{slash}{subresource}"

    @property
    def rule(self) -> str:
        """The RBAC rule that allows it."""
        return rule(self.verb, self.group, self.resource)

    @property
    def folder(self) -> str | None:
        """The folder of manifests/ that allows it in a namespace; None where none does."""
        return folder_of(self.verb, self.group, self.resource)


def is_allowed(api: Api, right: Right, namespace: str, name: str = "") -> bool:
    """Whether the API server would allow this in a namespace; with `name`, on the object of that name.

    ClusterError where the server cannot be asked, or does not answer like a Kubernetes API server.
    """
    plural, _, subresource = right.resource.partition("/")
    attributes = {"namespace": namespace, "verb": right.verb, "group": right.group, "resource": plural}
    attributes |= {key: value for key, value in (("subresource", subresource), ("name", name)) if value}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status = api.send("POST", _REVIEWS, review).get("status")
    if not isinstance(status, dict):
        raise ClusterError(
            f"{api.host} does not answer like a Kubernetes API server: its answer to an access review has no status.",
            hint="Is it the address of the API server? Try: kubectl auth can-i list pods",
        )
    return bool(status.get("allowed", False))
