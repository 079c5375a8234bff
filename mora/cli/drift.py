"""mora drift: whether services still are what their models were trained on."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mora.cli.common import (
    EXIT_CHANGE_DUE,
    DataDir,
    IncludeFlagged,
    ModelsDir,
    Namespace,
    progress,
    settings_of,
)
from mora.errors import BadInput


def drift(
    services: Annotated[list[str] | None, typer.Argument(help="Services, e.g. frontend.", show_default="all")] = None,
    all_services: Annotated[bool, typer.Option("--all", help="Every service that has a model.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="table, json or html.")] = "table",
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with 3 where a service has drifted; for CI.")
    ] = False,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Find services that are no longer what their models were trained on.

    Three comparisons: what goes into the forecasts (the last day against
    the days of the training), how far the forecasts are off against their
    validation, and how many windows the bounds covered against their stated
    confidence. It says what drifted, and since when. Collect first: a day of
    samples after the training is needed.

    \b
    mora drift frontend
    mora drift -o html > drift.html                    with pictures
    mora drift --fail-on-drift || mora train --all --if-drifted
    """
    from mora.extras import require
    from mora.model.catalogue import list_models
    from mora.pipeline.drifting import OUTPUTS, find_drift, render_drift

    if output not in OUTPUTS:
        raise BadInput(f"There is no output {output!r} of drift.", hint=f"Known: {', '.join(OUTPUTS)}.")
    if services and all_services:
        raise BadInput("Name services, or give --all: not both.")
    require("drift", by="mora drift")
    settings = settings_of(data_dir=data, models_dir=models, namespace=namespace)
    names = list(dict.fromkeys(services or list_models(settings.models_dir, settings.namespace)))
    if not names:
        raise BadInput(f"There is no model in {settings.models_dir}.", hint="Train some: mora train --all")
    with progress() as reporter:
        found = find_drift(
            names,
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            reporter=reporter,
        )
    sys.stdout.write(render_drift(found, output))
    if fail_on_drift and any(one.has_drifted for one in found):
        raise typer.Exit(EXIT_CHANGE_DUE)
