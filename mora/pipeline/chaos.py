"""Running a chaos scenario in sandboxes of its own, or in one that is running; judging what was recorded."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mora.domain import Workload
from mora.seams import Reporter

if TYPE_CHECKING:
    import pandas as pd

    from mora.chaos.folder import RunPart
    from mora.chaos.judge import PartSeen
    from mora.chaos.report import Report
    from mora.chaos.run import Ground
    from mora.chaos.scenario import Scenario
    from mora.sources.prometheus.observe import PrometheusSource

# The column counts restarts of the last hour; with faults every two minutes that would be one long alarm.
_RESTARTS = (
    'sum(changes(kube_pod_container_status_restarts_total{namespace="$namespace",pod=~"$service-[^-]+-[^-]+"}[60s]))'
)


def run_chaos(
    scenario: Scenario, folder: Path, *, sandbox: str | None, reporter: Reporter, jobs: int | None = None
) -> list[Path]:
    """Run a scenario: the folders of its parts. sandbox: one that is running, for a scenario in one part."""
    from mora.chaos.run import run_scenario

    @contextmanager
    def ground(number: int) -> Iterator[Ground]:
        with _sandbox_ground(sandbox or f"chaos-{os.getpid()}-{number}") as found:
            yield found

    return run_scenario(scenario, folder, ground, owner_pid=os.getpid(), reporter=reporter, jobs=jobs)


@contextmanager
def _sandbox_ground(name: str) -> Iterator[Ground]:
    from mora import sandbox
    from mora.chaos.run import Ground
    from mora.pipeline.collecting import sandbox_place
    from mora.sources.prometheus.calls import read_calls
    from mora.sources.prometheus.observe import PrometheusSource

    with sandbox_place(name) as place:
        handle = sandbox.connect(name)
        source = PrometheusSource(handle.prometheus_url)

        def read(start: datetime, end: datetime) -> Mapping[str, pd.DataFrame]:
            return {workload.name: _read(source, workload, start, end) for workload in place.workloads}

        def calls(start: datetime, end: datetime) -> Collection[tuple[str, str]]:
            with source.wire() as wire:
                return read_calls(wire, handle.namespace, start, end).calls.keys()

        yield Ground(place.site(), handle, handle.namespace, read, calls)


def judge_chaos(
    folder: Path, *, detector: str, threshold: str, reporter: Reporter
) -> tuple[Report, list[tuple[RunPart, PartSeen]]]:
    """What a detector makes of a run's finished parts: the report, and every part with its verdicts."""
    from mora.chaos.folder import read_run
    from mora.chaos.judge import judge_part
    from mora.chaos.report import report_of

    scenario, parts = read_run(folder)
    found = []
    for number, part in enumerate(parts):
        reporter.advance("judging", number, len(parts))
        seen = judge_part(
            part,
            recover=scenario.recover,
            alarm_after=scenario.alarm_after,
            detector=detector,
            threshold=threshold,
        )
        found.append((part, seen))
    reporter.advance("judging", len(parts), len(parts))
    contended = [reason for part in parts for reason in part.contended]
    report = report_of(
        scenario, [seen for _, seen in found], detector=detector, threshold=threshold, contended=contended
    )
    return report, found


def _read(source: PrometheusSource, workload: Workload, start: datetime, end: datetime) -> pd.DataFrame:
    from mora.health.reading import read_prometheus

    found = read_prometheus(
        source,
        workload,
        span=end - start,
        step=timedelta(seconds=1),
        own={"pod_restarts_value": _RESTARTS},
        now=end,
    )
    return found.frame
