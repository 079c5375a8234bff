"""mora apply: resize running pods in place by what is recommended, guarded; and its audit log."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora.cli.changing import (
    ChangesPerDay,
    Deadband,
    DeadbandDown,
    DeadbandUp,
    MaintenanceWindow,
    SettleDown,
    change_rule_of,
)
from mora.cli.common import EXIT_CHANGE_DUE, ModelsDir, PrometheusUrl, log, say, settings_of, show
from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from mora.changes.rule import ChangeRule
    from mora.inplace.loop import Advise, LoopSettings, PassReport
    from mora.settings import Settings
    from mora.sources.prometheus.observe import PrometheusSource

app = typer.Typer(
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_LISTEN = "127.0.0.1:8943"
_LEASE = "mora-in-place"
_GUARDS = "Guards"
State = Annotated[Path, typer.Option("--state", help="Folder of the audit log, which the next start goes on from.")]


@app.callback(invoke_without_command=True)
def apply(
    context: typer.Context,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Resize running pods (pods/resize, Kubernetes 1.33 and later).")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The namespace; needed.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really change pods. Without it nothing is changed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing, and print what would be changed: the default.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="One renewal; end when its changes are kept or undone.")] = False,
    selector: Annotated[
        str | None, typer.Option("--selector", "-l", help="Only workloads with these labels.", show_default=False)
    ] = None,
    prometheus: PrometheusUrl = None,
    history: Annotated[str, typer.Option("--history", help="How far back Prometheus is read.")] = "14d",
    interval: Annotated[str, typer.Option("--interval", help="Time between renewals of the numbers.")] = "15m",
    state: State = Path("mora-in-place"),
    slo_query: Annotated[
        str | None,
        typer.Option(
            "--slo-query",
            help="PromQL that returns a sample where the SLO is broken; with $namespace and $workload.",
            show_default=False,
            rich_help_panel=_GUARDS,
        ),
    ] = None,
    canary: Annotated[
        str, typer.Option("--canary", help="How long the first pod is watched.", rich_help_panel=_GUARDS)
    ] = "2m",
    watch: Annotated[
        str, typer.Option("--watch", help="How long all pods are watched, until it is kept.", rich_help_panel=_GUARDS)
    ] = "10m",
    pending: Annotated[
        str,
        typer.Option("--pending", help="How long a resize may wait for its node's room.", rich_help_panel=_GUARDS),
    ] = "5m",
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="Workloads that change at a time.", rich_help_panel=_GUARDS)
    ] = 5,
    deadband: Deadband = None,
    deadband_up: DeadbandUp = None,
    deadband_down: DeadbandDown = None,
    settle_down: SettleDown = None,
    changes_per_day: ChangesPerDay = None,
    maintenance_window: MaintenanceWindow = None,
    listen: Annotated[str, typer.Option("--listen", help="Address of /healthz, /readyz, /metrics.")] = _LISTEN,
    models: ModelsDir = None,
) -> None:
    """Resize running pods in place by what is recommended, every 15 minutes, guarded.

    Without --yes it changes nothing: the API server checks every resize,
    and what would be changed is printed.
    With --yes one pod of a workload is resized first and watched, then
    the others. An OOM kill, a restart, throttling, a pod that is not
    ready or a broken SLO puts every pod of the change back, and the next
    change of that workload waits, longer each time. Pod templates are
    never changed: the next rollout begins with their numbers.
    Raises below 20% and cuts below 30% are not worth a change, nor are
    more than 48 a day, unless the options say otherwise.
    One loop a namespace (Lease mora-in-place). Every step is a line of
    the audit log, which mora apply log prints.

    \b
    mora apply --in-place -n shop --prometheus URL          what would be changed
    mora apply --in-place -n shop --yes --once              one round, to its end
    mora apply --in-place -n shop --yes --state /var/lib/mora    until it is stopped
    """
    if context.invoked_subcommand is not None:
        return
    from mora.changes.rule import RULES
    from mora.domain import check_name
    from mora.serving.http import parse_address

    if not in_place:
        raise BadInput(
            "How is it to be applied?",
            hint="--in-place resizes running pods. For templates: mora recommend -o patch, or mora repo.",
        )
    if namespace is None:
        raise BadInput("Which namespace?", hint="Name the one whose pods are to be resized: -n shop")
    if yes and dry_run:
        raise BadInput("--yes and --dry-run exclude each other.", hint="Give one of them.")
    check_name(namespace, "namespace")
    chosen = _loop_settings(
        interval=interval,
        canary=canary,
        watch=watch,
        pending=pending,
        at_once=at_once,
        rule=change_rule_of(
            RULES["in-place"],
            deadband=deadband,
            deadband_up=deadband_up,
            deadband_down=deadband_down,
            settle_down=settle_down,
            changes_per_day=changes_per_day,
            window=maintenance_window,
        ),
        is_dry=not yes,
    )
    address = parse_address(listen, example=_LISTEN)
    settings = settings_of(prometheus_url=prometheus, models_dir=models)
    _run(settings, namespace, chosen, address, state, selector, history, slo_query, once=once, yes=yes)


def _run(
    settings: Settings,
    namespace: str,
    chosen: LoopSettings,
    address: tuple[str, int],
    state: Path,
    selector: str | None,
    history: str,
    slo_query: str | None,
    *,
    once: bool,
    yes: bool,
) -> None:
    from dataclasses import replace

    from mora import pipeline
    from mora.clusters.lease import KubernetesLease
    from mora.clusters.pods import KubernetesPods
    from mora.inplace.journal import Journal
    from mora.inplace.service import ServiceSettings, rehearse, serve
    from mora.inplace.signals import PrometheusSignals
    from mora.serving.lease import Terms

    chosen = replace(chosen, policy=settings.policy)
    access = settings.kubernetes
    pods = KubernetesPods(namespace, kubeconfig=access.kubeconfig, context=access.context)
    note = lambda words: log("info", words)  # noqa: E731  (the name of a function of one line)
    source: PrometheusSource = pipeline.open_prometheus(settings, discover=True, say=note)
    signals = PrometheusSignals(source, namespace, slo_query=slo_query, cluster=settings.prometheus.cluster)
    advise = _advise(settings, namespace, history, selector)
    journal = Journal(state, namespace)
    if not yes:
        _print_plan(rehearse(pods, advise, signals, journal, loop=chosen, log=_quiet_log), namespace)
        return
    terms = Terms()
    leases = KubernetesLease(
        namespace, _LEASE, kubeconfig=access.kubeconfig, context=access.context, request_timeout=terms.retry
    )
    report = serve(
        pods,
        advise,
        signals,
        journal,
        leases,
        ServiceSettings(None if once else address, terms, once),
        loop=chosen,
        log=log,
        leave=_leave,
    )
    if report is not None:
        for name, why in sorted(report.notes.items()):
            show(f"{name}: unchanged: {why}")
        say(f"See what was done: mora apply log --state {state} -n {namespace}")
        if report.stopped:
            raise MoraError(f"The pass was stopped: {report.stopped}.", hint="See the log lines above.")


@app.command("log")
def apply_log(
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="The namespace.", show_default=False)],
    state: State = Path("mora-in-place"),
    workload: Annotated[
        str | None, typer.Option("--workload", help="Only of this workload.", show_default="all")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table, or json: one event a line.")] = "table",
) -> None:
    """Print the audit log: which pod was asked for what, when, why, and what came of it.

    \b
    mora apply log -n shop
    mora apply log -n shop --workload web -o json
    """
    import json

    from mora.columns import columns
    from mora.domain import check_name
    from mora.inplace.journal import read_log

    if output not in ("table", "json"):
        raise BadInput(f"{output!r} is no output of the log.", hint="Outputs: table, json.")
    folder = state / check_name(namespace, "namespace")
    if not folder.is_dir():
        raise BadInput(
            f"There is no audit log of {namespace!r} in {state}.",
            hint="Give the folder that mora apply --in-place was run with: --state DIR",
        )
    events = [one for one in read_log(folder) if workload is None or one.get("name") == workload]
    if output == "json":
        for one in events:
            show(json.dumps(one, ensure_ascii=False))
        return
    rows = [("TIME", "WORKLOAD", "EVENT", "POD", "WHAT")]
    rows += [
        (str(one["at"])[:19] + "Z", str(one.get("name", "-")), str(one["event"]), str(one.get("pod", "-")), _what(one))
        for one in events
    ]
    for line in columns(rows, is_right=[False] * 5):
        show(line)


@app.command("trial")
def apply_trial(
    minutes: Annotated[float, typer.Option("--minutes", min=1.0, help="How long, once the sandboxes run.")] = 30.0,
    sandboxes: Annotated[int, typer.Option("--sandboxes", "-j", min=1, help="How many, side by side.")] = 1,
    replicas: Annotated[int, typer.Option("--replicas", min=1, max=20, help="Of each of the five services.")] = 2,
    users: Annotated[int, typer.Option("--users", min=1, help="Of each sandbox, at the top of its day.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Draws the faults.")] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run: report.html, audit logs.")] = Path("trial"),
) -> None:
    """Try it on sandboxes: live processes, a load that comes and goes, faults, and wrong numbers on purpose.

    Limits of live cgroups are changed by the loop of mora apply --in-place.
    It passes with no OOM kill, no breach of the SLO longer than two
    minutes, and every change that did harm undone; else exit code 3.
    A second counts as five minutes of history, so a day is 288 s.

    \b
    mora apply trial --minutes 10
    mora apply trial --minutes 30 --sandboxes 8 --replicas 5    100 container-hours
    """
    from mora.cli.common import progress
    from mora.extras import require
    from mora.files import write_files
    from mora.inplace.trial import TrialSettings, run_trial
    from mora.inplace.trial_page import as_text, figures_of, total, trial_page

    require("sandbox", by="mora apply trial")
    require("collect", by="mora apply trial")
    settings = TrialSettings(timedelta(minutes=minutes), sandboxes, replicas, users, seed)
    with progress() as reporter:
        parts = run_trial(out, settings, reporter=reporter)
    text = as_text(parts)
    write_files([(out / "report.html", trial_page(parts)), (out / "report.txt", text + "\n")])
    show(text)
    say(f"Written to {out}: report.html, report.txt, and each sandbox's figures and audit log.")
    if not total([figures_of(part) for part in parts]).passed:
        raise typer.Exit(EXIT_CHANGE_DUE)


def _what(event: Mapping[str, Any]) -> str:
    """The rest of an event, on one line."""
    from mora.inplace.book import read_amounts
    from mora.inplace.fit import in_words

    if event["event"] == "asked":
        before, after = read_amounts(event["before"]), read_amounts(event["after"])
        return "; ".join(f"{name}: {in_words(before[name], one)}" for name, one in after.items() if name in before)
    parts = [str(event[key]) for key in ("outcome", "stage", "what", "why", "identity") if event.get(key)]
    return " ".join(": ".join(parts).split())


def _loop_settings(
    *,
    interval: str,
    canary: str,
    watch: str,
    pending: str,
    at_once: int,
    rule: ChangeRule,
    is_dry: bool,
) -> LoopSettings:
    from mora.inplace.guards import GuardSettings
    from mora.inplace.loop import LoopSettings
    from mora.quantities import parse_duration

    pause = parse_duration(interval)
    if pause < timedelta(minutes=1):
        raise BadInput(f"--interval {interval} is too short: a renewal reads history.", hint="Give at least 1m.")
    guards = GuardSettings(
        canary_for=parse_duration(canary), watch_for=parse_duration(watch), pending_for=parse_duration(pending)
    )
    return LoopSettings(rule=rule, guards=guards, interval=pause, at_once=at_once, is_dry=is_dry)


def _advise(settings: Settings, namespace: str, history: str, selector: str | None) -> Advise:
    from mora import pipeline
    from mora.inplace.advice import from_history
    from mora.quantities import parse_duration

    return from_history(
        pipeline.open_fleet(settings, discover=True),
        namespace=namespace,
        history=parse_duration(history),
        settings=pipeline.fleet_settings(settings),
        access=settings.kubernetes,
        selector=selector,
        models_dir=settings.models_dir,
        data_dir=settings.data_dir,
        slo=settings.slo,
        remark=lambda words: log("warning", words),
    )


def _print_plan(report: PassReport, namespace: str) -> None:
    """What a dry run found; exit code 3 where something would be changed."""
    if report.stopped:
        raise MoraError(f"Nothing can be resized now: {report.stopped}.")
    if not report.workloads:
        raise BadInput(
            f"There is no workload in namespace {namespace!r} that runs all the time.",
            hint="Deployments, StatefulSets, DaemonSets and Rollouts can be resized. Is it the right cluster? kubectl "
            f"get pods -n {namespace}",
        )
    for line in report.plans:
        show(line)
    for name, why in sorted(report.notes.items()):
        show(f"{name}: unchanged: {why}")
    say(
        f"Dry run: {report.begun} of {report.workloads} workloads would be changed; nothing was. "
        f"Change them: mora apply --in-place -n {namespace} --yes"
    )
    if report.begun:
        raise typer.Exit(EXIT_CHANGE_DUE)


def _quiet_log(level: str, message: str, **about: object) -> None:
    if level != "info":
        log(level, message, **about)


def _leave() -> None:
    """End at once, together with the threads that still wait for an answer."""
    sys.stderr.flush()
    os._exit(0)
