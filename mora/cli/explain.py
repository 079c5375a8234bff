"""mora explain: how each number is derived, and what a forecast is made of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.asking import OUTPUT, Asked, end_of
from mora.cli.common import progress, say, show
from mora.cli.outputs import output_settings
from mora.cli.taking import takes
from mora.errors import BadInput


@takes(Asked)
def explain(
    asked: Asked,
    shap: Annotated[
        bool,
        typer.Option(
            "--shap",
            help="In place of the arithmetic: what each input adds to the trained model's forecasts (SHAP values).",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="With --shap: also write a page with bars and a beeswarm, e.g. shap.html.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Show how every number of a workload is derived, container by container.

    The arithmetic, the time range and its samples, the peaks with their
    time and pod, what is skipped and why, and the queries as sent. It takes
    what mora recommend takes, and explains the numbers that it prints.

    \b
    mora explain frontend                          from its trained model
    mora explain frontend --users 200 --scenario checkout
    mora explain deployment/frontend -n shop --prometheus http://127.0.0.1:9090
    mora explain frontend --shap --report shap.html   what its forecasts are made of
    """
    from mora import pipeline

    if shap:
        _explain_forecasts(asked, report)
        return
    if report is not None:
        raise BadInput("--report is the page of --shap.", hint="Add --shap, or leave out --report.")
    settings = asked.settings()
    advised = asked.answer(settings)
    shown = output_settings(settings, advised.states, asked=advised.asked, verbose=True)
    sys.stdout.write(pipeline.render(advised.recommendations, "explain", shown))
    end_of(advised)


def _explain_forecasts(asked: Asked, report: Path | None) -> None:
    from mora import pipeline

    names = list(dict.fromkeys(asked.workloads or ()))
    if len(names) != 1 or asked.everything or asked.all_namespaces or asked.selector:
        raise BadInput("--shap explains one workload at a time.", hint="Name it: mora explain frontend --shap")
    if asked.has_load:
        raise BadInput(
            "--shap explains forecasts from a history, which know no load.",
            hint="Leave out --users, --rps and --scenario.",
        )
    for flag, given in (
        ("--prometheus", asked.prometheus),
        ("--history", asked.history),
        ("--source", asked.source != "prometheus"),
        ("--exclude", asked.exclude),
        ("--exclude-incidents", asked.exclude_incidents),
        ("--context", asked.context),
        ("--all-clusters", asked.all_clusters),
        ("--no-model", asked.no_model),
    ):
        if given:
            raise BadInput("--shap explains a trained model by its CSVs alone.", hint=f"Leave out {flag}.")
    settings = asked.settings()
    with progress() as reporter:
        found = pipeline.explain_forecasts(
            names[0],
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            horizon=settings.horizon if asked.horizon or asked.hold else None,
            include_flagged=asked.include_flagged,
            reporter=reporter,
        )
    if report is not None:
        pipeline.write_contributions(found, report)
        say(f"Wrote {report}.")
    show(pipeline.describe_contributions(found).rstrip("\n"))
