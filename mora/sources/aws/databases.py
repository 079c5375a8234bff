"""Databases of RDS: CPU, memory and connections. CloudWatch tells what memory is free; how much there is, EC2 tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mora.domain import Window
from mora.errors import BadInput, MoraError
from mora.sources.aws import cloudwatch
from mora.sources.aws.client import AwsClient
from mora.sources.aws.cloudwatch import Asked, Metric
from mora.sources.cloud.reader import Tried
from mora.sources.cloud.signals import Of, Remark, Series, Signal

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


def read(
    client: AwsClient, signals: Sequence[Signal], database: str | None, window: Window
) -> Iterator[Series | Remark]:
    """The series of an instance of RDS; None for the only one there is. A remark where something of it is not known.

    Raises BadInput, with those there are, where there is no such one, or several and none is named.
    """
    wanted = [signal for signal in signals if signal in _METRICS]
    if not wanted:
        return
    classes: Mapping[str, str] | None = None
    if database is None or Signal.DB_MEMORY in wanted:
        try:
            classes = _instances(client)
        except MoraError as error:
            yield Remark(f"Which databases there are, and how large, is not known. {error.message}")
    if database is None:
        if not classes:
            return
        database = _only(classes, client.region)
    memory = None
    if Signal.DB_MEMORY in wanted and classes is not None:
        if database not in classes:
            raise BadInput(
                f"RDS in {client.region} has no database instance {database!r}.",
                hint=f"It has these: {_shown(classes)}.",
            )
        try:
            memory = _size_of(client, classes[database])
        except MoraError as error:
            yield Remark(f"How much memory {database} has is not known. {error.message}")
        else:
            if memory is None:
                yield Remark(f"{database} is a {classes[database]}, whose memory is not fixed: its share is not known.")
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


def _only(classes: Mapping[str, str], region: str) -> str:
    if len(classes) > 1:
        raise BadInput(
            f"RDS in {region} has several database instances: {_shown(classes)}.", hint="Name one: --database NAME."
        )
    return next(iter(classes))


def _shown(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:20]) or "none"


def queries(signals: Sequence[Signal], database: str | None, step_seconds: int) -> dict[str, str]:
    """The metrics that read() asks for, by name."""
    return {
        name: f"{statistic} of {_SPACE}/{name} every {step_seconds} s {{DBInstanceIdentifier={database or '*'}}}"
        for signal, (name, statistic, _) in _METRICS.items()
        if signal in signals
    }


def _size_of(client: AwsClient, of_class: str) -> float | None:
    """How much memory a class has, in bytes; None for a serverless one, whose size changes."""
    if not of_class.startswith(_CLASS_PREFIX) or of_class == "db.serverless":
        return None
    answer = client.ask("ec2", "describe_instance_types", InstanceTypes=[of_class.removeprefix(_CLASS_PREFIX)])
    sizes = [one.get("MemoryInfo", {}).get("SizeInMiB") for one in answer.get("InstanceTypes", ())]
    return float(sizes[0]) * _MIB if sizes and sizes[0] else None
