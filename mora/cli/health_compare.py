"""mora health compare: every detector on labelled series, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import progress, say, settings_of
from mora.errors import BadInput

_FILES = "Labelled files"


def compare(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE...]",
            help="Labelled files (CSV, Parquet): timestamp, label (0 or 1), one column per metric, series_id where "
            "there are several.",
            show_default="the recorded sets in $MORA_TRACES",
        ),
    ] = None,
    detectors: Annotated[
        str | None,
        typer.Option(
            "--detectors",
            help="Names with commas; NAME@4 for four series of each set.",
            show_default="all, see mora list",
        ),
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option("--thresholds", help="Names with commas; tables show the first.", show_default="tracking"),
    ] = None,
    sets: Annotated[
        str | None, typer.Option("--sets", help="Recorded sets: nab, servers, pods.", show_default="all")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", help="Only these series: patterns of SET/SERIES with commas.", show_default="all"),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="The detector to compare others with.", show_default="context-distance"),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table, markdown, json or csv.")] = "table",
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Also write a page with pictures, e.g. out.html.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Processes that work at a time.", show_default="cores")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="Folder of finished scores, from which the same command continues.",
            show_default="~/.cache/mora/compare",
        ),
    ] = None,
    train_share: Annotated[
        float | None,
        typer.Option(
            "--train-share",
            help="Share of each series to learn from, at its begin; a column split (train, test) says it otherwise.",
            show_default="0.35",
            rich_help_panel=_FILES,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            help="Tolerance of VUS-PR around a label, in samples.",
            show_default="24",
            rich_help_panel=_FILES,
        ),
    ] = None,
) -> None:
    """Compare detectors on labelled series.

    Each learns from the first part of each series, without labels; the
    threshold is set without labels too; the rest is judged. Finished scores
    are kept: after Ctrl-C the same command continues where it stopped.

    \b
    mora health compare incidents.csv            all detectors on your file
    mora health compare incidents.csv --detectors context-distance,robust-z
    mora health compare --sets pods --report out.html   a recorded set
    mora health compare --thresholds tracking,quantile:quantile=0.95 -o json
    """
    from mora import pipeline
    from mora.health.compare_text import RENDERERS

    if output not in RENDERERS:
        raise BadInput(f"There is no output {output!r} of a comparison.", hint=f"Known: {', '.join(RENDERERS)}.")
    settings = settings_of(jobs=jobs)
    with progress() as reporter:
        comparison = pipeline.compare_detectors(
            files or (),
            sets=_names(sets),
            detectors=_names(detectors),
            thresholds=_names(thresholds),
            only=_names(only),
            train_share=train_share,
            window=window,
            reference=reference,
            jobs=settings.train.jobs,
            cache_dir=cache or pipeline.cache_folder("compare"),
            reporter=reporter,
        )
    if report is not None:
        pipeline.write_comparison(comparison, report)
        say(f"Wrote {report}.")
    sys.stdout.write(RENDERERS[output](comparison))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
