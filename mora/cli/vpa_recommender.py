"""mora vpa-recommender: MOrA's recommendations in the status of VPA objects."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora.cli.changing import (
    ChangesPerDay,
    Deadband,
    DeadbandDown,
    DeadbandUp,
    Follow,
    MaintenanceWindow,
    SettleDown,
    change_rule_of,
)
from mora.cli.common import ModelsDir, PrometheusUrl, StateDir, log, settings_of
from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from mora.changes.rule import ChangeRule
    from mora.serving.lease import Terms
    from mora.settings import Settings
    from mora.vpa.advice import Adviser
    from mora.vpa.objects import Vpa


_ELECTION = "Leader election"
_LISTEN = "127.0.0.1:8942"


def vpa_recommender(
    prometheus: PrometheusUrl = None,
    recommender_name: Annotated[
        str, typer.Option("--recommender-name", help="Serve the VPA objects that have this name in spec.recommenders.")
    ] = "mora",
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only VPA objects of this namespace.", show_default="all")
    ] = None,
    history: Annotated[str, typer.Option("--history", help="How far back Prometheus is read.")] = "14d",
    interval: Annotated[str, typer.Option("--interval", help="Time between passes over the VPA objects.")] = "60s",
    refresh: Annotated[
        str, typer.Option("--refresh", help="How long to keep a workload's numbers before reading Prometheus again.")
    ] = "15m",
    once: Annotated[
        bool, typer.Option("--once", help="Run one pass and exit: 1 if it failed. No endpoints, no leader election.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run one pass, write nothing, and print the statuses as YAML.")
    ] = False,
    listen: Annotated[
        str, typer.Option("--listen", help="Address of /healthz, /readyz and /metrics; in a pod: 0.0.0.0:8942.")
    ] = _LISTEN,
    leader_elect: Annotated[
        bool,
        typer.Option(
            "--leader-elect/--no-leader-elect", help="Of several instances, only one writes.", rich_help_panel=_ELECTION
        ),
    ] = True,
    lease_name: Annotated[
        str, typer.Option("--lease-name", help="Name of the Lease.", rich_help_panel=_ELECTION)
    ] = "mora-recommender",
    lease_namespace: Annotated[
        str | None,
        typer.Option(
            "--lease-namespace",
            help="Namespace of the Lease.",
            show_default="the pod's, or default",
            rich_help_panel=_ELECTION,
        ),
    ] = None,
    lease_duration: Annotated[
        str,
        typer.Option(
            "--lease-duration",
            help="Time without renewal until another instance takes over.",
            rich_help_panel=_ELECTION,
        ),
    ] = "15s",
    models: ModelsDir = None,
    follow: Follow = None,
    deadband: Deadband = None,
    deadband_up: DeadbandUp = None,
    deadband_down: DeadbandDown = None,
    settle_down: SettleDown = None,
    changes_per_day: ChangesPerDay = None,
    window: MaintenanceWindow = None,
    state: StateDir = None,
) -> None:
    """Recommend to the Vertical Pod Autoscaler: write MOrA's numbers into the status of VPA objects.

    It writes only to objects with spec.recommenders: [{name: mora}], and
    only their status. Their updateMode decides what the VPA does with it.
    A target moves only where the new number is worth it: a raise by 10%, a
    cut by 15%, unless --follow or --deadband say otherwise; the log says why
    one does not. Log lines go to stderr. SIGTERM and Ctrl-C shut it down.

    \b
    mora vpa-recommender --prometheus URL -n shop --dry-run
    mora vpa-recommender --prometheus URL --once
    mora vpa-recommender --prometheus URL --deadband-up 20% --settle-down 6h
    mora vpa-recommender --listen 0.0.0.0:8942        in a pod, until it is stopped
    """
    from mora.changes.rule import RULES
    from mora.domain import check_name
    from mora.quantities import parse_duration
    from mora.serving.http import parse_address

    for name, what in (
        (recommender_name, "recommender's name"),
        (lease_name, "lease's name"),
        (namespace or "default", "namespace"),
        (lease_namespace or "default", "namespace"),
    ):
        check_name(name, what)
    pause, address, terms = (
        parse_duration(interval),
        parse_address(listen, example=_LISTEN),
        _terms(parse_duration(lease_duration)),
    )
    if pause < timedelta(seconds=1):
        raise BadInput(
            f"--interval {interval} is too short: a pass lists every VPA object of the API server.",
            hint="Give at least 1s; 60s is the default.",
        )
    rule = change_rule_of(
        RULES["vpa"],
        follow=follow,
        deadband=deadband,
        deadband_up=deadband_up,
        deadband_down=deadband_down,
        settle_down=settle_down,
        changes_per_day=changes_per_day,
        window=window,
    )
    settings = settings_of(prometheus_url=prometheus, models_dir=models, state_dir=state)
    adviser = _adviser(settings, history=parse_duration(history), refresh=parse_duration(refresh))
    if once or dry_run:
        _one_pass(adviser, recommender_name, namespace, rule=rule, dry_run=dry_run)
        return

    from mora.clusters.lease import KubernetesLease, pod_namespace
    from mora.clusters.vpa import KubernetesVpas
    from mora.vpa.service import ServiceSettings, serve

    place = lease_namespace or pod_namespace() or "default"
    serve(
        KubernetesVpas(),
        adviser,
        ServiceSettings(recommender_name, namespace, pause, address, terms, rule),
        log=log,
        leases=KubernetesLease(place, lease_name, request_timeout=terms.retry) if leader_elect else None,
        leave=_leave,
    )


def _leave() -> None:
    """End at once, together with the threads that still wait for an answer."""
    sys.stderr.flush()
    os._exit(0)


def _terms(duration: timedelta) -> Terms:
    """client-go's proportions: a duration of 15 s, a renew deadline of 10 s, a retry period of 2 s."""
    from mora.serving.lease import Terms

    return Terms(duration, duration * 2 / 3, duration * 2 / 15)


