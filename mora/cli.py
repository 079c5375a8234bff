"""The command line: parse, call the pipeline, print.

The only room that prints, exits, or reads settings. Results go to stdout, talk to stderr. Exit codes: 0 done, 1 a
MoraError in words, 2 wrong usage, 3 a change is due and --fail-on-change was given, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from datetime import timedelta

    from rich.progress import TaskID

    from mora.config import Settings
    from mora.domain import Allocation, MetricSource, Recommendation, Reporter, Workload
    from mora.pipeline import Place

EXIT_ERROR = 1
EXIT_CHANGE_DUE = 3
EXIT_INTERRUPTED = 130
_PATIENCE_SECONDS = 2.0

app = typer.Typer(
    name="mora",
    help="Rightsize Kubernetes services from load experiments and history: CPU, memory, replicas, why, and how sure."
    "\n\nNo cluster needed to try it: [bold]mora demo[/bold]. With data in place: [bold]mora train frontend[/bold], "
    "then [bold]mora recommend frontend[/bold].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
sandbox_app = typer.Typer(
    help="A small web shop of real processes on this machine, with its own Prometheus; nothing leaves loopback.",
    no_args_is_help=True,
)
app.add_typer(sandbox_app, name="sandbox")

# --- options that several commands share -----------------------------------------------------------------------------

DataDir = Annotated[Path | None, typer.Option("--data", help="Folder of the unified CSVs.", show_default="data")]
ModelsDir = Annotated[Path | None, typer.Option("--models", help="Folder of the models.", show_default="models")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Kubernetes namespace.", show_default="default")
]
SandboxName = Annotated[str, typer.Option("--sandbox", help="Name of the sandbox, where several run.")]
PrometheusUrl = Annotated[
    str | None,
    typer.Option("--prometheus", help="URL of a Prometheus, e.g. http://127.0.0.1:9090.", show_default=False),
]
IncludeFlagged = Annotated[
    bool, typer.Option("--include-flagged", help="Also use experiments that failed the quality check.")
]


class _Globals:
    """What the options before the command say."""

    debug = False
    quiet = False
    config: Path | None = None
    interrupted_at: float | None = None


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from mora import __version__

        print(f"mora {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no talk; results only.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file.", show_default="mora.toml here")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    _Globals.debug, _Globals.quiet, _Globals.config = debug, quiet, config


def main() -> None:
    """Run the command line; every MoraError becomes words and exit code 1."""
    # A polite stop (kubectl, CI, systemd) cleans up as Ctrl-C does: loads end, replicas are restored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _as_interrupt)
    try:
        app(prog_name="kubectl mora" if Path(sys.argv[0]).name == "kubectl-mora" else "mora")
    except SystemExit as stop:
        if stop.code == EXIT_INTERRUPTED:
            _say("Interrupted. What was finished is kept; nothing is half-written.")
        raise
    except MoraError as error:
        if _Globals.debug:
            raise
        print(f"mora: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"      {error.hint}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except OSError as error:
        if _Globals.debug:
            raise
        where = f": {error.filename}" if error.filename else ""
        print(f"mora: {error.strerror or error}{where}", file=sys.stderr)
        if error.errno == errno.ENOSPC:
            print("      Make room, and run it again.", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except Exception as error:
        if _Globals.debug:
            raise
        print(f"mora: this is a bug in MOrA: {type(error).__name__}: {error}", file=sys.stderr)
        print("      Run it again with `mora --debug ...` and report what it prints.", file=sys.stderr)
        sys.exit(EXIT_ERROR)


def _as_interrupt(signum: int, frame: object) -> None:
    """The first interrupt cleans up; where that takes long (a Prometheus that does not answer), a later one leaves."""
    now = time.monotonic()
    if _Globals.interrupted_at is None:
        _Globals.interrupted_at = now
        words = "Interrupted; what was begun is being ended. Ctrl-C again leaves at once, and puts nothing back."
        patience = threading.Timer(_PATIENCE_SECONDS, _say, [words])
        patience.daemon = True
        patience.start()
        raise KeyboardInterrupt
    # Who presses twice in one breath means one interrupt.
    if now - _Globals.interrupted_at > 1.0:
        os._exit(EXIT_INTERRUPTED)


def _say(words: str) -> None:
    if not _Globals.quiet:
        print(words, file=sys.stderr)


def _settings(**flags: Any) -> Settings:
    """Settings of this call: flag > MORA_* > mora.toml > default; a flag that was not given is None."""
    from mora.config import load_settings

    given = {name: value for name, value in flags.items() if value is not None}
    return load_settings(given, os.environ, Path.cwd(), config_file=_Globals.config)


@contextmanager
def _progress() -> Iterator[Reporter]:
    """Bars on stderr with the time left, lines where it is no terminal; silent with --quiet."""
    from mora.domain import Silent

    if _Globals.quiet:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("after"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        class Bars:
            def advance(self, task: str, done: float, total: float, note: str = "") -> None:
                if task not in tasks:
                    tasks[task] = bars.add_task(task, total=total, note=note)
                bars.update(tasks[task], completed=done, total=total, note=note)

        yield Bars()


class _Lines:
    """Progress for a log file: a line when a task begins, ends, or has said nothing for a while."""

    EVERY_SECONDS = 15.0

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        is_due = now - self._said.get(task, -self.EVERY_SECONDS) >= self.EVERY_SECONDS
        if is_due or done >= total:
            self._said[task] = now
            print(f"{task}: {done / total if total else 1:.0%} {note}".rstrip(), file=sys.stderr, flush=True)


# --- collect ---------------------------------------------------------------------------------------------------------


@app.command()
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
    step: Annotated[
        str | None,
        typer.Option("--step", help="With --history: time between samples.", show_default="15s, more for long spans"),
    ] = None,
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    sandbox: SandboxName = "default",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run of this plan stopped.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the experiments and the queries; touch nothing.")
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
    mora collect --history 2h --prometheus URL -n shop -s frontend,cart
    """
    settings = _settings(plan=plan, target=target, prometheus_url=prometheus, namespace=namespace, data_dir=data)
    names = [name.strip() for name in (services or "").split(",") if name.strip()]
    if history is not None:
        _collect_history(history, step, names, settings, dry_run=dry_run)
    elif settings.target == "sandbox":
        _collect_on_sandbox(sandbox, names, settings, resume=resume, dry_run=dry_run)
    else:
        _collect_on_kubernetes(url, entry, names, settings, resume=resume, dry_run=dry_run, yes=yes)


