"""mora health generate: made-up samples to try detectors on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import say, show
from mora.errors import BadInput

if TYPE_CHECKING:
    from datetime import datetime

_KINDS = ("service", "nodes")
_OF_A_SERVICE = "Of a service"


def generate(
    kind: Annotated[str, typer.Argument(help="service or nodes.")],
    out: Annotated[Path | None, typer.Option("--out", help="The CSV file.", show_default="stdout")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same samples.")] = 42,
    span: Annotated[
        str | None,
        typer.Option("--for", help="How long.", show_default="7d", rich_help_panel=_OF_A_SERVICE),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option("--step", help="Time between samples.", show_default="30s", rich_help_panel=_OF_A_SERVICE),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start", help="The first sample.", show_default="2026-01-05T00:00:00Z", rich_help_panel=_OF_A_SERVICE
        ),
    ] = None,
    faults: Annotated[
        int | None,
        typer.Option(
            "--faults",
            min=0,
            help="Labelled faults in the second half.",
            show_default="0",
            rich_help_panel=_OF_A_SERVICE,
        ),
    ] = None,
) -> None:
    """Make samples by known formulas, to try detectors on.

    service: requests, latency, memory, errors and CPU with a daily pattern, one
    row a step; the column label is 1 where a fault is.
    nodes: 5,250 observations of five metrics without an order; the column
    is_anomaly is 1 in 250 of them, where all five are off at once.
    Both are easier than anything that runs: "cpu_percent > 80" finds every
    abnormal node.

    \\b
    mora health generate service --for 14d --faults 5 --out service.csv
    mora health compare service.csv --detectors context-distance,robust-z
    mora health generate nodes --out nodes.csv
    mora health predict nodes.csv
    """
    from mora import synthetic
    from mora.files import write_files
    from mora.quantities import parse_duration

    if kind not in _KINDS:
        raise BadInput(f"There is no {kind!r} to generate.", hint=f"There is: {', '.join(_KINDS)}.")
    if kind == "nodes":
        if given := [
            name
            for name, value in (("--for", span), ("--step", step), ("--start", start), ("--faults", faults))
            if value
        ]:
            raise BadInput(f"{given[0]} is of a service; observations of nodes have no time.")
        frame = synthetic.nodes(seed=seed)
    else:
        frame = synthetic.service(
            _moment(start or "2026-01-05T00:00:00Z"),
            span=parse_duration(span or "7d"),
            step=parse_duration(step or "30s"),
            seed=seed,
            faults=faults or 0,
        )
    text = frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ", float_format="%.9g", lineterminator="\n")
    if out is None:
        show(text.removesuffix("\n"))
        return
    write_files([(out, text)])
    say(f"Wrote {out}: {len(frame):,} rows.")


def _moment(text: str) -> datetime:
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise BadInput(
            f"--start {text!r} is no date.", hint="Write it as 2026-01-31 or 2026-01-31T10:00:00Z."
        ) from wrong
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError as wrong:
        raise BadInput(f"--start {text!r} is no moment in UTC.", hint="Give a later one, or an earlier one.") from wrong
