"""mora recommend: what services should request, be limited to and run as."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import EXIT_CHANGE_DUE, DataDir, IncludeFlagged, ModelsDir, Namespace, SandboxName, settings_of
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.domain import Allocation, Recommendation, Workload


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
    hold: Annotated[
        str | None,
        typer.Option(
            "--hold", help="Observed data: how long the number stands, e.g. 1h to resize in place.", show_default="24h"
        ),
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
    mora recommend frontend --hold 1h   observed data: for the coming hour
    mora recommend frontend -o patch > p.yaml
    kubectl patch deployment frontend --patch-file p.yaml
    """
    from mora import pipeline

    settings = settings_of(
        output=output,
        data_dir=data,
        models_dir=models,
        namespace=namespace,
        hold_seconds=hold,
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
            hold=pipeline.hold_asked(settings, model),
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