def _collect_history(span: str, step: str | None, names: list[str], settings: Settings, *, dry_run: bool) -> None:
    from mora import pipeline
    from mora.domain import Workload
    from mora.harness.history import collect_history
    from mora.quantities import parse_duration

    source = pipeline.open_prometheus(settings)
    window = pipeline.history_window(parse_duration(span), step=parse_duration(step) if step else None)
    workloads = [
        Workload(settings.namespace, *_name_and_kind(text)) for text in names or source.services(settings.namespace)
    ]
    if not workloads:
        raise BadInput(
            f"Prometheus knows no workload in namespace {settings.namespace!r}.", hint="Name the namespace with -n."
        )
    if dry_run:
        for workload in workloads:
            _print_queries(workload.name, source.queries(workload, window))
        return
    with _progress() as reporter:
        paths = collect_history(source, workloads, window, settings.data_dir, reporter=reporter)
    for path in paths:
        print(path)


def _collect_on_sandbox(name: str, names: list[str], settings: Settings, *, resume: bool, dry_run: bool) -> None:
    from mora import pipeline

    if dry_run:
        source, workloads = pipeline.sandbox_preview()
        _preview(source, _chosen(workloads, names), settings)
        return
    with pipeline.sandbox_place(name, say=_say) as place:
        _run_plan(replace(place, workloads=_chosen(place.workloads, names)), settings, resume=resume, agreed=False)


