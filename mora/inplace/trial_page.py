"""What a trial on sandboxes showed: the figures, the verdict, and a page with every change and every second."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mora.columns import columns
from mora.inplace.book import Stage
from mora.inplace.trial import PartRun, is_broken
from mora.pages.charts import Chart, Level, Line, Mark, Span
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table
from mora.quantities import counted, format_duration

LONGEST_BREACH_SECONDS = 120.0
_LONGEST_WORDS = 120


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one sandbox, or of all together. longest_breach: of the SLO, in seconds without a break.

    harmed: changes that did harm, or could not be given. wrong: how many wrong numbers were recommended on purpose.
    """

    container_hours: float
    requests: int
    failures: int
    oom_kills: int
    longest_breach: float
    changes: int
    kept: int
    harmed: int
    undone: int
    stuck: int
    open: int
    wrong: int
    faults: int
    cores: tuple[float, float]
    gibibytes: tuple[float, float]

    @property
    def checks(self) -> tuple[tuple[str, bool], ...]:
        """What has to hold, and whether it does."""
        return (
            (f"no OOM kill: {self.oom_kills}", self.oom_kills == 0),
            (
                f"no breach of the SLO longer than two minutes: the longest {self.longest_breach:.0f} s",
                self.longest_breach <= LONGEST_BREACH_SECONDS,
            ),
            (
                f"every change that did harm undone: {self.undone} of {self.harmed}",
                self.undone == self.harmed and not self.stuck and not self.open,
            ),
        )

    @property
    def passed(self) -> bool:
        """Whether all of it holds."""
        return all(is_ok for _, is_ok in self.checks)


def figures_of(part: PartRun) -> Figures:
    """The figures of one sandbox, from what was seen and its audit log."""
    ends = {str(one["change"]): str(one["outcome"]) for one in part.events if one["event"] == "ended"}
    begun = [str(one["change"]) for one in part.events if one["event"] == "begun"]
    harmed = {str(one["change"]) for one in part.events if one["event"] == "harmed"}
    return Figures(
        container_hours=part.container_hours,
        requests=part.requests,
        failures=part.failures,
        oom_kills=part.oom_kills,
        longest_breach=longest_breach(part.seconds),
        changes=len(begun),
        kept=sum(ends.get(one) == "kept" for one in begun),
        harmed=len(harmed),
        undone=sum(ends.get(one) in ("undone", "dropped") for one in harmed),
        stuck=sum(outcome == "stuck" for outcome in ends.values()),
        open=len(set(begun) - set(ends)),
        wrong=len(part.wrong),
        faults=len(part.faults),
        cores=part.cores,
        gibibytes=part.gibibytes,
    )


def longest_breach(seconds: Sequence[tuple[float, float | None, float]]) -> float:
    """The longest time without a break in which the SLO was broken.

    >>> longest_breach([(0.0, 0.9, 0.0), (5.0, 0.9, 0.0), (6.0, 0.1, 0.0), (9.0, 0.1, 0.5), (10.0, 0.1, 0.0)])
    6.0
    """
    longest, since = 0.0, None
    for moment, p95, errors in seconds:
        if since is not None:
            longest = max(longest, moment - since)
        if not is_broken(p95, errors):
            since = None
        elif since is None:
            since = moment
    return longest


def total(parts: Sequence[Figures]) -> Figures:
    """All sandboxes together."""

    def both(name: str) -> tuple[float, float]:
        pairs = [getattr(one, name) for one in parts]
        return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)

    counts = ("container_hours", "requests", "failures", "oom_kills", "changes", "kept", "harmed", "undone", "stuck")
    sums: dict[str, Any] = {
        name: sum(getattr(one, name) for one in parts) for name in (*counts, "open", "wrong", "faults")
    }
    longest = max((one.longest_breach for one in parts), default=0.0)
    return Figures(longest_breach=longest, cores=both("cores"), gibibytes=both("gibibytes"), **sums)


