"""What happened since a moment, in figures: recommended, applied, covered, freed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mora.quantities import GIB
from mora.record.outcomes import Outcome
from mora.record.reading import Episode, Moment, Reading, Refresh

_REQUESTS = ("cpu_request", "memory_request")


@dataclass(frozen=True, slots=True)
class Digest:
    """The figures from `since` to `until` (unix seconds) of a cluster and a namespace, None for all.

    open: changes that are recommended now. applied, partly, otherwise: settings that were changed since, by what they
    became. covered, exceeded: requests that were applied (at any time) and are set, by how the use since went;
    unchecked: how many have no use since. first, last: what was reserved and wasted then and now, None without a record
    of it. refreshes: the state of each cluster.
    """

    since: float
    until: float
    cluster: str | None
    namespace: str | None
    open: tuple[Episode, ...]
    applied: tuple[Episode, ...]
    partly: tuple[Episode, ...]
    otherwise: tuple[Episode, ...]
    covered: tuple[Episode, ...]
    exceeded: tuple[Episode, ...]
    unchecked: int
    first: Moment | None
    last: Moment | None
    refreshes: tuple[Refresh, ...]

    @property
    def freed_cores(self) -> float:
        """Cores that applied changes have freed since, over all replicas; negative where they took more."""
        return _freed((*self.applied, *self.partly), "cpu_request") / 1000

    @property
    def freed_gib(self) -> float:
        """GiB that applied changes have freed since, over all replicas; negative where they took more."""
        return _freed((*self.applied, *self.partly), "memory_request") / GIB

    @property
    def uncounted(self) -> int:
        """Applied changes of requests that are in no sum: not set before, or of what does not run all the time."""
        changed = [one for one in (*self.applied, *self.partly) if one.key.number in _REQUESTS]
        return sum(_freed_by(one) is None for one in changed)


def digest_of(
    read: Reading, *, since: float, until: float, cluster: str | None = None, namespace: str | None = None
) -> Digest:
    """The figures of a record."""
    ended = read.ended_since(since, cluster=cluster, namespace=namespace)
    recommended = read.recommended_since(since, cluster=cluster, namespace=namespace)
    in_force = read.in_force(cluster=cluster, namespace=namespace)
    trend = read.trend(cluster=cluster, namespace=namespace)
    before = [moment for moment in trend if moment.at <= since]
    return Digest(
        since=since,
        until=until,
        cluster=cluster,
        namespace=namespace,
        open=tuple(one for one in recommended if one.outcome is Outcome.OPEN),
        applied=tuple(one for one in ended if one.outcome is Outcome.APPLIED),
        partly=tuple(one for one in ended if one.outcome is Outcome.PARTLY),
        otherwise=tuple(one for one in ended if one.outcome is Outcome.OTHERWISE),
        covered=tuple(one for one in in_force if one.covered is True),
        exceeded=tuple(one for one in in_force if one.covered is False),
        unchecked=sum(one.covered is None for one in in_force),
        first=(before[-1] if before else trend[0]) if trend else None,
        last=trend[-1] if trend else None,
        refreshes=tuple(one for one in read.refreshes() if cluster in (None, one.cluster)),
    )


def workloads_of(episodes: Sequence[Episode]) -> int:
    """How many workloads recommendations are about."""
    return len({(one.key.cluster, one.key.namespace, one.key.kind, one.key.workload) for one in episodes})


def _freed(episodes: Sequence[Episode], number: str) -> int:
    return sum(_freed_by(one) or 0 for one in episodes if one.key.number == number)


def _freed_by(one: Episode) -> int | None:
    """What a change of a request has freed over all replicas, in its unit; None where that is not known."""
    if one.before is None or one.after is None or one.replicas is None:
        return None
    return (one.before - one.after) * one.replicas
