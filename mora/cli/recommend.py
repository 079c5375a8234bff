"""mora recommend: what services should request, be limited to and run as."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora import registry
from mora.cli.common import (
    EXIT_CHANGE_DUE,
    Backend,
    DataDir,
    IncludeFlagged,
    ModelsDir,
    Namespace,
    PrometheusUrl,
    SandboxName,
    Scheduler,
    say,
    settings_of,
)
from mora.cli.fleet import (
    AllNamespaces,
    AllowJvmCut,
    Asked,
    ClusterLabel,
    CpuPrice,
    Exclude,
    HelmPath,
    History,
    IncludeSidecars,
    MemoryPrice,
    NoKubernetes,
    RetargetHpa,
    Selector,
    advice_from_history,
    is_change_due,
    output_settings,
)
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.domain import Allocation, Recommendation, Workload, WorkloadState
    from mora.model import ServiceModel
    from mora.outputs import OutputSettings
    from mora.settings import Settings


def recommend(
    services: Annotated[
        list[str] | None,
        typer.Argument(help="Services, or workloads: frontend, deployment/frontend.", show_default=False),
    ] = None,
    all_services: Annotated[
        bool, typer.Option("--all", help="Every service that has a model; with --prometheus every workload.")
    ] = False,
    prometheus: PrometheusUrl = None,
    history: History = None,
    all_namespaces: AllNamespaces = False,
    selector: Selector = None,
    no_kubernetes: NoKubernetes = False,
    cluster: ClusterLabel = None,
    exclude: Exclude = None,
    backend: Backend = None,
    scheduler: Scheduler = None,
    include_sidecars: IncludeSidecars = False,
    retarget_hpa: RetargetHpa = False,
    allow_jvm_cut: AllowJvmCut = False,
    cpu_price: CpuPrice = None,
    memory_price: MemoryPrice = None,
    helm_path: HelmPath = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help=", ".join(registry.names("outputs")) + ".",
            show_default="table",
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
    horizon: Annotated[
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
        typer.Option("--out", help="Write the output into this folder, a file each.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --out: also files that MOrA did not write, or that were edited.")
    ] = False,
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
    why: Annotated[
        bool | None,
        typer.Option("--why/--no-why", help="Reasons below the table.", show_default="with few workloads"),
    ] = None,
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

    From what MOrA collected and trained (data/, models/), which knows of
    loads, replicas and response times:

    \b
    mora recommend frontend             the highest load that kept the SLO
    mora recommend frontend --users 200 --scenario checkout
    mora recommend frontend --hold 1h   observed data: for the coming hour
    mora recommend frontend -o patch > p.yaml
    kubectl patch deployment frontend --patch-file p.yaml

    With --prometheus, --history, -A, -l, --no-kubernetes or a name like
    deployment/frontend or shop/frontend: from what the cluster's
    Prometheus already knows, every container of every workload:

    \b
    mora recommend -n shop --all --prometheus http://127.0.0.1:9090
    mora recommend deployment/frontend -n shop --history 7d
    mora recommend -A -o kustomize --out overlays/mora
    """
    settings = settings_of(
        output=output,
        data_dir=data,
        models_dir=models,
        namespace=namespace,
        horizon=horizon,
        slo_p95=slo_p95,
        slo_errors=slo_errors,
        replicas_target_utilisation=target_utilisation,
        replicas_min=min_replicas,
        replicas_max=max_replicas,
        policy_allow_any_step=allow_any_step or None,
        prometheus_url=prometheus,
        prometheus_cluster=cluster,
        train_backend=backend,
        train_scheduler=scheduler,
        history=history,
        policy_include_sidecars=include_sidecars or None,
        policy_allow_jvm_cut=allow_jvm_cut or None,
        policy_touch_autoscaled=retarget_hpa or None,
        prices_cpu=cpu_price,
        prices_memory=memory_price,
    )
    asked = Asked(
        names=tuple(dict.fromkeys(services or [])),
        everything=all_services,
        all_namespaces=all_namespaces,
        selector=selector,
        no_kubernetes=no_kubernetes,
        exclude=tuple(exclude or ()),
    )
    advice: list[Recommendation]
    states: list[WorkloadState] = []
    if from_history := asked.flags(settings):
        of_loads = {"--users": users, "--scenario": scenario, "--target": target, "--include-flagged": include_flagged}
        _refuse(from_history, [flag for flag, value in of_loads.items() if value])
        advice, states = advice_from_history(asked, settings, stale_ok=stale_ok)
    elif settings.origin("train_scheduler") == "--scheduler":
        raise BadInput(
            "--backend dask sizes many namespaces from the cluster's own history; this is from models, in a second.",
            hint="Leave it out, or ask for all namespaces: mora recommend -A --backend dask --scheduler ADDRESS",
        )
    else:
        advice = _from_models(
            asked,
            settings,
            users=users,
            scenario=scenario,
            target=target,
            sandbox=sandbox,
            stale_ok=stale_ok,
            include_flagged=include_flagged,
        )
    told = output_settings(
        settings,
        states,
        helm_paths=helm_path or (),
        why=why,
        vpa_cpu=vpa_cpu,
        kustomize_version=kustomize_version,
    )
    _print_advice(advice, settings.output, told, out=out, overwrite=overwrite)
    if fail_on_change and any(is_change_due(recommendation) for recommendation in advice):
        raise typer.Exit(EXIT_CHANGE_DUE)


