"""CloudWatch's metrics: which there are, in which units they were written, and their points, batch by batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window
from mora.errors import BadInput, SourceUnavailable
from mora.quantities import format_duration
from mora.sources.aws.client import AwsClient

Floats = NDArray[np.float64]

FINEST = timedelta(minutes=1)
# What one request takes. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
QUERIES_IN_A_REQUEST = 500
# Points of a minute are kept for 15 days, of five minutes for 63, of an hour for 455.
_KEPT = ((timedelta(days=15), timedelta(minutes=1)), (timedelta(days=63), timedelta(minutes=5)))
_KEPT_LONGEST = timedelta(hours=1)
# Metrics that had no point for so long are not listed any more.
LISTED_FOR = timedelta(days=14)
_RECENTLY = timedelta(hours=3)
_DAY_SECONDS = 86400
# Every unit that a point can be written in, but rates of bits and of counts, which nothing that is read here has.
UNITS = (
    *("Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"),
    *("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count", "None"),
    *(f"{size}bytes/Second" for size in ("Kilo", "Mega", "Giga", "Tera")),
    *("Bytes/Second", "Count/Second", "Bits/Second"),
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch. dimensions: (name, value), sorted by name."""

    space: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    def of(self, dimension: str) -> str:
        """The value of a dimension; empty where it has none of that name."""
        return dict(self.dimensions).get(dimension, "")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query: a metric and a statistic of it. unit: only points of that unit; None for all."""

    metric: Metric
    statistic: str
    unit: str | None = None

    def text(self) -> str:
        """The query as one writes it down."""
        dimensions = ", ".join(f"{name}={value}" for name, value in self.metric.dimensions)
        return f"{self.statistic} of {self.metric.space}/{self.metric.name} {{{dimensions}}}"


@dataclass(frozen=True, slots=True)
class Points:
    """Points of one query, or of a page of it. seconds: when each point's period ends, Unix seconds."""

    asked: Asked
    seconds: Floats
    values: Floats


def check_window(window: Window, now: datetime | None = None) -> None:
    """Refuse a window that CloudWatch has no points for; BadInput says which step has."""
    if window.step % FINEST:
        raise BadInput(
            f"CloudWatch's points are whole minutes apart, and the step is {format_duration(window.step)}.",
            hint="Give a step of minutes, such as --step 5m.",
        )
    age = (now or datetime.now(UTC)) - (window.start - window.step)
    needed = next((step for kept, step in _KEPT if age <= kept), _KEPT_LONGEST)
    if window.step % needed:
        raise BadInput(
            f"A history that begins {age.total_seconds() / _DAY_SECONDS:.1f} days ago is kept by CloudWatch as "
            f"points of {format_duration(needed)}, and the step is {format_duration(window.step)}.",
            hint=f"Give --step {format_duration(needed)}, or a shorter history.",
        )


def listed(
    client: AwsClient,
    space: str,
    name: str,
    dimensions: Iterable[tuple[str, str | None]],
    *,
    recently: bool = False,
) -> Iterator[Metric]:
    """The metrics of a name that have these dimensions, whatever others; a value None is any.

    recently: only those with points of the last three hours; else of the last two weeks.
    """
    filters = [{"Name": key} | ({} if value is None else {"Value": value}) for key, value in dimensions]
    more: dict[str, Any] = {"RecentlyActive": "PT3H"} if recently else {}
    for page in client.pages(
        "cloudwatch", "list_metrics", Namespace=space, MetricName=name, Dimensions=filters, **more
    ):
        for one in page.get("Metrics", ()):
            pairs = ((str(pair["Name"]), str(pair["Value"])) for pair in one.get("Dimensions", ()))
            yield Metric(str(one.get("Namespace", space)), str(one.get("MetricName", name)), tuple(sorted(pairs)))


def is_recent(window: Window, now: datetime | None = None) -> bool:
    """Whether a window lies in the time for which `listed` finds what is `recently` active."""
    return (now or datetime.now(UTC)) - window.start <= _RECENTLY


def points(client: AwsClient, asked: Sequence[Asked], window: Window) -> Iterator[Points]:
    """The points of all queries over a window, page by page, in batches of as many as a request takes."""
    period = round(window.step.total_seconds())
    for first in range(0, len(asked), QUERIES_IN_A_REQUEST):
        batch = asked[first : first + QUERIES_IN_A_REQUEST]
        pages = client.pages(
            "cloudwatch",
            "get_metric_data",
            MetricDataQueries=[_query(number, one, period) for number, one in enumerate(batch)],
            # A point is of the period that begins at its time; the first row is that of the period before the window.
            StartTime=window.start - window.step,
            EndTime=window.end,
            ScanBy="TimestampAscending",
        )
        for page in pages:
            for result in page.get("MetricDataResults", ()):
                yield _points(batch, result, period)


def units(client: AwsClient, metrics: Sequence[Metric], window: Window) -> dict[Metric, tuple[str, ...]]:
    """The units that the points of each metric were written in, within a window; none where it has no points.

    CloudWatch's answers name no unit, and mix points of several: so each unit is asked for by itself, by the day.
    """
    days = max(1, -(-round((window.end - window.start).total_seconds()) // _DAY_SECONDS))
    day = timedelta(days=1)
    whole = Window(window.end - days * day + day, window.end, day)
    asked = [Asked(metric, "SampleCount", unit) for metric in metrics for unit in UNITS]
    found: defaultdict[Metric, dict[str, None]] = defaultdict(dict)
    for part in points(client, asked, whole):
        if part.asked.unit is not None and np.any(part.values > 0):
            found[part.asked.metric][part.asked.unit] = None
    return {metric: tuple(unit for unit in UNITS if unit in of_one) for metric, of_one in found.items()}


def in_units(asked: Asked, written: Sequence[str], usual: str) -> list[Asked]:
    """The queries that read a metric unit by unit: one without a unit where all points are in the usual one."""
    return [asked] if tuple(written) in ((), (usual,)) else [replace(asked, unit=unit) for unit in written]


def _query(number: int, asked: Asked, period: int) -> dict[str, Any]:
    metric = {
        "Namespace": asked.metric.space,
        "MetricName": asked.metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in asked.metric.dimensions],
    }
    stat: dict[str, Any] = {"Metric": metric, "Period": period, "Stat": asked.statistic}
    return {"Id": f"q{number}", "MetricStat": stat if asked.unit is None else {**stat, "Unit": asked.unit}}


def _points(batch: Sequence[Asked], result: dict[str, Any], period: int) -> Points:
    name = str(result.get("Id", ""))
    if not (name[:1] == "q" and name[1:].isdigit() and int(name[1:]) < len(batch)):
        raise SourceUnavailable(f"CloudWatch answers a query that was not sent: {name[:20]!r}.")
    if result.get("StatusCode") == "Forbidden":
        raise SourceUnavailable(
            "AWS does not allow to read some metrics to these credentials.",
            hint="Give them the right cloudwatch:GetMetricData (docs/clouds.md has the whole policy).",
        )
    times, values = result.get("Timestamps", ()), result.get("Values", ())
    if len(times) != len(values):
        raise SourceUnavailable(f"CloudWatch answers with {len(times)} times and {len(values)} values.")
    seconds = np.array([at.timestamp() + period for at in times], dtype=np.float64)
    return Points(batch[int(name[1:])], seconds, np.array(values, dtype=np.float64))