def _adviser(settings: Settings, *, history: timedelta, refresh: timedelta) -> Adviser:
    from mora import pipeline
    from mora.vpa.advice import Adviser
    from mora.vpa.history import from_history

    advise = from_history(
        pipeline.open_fleet(settings, discover=True, say=lambda words: log("info", words)),
        history=history,
        settings=pipeline.fleet_settings(settings),
        models_dir=settings.models_dir,
        data_dir=settings.data_dir,
        slo=settings.slo,
        remark=lambda words: log("warning", words),
    )
    return Adviser(advise, refresh=refresh)


def _one_pass(adviser: Adviser, name: str, namespace: str | None, *, rule: ChangeRule, dry_run: bool) -> None:
    from mora.clusters.vpa import KubernetesVpas
    from mora.vpa.loop import Recommender
    from mora.vpa.telemetry import Telemetry

    recommender = Recommender(
        KubernetesVpas(),
        adviser,
        name=name,
        namespace=namespace,
        log=log,
        observer=Telemetry(),
        on_write=_print_status if dry_run else None,
        rule=rule,
    )
    report = recommender.run_pass()
    if not report.is_ok:
        raise MoraError(
            f"The pass over {report.vpas} VPA object{'' if report.vpas == 1 else 's'} failed: "
            f"{report.stopped or ', '.join(f'{kind} {count}' for kind, count in sorted(report.errors.items()))}.",
            hint="See the log lines above for the causes and what to do.",
        )
    if not report.vpas:
        where = "" if namespace is None else f"in namespace {namespace!r} "
        raise BadInput(
            f"No VPA object {where}names the recommender {name!r}.",
            hint=f"Add to the spec of a VPA object: recommenders: [{{name: {name}}}]",
        )


def _print_status(vpa: Vpa, patch: dict[str, Any]) -> None:
    import yaml

    document = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": vpa.name, "namespace": vpa.namespace},
        "status": patch,
    }
    print("---\n" + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120), end="")
