"""mora report: what load experiments showed, as text and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import DataDir, IncludeFlagged, Namespace, say, settings_of, show

app = typer.Typer(help="Reports of load experiments.", no_args_is_help=True)


@app.callback()
def _report() -> None:
    """Reports of load experiments."""


@app.command("capacity")
def capacity(
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="What the users do, e.g. checkout.", show_default="all")
    ] = None,
    slo_p95: Annotated[
        str | None,
        typer.Option("--slo-p95", help="Response time that 95 % of requests must stay below.", show_default="300ms"),
    ] = None,
    slo_errors: Annotated[
        str | None, typer.Option("--slo-errors", help="Share of requests that may fail.", show_default="1%")
    ] = None,
    target_utilisation: Annotated[
        str | None,
        typer.Option("--target-utilisation", help="Share of a pod's CPU that may be in use.", show_default="0.7"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write a page with a picture for each scenario as well.", show_default=False),
    ] = None,
    namespace: Namespace = None,
    data: DataDir = None,
    include_flagged: IncludeFlagged = False,
) -> None:
    """Show how much load one pod carries: the knee, in users and in requests per second.

    From the load experiments in data/: the loads that kept the SLO and those
    that broke it, where the first service is full, and the Universal
    Scalability Law as a check of what lies beyond.

    \b
    mora report capacity
    mora report capacity --slo-p95 200ms --out capacity.html
    """
    from mora import pipeline
    from mora.capacity.page import capacity_text

    settings = settings_of(
        namespace=namespace,
        data_dir=data,
        slo_p95=slo_p95,
        slo_errors=slo_errors,
        replicas_target_utilisation=target_utilisation,
    )
    found = pipeline.read_capacities(
        settings.data_dir,
        namespace=settings.namespace,
        slo=settings.slo,
        target_utilisation=settings.policy.target_utilisation,
        scenario=scenario,
        include_flagged=include_flagged,
    )
    show(capacity_text(found).rstrip())
    if out is not None:
        pipeline.write_capacity_page(found, out, source=str(settings.data_dir))
        say(f"Wrote {out}.")
