"""mora health list: the detectors of services that there are."""

from __future__ import annotations

from typing import Annotated

import typer

from mora.cli.common import complain, on_one_line, say, settings_of, show
from mora.cli.health_common import HealthDir
from mora.errors import MoraError


def list_detectors(
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Of this namespace alone.", show_default="all")
    ] = None,
    health: HealthDir = None,
) -> None:
    """List the trained detectors of services: what they look at, how old they are, which cannot be read.

    \\b
    mora health list
    """
    from datetime import UTC, datetime

    from mora.columns import columns
    from mora.domain import check_name
    from mora.pipeline.health import list_health
    from mora.quantities import format_duration

    settings = settings_of(health_dir=health)
    if namespace is not None:
        check_name(namespace, "namespace")
    found = list_health(settings.health_dir, namespace)
    now = datetime.now(UTC)
    rows: list[tuple[str, ...]] = [("SERVICE", "DETECTOR", "THRESHOLD", "METRICS", "STEP", "SAMPLES", "AGE")]
    for space, service, model in found:
        if isinstance(model, MoraError):
            complain(on_one_line(f"{space}/{service}: {model.message} {model.hint or ''}"))
            continue
        age = max(now - model.trained_at, now - now)
        rows.append(
            (
                f"{space}/{service}",
                model.card["detector"],
                model.card["threshold"],
                str(len(model.metrics)),
                format_duration(model.step),
                f"{model.card['rows']:,}",
                format_duration(age, about=True),
            )
        )
    if len(rows) > 1:
        for line in columns(rows, is_right=[False, False, False, True, True, True, True]):
            show(line)
    elif not found:
        say(f"There is no detector in {settings.health_dir}. Train one: mora health train frontend")
