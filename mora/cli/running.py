"""What both targets of `mora collect` share: printing a plan and its queries, and running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from mora.cli.common import EXIT_CONTENDED, progress, say, show
from mora.quantities import counted, format_duration

if TYPE_CHECKING:
    from mora.domain import Workload
    from mora.harness.experiment import RunReport
    from mora.pipeline import Place
    from mora.seams import MetricSource
    from mora.settings import Settings


# How long a run waits for a quieter moment before it starts.
PATIENCE = timedelta(minutes=2)
# The kinds that an experiment can scale, and history is collected of.
KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def preview(source: MetricSource, workloads: Sequence[Workload], settings: Settings) -> None:
    """Print the experiments of the plan and the queries of every service."""
    from mora.harness.adaptive import USUAL_KNEE
    from mora.harness.plan import Plan
    from mora.harness.preview import dry_run

    plan = Plan.load(settings.plan).looking_for(settings.slo, settings.policy.target_utilisation)
    preview = dry_run(plan, source, workloads)
    duration = format_duration(preview.duration, about=True)
    if plan.adaptive is None:
        show(f"{len(preview.cells)} experiments, about {duration}, in this order:")
    else:
        most, often, count = plan.adaptive.max_runs, round(USUAL_KNEE), len(preview.cells)
        show(f"Each experiment is chosen by what those before it measured, at most {most} a scenario.")
        show(f"If a pod carries {often} times the first load: {count} experiments, about {duration}:")
    for number, cell in enumerate(preview.cells, start=1):
        show(f"{number:4d}  {cell}")
    for service, queries in preview.queries.items():
        print_queries(service, queries)


def run_plan(place: Place, settings: Settings, *, resume: bool, agreed: bool) -> None:
    """Run the plan's experiments, and print the ids of those that were written."""
    from mora import pipeline
    from mora.capacity import describe

    pipeline.await_quiet(place, limit=PATIENCE, say=say)
    with progress() as reporter:
        report = pipeline.collect(
            settings.plan,
            place,
            data_dir=settings.data_dir,
            resume=resume,
            allow_remote=agreed,
            slo=settings.slo,
            target_utilisation=settings.policy.target_utilisation,
            reporter=reporter,
        )
    say(f"Run {report.run_id}: {len(report.written)} experiments written, {len(report.skipped)} existed already.")
    for name, flags in report.incomplete.items():
        say(f"  {name} is flagged and not used in training: {'; '.join(flags)}")
    for remark in report.remarks:
        say(f"  {remark}")
    for experiment_id in report.written:
        show(experiment_id)
    for found in report.capacities:
        for line in describe(found):
            show(line)
    _tell_contention(report, len(report.written))


def _tell_contention(report: RunReport, windows: int) -> None:
    """Say which windows something else disturbed; a distinct exit code where some stayed so."""
    if report.repeated:
        say(f"{counted(report.repeated, 'window')} driven again, because this machine was busy with other programs.")
    if not report.contended:
        return
    for name, reasons in report.contended.items():
        say(f"  {name} is contended and not used in training: {'; '.join(reasons)}")
    say(
        f"{len(report.contended)} of {windows} windows are no measurement: the machines were busy with other programs. "
        "Stop those, and drive these windows again with --resume."
    )
    raise typer.Exit(EXIT_CONTENDED)


def print_queries(service: str, queries: Mapping[str, str]) -> None:
    """Print the queries of one service."""
    show(f"\nQueries for {service}:")
    for name, text in queries.items():
        show(f"  {name}\n    {text}")
