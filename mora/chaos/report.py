"""The report of a run: per fault and in sum, with PASS or FAIL for everything that the scenario expects."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mora.chaos.catalogue import KINDS
from mora.chaos.judge import Alarm, PartSeen, Seen
from mora.chaos.scenario import Expected, Scenario
from mora.columns import columns
from mora.files import json_text
from mora.outputs.markdown import plain
from mora.quantities import counted, format_duration, format_moment

SCHEMA_VERSION = 1
HEAD = ("PART", "FAULT", "SERVICE", "START", "STRENGTH", "DETECTED", "DELAY", "METRIC", "BLAMED", "VERDICT", "EXPECTED")
"""The headings of the table of faults."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation and whether it was met. text: what was expected, and what was found."""

    text: str
    passed: bool

    @property
    def word(self) -> str:
        """PASS or FAIL."""
        return "PASS" if self.passed else "FAIL"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault with what was made of it and what was expected.

    is_shared: nothing is expected of this fault but that it is one of the share that `detected` of all faults names.
    """

    part: int
    seen: Seen
    check: Check
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. healthy: recorded time without a fault, in each part, added up; one hour of it is an hour of five
    services. median_delay: of the faults that were detected at their own service; None without one."""

    scenario: str
    description: str
    detector: str
    threshold: str
    rows: tuple[Row, ...]
    checks: tuple[Check, ...]
    false_alarms: tuple[tuple[int, Alarm], ...]
    lingering: tuple[tuple[int, Alarm], ...]
    healthy: timedelta
    flagged_share: float
    contended: tuple[str, ...]
    missing_parts: tuple[int, ...]

    @property
    def detected(self) -> int:
        """Faults that were detected at their own service."""
        return sum(row.seen.own is not None for row in self.rows)

    @property
    def detected_anywhere(self) -> int:
        """Faults that were detected at some service."""
        return sum(row.seen.first is not None for row in self.rows)

    @property
    def blamed_right(self) -> int:
        """Faults whose own service is blamed."""
        return sum(row.seen.blamed == row.seen.label.service for row in self.rows)

    @property
    def median_delay(self) -> timedelta | None:
        """The median delay of those that were detected at their own service."""
        return median_delay(row.seen for row in self.rows)

    @property
    def false_alarms_per_hour(self) -> float | None:
        """False alarms of all services in an hour without a fault; None where there was no such time."""
        hours = self.healthy / timedelta(hours=1)
        return len(self.false_alarms) / hours if hours > 0 else None

    @property
    def passed(self) -> bool:
        """Whether everything was as expected. A fault of which a share is expected fails nothing by itself."""
        return all(check.passed for check in (*self.checks, *(row.check for row in self.rows if not row.is_shared)))


def median_delay(seen: Iterable[Seen]) -> timedelta | None:
    """The median delay of the faults that were detected at their own service; None without one."""
    delays = [one.delay.total_seconds() for one in seen if one.delay is not None]
    return timedelta(seconds=statistics.median(delays)) if delays else None


def report_of(
    scenario: Scenario,
    parts: Sequence[PartSeen],
    *,
    detector: str,
    threshold: str,
    contended: Sequence[str] = (),
) -> Report:
    """The report of the parts of a scenario's run; parts that are missing are named in it, and fail it."""
    expected = {one.id: one.expected for one in scenario.injections}
    rows = tuple(
        Row(
            part.number,
            seen,
            check_fault(seen, expected.get(seen.label.id, Expected())),
            is_shared=scenario.goals.detected is not None and expected.get(seen.label.id) == Expected(),
        )
        for part in parts
        for seen in part.seen
    )
    healthy = sum((part.healthy for part in parts), timedelta(0))
    weights = [part.healthy.total_seconds() for part in parts]
    total = sum(weights)
    found = Report(
        scenario=scenario.name,
        description=scenario.description,
        detector=detector,
        threshold=threshold,
        rows=rows,
        checks=(),
        false_alarms=tuple((part.number, alarm) for part in parts for alarm in part.false_alarms),
        lingering=tuple((part.number, alarm) for part in parts for alarm in part.lingering),
        healthy=healthy,
        flagged_share=sum(part.flagged_share * weight for part, weight in zip(parts, weights, strict=True)) / total
        if total
        else 0.0,
        contended=tuple(dict.fromkeys(contended)),
        missing_parts=tuple(sorted({part.number for part in scenario.parts} - {part.number for part in parts})),
    )
    return _with_checks(found, scenario)


