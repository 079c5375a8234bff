"""mora collect: load experiments, or the history in a Prometheus, into the unified CSVs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli import collect_flat, collect_kubernetes
from mora.cli.common import DataDir, Namespace, PrometheusUrl, SandboxName, progress, say, settings_of, show
from mora.cli.running import KINDS, preview, print_queries, run_plan
from mora.errors import BadInput
from mora.extras import require

if TYPE_CHECKING:
    from mora.settings import Settings


def collect(
    plan: Annotated[
        str | None,
        typer.Option("--plan", "-p", help="adaptive, quick, standard, thorough, or a TOML file.", show_default="quick"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Where the services run: sandbox or kubernetes.", show_default="sandbox"),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Where Locust sends the load; the sandbox knows its own.", show_default=False),
    ] = None,
    entry: Annotated[str, typer.Option("--entry", help="With --url: the service that receives the load.")] = "frontend",
    services: Annotated[
        str | None,
        typer.Option(
            "--services", "-s", help="Services to measure, e.g. frontend,statefulset/redis.", show_default="all"
        ),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            help="Drive no load: read this much history from Prometheus, e.g. 2h or 14d.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="With --history: prometheus, gcp:PROJECT, csv:FOLDER, ... (mora sources).",
            show_default="prometheus",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            help="helios: one service of a cloud beside its database, as one table (24h, 5m).",
            show_default="unified",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", help="With --layout helios: the managed database.", show_default="the only one"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --layout helios: the CSV file.", show_default="stdout")
    ] = None,
    step: Annotated[
        str | None,
        typer.Option("--step", help="With --history: time between samples.", show_default="15s, more for long spans"),
    ] = None,
    slo_p95: Annotated[
        str | None,
        typer.Option(
            "--slo-p95",
            help="With an adaptive plan: response time that 95 % of requests must stay below.",
            show_default="300ms",
        ),
    ] = None,
    slo_errors: Annotated[
        str | None,
        typer.Option("--slo-errors", help="With an adaptive plan: share of requests that may fail.", show_default="1%"),
    ] = None,
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    sandbox: SandboxName = "default",
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run of this plan that was stopped.")] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Restore the replicas that a killed run left changed in a cluster.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the experiments, the checks and the queries; change nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Confirm that services outside this machine are loaded and scaled.")
    ] = False,
) -> None:
    """Collect metrics into CSV files, from load experiments or from a Prometheus's history.

    Each experiment scales the services, starts fresh replicas, drives
    Locust and writes the twelve metrics of every service to data/SERVICE,
    with a JSON beside each CSV that records how it was measured.
    Ctrl-C loses at most the experiment that is running. A window that
    other programs changed is driven again, or flagged: exit code 4.
    After a history, it says which services drifted from their model.

    \b
    mora collect --plan adaptive            on the sandbox; starts one
    mora collect --plan standard --resume   continues a killed run
    mora collect --target kubernetes -n lab --url http://shop.lab/ --dry-run
                                            preflight; --yes runs it
    mora collect --restore                  after a killed run on a cluster
    mora collect --history 2h --prometheus URL -n shop -s frontend,cart
                                            run it again to add what is new
    mora collect --history 14d --source gcp:PROJECT/CLUSTER -n shop
    mora collect --source gcp --layout helios -n shop -s frontend
    """
    settings = settings_of(
        plan=plan,
        target=target,
        prometheus_url=prometheus,
        namespace=namespace,
        data_dir=data,
        slo_p95=slo_p95,
        slo_errors=slo_errors,
    )
    names = [name.strip() for name in (services or "").split(",") if name.strip()]
    collect_flat.check_layout(layout, database=database, out=out)
    if prometheus is not None and (source or "prometheus") != "prometheus":
        raise BadInput(f"--prometheus and --source {source} both name a source.", hint="Give one of them.")
    if restore:
        collect_kubernetes.restore(settings, dry_run=dry_run)
    elif layout == collect_flat.HELIOS:
        collect_flat.collect(
            source or "prometheus",
            names,
            settings,
            span=history,
            step=step,
            database=database,
            out=out,
            dry_run=dry_run,
        )
    elif history is not None:
        _collect_history(history, step, names, settings, named=source or "prometheus", dry_run=dry_run)
    elif source is not None:
        raise BadInput(
            f"A source has a history, and --source {source} says not how much of it to read.",
            hint=f"Say it: mora collect --history 14d --source {source}",
        )
    else:
        if not dry_run:
            require("collect", by="mora collect --plan")
        from mora.harness.plan import Plan

        Plan.load(settings.plan)  # a misspelt plan must not start a sandbox first
        if settings.target == "sandbox":
            _collect_on_sandbox(sandbox, names, settings, resume=resume, dry_run=dry_run)
        else:
            collect_kubernetes.collect(url, entry, names, settings, resume=resume, dry_run=dry_run, yes=yes)


def _collect_history(
    span: str, step: str | None, names: list[str], settings: Settings, *, named: str, dry_run: bool
) -> None:
    from mora import pipeline
    from mora.domain import Workload
    from mora.fleet.names import parse_service
    from mora.harness.history import collect_history
    from mora.pipeline.challenging import score_challengers
    from mora.pipeline.drifting import drift_lines
    from mora.quantities import parse_duration

    source = pipeline.open_source(settings, named, discover=settings.target == "kubernetes", say=say)
    window = pipeline.history_window(parse_duration(span), step=parse_duration(step) if step else None)
    # Without a step that is asked for, a cloud's points are the finest that there are.
    if step is None and window.step < (finest := getattr(source, "finest", window.step)):
        window = pipeline.history_window(parse_duration(span), step=finest)
    if settings.target == "kubernetes":
        from mora.clusters.kubernetes import KubernetesCluster

        found = collect_kubernetes.find_workloads(KubernetesCluster(), settings.namespace, names)
        workloads = list(collect_kubernetes.measured(found, source.services(settings.namespace), names))
    else:
        chosen = [parse_service(text, KINDS) for text in names or source.services(settings.namespace)]
        workloads = [Workload(settings.namespace, one.name, one.kind or "Deployment") for one in chosen]
    if not workloads:
        raise BadInput(
            f"The source knows no workload in namespace {settings.namespace!r}.", hint="Name the namespace with -n."
        )
    if dry_run:
        for workload in workloads:
            print_queries(workload.name, source.queries(workload, window))
        return
    with progress() as reporter:
        paths = collect_history(source, workloads, window, settings.data_dir, reporter=reporter, say=say)
    for path in paths:
        show(path)
    collected = [workload.name for workload in workloads]
    with progress() as reporter:
        drifts = drift_lines(settings, collected, reporter=reporter)
    for line in (*drifts, *score_challengers(settings, collected)):
        say(line)


def _collect_on_sandbox(name: str, names: list[str], settings: Settings, *, resume: bool, dry_run: bool) -> None:
    from mora import pipeline
    from mora.fleet.names import pick

    if dry_run:
        source, workloads = pipeline.sandbox_preview()
        preview(source, pick(workloads, names, KINDS), settings)
        return
    with pipeline.sandbox_place(name, say=say) as place:
        run_plan(replace(place, workloads=pick(place.workloads, names, KINDS)), settings, resume=resume, agreed=False)
