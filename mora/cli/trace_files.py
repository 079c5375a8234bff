"""The options of trace files, for the commands that read them: which series, which columns, which units."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_PANEL = "Trace files"


def _option(name: str, help: str, default: str | bool = True) -> Any:  # typer's own word
    return typer.Option(name, help=help, show_default=default, rich_help_panel=_PANEL)


Series = Annotated[str | None, _option("--series", "Only the first 20, say, or these ids: vm001,vm007.", "all")]
CpuScale = Annotated[
    float,
    _option("--cpu-scale", "Cores in one unit of the file's column cpu; 16 for fractions of a machine with 16 cores."),
]
MemScale = Annotated[
    float, _option("--mem-scale", "Bytes in one unit of the file's column mem; 1048576 where it is in MiB.")
]
TimeColumn = Annotated[str, _option("--time-column", "The file's column with the time: epoch seconds or dates.")]
SeriesColumn = Annotated[
    str | None,
    _option(
        "--series-column",
        "The file's column with the series' names.",
        "series_id; without it, the file is one series",
    ),
]
ValueColumns = Annotated[
    list[str] | None,
    _option(
        "--value-column",
        "The file's column with the use: cpu=NAME in cores, mem=NAME in bytes, or NAME for CPU. Repeatable.",
        "cpu and mem, or value for CPU",
    ),
]
