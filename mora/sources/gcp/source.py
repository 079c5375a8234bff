"""The source gcp, as `mora collect --source gcp` and `mora recommend --source gcp` open it."""

from __future__ import annotations

from mora.errors import BadInput
from mora.sources.cloud.source import CloudSource
from mora.sources.gcp.client import VIEWER_ROLE, MonitoringClient
from mora.sources.gcp.reader import GcpReader


class GcpSource(CloudSource):
    """Google Cloud Monitoring of one project. The credentials are the Application Default Credentials.

    address: PROJECT, PROJECT/CLUSTER or PROJECT/LOCATION/CLUSTER; it wins over the keywords. project: None for that of
    the credentials.
    endpoint: of the API, where it is not the public one.
    """

    ABOUT = "Google Cloud Monitoring: containers of GKE, Cloud SQL"
    RIGHTS = (f"monitoring.timeSeries.list ({VIEWER_ROLE})",)

    def __init__(
        self,
        address: str = "",
        *,
        project: str | None = None,
        cluster: str | None = None,
        database: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        named, _, of_address = address.partition("/")
        if of_address.count("/") > 1:
            raise BadInput(
                f"gcp:{address} names no project and cluster.",
                hint="Write it like gcp:PROJECT/CLUSTER or gcp:PROJECT/LOCATION/CLUSTER.",
            )
        self.database = database
        client = MonitoringClient(named or project, endpoint)
        super().__init__(GcpReader(client, of_address or cluster))
