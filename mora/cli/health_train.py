"""mora health train: what is usual of services, learnt from their history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import (
    DataDir,
    IncludeFlagged,
    ModelsDir,
    Namespace,
    PrometheusUrl,
    complain,
    progress,
    say,
    settings_of,
    show,
)
from mora.cli.health_common import HealthDir, Labels, Service, TimeColumn, known_faults, own_metrics, source_of
from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from datetime import timedelta

    from mora.health.model import HealthModel
    from mora.pipeline.health import HealthTrained, Learning
    from mora.settings import Settings
    from mora.sources.prometheus.observe import PrometheusSource


def train(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Services, or one CSV or Parquet file with a column a metric.", show_default=False),
    ] = None,
    all_services: Annotated[
        bool, typer.Option("--all", help="Every service that has data; with --prometheus, of the namespace.")
    ] = False,
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            "-d",
            help="NAME, or NAME:OPTION=VALUE;OPTION=VALUE; see mora list.",
            show_default="context-distance",
        ),
    ] = None,
    threshold: Annotated[
        str | None, typer.Option("--threshold", help="The same of a threshold.", show_default="tracking")
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", help="A metric to look at, repeated.", show_default="those of health"),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="With --prometheus, a metric of your own: NAME=PROMQL, with $service, $namespace, $window in it.",
            show_default=False,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="A known fault, START/END, that is not learnt from.", show_default=False),
    ] = None,
    labels: Labels = None,
    if_due: Annotated[
        bool,
        typer.Option(
            "--if-due", help="Only where there is no detector, it is old, or what is usual has moved away from it."
        ),
    ] = False,
    history: Annotated[
        str | None,
        typer.Option("--history", help="With --prometheus: how far back is read.", show_default="14d"),
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Time between samples.", show_default="that of the samples")
    ] = None,
    start_up: Annotated[
        str | None,
        typer.Option(
            "--start-up", help="No verdict for so long after a cold start.", show_default="20 samples, 9m at most"
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="With many services: processes at a time.", show_default="cores"),
    ] = None,
    service: Service = None,
    time_column: TimeColumn = None,
    include_flagged: IncludeFlagged = False,
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    health: HealthDir = None,
    models: ModelsDir = None,
) -> None:
    """Learn what is usual of services: a detector from their history, its threshold from the last quarter.

    Samples come from the CSVs in data/, from a Prometheus (use of CPU,
    memory and network, restarts, throttling; requests, latency and errors
    where a mesh such as Istio counts them), or from a file of any metrics.
    The history should be mostly healthy: leave known faults out by
    --exclude or --labels. To renew detectors every night, --if-due trains
    those that no longer fit, and then learns no incident of the last day,
    nor anything of the last hour. The detector forecast-residual takes the
    forecasts of the model that mora train made, where there is one.
    Each detector is a folder of plain files in health/NAMESPACE/SERVICE.

    \\b
    mora health train frontend
    mora health train --all --prometheus http://127.0.0.1:9090 -n shop
    mora health train --all --if-due
    mora health train metrics.csv --service web --column latency
    mora health train frontend -d 'lstm-autoencoder:bounds=learnt;epochs=60'
    mora health train web --prometheus URL --metric 'queue=sum(queue_length{app="$service"})'
    """
    from mora import dataset
    from mora.pipeline.health import Learning, is_file

    settings = settings_of(
        data_dir=data,
        health_dir=health,
        models_dir=models,
        namespace=namespace,
        prometheus_url=prometheus,
        history=history,
        jobs=jobs,
        health_detector=detector,
        health_threshold=threshold,
        health_start_up=start_up,
    )
    chosen = list(dict.fromkeys(names or []))
    if all_services and chosen:
        raise BadInput("--all is every service, and some are named.", hint="Give one of them.")
    files = [name for name in chosen if is_file(name)]
    if files and len(chosen) > 1:
        raise BadInput(f"{files[0]} is a file, and files are trained on one at a time.")
    if (service is not None or time_column is not None) and not files:
        raise BadInput("--service and --time-column are of a file, and none is named.")
    source = _source(settings, chosen, all_services=all_services)
    if metric and source is None:
        raise BadInput("--metric asks a Prometheus.", hint="Give --prometheus URL.")
    if history is not None and source is None:
        raise BadInput("--history is of a Prometheus.", hint="Give --prometheus URL as well, or leave it out.")
    learning = Learning(
        detector=settings.health.detector,
        threshold=settings.health.threshold,
        metrics=tuple(metrics) if metrics else None,
        step=_span(step),
        start_up=settings.health.start_up,
        excluded=tuple(known_faults(exclude or ())),
        labels=labels,
        own=own_metrics(metric or ()),
        span=settings.history,
        include_flagged=include_flagged,
        only_if_due=if_due,
        changes_kind=detector is not None or threshold is not None,
    )
    if all_services:
        chosen = (
            source.services(settings.namespace)
            if source is not None
            else dataset.list_services(settings.data_dir, namespace=settings.namespace)
        )
    if not chosen:
        known = dataset.list_services(settings.data_dir, namespace=settings.namespace)
        raise BadInput(
            "There is no service." if all_services else "Which service? Name one or more, or a file, or give --all.",
            hint=f"There is data of {', '.join(known)}." if known else "Collect some, or give --prometheus URL.",
        )
    if all_services and source is not None and not learning.own:
        _train_namespace(source, learning, settings)
        return
    _train(
        chosen,
        settings,
        jobs=settings.train.jobs,
        source=source,
        learning=learning,
        service=service,
        time_column=time_column,
    )


def _train(names: list[str], settings: Settings, *, jobs: int, **options: object) -> None:
    from mora.files import own_temporary_folder
    from mora.pipeline.health import train_health_all

    where = {
        "namespace": settings.namespace,
        "data_dir": settings.data_dir,
        "health_dir": settings.health_dir,
        "models_dir": settings.models_dir,
    }
    with own_temporary_folder("health"), progress() as reporter:
        outcomes = list(train_health_all(names, jobs=jobs, reporter=reporter, **where, **options))
    _tell(sorted(outcomes, key=lambda one: names.index(one.service)), settings)


def _train_namespace(source: PrometheusSource, learning: Learning, settings: Settings) -> None:
    from mora.pipeline.health import train_health_namespace

    with progress() as reporter:
        found = train_health_namespace(
            source,
            namespace=settings.namespace,
            learning=learning,
            health_dir=settings.health_dir,
            models_dir=settings.models_dir,
            reporter=reporter,
        )
        outcomes = sorted(found, key=lambda one: one.service)
    _tell(outcomes, settings)


def _tell(outcomes: list[HealthTrained], settings: Settings) -> None:
    """Print what became of each; MoraError where one has no new detector."""
    failed = []
    for outcome in outcomes:
        if outcome.error is not None:
            if len(outcomes) == 1:
                raise outcome.error
            failed.append(outcome.service)
            complain(f"{outcome.service}: no detector. {outcome.error}")
        elif outcome.kept:
            show(f"{settings.namespace}/{outcome.service}: kept. {outcome.kept}")
        elif outcome.model is not None:
            show(_described(outcome.model))
            if len(outcomes) == 1:
                say(f"Metrics: {', '.join(outcome.model.metrics)}.")
                for reason in outcome.model.card["reasons"]:
                    say(reason)
    if failed:
        some = ", ".join(failed[:10]) + (", ..." if len(failed) > 10 else "")
        raise MoraError(f"{len(failed)} of {len(outcomes)} services have no new detector: {some}.")


def _described(model: HealthModel) -> str:
    """What was trained, on one line."""
    from mora.quantities import counted, format_duration

    card = model.card
    size = sum(map(len, model.files.values())) / 1000
    return (
        f"{model.namespace}/{model.service}: {card['detector']} of {counted(len(model.metrics), 'metric')} on "
        f"{counted(card['rows'], 'sample')}, one every {format_duration(model.step)}, {size:.0f} kB. "
        f"Threshold {card['threshold']}: {card['flagged_share']:.2%} of the samples in the last quarter score above it."
    )


def _source(settings: Settings, names: list[str], *, all_services: bool) -> PrometheusSource | None:
    from mora import pipeline

    if all_services:
        return pipeline.open_prometheus(settings, say=say) if settings.is_flag("prometheus_url") else None
    return source_of(settings, names)


def _span(text: str | None) -> timedelta | None:
    from mora.quantities import parse_duration

    return None if text is None else parse_duration(text)
