"""mora collect --layout helios: one service of a cloud beside its database, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora.cli.common import progress, say, show
from mora.cli.running import KINDS, print_queries
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.settings import Settings

HELIOS = "helios"
_LAYOUTS = ("unified", HELIOS)
_SPAN, _STEP = "24h", "5m"


def check_layout(layout: str | None, *, database: str | None, out: Path | None) -> None:
    """Raise BadInput for a layout that is none, and for options that go with another."""
    if layout is not None and layout not in _LAYOUTS:
        raise BadInput(f"There is no layout {layout!r}.", hint=f"There is: {', '.join(_LAYOUTS)}.")
    for option, value in (("--database", database), ("--out", out)):
        if value is not None and layout != HELIOS:
            raise BadInput(
                f"{option} goes with --layout {HELIOS}.", hint="The unified CSVs go to the folder of --data."
            )


def collect(
    named: str,
    services: Sequence[str],
    settings: Settings,
    *,
    span: str | None,
    step: str | None,
    database: str | None,
    out: Path | None,
    dry_run: bool,
) -> None:
    """Write the table to a file, or print it; the last 24 hours every 5 minutes where nothing else is asked for."""
    from mora import pipeline
    from mora.domain import Workload
    from mora.files import write_files
    from mora.fleet.names import parse_service
    from mora.quantities import parse_duration

    source: Any = pipeline.open_source(settings, named, say=say)
    if not hasattr(source, "flat"):
        raise BadInput(
            f"The layout {HELIOS} has columns of a managed database, which the source {named.partition(':')[0]} does "
            "not read.",
            hint="Name a cloud: --source gcp:PROJECT (mora sources lists them).",
        )
    if len(services) != 1:
        known = ", ".join(source.services(settings.namespace)) or "none"
        raise BadInput(
            f"The layout {HELIOS} is of one service, and {len(services)} are named.",
            hint=f"Name it: --services NAME. Services in namespace {settings.namespace!r}: {known}.",
        )
    one = parse_service(services[0], KINDS)
    workload = Workload(settings.namespace, one.name, one.kind or "Deployment")
    window = pipeline.history_window(parse_duration(span or _SPAN), step=parse_duration(step or _STEP))
    if dry_run:
        print_queries(workload.name, source.flat_queries(workload, window, database=database))
        return
    with progress() as reporter:
        reporter.advance(HELIOS, 0, 1, workload.name)
        frame, remarks = source.flat(workload, window, database=database)
        reporter.advance(HELIOS, 1, 1, workload.name)
    for remark in remarks:
        say(remark)
    text = frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ", float_format="%.9g", lineterminator="\n")
    if out is None:
        show(text.removesuffix("\n"))
        return
    write_files([(out, text)])
    show(out)
