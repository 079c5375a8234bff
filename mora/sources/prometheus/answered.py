"""Answers to range queries of a batch: all of them asked for, or those since the last run and the rest from the state.

What is kept is kept a question, a workload and a series, so it does not matter how workloads were asked for together
before. Three things are asked again: the newest rows, since samples come late; more before them as long as there are
samples that were not there before; and times without any sample, since a Prometheus may have been away.

One file, longer than most: the two who answer share what is asked, and what is asked again is read beside what is kept.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window, Workload
from mora.sources.prometheus.asked import Batch
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.grid import cut
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.wire import Wire
from mora.state.blocks import Samples, absent
from mora.state.store import Answered, Question, Store

Ask = Callable[[Scope], str]
"""A query, as it is asked about a scope."""
Asked = tuple[str, Ask, Window]
"""The name of a question, how it is asked, and the time range."""
Answer = tuple[str, Window, list[Strip]]
Row = dict[str, Any]
"""A row of an instant answer, as the API returns it."""
Span = tuple[int, int]
"""The first and the last row of a time range, counted in steps from 1970."""

# Samples come late: scrapes that are under way, remote writes that are behind. So much is asked for again each time.
LATE = timedelta(minutes=30)
# From then on nothing about a start comes any more: its five minutes, and what may be late.
_SETTLED_SECONDS = 300.0 + LATE.total_seconds()
_START = "start "
# Questions for starts in one query.
_STARTS_IN_A_QUERY = 25
# Names of pods in one query.
_PODS_IN_A_QUERY = 1000
_SHARE_TO_ASK_FOR_ALL = 0.8
# A question that most rows answer has a gap where none does; of others silence is an answer.
_DENSE = 0.5
_SHORTEST_GAP, _MOST_GAPS = 2, 8


class Answers(Protocol):
    """Who answers the range queries of a batch."""

    def ranges(self, batch: Batch, asked: Sequence[Asked], scope: Scope | None = None) -> Iterator[Answer]:
        """(name, window, series) for each question, in one window or in several. scope: where it is not the batch's."""

    def count(self, asked: Sequence[Asked]) -> int:
        """About how many answers ranges() gives."""

    def starts(self, batch: Batch, asked: Sequence[Start], at: datetime) -> list[Row]:
        """What is known of the starts of pods at a moment: the rows of all questions together."""


@dataclass(frozen=True, slots=True)
class Start:
    """A question about the start of a pod, whose answer stays. began: unix seconds. kind: how it is asked."""

    pod: Pod
    began: float
    kind: str
    text: str

    @property
    def name(self) -> str:
        """What tells this question from others of the same workload."""
        return f"{self.pod[1]} {self.began:.3f} {self.kind}"


@dataclass(frozen=True, slots=True)
class Direct:
    """Answers from the Prometheus alone."""

    wire: Wire

    def ranges(self, batch: Batch, asked: Sequence[Asked], scope: Scope | None = None) -> Iterator[Answer]:
        """(name, window, series) for each question."""
        of = scope if scope is not None else batch.scope
        return self.wire.ranges([(name, ask(of), window) for name, ask, window in asked], in_time=batch.is_alone)

    def count(self, asked: Sequence[Asked]) -> int:
        """How many answers ranges() gives, or a few less."""
        return len(asked)

    def starts(self, batch: Batch, asked: Sequence[Start], at: datetime) -> list[Row]:
        """The answers, some questions in a query."""
        found: list[Row] = []
        for first in range(0, len(asked), _STARTS_IN_A_QUERY):
            together = " or ".join(one.text for one in asked[first : first + _STARTS_IN_A_QUERY])
            found += self.wire.instant(together, at)
        return found


