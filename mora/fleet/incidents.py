"""Incidents that somebody named: times that are left out of sizing, each with who named it and whom it concerns.

From a flag, an annotation, or a file: labels of `mora chaos` (or any CSV with `start` and `end`), annotations of
Grafana, alerts of Alertmanager. A detector's word alone is never enough: the unusual is what a request has to cover.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mora.documents import Misfit, parse
from mora.domain import (
    Advice,
    ContainerAdvice,
    ContainerHistory,
    Reason,
    Recommendation,
    Window,
    Workload,
    WorkloadHistory,
)
from mora.errors import BadInput
from mora.files import read_regular
from mora.fleet.evidence import without
from mora.fleet.spans import Span, left_out, parse_span
from mora.quantities import counted, format_cpu, format_memory

CERTAIN = "certain"
"""In place of a time range: also those whose cause is certain (certain.py)."""
_MOST_BYTES = 16 * 2**20
_MOST_SHOWN = 3
# Labels of an alert that name a workload, the nearest first, and those that do where no pod is named: `service` and
# `container` are often those of the exporter that was scraped (kube-state-metrics).
_WORKLOAD_LABELS = ("deployment", "statefulset", "daemonset", "workload")
_OTHER_LABELS = ("service", "app", "container")
# What controllers put behind a workload's name for a pod's: an ordinal, or hashes and numbers without vowels. What else
# follows is part of another workload's name: frontend-canary is not frontend.
_OF_A_POD = re.compile(r"-(?:\d+|(?:[b-df-hj-np-tv-xz0-9]{4,10}-)?[b-df-hj-np-tv-xz0-9]{5})", re.ASCII)
_HINT = "Write a time range like 2026-11-01T00:00/2026-11-01T06:00, certain, or the name of a CSV or JSON file."


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. name: what it was, "" where not known. source: who named it. namespace, workload: whom it
    concerns; "" for all. pod: the name of one of its pods, where only that is known."""

    span: Span
    source: str
    name: str = ""
    namespace: str = ""
    workload: str = ""
    pod: str = ""

    def concerns(self, workload: Workload) -> bool:
        """Whether it is an incident of this workload."""
        if self.namespace not in ("", workload.namespace):
            return False
        if self.pod:
            behind = self.pod.removeprefix(workload.name)
            return self.pod.startswith(workload.name) and (not behind or _OF_A_POD.fullmatch(behind) is not None)
        return self.workload in ("", workload.name)


def read_incidents(given: Sequence[str], *, now: datetime) -> tuple[Incident, ...]:
    """The incidents of time ranges and files, in the order given. now: the end of what has not ended.

    Raises BadInput, naming the file and its line or place, for what is neither.
    """
    return tuple(incident for text in given if text != CERTAIN for incident in _read(text, now))


def annotated_incidents(spans: Sequence[str], source: str) -> tuple[Incident, ...]:
    """Those of an annotation or of mora.toml; BadInput for what is no time range."""
    return tuple(Incident(parse_span(text), source) for text in spans)


def _read(text: str, now: datetime) -> list[Incident]:
    path = Path(text).expanduser()
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".json") and not path.is_file():
        try:
            return [Incident(parse_span(text), "--exclude-incidents")]
        except BadInput as error:
            if error.hint is None:  # a time range, and one that cannot be
                raise
            raise BadInput(f"{text!r} is neither a file nor a time range.", hint=_HINT) from error
    try:
        raw = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise BadInput(f"The incidents {text} cannot be read: {error.strerror or error}.", hint=_HINT) from error
    return _of_json(raw, path.name, now) if suffix == ".json" else _of_csv(raw, path.name)


