"""mora explain: how each number came to be."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mora.cli.common import DataDir, ModelsDir, Namespace, PrometheusUrl, settings_of
from mora.cli.fleet import (
    AllowJvmCut,
    Asked,
    ClusterLabel,
    Exclude,
    History,
    IncludeSidecars,
    NoKubernetes,
    RetargetHpa,
    advice_from_history,
    output_settings,
)


def explain(
    workloads: Annotated[
        list[str], typer.Argument(help="deployment/frontend, statefulset/db, frontend, ...", show_default=False)
    ],
    prometheus: PrometheusUrl = None,
    history: History = None,
    no_kubernetes: NoKubernetes = False,
    cluster: ClusterLabel = None,
    exclude: Exclude = None,
    include_sidecars: IncludeSidecars = False,
    retarget_hpa: RetargetHpa = False,
    allow_jvm_cut: AllowJvmCut = False,
    horizon: Annotated[
        str | None, typer.Option("--hold", help="How long the number stands, e.g. 1h.", show_default="24h")
    ] = None,
    stale_ok: Annotated[
        bool, typer.Option("--stale-ok", help="Take a trained model although image or limits have changed since.")
    ] = False,
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Tell how the numbers of a workload came to be, container by container.

    The window and its samples, the peaks, when and on which pod they were,
    the arithmetic, what was refused and why, and the queries as sent.

    \b
    mora explain deployment/frontend -n shop --prometheus http://127.0.0.1:9090
    """
    from mora import pipeline

    settings = settings_of(
        data_dir=data,
        models_dir=models,
        namespace=namespace,
        horizon=horizon,
        prometheus_url=prometheus,
        prometheus_cluster=cluster,
        history=history,
        policy_include_sidecars=include_sidecars or None,
        policy_allow_jvm_cut=allow_jvm_cut or None,
        policy_touch_autoscaled=retarget_hpa or None,
    )
    asked = Asked(names=tuple(workloads), no_kubernetes=no_kubernetes, exclude=tuple(exclude or ()))
    advice, states = advice_from_history(asked, settings, stale_ok=stale_ok)
    sys.stdout.write(pipeline.render(advice, "explain", output_settings(settings, states, why=True)))