@dataclass(slots=True)
class Kept:
    """Answers from the state, and from the Prometheus what the state lacks; what is new goes into the state.

    known: the pods that the Prometheus knows in this run; it is asked about no others. fewer: the workloads of which it
    no longer has samples that are kept.
    """

    wire: Wire
    store: Store
    known: Set[Pod]
    fewer: set[Workload] = field(default_factory=set)
    _reached: float | None = None

    def starts(self, batch: Batch, asked: Sequence[Start], at: datetime) -> list[Row]:
        """The answers; what is asked once of a start is kept."""
        known = self.store.notes({batch.pods[one.pod] for one in asked}, _START)
        noted = {one: _rows_of(known.get(batch.pods[one.pod], {}).get(one.name)) for one in asked}
        found = [row for rows in noted.values() for row in rows or ()]
        new = [one for one, rows in noted.items() if rows is None]
        rows = Direct(self.wire).starts(batch, new, at)
        for one in new:
            own = [row for row in rows if _pod_of(row["metric"]) == one.pod]
            if at.timestamp() - one.began > _SETTLED_SECONDS:
                self.store.note(batch.pods[one.pod], _START + one.name, one.began, json.dumps(own))
        return [*found, *rows]

    def note_answer(self, moment: float) -> None:
        """An answer has a sample of a moment (unix seconds)."""
        self._reached = moment if self._reached is None else max(self._reached, moment)

    def commit(self) -> None:
        """Write what the questions about a batch have brought, all of it or none."""
        reached, self._reached = self._reached, None
        self.store.commit(reached)

    def drop(self) -> None:
        """Forget what the questions about a batch have brought: they are asked again in another way."""
        self._reached = None
        self.store.drop_pending()

    def ranges(self, batch: Batch, asked: Sequence[Asked], scope: Scope | None = None) -> Iterator[Answer]:
        """(name, window, series) for each question; what follows each other in time is one answer."""
        of = scope if scope is not None else batch.scope
        direct = [one for one in asked if not _is_on_grid(one[2])]
        whole: dict[tuple[str, str, timedelta], list[Asked]] = {}
        for name, ask, window in asked:
            if _is_on_grid(window):
                whole.setdefault((name, ask(Scope()), window.step), []).append((name, ask, window))
        yield from Direct(self.wire).ranges(batch, direct, scope)
        for (name, text, step), parts in whole.items():
            question = Question(text, step.total_seconds())
            for window in _together([window for _, _, window in parts]):
                longest = max(part.sample_count for _, _, part in parts)
                yield name, window, _Answering(self, batch, of, parts[0][1], question, window, longest).strips()

    def count(self, asked: Sequence[Asked]) -> int:
        """How many answers ranges() gives."""
        return len({(name, ask(Scope())) for name, ask, _ in asked})


Name = tuple[tuple[str, str], ...]
"""The labels of a series, sorted."""


