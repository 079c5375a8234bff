"""mora backtest: the past, replayed under MOrA's rule and those of other tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import (
    DataDir,
    IncludeFlagged,
    Namespace,
    OldHorizon,
    current_name,
    progress,
    say,
    settings_of,
)
from mora.cli.trace_files import CpuScale, MemScale, Series, SeriesColumn, TimeColumn, ValueColumns
from mora.errors import BadInput


def backtest(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|SERVICE...",
            help="Trace files (parquet, csv), a folder/ of them, or services with history.",
            show_default=False,
        ),
    ],
    policies: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help="A rule to replay, e.g. mora, krr or vpa. Repeatable.", show_default="all"),
    ] = None,
    horizon: Annotated[
        str | None,
        typer.Option(
            "--horizon", help="How far ahead a recommendation must be right; then it is renewed.", show_default="24h"
        ),
    ] = None,
    hold: OldHorizon = None,
    warmup: Annotated[
        str, typer.Option("--warmup", help="History that a rule sees before its first recommendation.")
    ] = "7d",
    series: Series = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table, json or csv.")] = "table",
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write a page with charts, e.g. out.html.", show_default=False)
    ] = None,
    draw: Annotated[
        str | None,
        typer.Option("--draw", help="With --report: ids of series to draw.", show_default="six of all kinds"),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Processes that replay at a time.", show_default="cores")
    ] = None,
    floors: Annotated[
        bool,
        typer.Option(
            "--floors/--no-floors", help="With or without the minimums of each rule, e.g. KRR's 10m and 100Mi."
        ),
    ] = True,
    cpu_scale: CpuScale = 1.0,
    mem_scale: MemScale = 1.0,
    time_column: TimeColumn = "timestamp",
    series_column: SeriesColumn = None,
    value_columns: ValueColumns = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="Folder of finished results, from which the same command continues.",
            show_default="~/.cache/mora/backtest",
        ),
    ] = None,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
) -> None:
    """Replay the past: MOrA beside KRR's, the VPA's and plain rules.

    After the warm-up, and again after every horizon, each rule recommends
    from the past alone; the use that followed scores it. After Ctrl-C the
    same command continues where it stopped.

    \b
    mora backtest frontend                     its history in data/
    mora backtest traces.parquet --horizon 1h  many series, renewed hourly
    mora backtest traces.csv -p krr -p vpa --report out.html
    mora backtest traces/ --value-column cpu=usage   a series a file
    """
    from mora import pipeline
    from mora.backtest.render import RENDERERS
    from mora.backtest.tables import SUFFIXES
    from mora.quantities import parse_duration

    if output not in RENDERERS:
        raise BadInput(f"There is no output {output!r} of a backtest.", hint=f"Known: {', '.join(RENDERERS)}.")
    settings = settings_of(data_dir=data, namespace=namespace, jobs=jobs)
    with progress() as reporter:
        result = pipeline.backtest(
            targets,
            policies=policies or (),
            horizon=parse_duration(current_name("--horizon", horizon, "--hold", hold) or "24h"),
            warmup=parse_duration(warmup),
            series=series,
            with_minimums=floors,
            cpu_scale=cpu_scale,
            mem_scale=mem_scale,
            time_column=time_column,
            series_column=series_column,
            value_columns=value_columns or (),
            jobs=settings.train.jobs,
            data_dir=settings.data_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            cache_dir=cache or pipeline.cache_folder("backtest"),
            reporter=reporter,
        )
    are_files = "/" in targets[0] or Path(targets[0]).suffix.lower() in SUFFIXES
    for remark in result.remarks(are_units_sure=not are_files):
        say(remark)
    if report is not None:
        pipeline.write_report(result, report, source=", ".join(Path(target).name for target in targets), drawn=draw)
        say(f"Wrote {report}.")
    sys.stdout.write(RENDERERS[output](result))