def _collect_on_kubernetes(
    url: str | None, entry: str, names: list[str], settings: Settings, *, resume: bool, dry_run: bool, yes: bool
) -> None:
    from mora import pipeline
    from mora.domain import Workload
    from mora.harness.experiment import target_workloads
    from mora.harness.plan import Plan

    source = pipeline.open_prometheus(settings)
    known = tuple(Workload(settings.namespace, name) for name in source.services(settings.namespace))
    workloads = _chosen(known, names)
    if dry_run:
        _preview(source, workloads, settings)
        return
    if url is None:
        raise BadInput("Where should the load go?", hint="Give the shop's address: --url http://shop.example/")
    if not yes:
        targets = ", ".join(workload.name for workload in target_workloads(Plan.load(settings.plan), workloads))
        raise BadInput(
            f"This scales {targets} in namespace {settings.namespace!r} and loads {url}.",
            hint="See it first with --dry-run; agree with --yes.",
        )
    place = pipeline.Place(pipeline.open_cluster("kubernetes"), source, workloads, entry, url)
    _run_plan(place, settings, resume=resume, agreed=True)


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


def _preview(source: MetricSource, workloads: Sequence[Workload], settings: Settings) -> None:
    from mora.harness.experiment import dry_run
    from mora.harness.plan import Plan

    preview = dry_run(Plan.load(settings.plan), source, workloads)
    print(f"{len(preview.cells)} experiments, about {_minutes(preview.duration)}, in this order:")
    for number, cell in enumerate(preview.cells, start=1):
        print(f"{number:4d}  {cell}")
    for service, queries in preview.queries.items():
        _print_queries(service, queries)


def _run_plan(place: Place, settings: Settings, *, resume: bool, agreed: bool) -> None:
    from mora import pipeline

    with _progress() as reporter:
        report = pipeline.collect(
            settings.plan, place, data_dir=settings.data_dir, resume=resume, allow_remote=agreed, reporter=reporter
        )
    _say(f"Run {report.run_id}: {len(report.written)} experiments written, {len(report.skipped)} were there already.")
    for name, flags in report.incomplete.items():
        _say(f"  {name} is marked and left out of training: {'; '.join(flags)}")
    for experiment_id in report.written:
        print(experiment_id)


def _print_queries(service: str, queries: Mapping[str, str]) -> None:
    print(f"\nQueries for {service}:")
    for name, text in queries.items():
        print(f"  {name}\n    {text}")


def _minutes(span: timedelta) -> str:
    seconds = span.total_seconds()
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


# --- train -----------------------------------------------------------------------------------------------------------


