"""mora doctor and list."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated

import typer

from mora.cli.common import EXIT_ERROR, DataDir, ModelsDir, Namespace, PrometheusUrl, say, settings_of, show


def doctor(
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", help="Try this source of metrics alone, e.g. gcp:PROJECT (mora sources).", show_default=False
        ),
    ] = None,
) -> None:
    """Check programs, rights, metrics, data and models. Exits with 1 where something is missing.

    \b
    mora doctor --prometheus http://127.0.0.1:9090
    mora doctor --source gcp -n shop      credentials, rights and metrics
    """
    from mora.doctor import State, examine, source_at

    settings = settings_of(prometheus_url=prometheus, namespace=namespace, data_dir=data, models_dir=models)
    checks = examine(settings) if source is None else source_at(source, settings)
    for check, next_check in zip_longest(checks, checks[1:]):
        show(f"{check.state.value:<8} {check.name:<22} {check.words}")
        # Several metrics of one exporter share the remedy.
        if check.remedy and (next_check is None or next_check.remedy != check.remedy):
            show(f"{'':<31} -> {check.remedy}")
    if any(check.state is State.MISSING for check in checks):
        raise typer.Exit(EXIT_ERROR)


def list_known(namespace: Namespace = None, data: DataDir = None, models: ModelsDir = None) -> None:
    """List services with data and models, plans, scenarios, outputs, forecasters, detectors, plug-ins and sandboxes."""
    from mora import dataset, pipeline, registry
    from mora.harness.plan import plan_names, scenario_names
    from mora.sandbox.state import list_sandboxes

    settings = settings_of(namespace=namespace, data_dir=data, models_dir=models)
    plugins = registry.plugins()
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
        ("forecasters", registry.names("forecasters")),
        ("detectors", registry.names("detectors")),
        ("thresholds", registry.names("thresholds")),
        ("plug-ins", [f"{p.seam}.{p.name} ({p.package})" for p in plugins if registry.problem_of(p) is None]),
        ("running sandboxes", list_sandboxes()),
    ):
        show(f"{what}: {', '.join(names) or 'none'}")
    for problem in filter(None, map(registry.problem_of, plugins)):
        say(str(problem))