@dataclass(slots=True)
class _Answering:
    """One question about the pods of a batch over one time range."""

    kept: Kept
    batch: Batch
    scope: Scope
    ask: Ask
    question: Question
    window: Window
    longest: int
    found: dict[Workload, dict[Name, Samples]] = field(default_factory=dict)
    changed: defaultdict[Workload, list[Span]] = field(default_factory=lambda: defaultdict(list))

    def strips(self) -> list[Strip]:
        """The series of the batch over the window; the state gets what it did not have."""
        first, last = _row(self.window.start, self.window), _row(self.window.end, self.window)
        pods = self._pods()
        answered = self.kept.store.answered(pods, self.question, first, last)
        self.found = {workload: dict(answered[workload].series) if workload in answered else {} for workload in pods}
        for span, names in self._missing(answered, pods, first, last).items():
            self._take(names, span)
        self._renew(answered, pods, first, last)
        for workload, of_workload in pods.items():
            self._keep(workload, of_workload, answered.get(workload), first, last)
        return [
            Strip(one.labels, _compact(one.rows - first), one.values)
            for series in self.found.values()
            for one in (whole.within(first, last) for whole in series.values())
            if len(one.rows)
        ]

    # -- what is asked --

    def _pods(self) -> dict[Workload, frozenset[str]]:
        """Which pods the question is about, by workload."""
        named = None if self.scope.pods is None else set(self.scope.pods)
        found: defaultdict[Workload, set[str]] = defaultdict(set)
        for (_, name), workload in self.batch.pods.items():
            if named is None or name in named:
                found[workload].add(name)
        return {workload: frozenset(names) for workload, names in found.items()}

    def _missing(
        self, answered: Mapping[Workload, Answered], pods: Mapping[Workload, frozenset[str]], first: int, last: int
    ) -> dict[Span, set[Pod]]:
        """What was never asked, by time range: of new workloads all, of new pods what was asked of the others."""
        missing: defaultdict[Span, set[Pod]] = defaultdict(set)
        for workload, names in pods.items():
            of, everyone = answered.get(workload), {(workload.namespace, name) for name in names} & self.kept.known
            if of is None or not _touches(of, first, last):
                missing[first, last] |= everyone
                continue
            if new := {pod for pod in everyone if pod[1] not in of.pods}:
                missing[max(first, of.since), min(last, of.until)] |= new
            if first < of.since:
                missing[first, of.since - 1] |= everyone
        return {span: names for span, names in missing.items() if names}

    def _renew(
        self, answered: Mapping[Workload, Answered], pods: Mapping[Workload, frozenset[str]], first: int, last: int
    ) -> None:
        """Ask for what came since, for the newest rows again, and for times that had no sample."""
        alike: defaultdict[int, list[Workload]] = defaultdict(list)
        for workload in pods:
            if workload in answered and _touches(answered[workload], first, last):
                alike[answered[workload].until].append(workload)
        again = max(1, math.ceil(LATE / self.window.step))
        for until, workloads in alike.items():
            names = {(one.namespace, name) for one in workloads for name in pods[one]} & self.kept.known
            oldest = max(first, min(answered[one].since for one in workloads))
            gaps = self._gaps(workloads, oldest, min(until, last))
            begin = max(oldest, min(until, last) - again + 1)
            is_more = self._take(names, (begin, last), settled=begin + again // 2 - 1, until=until)
            while is_more and begin > oldest:
                before = max(oldest, begin - 2 * again)
                again, is_more = 2 * again, self._take(names, (before, begin - 1))
                begin = before
            for gap_first, gap_last in gaps:
                if gap_first < begin:
                    self._take(names, (gap_first, min(gap_last, begin - 1)))

    def _gaps(self, workloads: Iterable[Workload], first: int, last: int) -> list[Span]:
        """The newest times at which none of the workloads has a sample, though most times have."""
        known = np.zeros(max(0, last - first + 1), dtype=np.bool_)
        for workload in workloads:
            for one in self.found[workload].values():
                known[one.within(first, last).rows - first] = True
        seen = np.flatnonzero(known)
        if not len(seen) or known[seen[0] :].mean() < _DENSE:
            return []
        edges = np.flatnonzero(np.diff(seen) > _SHORTEST_GAP)
        return [(first + int(seen[edge]) + 1, first + int(seen[edge + 1]) - 1) for edge in edges[-_MOST_GAPS:]]

    def _asked(self, names: set[Pod], span: Span) -> Iterator[tuple[int, Strip]]:
        """The answers about some pods over a time range: the row that their own begin at, and each series."""
        scopes = [self.scope]
        if len(names) < _SHARE_TO_ASK_FOR_ALL * sum(len(of) for of in self._pods().values()):
            ordered = sorted(names)
            scopes = [
                replace(
                    self.scope,
                    namespaces=tuple(sorted({pod[0] for pod in some})),
                    pods=tuple(sorted({pod[1] for pod in some})),
                )
                for some in (ordered[at : at + _PODS_IN_A_QUERY] for at in range(0, len(ordered), _PODS_IN_A_QUERY))
            ]
        step = self.window.step
        own = Window(_moment(span[0], step), _moment(span[1], step), step)
        parts = [
            (str(number), self.ask(of), part) for number, of in enumerate(scopes) for part in cut(own, self.longest)
        ]
        for _, window, strips in self.kept.wire.ranges(parts, in_time=self.batch.is_alone):
            begin = _row(window.start, window)
            for strip in strips:
                yield begin, strip

    # -- what is made of it --

    def _take(self, names: set[Pod], span: Span, *, settled: int | None = None, until: int | None = None) -> bool:
        """Ask about some pods over a time range, and add the answers to what is known.

        What is known stays where an answer lacks it, up to the row `settled` (None: everywhere); of later rows the
        answer alone counts, where there is one. until: the last row that was asked before. Returns whether settled rows
        have samples that were not known.
        """
        if span[0] > span[1]:
            return False
        given: dict[Workload, dict[Name, list[Samples]]] = {}
        for begin, strip in self._asked(names, span):
            pod = _pod_of(strip.labels)
            if pod in names:
                one = Samples(strip.labels, _numbers(strip.rows) + begin, strip.values)
                self.kept.note_answer(int(one.rows[-1]) * self.question.step)
                given.setdefault(self.batch.pods[pod], {}).setdefault(one.name, []).append(one)
        last_settled = span[1] if settled is None else settled
        is_more = False
        given_rows = np.unique(
            np.concatenate([_NO_ROWS, *(one.rows for of in given.values() for ones in of.values() for one in ones)])
        )
        for workload in {self.batch.pods[pod] for pod in names}:
            known, new = self.found[workload], given.get(workload, {})
            for name, one in list(known.items()):
                if _pod_of(one.labels) not in names:
                    continue
                part = one.within(*span)
                rows = np.sort(np.concatenate([_NO_ROWS, *(of.rows for of in new.get(name, ()))]))
                lost = part.rows[absent(part.rows, rows)]
                if not len(lost):
                    continue
                if (lost <= last_settled).any():
                    self.kept.fewer.add(workload)
                gone = lost[(lost > last_settled) & ~absent(lost, given_rows)]
                if len(gone):
                    stays = absent(one.rows, gone)
                    known[name] = Samples(one.labels, one.rows[stays], one.values[stays])
                    self.changed[workload].append(span)
            for name, ones in new.items():
                for one in ones:
                    before = known.get(name)
                    settled_rows = one.rows[one.rows <= min(last_settled, span[1] if until is None else until)]
                    unknown = absent(settled_rows, _NO_ROWS if before is None else before.rows)
                    is_more = is_more or bool(unknown.any())
                    known[name] = one if before is None else before.renewed(one)
                self.changed[workload].append(span)
        return is_more

    def _keep(
        self, workload: Workload, names: frozenset[str], answered: Answered | None, first: int, last: int
    ) -> None:
        """Hand what is known of a workload to the state: the blocks that changed, and what was asked."""
        since, until, asked = first, last, names
        if answered is not None and _touches(answered, first, last):
            since, until = min(first, answered.since), max(last, answered.until)
            asked = names | answered.pods.keys()
        elif answered is not None and answered.since > last:
            return  # the clock is behind: what lies ahead, and is not joined to this, stays
        newest = {} if answered is None else dict(answered.pods)
        for one in self.found[workload].values():
            if len(one.rows):
                pod = one.labels.get("pod", "")
                newest[pod] = max(newest.get(pod, 0), int(one.rows[-1]))
        # Pods that are not known any more, and that have no samples left, are forgotten.
        pods = {
            name: newest.get(name, 0)
            for name in asked
            if newest.get(name, 0) >= since or (workload.namespace, name) in self.kept.known
        }
        changed = self.changed.get(workload, [])
        if answered is None or changed or (since, until, pods) != (answered.since, answered.until, answered.pods):
            self.kept.store.put(workload, self.question, Answered(since, until, pods, self.found[workload]), changed)


_NO_ROWS: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _rows_of(text: str | None) -> list[Row] | None:
    """The rows that were kept; None where there are none, or what is there is none of ours."""
    try:
        rows = None if text is None else json.loads(text)
        return None if rows is None else [{"metric": dict(row["metric"]), "value": list(row["value"])} for row in rows]
    except (ValueError, TypeError, KeyError):
        return None


def _pod_of(labels: Mapping[str, str]) -> Pod:
    return labels.get("namespace", ""), labels.get("pod", "")


def _touches(answered: Answered, first: int, last: int) -> bool:
    """Whether what was asked reaches the rows that are asked for, so that no time in between is unknown."""
    return answered.since <= last + 1 and answered.until >= first - 1


def _is_on_grid(window: Window) -> bool:
    return (window.start - _EPOCH) % window.step == timedelta(0)


def _row(at: datetime, window: Window) -> int:
    return (at - _EPOCH) // window.step


def _moment(row: int, step: timedelta) -> datetime:
    return _EPOCH + row * step


def _numbers(rows: slice | NDArray[np.intp]) -> NDArray[np.int64]:
    return np.arange(rows.start, rows.stop, dtype=np.int64) if isinstance(rows, slice) else rows.astype(np.int64)


def _compact(rows: NDArray[np.int64]) -> slice | NDArray[np.intp]:
    """Rows as a slice where they follow each other."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows.astype(np.intp)


def _together(windows: Sequence[Window]) -> list[Window]:
    """Windows that follow each other as one."""
    found: list[Window] = []
    for window in sorted(windows, key=lambda one: one.start):
        if found and found[-1].end + window.step == window.start:
            found[-1] = Window(found[-1].start, window.end, window.step)
        else:
            found.append(window)
    return found
