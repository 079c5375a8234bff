"""A kube-state-metrics that has fallen silent: what it said last stands in, and the run says so.

kube-state-metrics can be split into shards, each with a part of all objects. While one of them restarts or is not
scraped, its Deployments and pods are gone from Prometheus at once, though they run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from mora.quantities import format_duration
from mora.sources.prometheus.asking import Asking
from mora.sources.prometheus.ownership import Labels, Pod
from mora.sources.prometheus.promql import duration, quoted

LATELY = timedelta(hours=1)
_EVERY = timedelta(seconds=30)
_MAX_NAMED = 3
_ADDRESS = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.:\[\]]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Silence:
    """Which instances said something within the last hour and say nothing now, and the pods that only they know.

    ago: since when; None where nothing is silent.
    """

    instances: tuple[str, ...] = ()
    pods: frozenset[Pod] = frozenset()
    ago: timedelta | None = None

    @property
    def matcher(self) -> str:
        """The matcher of the series of these instances."""
        escaped = (re.sub(r"([^A-Za-z0-9_])", r"\\\1", one) for one in self.instances)
        return f"instance=~{quoted('|'.join(escaped))}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence about it; none where nothing is silent."""
        if self.ago is None:
            return ()
        more = len(self.instances) - _MAX_NAMED
        who = f"kube-state-metrics at {', '.join(self.instances[:_MAX_NAMED])}" + (
            f" and {more} more" if more > 0 else ""
        )
        pods = f"{len(self.pods)} pod{'' if len(self.pods) == 1 else 's'}"
        return (
            f"{who} has sent nothing for {format_duration(self.ago, about=True)}, and {pods} that run are known only "
            "from it: what it sent last is used. Is it running, and is it scraped?",
        )


def silence(ask: Asking, now: Iterable[Labels]) -> Silence:
    """What has fallen silent, by the owners of pods. now: the labels of kube_pod_owner at this moment.

    An instance that another one has replaced, as after an update of kube-state-metrics, is not silent: what only it
    knew is gone. So a pod counts only if cAdvisor shows that it runs.
    """
    rows = list(now)
    here = {labels.get("instance", "") for labels in rows}
    start = ask.at - LATELY
    before = ask.wire.label_values("instance", ask.scope.select("kube_pod_owner"), start, ask.at)
    absent = tuple(one for one in before if _ADDRESS.fullmatch(one) and one not in here)
    if not absent:
        return Silence()
    suspect = Silence(absent)
    known = {_pod(labels) for labels in rows}
    only_there = {
        _pod(one) for one in ask.wire.series(ask.scope.select("kube_pod_owner", suspect.matcher), start, ask.at)
    }
    missing = _running(ask, only_there - known) if only_there - known else frozenset()
    if not missing:
        return Silence()
    return Silence(absent, missing, _since(ask, suspect))


def _pod(labels: Labels) -> Pod:
    return labels.get("namespace", ""), labels.get("pod", "")


def _running(ask: Asking, pods: Collection[Pod]) -> frozenset[Pod]:
    """Those of the pods that cAdvisor sees now."""
    sets = ask.scope.select("container_memory_working_set_bytes", 'container!=""', 'container!="POD"')
    rows = ask.wire.instant(f"group by (namespace,pod) ({sets})", ask.at)
    return frozenset(_pod(row["metric"]) for row in rows) & frozenset(pods)


def _since(ask: Asking, of: Silence) -> timedelta:
    """How long ago the last of them said something."""
    last = f"timestamp({ask.scope.select('kube_pod_owner', of.matcher)})"
    rows = ask.wire.instant(f"max(max_over_time({last}[{duration(LATELY)}:{duration(_EVERY)}]))", ask.at)
    moments = [float(row["value"][1]) for row in rows]
    latest = max((one for one in moments if math.isfinite(one)), default=ask.at.timestamp() - LATELY.total_seconds())
    return timedelta(seconds=max(0.0, ask.at.timestamp() - latest))
