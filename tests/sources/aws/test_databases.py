"""RDS through boto3: CPU, memory by the size of the class, connections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mora.errors import BadInput
from mora.sources.aws import databases
from mora.sources.aws.client import AwsClient
from mora.sources.cloud.signals import OF_DATABASES, Signal
from tests.sources.aws.conftest import TIMES, WINDOW
from tests.sources.aws.rig import Aws, point

GIB = 2.0**30


@pytest.fixture
def rds(aws: Aws) -> Iterator[Aws]:
    """An instance `orders` of 8 GiB, of which 2 GiB are free."""
    made = {"Engine": "postgres", "MasterUsername": "x", "MasterUserPassword": "made-up-here", "AllocatedStorage": 20}
    aws.client("rds").create_db_instance(DBInstanceIdentifier="orders", DBInstanceClass="db.m5.large", **made)
    of = {"DBInstanceIdentifier": "orders"}
    told = (
        ("CPUUtilization", 25.0, "Percent"),
        ("FreeableMemory", 2 * GIB, "Bytes"),
        ("DatabaseConnections", 7.0, "Count"),
    )
    aws.put("AWS/RDS", (point(name, value, unit, of, at) for at in TIMES[-3:] for name, value, unit in told))
    yield aws
    aws.refuse = lambda operation: None
    aws.client("rds").delete_db_instance(DBInstanceIdentifier="orders", SkipFinalSnapshot=True)


def test_a_database_is_read_in_shares(rds: Aws, client: AwsClient) -> None:
    found = {one.signal: one for one in databases.read(client, OF_DATABASES, "orders", WINDOW) if len(one.values)}
    assert (found[Signal.DB_CPU].unit, found[Signal.DB_CPU].values.tolist()) == ("Percent", [25.0] * 3)
    assert found[Signal.DB_MEMORY].unit == "ratio"
    assert np.allclose(found[Signal.DB_MEMORY].values, 0.75)
    assert found[Signal.DB_CONNECTIONS].values.tolist() == [7.0] * 3
    assert [one.words for one in databases.check(client)] == ["1 database", "the memory of db.m5.large"]


def test_a_database_that_is_not_there_names_those_there_are(rds: Aws, client: AwsClient) -> None:
    with pytest.raises(BadInput, match="no database instance 'nonesuch'") as refused:
        list(databases.read(client, OF_DATABASES, "nonesuch", WINDOW))
    assert refused.value.hint == "It has these: orders."


def test_without_the_right_to_sizes_cpu_is_read_still(rds: Aws, client: AwsClient) -> None:
    rds.refuse = lambda operation: (403, "UnauthorizedOperation", "no") if operation != "GetMetricData" else None
    found = {one.signal for one in databases.read(client, [Signal.DB_CPU, Signal.CPU], "orders", WINDOW)}
    assert found == {Signal.DB_CPU}
    assert [one.is_ok for one in databases.check(client)] == [False]
    assert list(databases.read(client, [Signal.CPU], "orders", WINDOW)) == []
