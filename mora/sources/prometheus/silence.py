"""A kube-state-metrics that has fallen silent: what it said last stands in, and the run says so.

kube-state-metrics can be split into shards, each with a part of all objects. While one of them restarts or is not
scraped, its Deployments and pods are gone from Prometheus at once, though they run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from mora.quantities import format_duration
from mora.sources.prometheus.asking import Asking
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.ownership import Labels, Pod
from mora.sources.prometheus.parts import in_parts
from mora.sources.prometheus.promql import duration, quoted

LATELY = timedelta(hours=1)
_EVERY = timedelta(seconds=30)
# Where the instance of a series is not known: what ended more lately may be a pod that has just been deleted.
_LEAST = timedelta(minutes=2)
_MAX_NAMED, _MAX_PODS = 3, 50
_ADDRESS = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.:\[\]]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Silence:
    """What said something within the last hour and says nothing now, and the pods that run and only it knows.

    instances: of kube-state-metrics; empty where its series do not name any. ago: since when; None where nothing is
    silent.
    """

    instances: tuple[str, ...] = ()
    pods: frozenset[Pod] = frozenset()
    ago: timedelta | None = None

    @property
    def matchers(self) -> tuple[str, ...]:
        """The matchers of its series."""
        escaped = (re.sub(r"([^A-Za-z0-9_])", r"\\\1", one) for one in self.instances)
        return (f"instance=~{quoted('|'.join(escaped))}",) if self.instances else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence about it; none where nothing is silent."""
        if self.ago is None:
            return ()
        more = len(self.instances) - _MAX_NAMED
        at = f" at {', '.join(self.instances[:_MAX_NAMED])}" + (f" and {more} more" if more > 0 else "")
        who = f"kube-state-metrics{at if self.instances else ''}"
        pods = f"{len(self.pods)} pod{'' if len(self.pods) == 1 else 's'}"
        return (
            f"{who} has sent nothing for {format_duration(self.ago, about=True)} of {pods} that run: what it sent last "
            "is used. Are all of its shards running, and scraped?",
        )


def silence(ask: Asking, now: Iterable[Labels]) -> Silence:
    """What has fallen silent, by the pods that cAdvisor sees and kube-state-metrics does not, though it lately did.

    now: the labels of kube_pod_owner at this moment. A pod that an instance has stopped to name while it names others
    was deleted, and its containers are about to end.
    """
    unknown = _running_and_unknown(ask)
    if not unknown:
        return Silence()
    start = ask.at - LATELY
    series = in_parts(lambda part: ask.wire.series(part.select("kube_pod_owner"), start, ask.at), ask.scope)
    here = {labels.get("instance", "") for labels in now}
    before = [one for one in series if _pod(one) in unknown and (_instance(one) not in here or not _instance(one))]
    if not before:
        return Silence()
    instances = tuple(sorted({_instance(one) for one in before} - {""}))
    found = Silence(instances, frozenset(map(_pod, before)))
    ago = _since(ask, found)
    return replace(found, ago=ago) if instances or ago >= _LEAST else Silence()


def _pod(labels: Labels) -> Pod:
    return labels.get("namespace", ""), labels.get("pod", "")


def _instance(labels: Labels) -> str:
    address = labels.get("instance", "")
    return address if _ADDRESS.fullmatch(address) else ""


def _running_and_unknown(ask: Asking) -> frozenset[Pod]:
    def find(part: Scope) -> list[Pod]:
        sets = part.select("container_memory_working_set_bytes", 'container!=""', 'container!="POD"')
        known = part.select("kube_pod_owner")
        query = f"group by (namespace,pod) ({sets}) unless on (namespace,pod) {known}"
        return [_pod(row["metric"]) for row in ask.wire.instant(query, ask.at)]

    return frozenset(in_parts(find, ask.scope))


def _since(ask: Asking, of: Silence) -> timedelta:
    """How long ago the last of them was heard of."""
    some = tuple(sorted({name for _, name in of.pods})[:_MAX_PODS])
    last = f"timestamp({replace(ask.scope, pods=some).select('kube_pod_owner', *of.matchers)})"
    rows = ask.wire.instant(f"max(max_over_time({last}[{duration(LATELY)}:{duration(_EVERY)}]))", ask.at)
    moments = [float(row["value"][1]) for row in rows]
    latest = max((one for one in moments if math.isfinite(one)), default=ask.at.timestamp() - LATELY.total_seconds())
    return timedelta(seconds=max(0.0, ask.at.timestamp() - latest))
