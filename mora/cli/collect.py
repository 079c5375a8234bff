"""mora collect: load experiments, or what a Prometheus already has, into the unified CSVs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli import collect_kubernetes
from mora.cli.common import DataDir, Namespace, PrometheusUrl, SandboxName, progress, say, settings_of
from mora.cli.running import preview, print_queries, run_plan
from mora.errors import BadInput
from mora.extras import require

if TYPE_CHECKING:
    from mora.domain import Workload
    from mora.settings import Settings


def collect(
    plan: Annotated[
        str | None,
        typer.Option("--plan", "-p", help="quick, standard, thorough, or a TOML file.", show_default="quick"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Where the services run: sandbox or kubernetes.", show_default="sandbox"),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Where Locust sends the load; the sandbox knows its own.", show_default=False),
    ] = None,
    entry: Annotated[str, typer.Option("--entry", help="With --url: the service that answers there.")] = "frontend",
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
            help="Drive no load: read this much of what Prometheus has, e.g. 2h or 14d.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option("--source", help="With --history: prometheus, or csv:FOLDER, the data folder of another machine."),
    ] = "prometheus",
    step: Annotated[
        str | None,
        typer.Option("--step", help="With --history: time between samples.", show_default="15s, more for long spans"),
    ] = None,
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    sandbox: SandboxName = "default",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run of this plan stopped.")] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Put back the replicas that a killed run left changed in a cluster.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the experiments, the checks and the queries; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to load and scale what is not on loopback.")] = False,
) -> None:
    """Run load experiments, or read history, into the unified CSVs.

    Each experiment scales the services, starts fresh replicas, drives
    Locust and writes the twelve metrics of every service to data/SERVICE,
    with a JSON beside each CSV that says how it came to be.
    Ctrl-C loses at most the experiment it was in.

    \b
    mora collect --plan quick               on the sandbox; starts one
    mora collect --plan standard --resume   a killed run goes on
    mora collect --target kubernetes -n lab --url http://shop.lab/ --dry-run
                                            preflight; --yes runs it
    mora collect --restore                  after a killed run on a cluster
    mora collect --history 2h --prometheus URL -n shop -s frontend,cart
                                            again: goes on where it ended
    """
    settings = settings_of(plan=plan, target=target, prometheus_url=prometheus, namespace=namespace, data_dir=data)
    names = [name.strip() for name in (services or "").split(",") if name.strip()]
    if restore:
        collect_kubernetes.restore(settings, dry_run=dry_run)
    elif history is not None:
        _collect_history(history, step, names, settings, named=source, dry_run=dry_run)
    else:
        if not dry_run:
            require("collect", by="mora collect --plan")
        if settings.target == "sandbox":
            _collect_on_sandbox(sandbox, names, settings, resume=resume, dry_run=dry_run)
        else:
            collect_kubernetes.collect(url, entry, names, settings, resume=resume, dry_run=dry_run, yes=yes)


def _collect_history(
    span: str, step: str | None, names: list[str], settings: Settings, *, named: str, dry_run: bool
) -> None:
    from mora import pipeline
    from mora.domain import Workload
    from mora.harness.history import collect_history
    from mora.quantities import parse_duration

    source = pipeline.open_source(settings, named, discover=settings.target == "kubernetes", say=say)
    window = pipeline.history_window(parse_duration(span), step=parse_duration(step) if step else None)
    if settings.target == "kubernetes":
        from mora.clusters.kubernetes import KubernetesCluster

        found = collect_kubernetes.find_workloads(KubernetesCluster(), settings.namespace, names)
        workloads = list(collect_kubernetes.measured(found, source.services(settings.namespace), names))
    else:
        workloads = [
            Workload(settings.namespace, *_name_and_kind(text)) for text in names or source.services(settings.namespace)
        ]
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
        print(path)


def _collect_on_sandbox(name: str, names: list[str], settings: Settings, *, resume: bool, dry_run: bool) -> None:
    from mora import pipeline

    if dry_run:
        source, workloads = pipeline.sandbox_preview()
        preview(source, _chosen(workloads, names), settings)
        return
    with pipeline.sandbox_place(name, say=say) as place:
        run_plan(replace(place, workloads=_chosen(place.workloads, names)), settings, resume=resume, agreed=False)


def _chosen(known: Sequence[Workload], names: Sequence[str]) -> tuple[Workload, ...]:
    """The workloads that were named, all where none was; BadInput naming those there are."""
    by_name = {workload.name: workload for workload in known}
    wanted = [_name_and_kind(text) for text in names]
    missing = [name for name, _ in wanted if name not in by_name]
    if missing:
        there = (
            f"There are: {', '.join(sorted(by_name))}." if by_name else "There is none at all; is -n NAMESPACE right?"
        )
        raise BadInput(f"There is no service {missing[0]!r} here.", hint=there)
    return tuple(replace(by_name[name], kind=kind) for name, kind in wanted) or tuple(known)


_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}


def _name_and_kind(text: str) -> tuple[str, str]:
    """A service as kubectl names one: frontend, or statefulset/redis."""
    kind, _, name = text.rpartition("/")
    if kind and kind.lower() not in _KINDS:
        raise BadInput(f"{kind!r} is not a kind of workload.", hint=f"Write KIND/NAME with {', '.join(_KINDS)}.")
    return name, _KINDS[kind.lower() or "deployment"]
