"""mora optimize: the fewest cores for a whole shop under its SLOs, learnt by experiments and proven by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora import registry
from mora.cli import optimizing
from mora.cli.common import (
    DataDir,
    Namespace,
    PrometheusUrl,
    SandboxName,
    settings_of,
)
from mora.errors import BadInput
from mora.extras import require

if TYPE_CHECKING:
    from mora.optimize.solve import Terms
    from mora.pipeline.optimising import Question
    from mora.settings import Settings

_LOAD, _KEEP, _WHERE, _RUN, _OUTPUT = "Load and SLOs", "What to keep", "Where", "The experiments", "Output"


def optimize(
    load: Annotated[
        list[str] | None,
        typer.Option(
            "--load",
            help="Users of a scenario, checkout=60, or requests per second, checkout=12rps. Repeatable, the most "
            "important first: where there is no room for all, it is served first.",
            show_default=False,
            rich_help_panel=_LOAD,
        ),
    ] = None,
    slo_p95: Annotated[
        str | None,
        typer.Option(
            "--slo-p95",
            help="Response time that 95 % of requests must stay below.",
            show_default="300ms",
            rich_help_panel=_LOAD,
        ),
    ] = None,
    slo_errors: Annotated[
        str | None,
        typer.Option("--slo-errors", help="Share of requests that may fail.", show_default="1%", rich_help_panel=_LOAD),
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option("--slo", help="A p95 for one scenario alone, checkout=500ms. Repeatable.", rich_help_panel=_LOAD),
    ] = None,
    cluster_cap: Annotated[
        str | None,
        typer.Option(
            "--cluster-cap",
            help="Reserve at most this share of the cluster's cores and memory, other pods included, e.g. 80%.",
            show_default="no cap",
            rich_help_panel=_KEEP,
        ),
    ] = None,
    margin: Annotated[
        str, typer.Option("--margin", help="Share of each SLO that is kept free.", rich_help_panel=_KEEP)
    ] = "10%",
    utilisation: Annotated[
        str,
        typer.Option("--target-utilisation", help="CPU use of what is reserved, at most.", rich_help_panel=_KEEP),
    ] = "90%",
    min_replicas: Annotated[
        int, typer.Option("--min-replicas", help="Replicas of every service, at least.", min=1, rich_help_panel=_KEEP)
    ] = 1,
    most_pod_cpu: Annotated[
        str,
        typer.Option(
            "--max-pod-cpu",
            help="The largest pod. A process with one thread cannot use more than 1.",
            rich_help_panel=_KEEP,
        ),
    ] = "1",
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="Where the services run: sandbox or kubernetes.",
            show_default="sandbox",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="Where Locust sends the load; the sandbox knows its own.",
            show_default=False,
            rich_help_panel=_WHERE,
        ),
    ] = None,
    entry: Annotated[
        str, typer.Option("--entry", help="With --url: the service that receives the load.", rich_help_panel=_WHERE)
    ] = "frontend",
    services: Annotated[
        str | None,
        typer.Option(
            "--services", "-s", help="Services to size, e.g. frontend,cart.", show_default="all", rich_help_panel=_WHERE
        ),
    ] = None,
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    sandbox: SandboxName = "default",
    interval: Annotated[
        str | None,
        typer.Option(
            "--interval",
            help="Time between two samples of the metrics; runs get longer with it.",
            show_default="1s on the sandbox, else 30s",
            rich_help_panel=_RUN,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the experiments of a run that was stopped.", rich_help_panel=_RUN)
    ] = False,
    reuse: Annotated[
        Path | None,
        typer.Option(
            "--reuse",
            help="Answer from the experiments in this file, of an earlier run; drives only the confirmation.",
            show_default=False,
            rich_help_panel=_RUN,
        ),
    ] = None,
    no_confirm: Annotated[
        bool,
        typer.Option("--no-confirm", help="Do not drive the load on the answer.", rich_help_panel=_RUN),
    ] = False,
    restore: Annotated[
        bool,
        typer.Option(
            "--restore", help="Restore what a killed run left changed, and do nothing else.", rich_help_panel=_RUN
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done; change nothing.", rich_help_panel=_RUN)
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            "-y",
            help="Confirm that services outside this machine are loaded and resized.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="The answer and its proof as text; or as recommendations: "
            + ", ".join(registry.names("outputs"))
            + ".",
            show_default="the answer",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
) -> None:
    """The fewest cores that serve a whole shop within its SLOs, proven by driving the load.

    Each service alone is squeezed while the others have plenty, to see
    what that costs every class of users; then the cheapest sizes that
    together keep every SLO are computed, applied and driven, with limits
    equal to requests: that may reserve more than mora recommend. At the end
    replicas, requests and limits are as before. Takes 10 to 20 minutes.

    \b
    mora optimize --load checkout=60 --load browsing=200 --slo-p95 300ms
    mora optimize --load checkout=30 --cluster-cap 80% -o patch
    mora optimize --load checkout=80 --reuse data/.optimize/4f1c...json
                                          another load, no new experiments
    mora optimize --load checkout=60 --target kubernetes -n lab
        --url http://shop.lab/ --dry-run  checks; --yes runs it
    mora optimize --resume --load ...     continues a killed run
    mora optimize --restore               after a killed run
    """
    settings = settings_of(
        target=target,
        prometheus_url=prometheus,
        namespace=namespace,
        data_dir=data,
        slo_p95=slo_p95,
        slo_errors=slo_errors,
    )
    if restore:
        optimizing.restore(sandbox, settings, dry_run=dry_run)
        return
    if output is not None and output not in registry.names("outputs"):
        raise BadInput(f"There is no output {output!r}.", hint=f"There are: {', '.join(registry.names('outputs'))}.")
    terms = _terms(margin, utilisation, min_replicas, most_pod_cpu, settings)
    question = _question(load or [], slo or [], terms, settings)
    question = replace(question, resume=resume, reuse=reuse, confirms=not no_confirm)
    names = [name.strip() for name in (services or "").split(",") if name.strip()]
    is_sandbox = settings.target == "sandbox"
    question = replace(question, interval=_interval(interval, is_sandbox=is_sandbox))
    if dry_run and is_sandbox:
        optimizing.preview(question)
        return
    require("collect", "optimize", by="mora optimize")
    if is_sandbox:
        optimizing.on_sandbox(sandbox, names, question, cluster_cap, settings, output)
    else:
        optimizing.on_kubernetes(url, entry, names, question, cluster_cap, settings, output, dry_run=dry_run, yes=yes)


# --- what is asked ---------------------------------------------------------------------------------------------------


def _pair(text: str, flag: str, example: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise BadInput(f"{flag} {text!r} is not of the form SCENARIO=VALUE.", hint=f"Write it like {flag} {example}")
    return name, value


def _question(load: list[str], slo: list[str], terms: Terms, settings: Settings) -> Question:
    from mora import values
    from mora.domain import Slo
    from mora.harness.plan import find_scenario, scenario_names
    from mora.optimize.solve import LoadClass
    from mora.pipeline.optimising import Question

    if not load:
        raise BadInput(
            "Which load?",
            hint=f"Name users of scenarios, the most important first: --load checkout=60 --load browsing=200. "
            f"Scenarios: {', '.join(scenario_names())}; or a locustfile, ending in .py.",
        )
    p95 = dict(_pair(text, "--slo", "checkout=500ms") for text in slo)
    classes: list[LoadClass] = []
    files: dict[str, Path] = {}
    for text in load:
        named, value = _pair(text, "--load", "checkout=60")
        name, file = find_scenario(named, Path.cwd())
        if name in files:
            raise BadInput(f"--load {name} is given twice.", hint="Add up its users.")
        number = value.removesuffix("rps")
        if not (number.isascii() and number.isdigit() and 0 < int(number) < 10**6):
            raise BadInput(
                f"--load {text!r}: {value!r} is no number of users.",
                hint="Write it like --load checkout=60, or as requests per second: --load checkout=12rps",
            )
        bound = values.response_time(p95.pop(named)) if named in p95 else settings.slo.p95_seconds
        files[name] = file
        slo_of = Slo(bound, settings.slo.error_ratio)
        classes.append(LoadClass(name, int(number), slo_of, is_rate=number != value))
    if p95:
        raise BadInput(f"--slo names {', '.join(p95)}, which no --load does.", hint="Add its load, or leave it out.")
    return Question(tuple(classes), files, terms, settings.data_dir)


def _terms(margin: str, utilisation: str, min_replicas: int, most_pod_cpu: str, settings: Settings) -> Terms:
    from mora import values
    from mora.optimize.solve import Terms
    from mora.quantities import parse_cpu

    share = values.ratio(margin)
    if share > 0.9:
        raise BadInput(f"A margin of {margin} leaves nothing of the SLO.", hint="Write it like --margin 10%")
    most = parse_cpu(most_pod_cpu)
    if not 25 <= most <= 64_000:
        raise BadInput(
            f"--max-pod-cpu {most_pod_cpu} is no size of a pod.", hint="Write it like 500m or 1; 25m at least."
        )
    return Terms(
        margin=share,
        most_utilisation=values.positive_ratio(utilisation),
        min_replicas=min_replicas,
        most_pod_millicores=most,
        memory_buffer=settings.policy.memory_buffer,
        prices=settings.prices.prices or Terms().prices,
    )


def _interval(text: str | None, *, is_sandbox: bool) -> timedelta:
    from mora.quantities import parse_duration

    if text is None:
        return timedelta(seconds=1 if is_sandbox else 30)
    span = parse_duration(text)
    if span < timedelta(seconds=1) or span % timedelta(seconds=1):
        raise BadInput(f"--interval {text} is not a whole number of seconds.", hint="Write it like 1s or 30s.")
    return span
