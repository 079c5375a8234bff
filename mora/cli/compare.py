"""mora compare: every forecaster on the same rolling origins of a history, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import Backend, DataDir, IncludeFlagged, Namespace, Scheduler, progress, say, settings_of
from mora.cli.trace_files import CpuScale, MemScale, Series, SeriesColumn, TimeColumn, ValueColumns
from mora.errors import BadInput


def compare(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVICE|FILE...",
            help="Services with history, or trace files (parquet, csv).",
            show_default=False,
        ),
    ],
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            help="Names with commas, e.g. prophet,lstm; trained is what mora train would learn, blend the 40/60 blend "
            "alone.",
            show_default="all but blend, see mora list",
        ),
    ] = None,
    horizons: Annotated[
        str, typer.Option("--horizons", help="How far ahead the mean use is forecast, with commas.")
    ] = "1h,24h",
    folds: Annotated[
        int, typer.Option("--folds", help="How often each model is fitted anew; their windows are the last half.")
    ] = 2,
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            help="Learn from so much before each fold, e.g. 14d (a sliding window).",
            show_default="all before it",
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--last", help="Only so much of the end of each history, e.g. 14d.", show_default="all"),
    ] = None,
    series: Series = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table, markdown, json or html.")] = "table",
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Also write a page with pictures, e.g. out.html.", show_default=False),
    ] = None,
    artifacts: Annotated[
        Path | None,
        typer.Option(
            "--artifacts",
            help="Also write metrics_*.json and data_summary_*.json, as Helios has them, to this folder.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Processes that work at a time.", show_default="cores")
    ] = None,
    backend: Backend = None,
    scheduler: Scheduler = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="The same seed and data give the same forecasts.", show_default="0")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="Folder of finished forecasts, from which the same command continues.",
            show_default="~/.cache/mora/contest",
        ),
    ] = None,
    cpu_scale: CpuScale = 1.0,
    mem_scale: MemScale = 1.0,
    time_column: TimeColumn = "timestamp",
    series_column: SeriesColumn = None,
    value_columns: ValueColumns = None,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
) -> None:
    """Compare forecasters on a history.

    Each is fitted on the begin of the history and asked, at rolling origins,
    for the mean use of the coming horizon; it is shown nothing that comes
    later. Prints errors, skill against the naive forecast, intervals, what
    requests would have cost, time and memory. Finished forecasts are kept:
    after Ctrl-C the same command continues where it stopped.

    \b
    mora compare frontend                       its history in data/
    mora compare frontend --models prophet,lstm,trained --report out.html
    mora compare traces.parquet --series 20 --horizons 1h -o json
    mora compare --backend dask --scheduler tcp://10.0.0.7:8786 traces.parquet
    """
    from mora import pipeline
    from mora.contest.outputs import RENDERERS
    from mora.quantities import parse_duration

    if output not in RENDERERS:
        raise BadInput(f"There is no output {output!r} of a comparison.", hint=f"Known: {', '.join(RENDERERS)}.")
    settings = settings_of(
        data_dir=data,
        namespace=namespace,
        jobs=jobs,
        train_backend=backend,
        train_scheduler=scheduler,
        seed=seed,
    )
    with progress() as reporter:
        found = pipeline.compare_forecasters(
            targets,
            models=_names(models),
            horizons=[parse_duration(text) for text in _names(horizons)],
            folds=folds,
            window=None if window is None else parse_duration(window),
            last=None if last is None else parse_duration(last),
            series=series,
            cpu_scale=cpu_scale,
            mem_scale=mem_scale,
            time_column=time_column,
            series_column=series_column,
            value_columns=value_columns or (),
            jobs=settings.train.jobs,
            scheduler=settings.train.scheduler,
            data_dir=settings.data_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            cache_dir=cache or pipeline.cache_folder("contest"),
            seed=settings.train.seed,
            reporter=reporter,
        )
    if report is not None:
        pipeline.write_contest(found, report)
        say(f"Wrote {report}.")
    if artifacts is not None:
        for path in pipeline.write_artifacts(found, artifacts):
            say(f"Wrote {path}.")
    sys.stdout.write(RENDERERS[output](found.comparison))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
