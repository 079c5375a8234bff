"""mora backtest: the past replayed under MOrA's and the peers' rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import DataDir, IncludeFlagged, Namespace, progress, say, settings_of
from mora.errors import BadInput


def backtest(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|SERVICE...", help="A trace file (parquet, csv), or services with history.", show_default=False
        ),
    ],
    policies: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help="A rule to replay; may be given often.", show_default="all"),
    ] = None,
    horizon: Annotated[str, typer.Option("--hold", help="How long one recommendation stays in force.")] = "24h",
    warmup: Annotated[str, typer.Option("--warmup", help="History before the first one.")] = "7d",
    series: Annotated[
        str | None,
        typer.Option("--series", help="The first so many (20), or ids (vm001,vm007).", show_default="all"),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table, json or csv.")] = "table",
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write a page with charts, e.g. out.html.", show_default=False)
    ] = None,
    draw: Annotated[
        str | None,
        typer.Option("--draw", help="With --report: ids of series to draw.", show_default="six of all kinds"),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes.", show_default="cores")] = None,
    floors: Annotated[
        bool,
        typer.Option("--floors/--no-floors", help="Rules' own least amounts, e.g. KRR's 10m and 100Mi."),
    ] = True,
    cpu_scale: Annotated[
        float, typer.Option("--cpu-scale", help="Cores in one unit of a file's cpu; for fractions of a machine.")
    ] = 1.0,
    mem_scale: Annotated[
        float, typer.Option("--mem-scale", help="Bytes in one unit of a file's mem; for fractions of a machine.")
    ] = 1.0,
    time_column: Annotated[str, typer.Option("--time-column", help="Where a file's time stands.")] = "timestamp",
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Where results are kept, to go on with.", show_default="~/.cache/mora/backtest"),
    ] = None,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
) -> None:
    """Replay the past: MOrA beside KRR's, the VPA's and plain rules.

    After the warm-up and then after every hold each rule says what it
    would reserve, from what came before alone; what came next scores it.
    Ctrl-C loses little: the same command goes on where it was.

    \b
    mora backtest frontend                     its history in data/
    mora backtest traces.parquet --hold 1h     many series, renewed hourly
    mora backtest traces.csv -p krr -p vpa --report out.html
    """
    from mora import pipeline
    from mora.backtest.render import RENDERERS
    from mora.backtest.traces import SUFFIXES
    from mora.quantities import parse_duration

    if output not in RENDERERS:
        raise BadInput(f"There is no output {output!r} of a backtest.", hint=f"Known: {', '.join(RENDERERS)}.")
    settings = settings_of(data_dir=data, namespace=namespace, jobs=jobs)
    with progress() as reporter:
        result = pipeline.backtest(
            targets,
            policies=policies or (),
            horizon=parse_duration(horizon),
            warmup=parse_duration(warmup),
            series=series,
            with_minimums=floors,
            cpu_scale=cpu_scale,
            mem_scale=mem_scale,
            time_column=time_column,
            jobs=settings.train.jobs,
            data_dir=settings.data_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            cache_dir=cache or pipeline.cache_folder("backtest"),
            reporter=reporter,
        )
    for remark in result.remarks(are_units_sure=Path(targets[0]).suffix.lower() not in SUFFIXES):
        say(remark)
    if report is not None:
        pipeline.write_report(result, report, source=", ".join(Path(target).name for target in targets), drawn=draw)
        say(f"Wrote {report}.")
    sys.stdout.write(RENDERERS[output](result))
