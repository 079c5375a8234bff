"""Databases of RDS: CPU, memory and connections. CloudWatch tells what memory is free; how much there is, EC2 tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mora.domain import Window
from mora.errors import BadInput, MoraError
from mora.sources.aws import cloudwatch
from mora.sources.aws.client import AwsClient
from mora.sources.aws.cloudwatch import Asked, Metric
from mora.sources.cloud.reader import Tried
from mora.sources.cloud.signals import Of, Series, Signal

_SPACE = "AWS/RDS"
_METRICS = {
    Signal.DB_CPU: ("CPUUtilization", "Average", "Percent"),
    # The least that was free: the most that was used.
    Signal.DB_MEMORY: ("FreeableMemory", "Minimum", "Bytes"),
    Signal.DB_CONNECTIONS: ("DatabaseConnections", "Maximum", "Count"),
}
# The classes of RDS are EC2's types with this before them; a serverless one has no size of its own.
_CLASS_PREFIX = "db."
_MIB = 2**20


def read(client: AwsClient, signals: Sequence[Signal], database: str, window: Window) -> Iterator[Series]:
    """The series of an instance of RDS. Raises BadInput, with those there are, where there is no such one."""
    wanted = [signal for signal in signals if signal in _METRICS]
    if not wanted:
        return
    memory = _memory_bytes(client, database) if Signal.DB_MEMORY in wanted else None
    dimensions = (("DBInstanceIdentifier", database),)
    metrics = {signal: Metric(_SPACE, _METRICS[signal][0], dimensions) for signal in wanted}
    written = cloudwatch.units(client, list(metrics.values()), window)
    asked: dict[Asked, Signal] = {}
    for signal, metric in metrics.items():
        _, statistic, usual = _METRICS[signal]
        asked |= dict.fromkeys(cloudwatch.in_units(Asked(metric, statistic), written.get(metric, ()), usual), signal)
    for part in cloudwatch.points(client, list(asked), window):
        signal = asked[part.asked]
        unit = part.asked.unit or _METRICS[signal][2]
        values = part.values
        if signal is Signal.DB_MEMORY:
            if memory is None or unit != "Bytes":
                continue
            values, unit = 1 - values / memory, "ratio"
        yield Series(signal, Of(), unit, part.seconds, values)


def check(client: AwsClient) -> Iterator[Tried]:
    """Whether databases can be read; nothing else needs it."""
    right = "rds:DescribeDBInstances"
    try:
        found = _instances(client)
    except MoraError as error:
        yield Tried(right, False, error.message, error.hint or "", is_needed=False)
        return
    words = f"{len(found)} database{'' if len(found) == 1 else 's'}"
    yield Tried(right, True, words, is_needed=False)
    sized = next((one for one in found.values() if one.startswith(_CLASS_PREFIX)), None)
    if sized is not None:
        try:
            _size_of(client, sized)
        except MoraError as error:
            yield Tried("ec2:DescribeInstanceTypes", False, error.message, error.hint or "", is_needed=False)
        else:
            yield Tried("ec2:DescribeInstanceTypes", True, f"the memory of {sized}", is_needed=False)


def _instances(client: AwsClient) -> dict[str, str]:
    """Each instance of the region and its class."""
    return {
        str(one["DBInstanceIdentifier"]): str(one.get("DBInstanceClass", ""))
        for page in client.pages("rds", "describe_db_instances", link="Marker")
        for one in page.get("DBInstances", ())
    }


def _memory_bytes(client: AwsClient, database: str) -> float | None:
    """How much memory an instance has; None for a serverless one, whose size changes."""
    there = _instances(client)
    if database not in there:
        known = ", ".join(sorted(there)[:20]) or "none"
        raise BadInput(f"RDS in {client.region} has no database instance {database!r}.", hint=f"It has these: {known}.")
    return _size_of(client, there[database])


def _size_of(client: AwsClient, of_class: str) -> float | None:
    if not of_class.startswith(_CLASS_PREFIX) or of_class == "db.serverless":
        return None
    answer = client.ask("ec2", "describe_instance_types", InstanceTypes=[of_class.removeprefix(_CLASS_PREFIX)])
    sizes = [one.get("MemoryInfo", {}).get("SizeInMiB") for one in answer.get("InstanceTypes", ())]
    return float(sizes[0]) * _MIB if sizes and sizes[0] else None