@app.command()
def train(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services to train, e.g. frontend cartservice.", show_default=False)
    ] = None,
    all_services: Annotated[bool, typer.Option("--all", help="Every service that has data.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Services trained at a time, about 1 GB each.", show_default="cores"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="The same seed and data give the same model.", show_default="0")
    ] = None,
    prophet_weight: Annotated[
        str | None,
        typer.Option("--prophet-weight", help="Share of Prophet in the blend; LSTM has the rest.", show_default="0.4"),
    ] = None,
    learn_weights: Annotated[
        bool, typer.Option("--learn-weights", help="Take the weights that did best on held-out data.")
    ] = False,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Train Prophet, LSTM and the load response of services on their CSVs.

    Prints, per target, the held-out errors of Prophet, LSTM and their blend
    beside the naive forecast's, and what fell back and why. The blend is
    0.4 Prophet + 0.6 LSTM; a part that does worse than the naive forecast
    gives its weight away. Each model is a folder of plain files in
    models/SERVICE.
    """
    from mora import dataset, pipeline

    settings = _settings(
        data_dir=data,
        models_dir=models,
        namespace=namespace,
        jobs=jobs,
        seed=seed,
        prophet_weight=prophet_weight,
        learn_weights=learn_weights or None,
    )
    known = dataset.list_services(settings.data_dir, namespace=settings.namespace)
    names = known if all_services else list(dict.fromkeys(services or []))
    if not names:
        raise BadInput(
            f"There is no data in {settings.data_dir}."
            if all_services
            else "Which service? Name one or more, or give --all.",
            hint=f"There is data of {', '.join(known)}." if known else "Collect some: mora collect --plan quick",
        )
    with _progress() as reporter:
        outcomes = pipeline.train_all(
            names,
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            settings=pipeline.train_settings(settings),
            jobs=settings.jobs,
            reporter=reporter,
        )
    for outcome in outcomes:
        if outcome.error is not None and len(outcomes) == 1:
            raise outcome.error
        print(pipeline.describe_training(outcome))
    failed = [outcome.service for outcome in outcomes if outcome.error is not None]
    if failed:
        raise MoraError(f"{len(failed)} of {len(outcomes)} services have no new model: {', '.join(failed)}.")


# --- recommend -------------------------------------------------------------------------------------------------------


@app.command()
def recommend(
    services: Annotated[list[str] | None, typer.Argument(help="Services, e.g. frontend.", show_default=False)] = None,
    all_services: Annotated[bool, typer.Option("--all", help="Every service that has a model.")] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="table, json, yaml, patch, kustomize, vpa, hpa or commands.", show_default="table"
        ),
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(
            "--users", "-u", help="Concurrent users to size for.", show_default="highest driven that kept the SLO"
        ),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="What the users do, e.g. checkout.", show_default="the neediest")
    ] = None,
    slo_p95: Annotated[
        str | None, typer.Option("--slo-p95", help="Response time that 95 % of requests keep.", show_default="300ms")
    ] = None,
    slo_errors: Annotated[
        str | None, typer.Option("--slo-errors", help="Share of requests that may fail.", show_default="1%")
    ] = None,
    target_utilisation: Annotated[
        str | None,
        typer.Option("--target-utilisation", help="Share of a pod's CPU that may be in use.", show_default="0.7"),
    ] = None,
    min_replicas: Annotated[
        int | None, typer.Option("--min-replicas", help="Never fewer; 2 survives the loss of a node.", show_default="1")
    ] = None,
    max_replicas: Annotated[
        int | None, typer.Option("--max-replicas", help="Never more.", show_default="what was measured")
    ] = None,
    allow_any_step: Annotated[
        bool,
        typer.Option(
            "--allow-any-step", help="Cut as far as the data says in one step, not at most 50 % CPU and 30 % memory."
        ),
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="Compare with what runs now: sandbox or kubernetes.",
            show_default="what ran when the data was collected",
        ),
    ] = None,
    sandbox: SandboxName = "default",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With -o kustomize: write the files into this folder.", show_default=False),
    ] = None,
    kustomize_version: Annotated[
        str | None,
        typer.Option(
            "--kustomize-version",
            help="For old ones, e.g. 2.0.3 (kubectl 1.20): patchesStrategicMerge.",
            show_default="newest",
        ),
    ] = None,
    vpa_cpu: Annotated[
        bool, typer.Option("--vpa-cpu", help="With -o vpa: CPU as well; not together with an HPA on CPU.")
    ] = False,
    why: Annotated[bool, typer.Option("--why/--no-why", help="Reasons below the table.")] = True,
    stale_ok: Annotated[
        bool, typer.Option("--stale-ok", help="Answer although the data is old, or image or limits have changed since.")
    ] = False,
    fail_on_change: Annotated[
        bool, typer.Option("--fail-on-change", help="Exit 3 where a change is due; for CI.")
    ] = False,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Say what services should request, be limited to and run as, why, and how sure that is.

    \b
    mora recommend frontend             the highest load that kept the SLO
    mora recommend frontend --users 200 --scenario checkout
    mora recommend frontend -o patch > p.yaml
    kubectl patch deployment frontend --patch-file p.yaml
    """
    from mora import pipeline

    settings = _settings(
        output=output,
        data_dir=data,
        models_dir=models,
        namespace=namespace,
        slo_p95_seconds=slo_p95,
        slo_error_ratio=slo_errors,
        target_utilisation=target_utilisation,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        allow_any_step=allow_any_step or None,
    )
    known = pipeline.list_models(settings.models_dir, settings.namespace)
    names = known if all_services else list(dict.fromkeys(services or []))
    if not names:
        raise BadInput(
            f"There is no model in {settings.models_dir}."
            if all_services
            else "Which service? Name one or more, or give --all.",
            hint=f"There are models of {', '.join(known)}." if known else "Train one: mora train frontend",
        )
    advice = [
        pipeline.recommend(
            name,
            users=users,
            scenario=scenario,
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            slo=settings.slo,
            min_replicas=settings.min_replicas,
            target_utilisation=settings.target_utilisation,
            policy=pipeline.policy_settings(settings),
            current=_standing_now(model.workload, target, sandbox),
            stale_ok=stale_ok,
            include_flagged=include_flagged,
            model=model,
        )
        for name in names
        for model in [pipeline.load_model(name, models_dir=settings.models_dir, namespace=settings.namespace)]
    ]
    _print_advice(advice, settings.output, out, kustomize_version=kustomize_version, why=why, vpa_cpu=vpa_cpu)
    if fail_on_change and any(_is_change_due(recommendation) for recommendation in advice):
        raise typer.Exit(EXIT_CHANGE_DUE)


