"""What the commands of mora health share: options, and where samples come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import say
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.health.known import Known
    from mora.settings import Settings
    from mora.sources.prometheus.observe import PrometheusSource

HealthDir = Annotated[
    Path | None, typer.Option("--health", help="Folder of the detectors of services.", show_default="health")
]
Service = Annotated[
    str | None, typer.Option("--service", help="Of a file: the service that it is of.", show_default="its name")
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels", help="CSV of known faults, as mora chaos writes: start, end, service.", show_default=False
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time-column", help="Of a file: the column with the time.", show_default="timestamp, time, ts or date"
    ),
]


def source_of(settings: Settings, names: Sequence[str]) -> PrometheusSource | None:
    """The Prometheus that services are read from; None where their CSVs are.

    One that is named on the command line is asked; one of the settings only for services without CSVs.
    """
    from mora import dataset, pipeline
    from mora.pipeline.health import is_file

    services = [name for name in names if not is_file(name)]
    if settings.prometheus.url is None or not services:
        return None
    known = dataset.list_services(settings.data_dir, namespace=settings.namespace)
    if settings.is_flag("prometheus_url") or not set(services) <= set(known):
        return pipeline.open_prometheus(settings, say=say)
    return None


def own_metrics(texts: Sequence[str]) -> dict[str, str]:
    """NAME=PROMQL of --metric as a mapping; BadInput for what is none."""
    from mora.health.reading import check_metric

    found: dict[str, str] = {}
    for text in texts:
        name, separator, query = text.partition("=")
        if not separator or not query.strip():
            raise BadInput(
                f"--metric {text!r} has no query.",
                hint="Write NAME=PROMQL, such as queue='sum(queue_length{app=\"$service\"})'.",
            )
        if check_metric(name.strip()) in found:
            raise BadInput(f"--metric {name.strip()} is given twice.")
        found[name.strip()] = query.strip()
    return found


def known_faults(texts: Sequence[str]) -> list[Known]:
    """START/END of a flag as faults that are known; BadInput for what is none."""
    from mora.fleet.spans import parse_span
    from mora.health.known import Known

    return [Known(span.start, span.end) for span in map(parse_span, texts)]
