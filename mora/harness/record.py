"""What Locust recorded of a load: its requests, response times and errors in each second, and how Locust itself did.

Written by experiments/scenarios/_recorder.py, a line for each second; figures cover exactly the seconds asked for.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

# The recorder writes at whole seconds, a few milliseconds late; a line belongs to the nearest second.
_LATENESS_SECONDS = 0.5
_PUNCTUAL_SECONDS = 0.1

LOAD_COLUMNS = (
    "requests_per_second",
    "latency_p50_seconds",
    "latency_p95_seconds",
    "latency_p99_seconds",
    "error_ratio",
)


@dataclass(frozen=True, slots=True)
class Second:
    """One line of the recorder: totals since the start, and the response times of this second (value -> count).

    late_milliseconds: how late Locust was to start what was due in this second (value -> count). cpu_seconds,
    waited_seconds: what its threads ran since the start, and were ready to run without a CPU; None where unknown.
    """

    time: float
    users: int
    requests: int
    failures: int
    milliseconds: Counter[float]
    late_milliseconds: Counter[float] = field(default_factory=Counter)
    cpu_seconds: float | None = None
    waited_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """Requests, latencies and errors in a time range; latencies and error ratio are None without a request."""

    requests: int
    failures: int
    requests_per_second: float | None
    latency_p50_seconds: float | None
    latency_p95_seconds: float | None
    latency_p99_seconds: float | None
    error_ratio: float | None


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """How the generator itself did in a time range; None where it is not known.

    late_p95_seconds: how late it started what was due, so much longer are response times measured than they were.
    cpu_cores, waited_cores: CPU that its threads used, and that they were ready to use and did not get.
    """

    late_p95_seconds: float | None
    cpu_cores: float | None
    waited_cores: float | None


class LoadRecord:
    """The recorded seconds of one load, and figures over any time range of them."""

    def __init__(self, seconds: Sequence[Second]) -> None:
        self.seconds = list(seconds)
        self._times = [second.time - _LATENESS_SECONDS for second in seconds]

    @classmethod
    def read(cls, path: Path) -> LoadRecord:
        """What is recorded so far, without a last line that is still being written."""
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = text.split("\n")[:-1]
        seconds = [_parse_second(json.loads(line)) for line in lines]
        workers = [_read_worker(file) for file in sorted(path.parent.glob(f"{path.name}.*"))]
        return cls([_with_workers(second, workers) for second in seconds] if workers else seconds)

    def figures(self, start: datetime, end: datetime) -> LoadFigures | None:
        """The figures of a time range; None where the record starts after it does."""
        lines = self._lines(start, end)
        if lines is None:
            return None
        first, last = lines
        begin, finish = self.seconds[first], self.seconds[last]
        requests, failures = finish.requests - begin.requests, finish.failures - begin.failures
        times: Counter[float] = Counter()
        for second in self.seconds[first + 1 : last + 1]:
            times.update(second.milliseconds)
        p50, p95, p99 = (percentile_seconds(times, level) for level in (0.5, 0.95, 0.99))
        return LoadFigures(
            requests=requests,
            failures=failures,
            requests_per_second=requests / (finish.time - begin.time),
            latency_p50_seconds=p50,
            latency_p95_seconds=p95,
            latency_p99_seconds=p99,
            error_ratio=failures / requests if requests else None,
        )

    def _lines(self, start: datetime, end: datetime) -> tuple[int, int] | None:
        """The numbers of the lines at both ends of a time range; None where the record starts after it does."""
        first, last = (bisect_right(self._times, moment.timestamp()) - 1 for moment in (start, end))
        return None if first < 0 or last <= first else (first, last)

    def loop(self, start: datetime, end: datetime) -> LoopFigures | None:
        """How Locust itself did in a time range; None where the record starts after it does."""
        lines = self._lines(start, end)
        if lines is None:
            return None
        begin, finish = self.seconds[lines[0]], self.seconds[lines[1]]
        late: Counter[float] = Counter()
        for second in self.seconds[lines[0] + 1 : lines[1] + 1]:
            late.update(second.late_milliseconds)
        span = finish.time - begin.time

        def each(before: float | None, after: float | None) -> float | None:
            return None if before is None or after is None else max(0.0, after - before) / span

        return LoopFigures(
            late_p95_seconds=percentile_seconds(late, 0.95),
            cpu_cores=each(begin.cpu_seconds, finish.cpu_seconds),
            waited_cores=each(begin.waited_seconds, finish.waited_seconds),
        )

    def between(self, start: datetime, end: datetime) -> list[Second]:
        """The seconds of a time range, in order; those recorded so far where it lasts still."""
        first, last = (bisect_right(self._times, moment.timestamp()) - 1 for moment in (start, end))
        return self.seconds[max(first, -1) + 1 : last + 1]

    def reached(self, users: int) -> datetime | None:
        """The first second at which so many users ran; None before it.

        The recorder is a few milliseconds late. That is ignored; a line that is later counts for the next second.
        """
        times = (second.time for second in self.seconds if second.users >= users)
        first = next(times, None)
        return None if first is None else datetime.fromtimestamp(math.ceil(first - _PUNCTUAL_SECONDS), UTC)

    def lag_seconds(self, end: datetime) -> float:
        """Seconds from the end of the record to `end`; infinite without a record."""
        return max(0.0, end.timestamp() - self.seconds[-1].time) if self.seconds else math.inf

    def columns(self, times: Sequence[datetime], span: timedelta) -> pd.DataFrame:
        """LOAD_COLUMNS at each time, over the `span` before it: the rate window of the CPU sample at that time."""
        rows = [self.figures(moment - span, moment) for moment in times]
        values = {
            name: [math.nan if row is None or getattr(row, name) is None else getattr(row, name) for row in rows]
            for name in LOAD_COLUMNS
        }
        return pd.DataFrame(values, index=pd.DatetimeIndex(list(times)), dtype="float64")


def percentile_seconds(milliseconds: Counter[float], level: float) -> float | None:
    """The nearest-rank percentile of counted response times; None without any.

    >>> percentile_seconds(Counter({10.0: 94, 200.0: 6}), 0.95), percentile_seconds(Counter({10.0: 95, 200.0: 5}), 0.95)
    (0.2, 0.01)
    """
    rank = math.ceil(round(level * milliseconds.total(), 9))
    for value, count in sorted(milliseconds.items()):
        rank -= count
        if count and rank <= 0:
            return round(value / 1000, 9)
    return None


def _parse_second(line: dict[str, Any]) -> Second:
    return Second(
        time=line["time"],
        users=line["users"],
        requests=line["requests"],
        failures=line["failures"],
        milliseconds=_counted(line["milliseconds"]),
        late_milliseconds=_counted(line["late_milliseconds"]),
        cpu_seconds=line["cpu_seconds"],
        waited_seconds=line["waited_seconds"],
    )


def _counted(plain: Mapping[str, int]) -> Counter[float]:
    return Counter({float(key): count for key, count in plain.items()})


def _read_worker(path: Path) -> dict[int, dict[str, Any]]:
    """Whole second -> what a worker process said of itself in it."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    return {round(line["time"]): line for line in lines}


def _with_workers(second: Second, workers: Sequence[Mapping[int, Mapping[str, Any]]]) -> Second:
    """The line of the master with what its workers on this machine said of themselves in the same second."""
    late, total = Counter(second.late_milliseconds), {"cpu_seconds": 0.0, "waited_seconds": 0.0}
    for worker in workers:
        line = worker.get(round(second.time))
        if line is not None:
            late.update(_counted(line["late_milliseconds"]))
            total = {name: known + (line[name] or 0.0) for name, known in total.items()}
    return replace(
        second,
        late_milliseconds=late,
        cpu_seconds=None if second.cpu_seconds is None else second.cpu_seconds + total["cpu_seconds"],
        waited_seconds=None if second.waited_seconds is None else second.waited_seconds + total["waited_seconds"],
    )
