"""The live page: that of `-o html`, with the age of the answer, what changed since yesterday, the trend of waste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mora.errors import MoraError
from mora.outputs.html import TITLE, page_of
from mora.outputs.pieces import Piece, by_need
from mora.pages.charts import Chart, Line, Unit
from mora.pages.page import section
from mora.pages.tables import Cell, Table
from mora.quantities import counted, format_cpu, format_memory, format_moment, readable_bytes, readable_cores
from mora.record.numbers import Key
from mora.record.outcomes import Outcome
from mora.record.reading import Episode, Moment, Moved, Reading, reading
from mora.web.answer import Entry
from mora.web.live import Cluster, Problem, Shown

_DAY = 86_400.0
_TREND_DAYS = 90
# More would bury the workloads below.
_MOST_CHANGES = 50
_WORDS = {
    "cpu_request": "CPU request",
    "cpu_limit": "CPU limit",
    "memory_request": "memory request",
    "memory_limit": "memory limit",
    "replicas": "replicas",
}
_OUTCOMES = {
    Outcome.APPLIED: "applied",
    Outcome.PARTLY: "applied in part",
    Outcome.OTHERWISE: "changed to something else",
}


def page(shown: Shown, record: Path, cluster: str | None, namespace: str | None, *, now: float) -> str:
    """The page of all that is served, or of a cluster and a namespace."""
    found = shown.entries(cluster=cluster, namespace=namespace)
    alerts = _alerts(shown, now)
    sections: list[Any] = []
    try:
        with reading(record) as read:
            sections = [_since_yesterday(read, cluster, namespace, now), _trend(read, cluster, namespace, now)]
    except MoraError as error:
        alerts.append(_told(error))
    where = " / ".join(filter(None, (cluster, namespace)))
    prices = next((one.answer.prices for one in shown.clusters if one.answer is not None), None)
    return page_of(
        by_need([_piece(its, entry) for its, entry in found]),
        prices,
        template="live.html",
        title=f"{TITLE}: {where}" if where else TITLE,
        lead=_lead(shown),
        sections=sections,
        alerts=alerts,
        navigation=_navigation(shown, cluster, namespace),
    )


def _piece(cluster: Cluster, entry: Entry) -> Piece:
    """A workload on the page; its name, too, begins with that of its cluster."""
    if not cluster.name:
        return entry.piece
    named = {name: f"{cluster.name}/{entry.piece.details[name]}" for name in ("id", "title")}
    return replace(entry.piece, cluster=cluster.name, details={**entry.piece.details, **named})


def _alerts(shown: Shown, now: float) -> list[str]:
    told = []
    for one in shown.clusters:
        name = f"{one.name}: " if one.name else ""
        if one.problem is not None:
            since = _moment(one.problem.since)
            old = "There is no answer yet." if one.answer is None else "What is shown is the last good answer."
            told.append(f"{name}The refresh fails since {since}: {_told(one.problem)} {old}")
        elif shown.is_stale(one, now) and one.answer is not None:
            told.append(f"{name}The answer is of {_moment(one.answer.made_at)} and no longer current.")
        if one.unrecorded is not None:
            told.append(f"{name}The last answer is not in the record: {_told(one.unrecorded)}")
    return told


def _told(problem: Problem | MoraError) -> str:
    return f"{problem.message} {problem.hint or ''}".rstrip()


def _lead(shown: Shown) -> list[str]:
    made = [one.answer.made_at for one in shown.clusters if one.answer is not None]
    if not made:
        return ["The first refresh has not ended: reload this page in a minute."]
    return [f"As of {_moment(min(made))}."]


def _navigation(
    shown: Shown, cluster: str | None, namespace: str | None
) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    def link(text: str, its_cluster: str | None, its_namespace: str | None) -> tuple[str, str, bool]:
        asked = {"cluster": its_cluster, "namespace": its_namespace}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return text, f"?{query}" if query else "./", (its_cluster, its_namespace) == (cluster, namespace)

    groups = []
    if len(shown.clusters) > 1:
        links = [link("all", None, namespace), *(link(one.name, one.name, namespace) for one in shown.clusters)]
        groups.append(("Clusters", links))
    there = sorted({entry.namespace for _, entry in shown.entries(cluster=cluster)})
    if len(there) > 1 or namespace is not None:
        groups.append(("Namespaces", [link("all", cluster, None), *(link(name, cluster, name) for name in there)]))
    return groups


# --- from the record -------------------------------------------------------------------------------------------------


def _since_yesterday(read: Reading, cluster: str | None, namespace: str | None, now: float) -> Any:
    ended = read.ended_since(now - _DAY, cluster=cluster, namespace=namespace)
    moved = read.moved_since(now - _DAY, cluster=cluster, namespace=namespace)
    if not ended and not moved:
        return section("Since yesterday", ["No recommendation moved by more than a tenth, and no setting changed."])
    rows = [_ended_row(one) for one in ended] + [_moved_row(one) for one in moved]
    rest = f" The first {_MOST_CHANGES} are below, {len(rows) - _MOST_CHANGES} more: /api/v1/changes"
    said = f"{counted(len(ended), 'setting')} changed, {counted(len(moved), 'recommendation')} new or moved by a tenth."
    said += rest if len(rows) > _MOST_CHANGES else ""
    head = ("Workload", "Container", "Number", "What", "Before", "Now")
    return section("Since yesterday", [said], (), Table("What changed since yesterday", head, rows[:_MOST_CHANGES]))


def _ended_row(one: Episode) -> list[Cell]:
    what = _OUTCOMES[one.outcome]
    if one.covered is not None:
        what += ", covers the use since" if one.covered else ", exceeded since"
    return _row(one.key, what, one.before, one.after, kind="bad" if one.covered is False else "")


def _moved_row(one: Moved) -> list[Cell]:
    what = "newly recommended" if one.before is None else "recommendation moved"
    return _row(one.key, what, one.now if one.before is None else one.before, one.value)


def _row(key: Key, what: str, before: int | None, after: int | None, *, kind: str = "") -> list[Cell]:
    return [
        Cell(_name(key.cluster, key.namespace, key.workload)),
        Cell(key.container or "-"),
        Cell(_WORDS[key.number]),
        Cell(what, kind=kind),
        _amount(key.number, before),
        _amount(key.number, after),
    ]


def _trend(read: Reading, cluster: str | None, namespace: str | None, now: float) -> Any:
    moments = read.trend(since=now - _TREND_DAYS * _DAY, cluster=cluster, namespace=namespace)
    if not moments:
        return section("Trend", ["There is no record yet."])
    # One moment is no line.
    charts = _trend_charts(moments) if len(moments) > 1 else []
    return section("Are you getting better?", [_trend_words(moments)], charts)


def _trend_words(moments: Sequence[Moment]) -> str:
    first, last = moments[0], moments[-1]
    if first is last:
        return "The trend begins with this answer; it takes a day to show a direction."
    parts = []
    for what, before, after, words in (
        ("CPU", first.waste_cores, last.waste_cores, readable_cores),
        ("memory", first.waste_bytes, last.waste_bytes, readable_bytes),
    ):
        turn = "fell" if after < before else "rose"
        is_same = abs(after - before) <= 0.02 * max(before, after)
        parts.append(
            f"{what} that no workload needs stayed at {words(after)}"
            if is_same
            else f"{what} that no workload needs {turn} from {words(before)} to {words(after)}"
        )
    return f"Since {_moment(first.at)}: {', '.join(parts)}."


def _trend_charts(moments: Sequence[Moment]) -> list[Chart]:
    x = [one.at for one in moments]
    resources: tuple[tuple[str, str, Unit], ...] = (("CPU", "cores", "cores"), ("memory", "bytes", "bytes"))
    return [
        Chart(
            f"Waste and lack of {what}",
            x,
            lines=[
                Line("reserved beyond need", [getattr(one, f"waste_{field}") for one in moments], "bad", style="steps"),
                Line("missing", [getattr(one, f"lack_{field}") for one in moments], "bound", style="steps"),
                Line("reserved", [getattr(one, f"reserved_{field}") for one in moments], "request", style="steps"),
            ],
            unit=unit,
            is_time=True,
            text=f"{what}, over all replicas, {_moment(x[0])} to {_moment(x[-1])}.",
        )
        for what, field, unit in resources
    ]


def _amount(number: str, amount: int | None) -> Cell:
    if amount is None:
        return Cell("-")
    if number == "replicas":
        return Cell(str(amount), float(amount))
    return Cell(format_cpu(amount) if number.startswith("cpu") else format_memory(amount), float(amount))


def _name(cluster: str, namespace: str, workload: str) -> str:
    return "/".join(filter(None, (cluster, namespace, workload)))


def _moment(at: float) -> str:
    return format_moment(at)
