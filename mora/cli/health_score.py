"""mora health score: the verdict on a service, its events, and what carried them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import EXIT_CHANGE_DUE, DataDir, Namespace, PrometheusUrl, say, settings_of, show
from mora.cli.health_common import HealthDir, Labels, Service, TimeColumn, known_faults, source_of
from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from mora.health.known import Known
    from mora.pipeline.health import Scored

_OUTPUTS = ("table", "json", "csv", "html")


def score(
    name: Annotated[str, typer.Argument(help="A service, or a CSV or Parquet file.", show_default=False)],
    output: Annotated[str, typer.Option("--output", "-o", help="table, json, csv (a row a sample) or html.")] = "table",
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file.", show_default="the terminal")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="With --prometheus: how much history is judged.", show_default="24h"),
    ] = None,
    gap: Annotated[
        str, typer.Option("--gap", help="Abnormal samples no further apart than this are one event.")
    ] = "30m",
    known: Annotated[
        list[str] | None,
        typer.Option("--known", help="A known fault, START/END, shaded on the page.", show_default=False),
    ] = None,
    labels: Labels = None,
    pad: Annotated[
        bool, typer.Option("--pad", help="Judge also where too little history stands before, with a low weight.")
    ] = False,
    fill_missing: Annotated[
        bool, typer.Option("--fill-missing", help="Judge also where a metric lacks: it counts as not known.")
    ] = False,
    fail_on_anomaly: Annotated[
        bool, typer.Option("--fail-on-anomaly", help="Exit with 3 where any sample is abnormal.")
    ] = False,
    service: Service = None,
    time_column: TimeColumn = None,
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    data: DataDir = None,
    health: HealthDir = None,
) -> None:
    """Judge samples: healthy, abnormal, starting, or unknown; with the events and the metrics that carry them.

    Each sample gets a score, higher is more abnormal, and the threshold in
    force at it. Abnormal samples close together are one event. A service
    without data is unknown, never healthy; in the first samples after a
    cold start it is starting. Train the detector first: mora health train.

    \\b
    mora health score frontend
    mora health score frontend -o html --out frontend.html
    mora health score frontend --prometheus http://127.0.0.1:9090 --since 2h
    mora health score metrics.csv --service web --fail-on-anomaly
    """
    from mora.health.events import State
    from mora.health.known import read_known
    from mora.pipeline.health import is_file, score_health
    from mora.quantities import parse_duration

    if output not in _OUTPUTS:
        raise BadInput(f"{output!r} is not an output.", hint=f"Known: {', '.join(_OUTPUTS)}.")
    if (service is not None or time_column is not None) and not is_file(name):
        raise BadInput("--service and --time-column are of a file, and none is named.")
    settings = settings_of(data_dir=data, health_dir=health, namespace=namespace, prometheus_url=prometheus)
    faults = known_faults(known or ())
    source = source_of(settings, [name])
    if since is not None and source is None:
        raise BadInput("--since is of a Prometheus's history.", hint="Give --prometheus URL as well.")
    found = score_health(
        name,
        service=service,
        namespace=settings.namespace,
        data_dir=settings.data_dir,
        health_dir=settings.health_dir,
        source=source,
        span=None if since is None else parse_duration(since),
        gap=parse_duration(gap),
        time_column=time_column,
        pads=pad,
        fill_missing=fill_missing,
    )
    if labels is not None:
        faults += read_known(labels, namespace=found.model.namespace, service=found.model.service)
    _write(_rendered(output, found, faults), out)
    states = found.judged.frame["state"]
    if fail_on_anomaly and not states.isin([State.HEALTHY, State.ABNORMAL]).any():
        raise MoraError(
            "No sample has a verdict, so it is not known whether any is abnormal.",
            hint="Give a longer history, or --pad.",
        )
    if fail_on_anomaly and (states == State.ABNORMAL).any():
        raise typer.Exit(EXIT_CHANGE_DUE)


def _rendered(output: str, found: Scored, faults: list[Known]) -> str:
    from mora.health import report
    from mora.health.page import health_page

    if output == "html":
        return health_page(found.model, found.judged, found.samples, known=faults)
    make = {"json": report.verdict_json, "csv": report.verdict_csv, "table": report.verdict_text}[output]
    return make(found.model, found.judged)


def _write(text: str, out: Path | None) -> None:
    from mora.files import write_files

    if out is None:
        show(text.rstrip("\n"))
    else:
        write_files([(out, text)])
        say(f"Wrote {out}.")