def _standing_now(workload: Workload, target: str | None, sandbox: str) -> Allocation | None:
    """What runs now, where a cluster was named; None takes what ran when the data was collected."""
    if target is None:
        return None
    from mora import pipeline

    return pipeline.open_cluster(target, sandbox=sandbox).allocation(workload)


def _print_advice(
    advice: list[Recommendation],
    output: str,
    out: Path | None,
    *,
    kustomize_version: str | None,
    why: bool,
    vpa_cpu: bool,
) -> None:
    from mora import pipeline
    from mora.outputs import OutputSettings

    settings = OutputSettings(why=why, vpa_cpu=vpa_cpu)
    if kustomize_version is not None:
        settings = replace(settings, kustomize_version=kustomize_version)
    if out is None:
        sys.stdout.write(pipeline.render(advice, output, settings))
        return
    if output != "kustomize":
        raise BadInput("--out writes a kustomize overlay.", hint="Add -o kustomize, or redirect what is printed.")
    for path in pipeline.write_kustomize(advice, out, settings):
        print(path)


def _is_change_due(recommendation: Recommendation) -> bool:
    parts = (
        recommendation.cpu_request,
        recommendation.cpu_limit,
        recommendation.memory_request,
        recommendation.memory_limit,
        recommendation.replicas,
    )
    return any(
        (part.is_unset and part.now is not None) or (part.value is not None and part.value != part.now)
        for part in parts
    )


# --- backtest --------------------------------------------------------------------------------------------------------