def check_fault(seen: Seen, expected: Expected) -> Check:
    """Whether a fault was seen as expected."""
    if not expected.detected:
        return Check("not detected", seen.own is None)
    wanted = "detected"
    passed = seen.own is not None
    if expected.within is not None:
        wanted += f" within {format_duration(expected.within)}"
        passed &= seen.delay is not None and seen.delay <= expected.within
    if expected.metrics:
        wanted += f" by {' or '.join(expected.metrics)}"
        passed &= seen.own is not None and seen.own.metric in expected.metrics
    return Check(wanted, passed)


def _with_checks(report: Report, scenario: Scenario) -> Report:
    goals, checks = scenario.goals, list[Check]()
    if report.missing_parts:
        parts = ", ".join(map(str, report.missing_parts))
        checks.append(Check(f"all parts were run: not {parts}", False))
    run = [one.id for part in scenario.parts if part.number not in report.missing_parts for one in part.injections]
    labelled = [row.seen.label.id for row in report.rows]
    if sorted(labelled) != sorted(run):
        text = f"every fault has one label: {counted(len(run), 'fault')}, {counted(len(labelled), 'label')}"
        checks.append(Check(text, False))
    if goals.detected is not None and report.rows:
        share = report.detected / len(report.rows)
        found = f"{report.detected} of {len(report.rows)}"
        text = f"at least {goals.detected:.0%} of the faults detected at their own service: {found}"
        checks.append(Check(text, share >= goals.detected))
    if goals.median_delay is not None:
        delay = report.median_delay
        text = "none was detected" if delay is None else format_duration(delay)
        checks.append(
            Check(
                f"median delay at most {format_duration(goals.median_delay)}: {text}",
                delay is not None and delay <= goals.median_delay,
            )
        )
    if goals.false_alarms_per_hour is not None:
        rate = report.false_alarms_per_hour
        # In ten quiet minutes no rate of one an hour can be seen.
        hours = report.healthy / timedelta(hours=1)
        if not report.false_alarms and goals.false_alarms_per_hour > 0 and hours * goals.false_alarms_per_hour < 1:
            rate = None
        span = format_duration(report.healthy, about=True)
        text = f"{span} without a fault are too short to tell" if rate is None else f"{rate:.2f}"
        checks.append(
            Check(
                f"at most {goals.false_alarms_per_hour:g} false alarms an hour, all services together: {text}",
                rate is not None and rate <= goals.false_alarms_per_hour,
            )
        )
    fields = {name: getattr(report, name) for name in Report.__slots__}
    return Report(**{**fields, "checks": tuple(checks)})


# --- as text ---------------------------------------------------------------------------------------------------------


def summary(report: Report) -> list[str]:
    """The run in sentences."""
    count = len(report.rows)
    delay = report.median_delay
    rate = report.false_alarms_per_hour
    lines = [
        f"{report.scenario}: {report.detected} of {counted(count, 'fault')} detected at their own service, "
        f"{report.detected_anywhere} at any, {report.blamed_right} blamed on the right one"
        + ("." if delay is None else f"; median delay {format_duration(delay)}."),
        f"{counted(len(report.false_alarms), 'false alarm')} in {format_duration(report.healthy, about=True)} "
        "without a fault"
        + ("" if rate is None else f", {rate:.2f} an hour over all services")
        + f"; {report.flagged_share:.2%} of the healthy samples are abnormal.",
        f"Detector {report.detector}, threshold {report.threshold}, learnt from the healthy beginning of each part.",
    ]
    if report.lingering:
        lines.append(f"{counted(len(report.lingering), 'alarm')} went on after the recovery of the fault.")
    lines += [f"Contended: {reason}." for reason in report.contended]
    return lines


def as_text(report: Report) -> str:
    """For a terminal: the checks, a line a fault, the false alarms."""
    lines = [*summary(report), ""]
    lines += columns([HEAD, *(cells_of(row) for row in report.rows)], is_right=[False] * len(HEAD))
    for name, alarms in (("False alarms", report.false_alarms), ("Went on after the recovery", report.lingering)):
        if alarms:
            lines += ["", f"{name}:"]
            lines += [f"  {_alarm_text(*one)}" for one in alarms]
    if report.checks:
        lines += ["", *(f"{check.word}  {check.text}" for check in report.checks)]
    lines += ["", f"{'PASS' if report.passed else 'FAIL'}  {report.scenario}"]
    return "\n".join(lines) + "\n"


