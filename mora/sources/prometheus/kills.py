"""Restarts and OOM kills of a batch: one count from every form in which a kill shows.

A restart whose reason was an OOM kill; a pod that was killed and never started again, as those of a job; a process
within a container that ran on, which only its cgroup's counter tells. Init containers count like the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window, Workload
from mora.saturation import KILLS_COUNT_FOR
from mora.sources.prometheus import fleet_promql as promql
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.parts import in_parts
from mora.sources.prometheus.restarts import crash_loop, ended_by_kill, events_within, restarts_of
from mora.sources.prometheus.tally import Limits, Tally, by_container
from mora.sources.prometheus.wire import Wire


@dataclass(frozen=True, slots=True)
class Kills:
    """Adds restarts and OOM kills to the tallies of a batch.

    tally: a container's, none where its pod is not of the batch. first_row: where the data of the window begins.
    killed: the pods with a kill, once all is counted.
    """

    window: Window
    pods: Mapping[Pod, Workload]
    tally: Callable[[Sequence[str]], list[Tally]]
    limits: Mapping[tuple[str, ...], Limits]
    first_row: int
    killed: set[Pod] = field(default_factory=set)

    def _since(self) -> int:
        """The row from which on kills count."""
        return max(0, self.window.sample_count - 1 - round(KILLS_COUNT_FOR / self.window.step))

    def count_restarts(
        self, restarts: Sequence[Strip], reasons: Sequence[Strip], ends: Sequence[Strip], signals: Sequence[Strip] = ()
    ) -> None:
        """Count restarts, those of them that were OOM kills, and OOM kills that no restart followed.

        signals: where the exit code of the last end was that of a SIGKILL.
        """
        oom, by_signal, counters = by_container(reasons), by_container(signals), {}
        for key, found in by_container(restarts).items():
            for tally in self.tally(key):
                counted = counters[key] = restarts_of(found, self.window, self.first_row)
                tally.restarts += int(counted.risen.sum())
                killed = counted.kills(oom.get(key, ()))
                crashes = counted.risen.copy()
                crashes[killed] = 0
                tally.note_crashes(crash_loop(key[1], key[2], crashes, self.window))
                unexplained = np.setdiff1d(counted.kills(by_signal.get(key, ())), killed)
                tally.killed += int(counted.risen[unexplained[unexplained >= self._since()]].sum())
                killed = killed[killed >= self._since()]
                if len(killed):
                    self._note(tally, key, int(counted.risen[killed].sum()), killed)
        for key, found in by_container(ends).items():
            row = ended_by_kill(found, counters.get(key), self.window, self.first_row)
            for tally in self.tally(key) if row is not None and row >= self._since() else ():
                self._note(tally, key, 1, np.array([row], dtype=np.intp))

    def count_events(self, wire: Wire, scope: Scope, tallies: Mapping[tuple[Workload, str], Tally]) -> None:
        """Count the OOM kills of processes within containers that ran on: of the same kills the larger count."""
        days = max(1, round(min(KILLS_COUNT_FOR, self.window.end - self.window.start) / timedelta(days=1)))
        events: defaultdict[tuple[Workload, str], int] = defaultdict(int)
        of_workload: defaultdict[tuple[Workload, str], list[tuple[str, ...]]] = defaultdict(list)
        rows = in_parts(lambda part: wire.instant(promql.oom_events(part, days), self.window.end), scope)
        known = self.window.end - self.window.start - self.first_row * self.window.step
        for key, kills in events_within(rows, min(days, round(known / timedelta(days=1)))).items():
            workload = self.pods.get((key[0], key[1]))
            if workload is not None and (workload, key[2]) in tallies:
                events[workload, key[2]] += kills
                of_workload[workload, key[2]].append(key)
        for of, kills in events.items():
            tally = tallies[of]
            if kills > tally.oom_kills:
                for key in of_workload[of]:
                    self._note(tally, key, 0, np.arange(self.window.sample_count))
            tally.oom_kills = max(tally.oom_kills, kills)

    def _note(self, tally: Tally, key: tuple[str, ...], kills: int, rows: NDArray[np.intp]) -> None:
        tally.oom_kills += kills
        if kills:
            tally.oom_rows.update(int(row) for row in rows)
        self.killed.add((key[0], key[1]))
        limits = self.limits.get((*key, "memory"))
        if limits is not None:
            highest = float(np.max(limits.at(rows, self.window)))
            tally.oom_limit_bytes = max(tally.oom_limit_bytes or 0.0, highest)
