"""The Deployment of a service of the sandbox, as a repository would contain it."""

from __future__ import annotations

from mora.domain import Allocation, Workload


def deployment_manifest(workload: Workload, allocation: Allocation) -> dict[str, object]:
    """The Deployment of a sandbox service as a repository would contain it; the patch is applied to it."""
    from mora.outputs.changes import plain_resources

    labels = {"app": workload.name}
    containers = [
        {
            "name": container.name,
            "image": container.image,
            "env": [{"name": "PORT", "value": "8080"}],
            "resources": plain_resources(container.resources),
        }
        for container in allocation.containers
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": workload.kind,
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": {
            "replicas": allocation.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }
