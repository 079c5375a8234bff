"""The source `azure`, as it is named on the command line: azure, azure:RESOURCE-ID."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from mora.errors import BadInput
from mora.sources.azure.client import ROLE, AzureClient
from mora.sources.azure.reader import AzureReader
from mora.sources.cloud.patience import Patience
from mora.sources.cloud.source import CloudSource

_RESOURCE = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9_.()-]{0,89}){8}")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AzureSource(CloudSource):
    """Container insights of one AKS cluster, and Azure's own metrics.

    address: the resource id of the cluster; it wins over `cluster`. database: the resource id of a database server.
    endpoint: of Azure's APIs, where it is not Azure's own.
    """

    ABOUT = "Azure Monitor: containers of AKS (Container insights), Azure Database"
    RIGHTS = (f"the role {ROLE} on the cluster", f"{ROLE} on the subscription, for nodes and databases")

    def __init__(
        self,
        address: str = "",
        *,
        cluster: str | None = None,
        database: str | None = None,
        endpoint: str | None = None,
        patience: Patience | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        resource = address or cluster
        self.database = None if database is None else check_resource(database)
        client = AzureClient(endpoint, patience=patience)
        super().__init__(AzureReader(client, None if resource is None else check_resource(resource)), now=now)


def check_resource(resource: str) -> str:
    """A resource id, /subscriptions/.../resourceGroups/.../providers/TYPE/KIND/NAME, without a slash at its end.

    Raises BadInput for anything else: it becomes part of an address.
    """
    found = resource.rstrip("/")
    if not _RESOURCE.fullmatch(found) or not found.lower().startswith("/subscriptions/"):
        raise BadInput(
            f"{resource!r} is not the id of a resource on Azure.",
            hint="It looks like /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ContainerService/"
            "managedClusters/NAME; az aks list --query '[].id' prints it.",
        )
    return found
