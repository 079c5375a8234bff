"""CPU counters that step back, read in another way: a step back by a fraction of the count is no restart.

A restart begins a new series. Two collectors that write one series make many small steps back, each of which `irate`
takes for a restart from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain import MOST_LEFT_OUT, Target, Window, Workload
from mora.sources.prometheus import fleet_promql as promql
from mora.sources.prometheus.answered import Answers, Asked
from mora.sources.prometheus.asked import Batch, Owned, Pace
from mora.sources.prometheus.believable import Nodes, rising
from mora.sources.prometheus.grid import row_of
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.parts import in_parts
from mora.sources.prometheus.promql import duration
from mora.sources.prometheus.tally import Limits, Tally, by_container, moved
from mora.sources.prometheus.wire import Wire

# A counter that steps back so often within this span is written by several collectors.
UNSTEADY_SPAN = timedelta(hours=1)
STEPS_BACK = 3

OwnNode = Callable[[Pod, Target, NDArray[np.float64]], Nodes | None]


@dataclass(frozen=True, slots=True)
class CpuAgain:
    """Reads the CPU of some containers of a batch again, once their counters are known to step back."""

    wire: Wire
    answers: Answers
    batch: Batch
    window: Window
    tallies: Mapping[Owned, Tally]
    starts: Mapping[Pod, Sequence[slice]]
    limits: Mapping[tuple[str, ...], Limits]
    own_node: OwnNode

    def read(self, parts: Sequence[tuple[Window, Pace]]) -> dict[Workload, dict[str, str]]:
        """Read them as means over the rate window; the query of each workload that was."""
        wrong = (self._unsteady() | self._that_stepped_back() | self._unbelievable()) & self.tallies.keys()
        if not wrong:
            return {}
        pods = {pod: workload for pod, workload in self.batch.pods.items() if any(workload == one for one, _ in wrong)}
        span = parts[-1][1].rate_window
        some = replace(self.batch.scope, pods=tuple(sorted({name for _, name in pods})))
        for of in wrong:
            self.tallies[of].begin_cpu_again(
                f"its CPU counter often steps back, as where several collectors write one series: use is read as the "
                f"mean over {duration(span)}"
            )
        again: list[Asked] = [
            ("cpu", partial(promql.cpu_over_span, span=pace.rate_window), piece) for piece, pace in parts
        ]
        for _, piece, strips in self.answers.ranges(self.batch, again, some):
            ahead = row_of(piece.start, self.window)
            for (namespace, pod, container), found in by_container(strips).items():
                workload = pods.get((namespace, pod))
                if workload is None or (workload, container) not in wrong:
                    continue
                limits = self.limits.get((namespace, pod, container, "cpu"))
                starting = self.starts.get((namespace, pod), ())
                for strip in found:
                    used = rising(strip.values)
                    node = self.own_node((namespace, pod), Target.CPU, used)
                    rows = moved(strip, ahead).rows
                    self.tallies[workload, container].add_cpu(pod, rows, used, starting, limits, node)
        for of in wrong:
            self.tallies[of].leave_out_odd()
        return {workload: {"cpu": promql.cpu_over_span(some, span)} for workload, _ in wrong}

    def _unbelievable(self) -> set[Owned]:
        return {of for of, tally in self.tallies.items() if tally.sieves[Target.CPU].share > MOST_LEFT_OUT}

    def _unsteady(self) -> set[Owned]:
        """The containers whose counters stepped back of late."""
        rows = in_parts(
            lambda part: self.wire.instant(promql.unsteady(part, UNSTEADY_SPAN, STEPS_BACK), self.window.end),
            self.batch.scope,
        )
        return self._owned(rows)

    def _that_stepped_back(self) -> set[Owned]:
        """The containers whose counters stepped back at any time: looked for where samples had to be left out."""
        doubtful = {of for of, tally in self.tallies.items() if tally.sieves[Target.CPU].dropped}
        workloads = {workload for workload, _ in doubtful}
        pods = {name for (_, name), workload in self.batch.pods.items() if workload in workloads}
        if not pods:
            return set()
        some, window = replace(self.batch.scope, pods=tuple(sorted(pods))), self.window.end - self.window.start
        rows = in_parts(
            lambda part: self.wire.instant(promql.steps_back(part, UNSTEADY_SPAN, window, STEPS_BACK), self.window.end),
            some,
        )
        return self._owned(rows) & doubtful

    def _owned(self, rows: Sequence[Mapping[str, Any]]) -> set[Owned]:
        keys = [tuple(row["metric"].get(name, "") for name in ("namespace", "pod", "container")) for row in rows]
        return {
            (self.batch.pods[namespace, pod], container)
            for namespace, pod, container in keys
            if (namespace, pod) in self.batch.pods
        }
