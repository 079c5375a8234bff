"""The source `aws`, as it is named on the command line: aws, aws:CLUSTER, aws:REGION/CLUSTER."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from mora.errors import BadInput
from mora.sources.aws.client import AwsClient
from mora.sources.aws.reader import AwsReader
from mora.sources.cloud.patience import Patience
from mora.sources.cloud.source import CloudSource

# A cluster may be called my-shop-1, too: a region has a point of the compass. https://docs.aws.amazon.com/general/
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]{2,4})?-((north|south)?(east|west)|north|south|central)-\d{1,2}")
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AwsSource(CloudSource):
    """Container Insights of one EKS cluster.

    address: the cluster, its region before it, or neither: then the region is that of the environment, and the cluster
    the only one that sends Container Insights there. It wins over the keywords. database: an instance of RDS.
    endpoint: of AWS's APIs, where it is not Amazon's own.
    """

    ABOUT = "Amazon CloudWatch: containers of EKS (Container Insights), RDS"
    RIGHTS = (
        *("cloudwatch:ListMetrics", "cloudwatch:GetMetricData"),
        "for databases: rds:DescribeDBInstances, ec2:DescribeInstanceTypes",
    )

    def __init__(
        self,
        address: str = "",
        *,
        region: str | None = None,
        cluster: str | None = None,
        database: str | None = None,
        endpoint: str | None = None,
        patience: Patience | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        of_address = parse_address(address)
        client = AwsClient(of_address[0] or region, endpoint=endpoint, patience=patience)
        self.database = database
        super().__init__(AwsReader(client, of_address[1] or cluster, now=now), now=now)


def parse_address(address: str) -> tuple[str | None, str | None]:
    """The region and the cluster of an address; None for what it leaves open.

    >>> parse_address("eu-west-1/prod"), parse_address("prod"), parse_address("eu-west-1"), parse_address("")
    (('eu-west-1', 'prod'), (None, 'prod'), ('eu-west-1', None), (None, None))
    """
    if not address:
        return None, None
    if _REGION.fullmatch(address):
        return address, None
    first, separator, rest = address.partition("/")
    region, cluster = (first, rest) if separator and _REGION.fullmatch(first) else (None, address)
    if not _CLUSTER.fullmatch(cluster):
        raise BadInput(
            f"{address!r} is not the address of a cluster on AWS.", hint="Write aws:CLUSTER or aws:REGION/CLUSTER."
        )
    return region, cluster