def _of_csv(raw: bytes, name: str) -> list[Incident]:
    try:
        rows = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
        columns = set(rows.fieldnames or ())
        if not {"start", "end"} <= columns:
            raise BadInput(f"{name} has no columns start and end, so it names no incidents.", hint=_HINT)
        return [_of_row(row, f"{name}, line {rows.line_num}", name) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{name} is no CSV: {error}.", hint=_HINT) from error


def _of_row(row: Mapping[str | Any, Any], place: str, name: str) -> Incident:
    def cell(*names: str) -> str:
        return next((str(row[one]).strip() for one in names if row.get(one)), "")

    return Incident(
        _span(_moment(cell("start"), place), _moment(cell("end"), place), place),
        name,
        cell("fault", "name", "text"),
        cell("namespace"),
        cell("service", "workload"),
    )


def _of_json(raw: bytes, name: str, now: datetime) -> list[Incident]:
    try:
        document = parse(raw)
    except Misfit as misfit:
        raise BadInput(f"{name}: {misfit}.", hint=_HINT) from misfit
    found = document.get("alerts", document.get("data")) if isinstance(document, dict) else document
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadInput(f"{name} is no list of Grafana's annotations or Alertmanager's alerts.", hint=_HINT)
    incidents = []
    for number, one in enumerate(found):
        place = f"{name}, entry {number + 1}"
        incidents.append(_of_alert(one, place, name, now) if "startsAt" in one else _of_annotation(one, place, name))
    return incidents


def _of_alert(one: Mapping[str, Any], place: str, name: str, now: datetime) -> Incident:
    """https://prometheus.io/docs/alerting/latest/notifications/: endsAt is of the year 1, or ahead, while it fires."""
    labels = one.get("labels")
    if not isinstance(labels, dict):
        raise BadInput(f"{place}: an alert has labels, and this one has none.", hint=_HINT)
    start = _moment(one["startsAt"], place)
    ended = one.get("endsAt")
    end = _moment(ended, place) if ended else now
    words = {key: value for key, value in labels.items() if isinstance(value, str)}
    keys = _WORKLOAD_LABELS if words.get("pod") else (*_WORKLOAD_LABELS, *_OTHER_LABELS)
    workload = next((words[key] for key in keys if words.get(key)), "")
    return Incident(
        _span(start, min(end, now) if end > start else now, place),
        name,
        words.get("alertname", ""),
        words.get("namespace", ""),
        workload,
        "" if workload else words.get("pod", ""),
    )


def _of_annotation(one: Mapping[str, Any], place: str, name: str) -> Incident:
    """https://grafana.com/docs/grafana/latest/developers/http_api/annotations/: milliseconds, and tags."""
    begin, end = one.get("time"), one.get("timeEnd")
    if not isinstance(begin, (int, float)) or not isinstance(end, (int, float)) or end <= begin:
        raise BadInput(
            f"{place}: a point in time is no incident: it needs time and timeEnd.",
            hint="Mark the whole incident as a region in Grafana, or leave this annotation out.",
        )
    given = one.get("tags")
    tags = [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
    named = dict(tag.split(":", 1) for tag in tags if ":" in tag)
    text = one.get("text")
    return Incident(
        _span(_of_milliseconds(begin, place), _of_milliseconds(end, place), place),
        name,
        text if isinstance(text, str) else "",
        named.get("namespace", "").strip(),
        (named.get("service") or named.get("workload") or "").strip(),
    )


def _span(start: datetime, end: datetime, place: str) -> Span:
    if end <= start:
        raise BadInput(f"{place}: the incident ends before it starts.", hint=_HINT)
    return Span(start, end)


def _moment(text: object, place: str) -> datetime:
    try:
        found = datetime.fromisoformat(str(text))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{place}: {str(text)[:40]!r} is no time.", hint="Write it like 2026-11-01T06:00Z.") from error


def _of_milliseconds(value: float, place: str) -> datetime:
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadInput(f"{place}: {value!r} is no time in milliseconds.", hint=_HINT) from error


# --- without them, and both numbers ----------------------------------------------------------------------------------


def spans_of(incidents: Iterable[Incident]) -> tuple[Span, ...]:
    """Their time ranges, each saying why it is left out."""
    return tuple(
        replace(one.span, why=f"{one.name}, an incident of {one.source}" if one.name else f"incident, {one.source}")
        for one in incidents
    )


def without_effect(incidents: Sequence[Incident], workloads: Iterable[Workload], window: Window) -> str | None:
    """Which incidents leave nothing out of these workloads' histories, and why, as text; None where each does."""
    known = list(workloads)
    inside = set(within(incidents, window))
    outside = [one for one in incidents if one not in inside]
    of_others = [one for one in incidents if one in inside and not any(map(one.concerns, known))]
    parts = [
        f"{', '.join(_words(one) for one in some[:_MOST_SHOWN])}{', ...' if len(some) > _MOST_SHOWN else ''} {why}"
        for some, why in ((outside, "outside of the history"), (of_others, "of no workload that is asked for"))
        if some
    ]
    return f"Incidents that leave nothing out: {'; '.join(parts)}." if parts else None


def _words(one: Incident) -> str:
    return f"{one.span} ({', '.join(part for part in (one.name, one.source) if part)})"


def within(incidents: Sequence[Incident], window: Window) -> tuple[Incident, ...]:
    """Those that take at least one sample of a window."""
    return tuple(one for one in incidents if left_out(window, [one.span]).any())


def without_incidents(history: WorkloadHistory, incidents: Sequence[Incident]) -> WorkloadHistory:
    """The history without what its containers used during incidents, and without OOM kills then.

    Itself where none of them lies in it. Kills stay where it is not known of all of them when they happened.
    """
    taken = left_out(history.window, [one.span for one in incidents])
    if not taken.any():
        return history
    less = without(history, [one.span for one in incidents])
    return replace(less, containers={name: _spared(one, taken) for name, one in less.containers.items()})


def _spared(one: ContainerHistory, taken: np.ndarray[Any, np.dtype[np.bool_]]) -> ContainerHistory:
    kept = tuple(row for row in one.oom_rows if not taken[row])
    if len(one.oom_rows) != one.oom_kills or len(kept) == one.oom_kills:
        return one
    return replace(one, oom_kills=len(kept), oom_rows=kept, oom_limit_bytes=one.oom_limit_bytes if len(kept) else None)


def with_both(
    advice: Recommendation, whole: Recommendation, incidents: Sequence[Incident], history: WorkloadHistory
) -> Recommendation:
    """The recommendation without the incidents, each number beside the one that it would be with them.

    whole: what would be recommended with them left in. history: as it was read, with them.
    """
    with_them = {one.container: one for one in whole.containers}
    containers = tuple(_beside(one, with_them[one.container]) for one in advice.containers)
    return replace(advice, containers=containers, reasons=(_told(incidents, history), *advice.reasons))


def _beside(less: ContainerAdvice, whole: ContainerAdvice) -> ContainerAdvice:
    return replace(
        less,
        cpu_request=_remarked(less.cpu_request, whole.cpu_request, format_cpu),
        memory_request=_remarked(less.memory_request, whole.memory_request, format_memory),
    )


def _remarked(less: Advice, whole: Advice, write: Any) -> Advice:
    if less.value is None and whole.value is None:
        return less
    if less.at_goal.value == whole.at_goal.value and less.value == whole.value:
        text = "the same with the incidents left in"
    elif whole.value is None:
        text = "there is no number with the incidents left in"
    else:
        goal = whole.at_goal.value
        later = f" as this step, {write(goal)} as the goal" if goal is not None and goal != whole.value else ""
        text = f"with the incidents left in it would be {write(whole.value)}{later}"
    return replace(less, reasons=(*less.reasons, Reason("incidents-left-out", text)))


def _told(incidents: Sequence[Incident], history: WorkloadHistory) -> Reason:
    """Which incidents are left out, and what of OOM kills that goes with them."""
    taken = left_out(history.window, [one.span for one in incidents])
    shown = [_words(one) for one in incidents[:_MOST_SHOWN]]
    if len(incidents) > _MOST_SHOWN:
        shown.append(f"{len(incidents) - _MOST_SHOWN} more")
    text = f"{counted(len(incidents), 'incident')} left out ({counted(int(taken.sum()), 'sample')}): {'; '.join(shown)}"
    kills = sum(
        one.oom_kills - _spared(one, taken).oom_kills for one in history.containers.values() if len(one.oom_rows)
    )
    if kills:
        text += f". {counted(kills, 'OOM kill')} in {'it' if len(incidents) == 1 else 'them'} did not raise memory"
    return Reason("incidents-left-out", text)
