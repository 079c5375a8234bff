"""Collecting: a plan's load experiments at a place (a sandbox or a cluster), written as unified CSVs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mora import registry
from mora.domain import Slo, Workload
from mora.seams import Cluster, MetricSource, Reporter

if TYPE_CHECKING:
    from mora.harness.drive import Site
    from mora.harness.experiment import RunReport
    from mora.harness.host import Host
    from mora.harness.plan import LocustOptions, Plan
    from mora.harness.restore import Place as LastingPlace


@dataclass(frozen=True, slots=True)
class Place:
    """Where experiments run: what is scaled, what is measured, and where the load goes.

    lasting: where that is a cluster that outlives the run; how it stood is then written down first. host: the machines
    of the services. load_files: files of cgroups that Locust joins, where it gets CPU before what else runs there.
    """

    cluster: Cluster
    source: MetricSource
    workloads: tuple[Workload, ...]
    entry_service: str
    load_url: str
    lasting: LastingPlace | None = None
    host: Host | None = None
    load_files: tuple[Path, ...] = ()

    def site(self, *, options: LocustOptions | None = None, allow_remote: bool = False) -> Site:
        """The place as a load is driven on it."""
        from mora.harness.drive import Site
        from mora.harness.host import UnknownHost
        from mora.harness.load import LocustRun
        from mora.harness.plan import PLAIN_LOCUST

        return Site(
            self.cluster,
            self.source,
            self.workloads,
            self.load_url,
            allow_remote=allow_remote,
            options=options or PLAIN_LOCUST,
            start_load=partial(LocustRun, process_files=self.load_files),
            host=self.host or UnknownHost(),
        )


def open_cluster(target: str, *, sandbox: str = "default") -> Cluster:
    """The cluster of a target's name: a running sandbox, or what KUBECONFIG points at."""
    make = registry.load("clusters", target)
    cluster: Cluster = make(name=sandbox) if target == "sandbox" else make()
    return cluster


@contextmanager
def sandbox_place(name: str = "default", *, say: Callable[[str], None] = lambda words: None) -> Iterator[Place]:
    """The sandbox of that name; where none is running, one is started, and goes down with this process or before."""
    from mora import sandbox
    from mora.clusters.sandbox import SandboxCluster
    from mora.harness.host import LocalHost
    from mora.sandbox.state import list_sandboxes
    from mora.sources.prometheus.observe import PrometheusSource

    is_running = name in list_sandboxes()
    if is_running:
        handle = sandbox.connect(name)
    else:
        say(f"Starting a sandbox for this run ({name}) ...")
        # The first experiment reads its metrics a minute later, long after the first scrape.
        handle = sandbox.start(name, owner_pid=os.getpid(), await_metrics=False)
    try:
        yield Place(
            cluster=SandboxCluster(handle),
            source=PrometheusSource(handle.prometheus_url),
            workloads=tuple(Workload(handle.namespace, service) for service in handle.services),
            entry_service=handle.entry_service,
            load_url=handle.shop_url,
            host=LocalHost(lambda: handle.processes()[0], lambda: [os.getpid(), *handle.processes()[1]]),
            load_files=handle.load_files,
        )
    finally:
        if not is_running:
            handle.down()


def sandbox_preview() -> tuple[MetricSource, tuple[Workload, ...]]:
    """What a dry run on the sandbox asks: its queries and services, whether or not one is running."""
    from mora.sandbox import spec
    from mora.sources.prometheus.observe import PrometheusSource

    workloads = tuple(sorted(Workload(spec.NAMESPACE, service.name) for service in spec.SERVICES))
    return PrometheusSource("http://127.0.0.1:9090"), workloads


def await_quiet(place: Place, *, limit: timedelta, say: Callable[[str], None]) -> bool:
    """Say where the machines are too busy to measure, and wait for a quieter moment; whether one came in time."""
    from mora.harness.survey import await_quiet, survey

    host = place.host
    if host is None:
        return True
    return await_quiet(lambda: survey(host, process_files=place.load_files), limit=limit, say=say)


def collect(
    plan: Plan | str,
    place: Place,
    *,
    data_dir: Path | str = "data",
    resume: bool = False,
    allow_remote: bool = False,
    slo: Slo | None = None,
    target_utilisation: float | None = None,
    reporter: Reporter | None = None,
) -> RunReport:
    """Run a plan's experiments at a place and write the CSV and JSON of every service; see harness.run_plan.

    slo, target_utilisation: what an adaptive plan looks for; those of the plan where they are None.
    """
    from mora.harness.experiment import run_plan
    from mora.harness.plan import Plan

    site = place.site()
    return run_plan(
        (plan if isinstance(plan, Plan) else Plan.load(plan)).looking_for(slo, target_utilisation),
        place.cluster,
        place.source,
        workloads=place.workloads,
        entry_service=place.entry_service,
        load_url=place.load_url,
        data_dir=data_dir,
        resume=resume,
        allow_remote=allow_remote,
        reporter=reporter,
        start_load=site.start_load,
        host=site.host,
        place=place.lasting,
    )