def as_text(parts: Sequence[PartRun]) -> str:
    """The figures for a terminal: a row a sandbox, and the verdict."""
    found = [figures_of(part) for part in parts]
    whole = total(found)
    rows = [_HEAD, *(_row(str(part.number), one) for part, one in zip(parts, found, strict=True)), _row("all", whole)]
    lines = columns(rows)
    lines += ["", *(f"{'ok' if is_ok else 'NO'}  {words}" for words, is_ok in whole.checks)]
    lines.append("PASS" if whole.passed else "FAIL")
    return "\n".join(lines)


_HEAD = (
    "sandbox",
    "container h",
    "requests",
    "failed",
    "faults",
    "wrong",
    "changes",
    "kept",
    "harmed",
    "undone",
    "OOM",
    "longest breach",
    "CPU requests",
    "memory requests",
)


def _row(name: str, one: Figures) -> tuple[str, ...]:
    return (
        name,
        f"{one.container_hours:.2f}",
        f"{one.requests:,}",
        f"{one.failures:,}",
        str(one.faults),
        str(one.wrong),
        str(one.changes),
        str(one.kept),
        str(one.harmed),
        str(one.undone),
        str(one.oom_kills),
        f"{one.longest_breach:.0f} s",
        f"{one.cores[0]:.2f} -> {one.cores[1]:.2f}",
        f"{one.gibibytes[0]:.2f} -> {one.gibibytes[1]:.2f} GiB",
    )


def trial_page(parts: Sequence[PartRun]) -> str:
    """The whole page."""
    found = [figures_of(part) for part in parts]
    whole = total(found)
    verdict = "PASS" if whole.passed else "FAIL"
    rows = [[Cell(text) for text in _row(str(part.number), one)] for part, one in zip(parts, found, strict=True)]
    rows.append([Cell(text) for text in _row("all", whole)])
    about = [
        f"Pods of {counted(len(parts), 'sandbox' if len(parts) == 1 else 'sandboxe')} resized in place while they "
        "served a load that came and went, with faults, and with numbers that were wrong on purpose.",
        *(f"{'Holds' if is_ok else 'Does not hold'}: {words}." for words, is_ok in whole.checks),
    ]
    sections = [
        section("Verdict", about, [], Table("Figures", _HEAD, rows)),
        *(_part_section(part) for part in parts),
    ]
    title = f"Resizing in place, {whole.container_hours:.1f} container-hours: {verdict}"
    return render("plain.html", title=title, lead=[], sections=sections)


def _part_section(part: PartRun) -> Any:
    rows = [
        [Cell(text) for text in (_time(one["at"]), str(one.get("name", "")), str(one["event"]), _words(one))]
        for one in part.events
        if one["event"] in ("begun", "harmed", "ended", "refused")
    ]
    table = Table("What the audit log says", ("time", "service", "event", "what, why"), rows)
    return section(f"Sandbox {part.number}", [], [_chart(part)], table)


def _chart(part: PartRun) -> Chart:
    spans = [Span(begin, end, f"{kind} at {service}", "warn") for begin, end, kind, service in part.faults]
    spans += [Span(begin, end, f"wrong numbers for {service}", "dim") for begin, end, service in part.wrong]
    undone = [one for one in part.events if one["event"] == "stage" and one["stage"] == Stage.UNDO]
    marks = [Mark(datetime.fromisoformat(one["at"]).timestamp(), f"undone: {one['name']}", "bad") for one in undone]
    return Chart(
        title=f"What users saw of sandbox {part.number}: p95 of ten seconds",
        x=[moment for moment, _, _ in part.seconds],
        lines=[Line("p95", [p95 for _, p95, _ in part.seconds], "c1")],
        levels=[Level("SLO", 0.5, "bad", is_dashed=True)],
        spans=spans,
        marks=marks,
        is_time=True,
        unit="seconds",
        text=f"The longest breach lasted {format_duration(round(longest_breach(part.seconds)))}.",
    )


def _time(at: str) -> str:
    return at[11:19]


def _words(event: Any) -> str:
    # The whole of it is in the audit log; a row of a table is one line.
    text = ": ".join(str(event[key]) for key in ("outcome", "what", "why") if event.get(key))
    return textwrap.shorten(text, _LONGEST_WORDS, placeholder=" ...")
