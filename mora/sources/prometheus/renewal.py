"""A run over a fleet whose samples are kept in a state: whose it is, what is still known of what is gone, its end.

The state is of one cluster. What tells clusters apart is when their kube-system was made, as kube-state-metrics says;
where that is not known, their pods: no two clusters have pods of the same names, so a Prometheus that knows none of
those that the state has samples of is another cluster's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from mora.domain import Window
from mora.errors import StateUnusable
from mora.sources.prometheus.answered import Kept
from mora.sources.prometheus.asked import Pace, Paces
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.ownership import Owners
from mora.sources.prometheus.wire import Wire
from mora.state.opening import CLUSTER, check_clock, check_cluster
from mora.state.store import Store

_HISTORY, _PACE, _AGED = "history_seconds", "pace", "aged"
# A recommender asks namespace by namespace, and looking for what is old goes over all of them.
_AGE_EVERY_SECONDS = 3600.0
# Scrape intervals that differ by no more than this are the same, measured twice.
_ALIKE = 1.5


def begin(store: Store, wire: Wire, scope: Scope, owners: Owners, window: Window, say: Callable[[str], None]) -> Kept:
    """Answers out of a state, once it is sure that it is that of the cluster behind the Prometheus.

    say: gets what a person must know of the state. StateUnusable where it is of another cluster.
    """
    identity = _identity(wire, scope, window)
    kept = store.workloads(scope.namespaces, window.start.timestamp())
    pods = {(workload.namespace, name) for workload, names in kept.items() for name in names}
    is_same = bool(identity) and store.fact(CLUSTER) == identity
    if not is_same and pods and owners.pods and not pods & owners.pods.keys():
        raise StateUnusable(
            f"The state in {store.path.parent} is of another cluster than the one behind {wire.url}, which knows none "
            f"of the {len(pods)} pods that the state has samples of.",
            hint="Keep a folder a cluster: --state OTHER_DIR",
        )
    check_cluster(store, identity, wire.url)
    check_clock(store, window.end.timestamp(), say)
    return Kept(wire, store, owners.pods.keys())


def _identity(wire: Wire, scope: Scope, window: Window) -> str:
    """What tells the cluster from others; empty where kube-state-metrics does not say when it was made."""
    created = Scope(("kube-system",), cluster=scope.cluster).select("kube_namespace_created")
    rows = wire.instant(f"last_over_time({created}[1h])", window.end)
    made = sorted({f"{float(row['value'][1]):.0f}" for row in rows})
    return f"kube-system made at {made[0]}" if made else ""


def with_gone(owners: Owners, store: Store, scope: Scope, window: Window) -> Owners:
    """The owners of pods, with those that only the state still knows: a Prometheus may keep less than is asked for."""
    pods = {
        (workload.namespace, name): workload
        for workload, names in store.workloads(scope.namespaces, window.start.timestamp()).items()
        for name in names
    }
    return replace(owners, pods={**pods, **owners.pods})


def steady(paces: Paces, store: Store) -> Paces:
    """The paces as they were measured at first: 15.1 s are the 15 s of the run before, and the same question."""
    noted = store.fact(_PACE)
    known = [Pace(*(timedelta(seconds=float(part)) for part in pair)) for pair in json.loads(noted or "[]")]
    found = []
    for since, pace in paces.since:
        alike = next((one for one in known if _is_alike(one.interval, pace.interval)), pace)
        if alike not in known:
            known.append(alike)
        found.append((since, alike))
    store.set_fact(
        _PACE, json.dumps([[one.interval.total_seconds(), one.rate_window.total_seconds()] for one in known])
    )
    return Paces(tuple(found))


def _is_alike(one: timedelta, other: timedelta) -> bool:
    return max(one, other) <= _ALIKE * min(one, other)


def end(kept: Kept, window: Window, say: Callable[[str], None]) -> None:
    """Let what is older than the longest history that is asked for age out, and tell what the Prometheus has lost.

    Age is counted from the newest sample and not from the clock: one that jumps ahead drops nothing.
    """
    store = kept.store
    history = max(float(store.fact(_HISTORY) or 0), (window.end - window.start).total_seconds())
    store.set_fact(_HISTORY, f"{history:.0f}")
    store.commit(None)
    newest = store.newest()
    if newest is not None and newest - float(store.fact(_AGED) or 0) >= _AGE_EVERY_SECONDS:
        store.age_out(newest - history)
        store.set_fact(_AGED, f"{newest:.0f}")
        store.commit(None)
    if kept.fewer:
        names = sorted(f"{one.namespace}/{one.name}" for one in kept.fewer)
        some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        say(
            f"Prometheus no longer has all samples that the state has of {some}: those of the state are used. "
            f"If they are wrong, delete {store.path.parent}."
        )