@app.command()
def backtest(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|SERVICE...", help="A trace file (parquet, csv), or services with history.", show_default=False
        ),
    ],
    policies: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help="A rule to replay; may be given often.", show_default="all"),
    ] = None,
    hold: Annotated[str, typer.Option("--hold", help="How long one recommendation stays in force.")] = "24h",
    warmup: Annotated[str, typer.Option("--warmup", help="History before the first one.")] = "7d",
    series: Annotated[
        str | None,
        typer.Option("--series", help="The first so many (20), or ids (vm001,vm007).", show_default="all"),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table, json or csv.")] = "table",
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write a page with charts, e.g. out.html.", show_default=False)
    ] = None,
    draw: Annotated[
        str | None,
        typer.Option("--draw", help="With --report: ids of series to draw.", show_default="six of all kinds"),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes.", show_default="cores")] = None,
    floors: Annotated[
        bool,
        typer.Option("--floors/--no-floors", help="Rules' own least amounts, e.g. KRR's 10m and 100Mi."),
    ] = True,
    cpu_scale: Annotated[
        float, typer.Option("--cpu-scale", help="Cores in one unit of a file's cpu; for fractions of a machine.")
    ] = 1.0,
    mem_scale: Annotated[
        float, typer.Option("--mem-scale", help="Bytes in one unit of a file's mem; for fractions of a machine.")
    ] = 1.0,
    time_column: Annotated[str, typer.Option("--time-column", help="Where a file's time stands.")] = "timestamp",
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Where results are kept, to go on with.", show_default="~/.cache/mora/backtest"),
    ] = None,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
) -> None:
    """Replay the past: MOrA beside KRR's, the VPA's and plain rules.

    After the warm-up and then after every hold each rule says what it
    would reserve, from what came before alone; what came next scores it.
    Ctrl-C loses little: the same command goes on where it was.

    \b
    mora backtest frontend                     its history in data/
    mora backtest traces.parquet --hold 1h     many series, renewed hourly
    mora backtest traces.csv -p krr -p vpa --report out.html
    """
    from mora import pipeline
    from mora.backtest.render import RENDERERS
    from mora.backtest.traces import SUFFIXES
    from mora.quantities import parse_duration

    if output not in RENDERERS:
        raise BadInput(f"There is no output {output!r} of a backtest.", hint=f"Known: {', '.join(RENDERERS)}.")
    settings = _settings(data_dir=data, namespace=namespace, jobs=jobs)
    with _progress() as reporter:
        result = pipeline.backtest(
            targets,
            policies=policies or (),
            hold=parse_duration(hold),
            warmup=parse_duration(warmup),
            series=series,
            with_minimums=floors,
            cpu_scale=cpu_scale,
            mem_scale=mem_scale,
            time_column=time_column,
            jobs=settings.jobs,
            data_dir=settings.data_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            cache_dir=cache or pipeline.cache_folder("backtest"),
            reporter=reporter,
        )
    for remark in result.remarks(are_units_sure=Path(targets[0]).suffix.lower() not in SUFFIXES):
        _say(remark)
    if report is not None:
        pipeline.write_report(result, report, source=", ".join(Path(target).name for target in targets), drawn=draw)
        _say(f"Wrote {report}.")
    sys.stdout.write(RENDERERS[output](result))


# --- sandbox ---------------------------------------------------------------------------------------------------------

Name = Annotated[str, typer.Option("--name", help="Several sandboxes run side by side under different names.")]


@sandbox_app.command("up")
def sandbox_up(
    name: Name = "default",
    foreground: Annotated[bool, typer.Option("--foreground", "-f", help="Stay here until Ctrl-C.")] = False,
    no_cgroups: Annotated[
        bool,
        typer.Option(
            "--no-cgroups", help="Measure and limit the processes from outside, as where cgroups cannot be written."
        ),
    ] = False,
) -> None:
    """Start the shop, its exporter and its Prometheus."""
    from mora import sandbox

    enforcement = "supervisor" if no_cgroups else None
    if foreground:
        sandbox.run_foreground(name, enforcement=enforcement)
        return
    sandbox.start(name, enforcement=enforcement)
    sandbox_status(name)


