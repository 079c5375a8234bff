"""A verdict as text: a table of services, then what drifted."""

from __future__ import annotations

from collections.abc import Sequence

from mora.columns import columns, printable
from mora.drift.check import Drift
from mora.quantities import format_moment

HEADINGS = ("service", "model until", "data until", "verdict", "since")


def verdict_of(drift: Drift) -> str:
    """drifted, no drift, or not judged."""
    return "drifted" if drift.has_drifted else "no drift" if drift.is_judged else "not judged"


def row_of(drift: Drift) -> list[str]:
    """The cells of a service."""
    name = drift.workload.name
    moments = ["-" if at is None else format_moment(at) for at in (drift.trained_until, drift.seen_until, drift.since)]
    return [name, *moments[:2], verdict_of(drift), moments[2]]


def render(drifts: Sequence[Drift]) -> str:
    """The table, and under it every finding and what could not be judged."""
    lines = columns([list(HEADINGS), *map(row_of, drifts)], is_right=[False] * len(HEADINGS))
    for drift in drifts:
        own = [finding.sentence() for finding in drift.findings]
        own += [f"not judged: {reason.text}" for reason in drift.unjudged]
        if own:
            lines += ["", f"{drift.workload.name}:", *(f"  {sentence}" for sentence in own)]
    return printable("\n".join(lines) + "\n")