def as_markdown(report: Report) -> str:
    """For a pull request or a wiki."""
    lines = [f"## {plain(report.scenario)}: {'PASS' if report.passed else 'FAIL'}", ""]
    lines += [f"{plain(line)}\n" for line in (report.description, *summary(report)) if line]
    lines += [f"- **{check.word}** {plain(check.text)}" for check in report.checks]
    lines += ["", "| " + " | ".join(name.lower() for name in HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(plain(cell) for cell in cells_of(row)) + " |" for row in report.rows]
    if report.false_alarms:
        lines += ["", "False alarms:", ""]
        lines += [f"- {plain(_alarm_text(*one))}" for one in report.false_alarms]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> str:
    """For a program."""
    delay, rate = report.median_delay, report.false_alarms_per_hour
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "scenario": report.scenario,
        "verdict": "PASS" if report.passed else "FAIL",
        "detector": report.detector,
        "threshold": report.threshold,
        "faults": len(report.rows),
        "detected": report.detected,
        "detected_anywhere": report.detected_anywhere,
        "blamed_right": report.blamed_right,
        "median_delay_seconds": None if delay is None else delay.total_seconds(),
        "healthy_hours": report.healthy / timedelta(hours=1),
        "false_alarms_per_hour": rate,
        "flagged_share": report.flagged_share,
        "checks": [{"verdict": check.word, "text": check.text} for check in report.checks],
        "rows": [_row_json(row) for row in report.rows],
        "false_alarms": [{"part": part, **_alarm_json(one)} for part, one in report.false_alarms],
        "lingering": [{"part": part, **_alarm_json(one)} for part, one in report.lingering],
        "missing_parts": list(report.missing_parts),
        "contended": list(report.contended),
    }
    return json_text(document)


def _row_json(row: Row) -> dict[str, Any]:
    label, seen = row.seen.label, row.seen
    return {
        "id": label.id,
        "part": row.part,
        "fault": label.fault,
        "namespace": label.namespace,
        "service": label.service,
        "start": format_moment(label.start, "shortest"),
        "end": format_moment(label.end, "shortest"),
        "strength": label.strength,
        "detected": seen.own is not None,
        "delay_seconds": None if seen.delay is None else seen.delay.total_seconds(),
        "metric": None if seen.own is None else seen.own.metric,
        "alarm": None if seen.own is None else _alarm_json(seen.own),
        "first_alarm": None if seen.first is None else _alarm_json(seen.first),
        "blamed": seen.blamed,
        "expected": row.check.text,
        "verdict": row.check.word,
    }


def _alarm_json(alarm: Alarm) -> dict[str, Any]:
    return {
        "service": alarm.service,
        "began": format_moment(alarm.began, "shortest"),
        "raised": format_moment(alarm.raised, "shortest"),
        "ended": format_moment(alarm.ended, "shortest"),
        "peak": round(min(alarm.peak, 1e9), 4),
        "shares": {name: round(share, 4) for name, share in alarm.shares.items()},
    }


def cells_of(row: Row) -> tuple[str, ...]:
    """The row of a fault in a table, under HEAD."""
    label, seen = row.seen.label, row.seen
    delay = seen.delay
    unit = KINDS[label.fault].unit if label.fault in KINDS else ""
    elsewhere = "no" if seen.first is None else f"at {seen.first.service}"
    return (
        str(row.part),
        label.fault,
        label.service,
        _clock(label.start),
        f"{label.strength:g}" if unit else "-",
        elsewhere if seen.own is None else "yes",
        "-" if delay is None else f"{delay.total_seconds():.0f} s",
        "-" if seen.own is None else (seen.own.metric or "-"),
        seen.blamed or "-",
        row.check.word,
        row.check.text,
    )


def _alarm_text(part: int, alarm: Alarm) -> str:
    return (
        f"part {part}, {_clock(alarm.raised)} to {_clock(alarm.ended)}: {alarm.service}, {alarm.metric or 'no metric'}"
    )


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"
