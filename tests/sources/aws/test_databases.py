"""RDS through boto3: CPU, memory by the size of the class, connections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mora.errors import BadInput
from mora.sources.aws import databases
from mora.sources.aws.client import AwsClient
from mora.sources.cloud.signals import OF_DATABASES, Remark, Series, Signal
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
    read = databases.read(client, OF_DATABASES, "orders", WINDOW)
    found = {one.signal: one for one in read if isinstance(one, Series) and len(one.values)}
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
    (found,) = databases.read(client, [Signal.DB_CPU, Signal.CPU], "orders", WINDOW)
    assert isinstance(found, Series)
    assert found.signal is Signal.DB_CPU
    assert [one.is_ok for one in databases.check(client)] == [False]
    assert list(databases.read(client, [Signal.CPU], "orders", WINDOW)) == []


@pytest.mark.parametrize(
    ("refused", "words"),
    [("DescribeInstanceTypes", "How much memory orders has"), ("DescribeDBInstances", "Which databases there are")],
)
def test_without_a_right_all_but_the_memory_is_read_and_it_says_so(
    rds: Aws, client: AwsClient, refused: str, words: str
) -> None:
    rds.refuse = lambda operation: (403, "UnauthorizedOperation", "no") if operation == refused else None
    read = list(databases.read(client, OF_DATABASES, "orders", WINDOW))
    assert {one.signal for one in read if isinstance(one, Series)} == {Signal.DB_CPU, Signal.DB_CONNECTIONS}
    (remark,) = (one.words for one in read if isinstance(one, Remark))
    assert remark.startswith(words)
    assert refused in remark


def test_the_only_database_needs_no_name_and_of_several_one_must_be_named(rds: Aws, client: AwsClient) -> None:
    named = list(databases.read(client, [Signal.DB_CPU], "orders", WINDOW))
    (found,) = databases.read(client, [Signal.DB_CPU], None, WINDOW)
    assert isinstance(found, Series)
    assert isinstance(named[0], Series)
    assert np.array_equal(found.values, named[0].values)
    second = rds.client("rds")
    made = {"Engine": "postgres", "MasterUsername": "x", "MasterUserPassword": "made-up-here", "AllocatedStorage": 20}
    second.create_db_instance(DBInstanceIdentifier="users", DBInstanceClass="db.m5.large", **made)
    try:
        with pytest.raises(BadInput, match="several database instances: orders, users") as refused:
            list(databases.read(client, [Signal.DB_CPU], None, WINDOW))
        assert "--database" in str(refused.value.hint)
    finally:
        second.delete_db_instance(DBInstanceIdentifier="users", SkipFinalSnapshot=True)
    rds.refuse = lambda operation: (403, "AccessDenied", "no") if operation == "DescribeDBInstances" else None
    (remark,) = databases.read(client, [Signal.DB_CPU], None, WINDOW)
    assert isinstance(remark, Remark)