@sandbox_app.command("status")
def sandbox_status(
    name: Name = "default",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show addresses, replicas, restarts, OOM kills, requests and limits."""
    import json

    from mora import sandbox
    from mora.quantities import format_cpu, format_memory

    status = sandbox.connect(name).status()
    if as_json:
        print(json.dumps(status, indent=2, sort_keys=True))
        return
    print(f"sandbox     {name} (supervisor: process {status['pid']})")
    print(f"shop        {status['shop_url']}")
    print(f"prometheus  {status['prometheus_url']}")
    print(f"limits      {status['enforcement']}: {status['enforcement_reason']}")
    print()
    print(f"{'SERVICE':<24}{'READY':>7}{'RESTARTS':>10}{'OOM':>5}   {'CPU REQUEST/LIMIT':<20}{'MEMORY REQUEST/LIMIT'}")
    for service, seen in sorted(status["services"].items()):
        cpu, memory = (
            "/".join("-" if amount is None else write(amount) for amount in amounts)
            for write, amounts in (
                (format_cpu, (seen["resources"]["cpu_request_millicores"], seen["resources"]["cpu_limit_millicores"])),
                (format_memory, (seen["resources"]["memory_request_bytes"], seen["resources"]["memory_limit_bytes"])),
            )
        )
        ready = f"{seen['ready']}/{seen['replicas']}"
        print(f"{service:<24}{ready:>7}{seen['restarts']:>10}{seen['oom_kills']:>5}   {cpu:<20}{memory}")


@sandbox_app.command("scale")
def sandbox_scale(
    services: Annotated[
        list[str], typer.Argument(help="SERVICE=REPLICAS, e.g. frontend=3 cartservice=2.", show_default=False)
    ],
    name: Name = "default",
) -> None:
    """Set the replicas of services, while the shop runs."""
    from mora import sandbox

    wanted: dict[str, int] = {}
    for text in services:
        service, separator, count = text.partition("=")
        if not separator or not count.isdecimal():
            raise BadInput(f"{text!r} does not say how many replicas.", hint="Write it like frontend=3.")
        wanted[service] = int(count)
    handle = sandbox.connect(name)
    handle.scale(wanted)
    handle.wait_ready(list(wanted))
    sandbox_status(name)


@sandbox_app.command("down")
def sandbox_down(name: Name = "default") -> None:
    """Stop everything; no process, cgroup, port or file is left."""
    from mora import sandbox

    sandbox.connect(name).down()
    _say(f"The sandbox {name!r} is down.")


# --- doctor, list, demo ----------------------------------------------------------------------------------------------


@app.command()
def doctor(
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Say what is here and what is missing: programs, rights, metrics, data, models. Exits 1 where anything is."""
    from mora.doctor import State, examine

    checks = examine(_settings(prometheus_url=prometheus, namespace=namespace, data_dir=data, models_dir=models))
    for check in checks:
        print(f"{check.state.value:<8} {check.name:<22} {check.words}")
        if check.remedy:
            print(f"{'':<31} -> {check.remedy}")
    if any(check.state is State.MISSING for check in checks):
        raise typer.Exit(EXIT_ERROR)


@app.command("list")
def list_known(namespace: Namespace = None, data: DataDir = None, models: ModelsDir = None) -> None:
    """List services with data and models, plans, scenarios, outputs and sandboxes."""
    from mora import dataset, pipeline, registry
    from mora.harness.plan import plan_names, scenario_names
    from mora.sandbox.state import list_sandboxes

    settings = _settings(namespace=namespace, data_dir=data, models_dir=models)
    for what, names in (
        (
            f"services with data ({settings.data_dir})",
            dataset.list_services(settings.data_dir, namespace=settings.namespace),
        ),
        (
            f"services with a model ({settings.models_dir})",
            pipeline.list_models(settings.models_dir, settings.namespace),
        ),
        ("plans", plan_names()),
        ("scenarios", scenario_names()),
        ("outputs", registry.names("outputs")),
        ("running sandboxes", list_sandboxes()),
    ):
        print(f"{what}: {', '.join(names) or 'none'}")


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option("--dir", help="Folder for the demo's data and models; must be new or its own.")
    ] = Path("demo"),
) -> None:
    """Watch the whole road in about seven minutes, without a cluster.

    Starts a small shop, drives it with Locust, collects metrics, trains,
    recommends, checks the patch with kubectl, applies the advice to the
    shop and drives the same load again: before and after, side by side.
    """
    from mora.demo import run_demo

    with _progress() as reporter:
        proof = run_demo(folder, say=_say, show=print, reporter=reporter)
    if not proof.holds:
        raise MoraError(
            f"The advice did not hold: {'; '.join(proof.failures)}.",
            hint=f"Please report this with the folder {folder}.",
        )