def _refuse(from_history: list[str], of_loads: list[str]) -> None:
    if not of_loads:
        return
    raise BadInput(
        f"{from_history[0]} asks for the cluster's own history, which tells of no other load, target or experiment: "
        f"{', '.join(of_loads)} cannot be answered from it.",
        hint=f"Leave out {', '.join(of_loads)}, or {from_history[0]}.",
    )


def _from_models(
    asked: Asked,
    settings: Settings,
    *,
    users: int | None,
    scenario: str | None,
    target: str | None,
    sandbox: str,
    stale_ok: bool,
    include_flagged: bool,
) -> list[Recommendation]:
    """Recommendations from the data and the models at hand."""
    from mora import pipeline

    known = pipeline.list_models(settings.models_dir, settings.namespace)
    names = known if asked.everything else list(asked.names)
    if not names:
        raise BadInput(
            f"There is no model in {settings.models_dir}."
            if asked.everything
            else "Which service? Name one or more, or give --all.",
            hint=f"There are models of {', '.join(known)}."
            if known
            else "Train one (mora train frontend), or ask a Prometheus: mora recommend --all --prometheus URL",
        )
    policy = settings.policy
    question = replace(pipeline.question_of(policy, slo=settings.slo), users=users, scenario=scenario)
    return [
        pipeline.recommend(
            name,
            replace(question, horizon=_horizon(settings, model)),
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            policy=policy,
            current=_current_allocation(model.workload, target, sandbox),
            stale_ok=stale_ok,
            include_flagged=include_flagged,
            model=model,
        )
        for name in names
        for model in [pipeline.load_model(name, models_dir=settings.models_dir, namespace=settings.namespace)]
    ]


def _horizon(settings: Settings, model: ServiceModel) -> timedelta | None:
    """The horizon to recommend for; None for driven data, unless --horizon asks for one (and is refused in words)."""
    return None if model.is_driven and not settings.is_flag("horizon") else settings.horizon


def _current_allocation(workload: Workload, target: str | None, sandbox: str) -> Allocation | None:
    """What runs now, where a cluster was named; None takes what ran when the data was collected."""
    if target is None:
        return None
    from mora import pipeline

    return pipeline.open_cluster(target, sandbox=sandbox).allocation(workload)


def _print_advice(
    advice: list[Recommendation], output: str, told: OutputSettings, *, out: Path | None, overwrite: bool
) -> None:
    from mora import pipeline

    if out is None:
        sys.stdout.write(pipeline.render(advice, output, told))
        return
    done = pipeline.write_output(advice, output, out, told, overwrite=overwrite)
    for path in done.written:
        print(path)
    for path in done.removed:
        say(f"{path} of an earlier run is gone: nothing in it is advised any more.")
