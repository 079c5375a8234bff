"""mora backtest: the past, replayed under MOrA's rule and those of other tools."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.changing import (
    ChangesPerDay,
    Deadband,
    DeadbandDown,
    DeadbandUp,
    Follow,
    MaintenanceWindow,
    SettleDown,
    change_rule_of,
)
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
            "--horizon",
            help="How far ahead a recommendation must be right; then it is renewed.",
            show_default="24h, or --renew's",
        ),
    ] = None,
    hold: OldHorizon = None,
    renew: Annotated[
        str | None,
        typer.Option("--renew", help="Renew the recommendations this often, e.g. 15m.", show_default="the horizon"),
    ] = None,
    follow: Follow = None,
    deadband: Deadband = None,
    deadband_up: DeadbandUp = None,
    deadband_down: DeadbandDown = None,
    settle_down: SettleDown = None,
    changes_per_day: ChangesPerDay = None,
    window: MaintenanceWindow = None,
    change_price: Annotated[
        str | None,
        typer.Option(
            "--change-price",
            help="What a change costs: as much as the series' mean use in so much time, e.g. 15m.",
            show_default="nothing",
            rich_help_panel="Following numbers",
        ),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Also replay other deadbands: cost against changes, as a table and, with --report, as a picture.",
            rich_help_panel="Following numbers",
        ),
    ] = False,
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
    mora backtest traces.parquet --renew 15m --deadband 30% --sweep
    mora backtest traces.csv -p krr -p vpa --report out.html
    mora backtest traces/ --value-column cpu=usage   a series a file
    """
    from mora import pipeline
    from mora.backtest.fronts import render_sweep
    from mora.backtest.fronts import sweep as sweep_deadbands
    from mora.backtest.render import RENDERERS, WORDS
    from mora.backtest.tables import SUFFIXES
    from mora.changes.rule import FOLLOW_ALL
    from mora.quantities import parse_duration

    if output not in RENDERERS:
        raise BadInput(f"There is no output {output!r} of a backtest.", hint=f"Known: {', '.join(RENDERERS)}.")
    if sweep and output != "table" and report is None:
        raise BadInput(f"-o {output} has no place for --sweep.", hint="Leave out -o, or add --report out.html.")
    rule = change_rule_of(
        FOLLOW_ALL,
        follow=follow,
        deadband=deadband,
        deadband_up=deadband_up,
        deadband_down=deadband_down,
        settle_down=settle_down,
        changes_per_day=changes_per_day,
        window=window,
    )
    settings = settings_of(data_dir=data, namespace=namespace, jobs=jobs)
    with progress() as reporter:
        result = pipeline.backtest(
            targets,
            policies=policies or (),
            horizon=parse_duration(current_name("--horizon", horizon, "--hold", hold) or renew or "24h"),
            renew=None if renew is None else parse_duration(renew),
            change_rule=rule,
            change_price=timedelta() if change_price is None else parse_duration(change_price),
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
        fronts = sweep_deadbands(result, reporter=reporter) if sweep else None
    are_files = "/" in targets[0] or Path(targets[0]).suffix.lower() in SUFFIXES
    for remark in result.remarks(are_units_sure=not are_files):
        say(remark)
    if report is not None:
        pipeline.write_report(
            result, report, source=", ".join(Path(target).name for target in targets), drawn=draw, fronts=fronts
        )
        say(f"Wrote {report}.")
    swept = "\n" + render_sweep(fronts, WORDS) if fronts and output == "table" else ""
    sys.stdout.write(RENDERERS[output](result) + swept)
