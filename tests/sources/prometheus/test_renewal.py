"""What a run takes over from the one before: the cluster, the pace of scrapes, pods that are gone, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from mora.domain import Window, Workload
from mora.errors import BadInput
from mora.sources.prometheus import renewal
from mora.sources.prometheus.answered import Kept
from mora.sources.prometheus.asked import Pace, Paces
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.ownership import Owners
from mora.state.blocks import Samples
from mora.state.opening import opened
from mora.state.store import Answered, Question, Store

WEB = Workload("shop", "web")
START = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1), timedelta(minutes=5))
SHOP = Scope(("shop",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A state with a day of one pod."""
    with opened(tmp_path, say=print) as found:
        first = round(START.timestamp() / 300)
        one = Samples({"pod": "web-0"}, np.arange(first, first + 289), np.ones(289))
        known = Answered(first, first + 288, {"web-0": first + 288}, {one.name: one})
        found.put(WEB, Question("cpu", 300.0), known, [(first, first + 288)])
        found.commit(WINDOW.end.timestamp())
        yield found


class Says:
    """A Prometheus that says when its kube-system was made, or nothing."""

    url = "http://prometheus.local"

    def __init__(self, *made: float) -> None:
        self._made = made

    def instant(self, query: str, at: datetime) -> list[dict[str, Any]]:
        assert query == 'last_over_time(kube_namespace_created{namespace="kube-system"}[1h])'
        return [{"metric": {}, "value": [0, str(made)]} for made in self._made]


def begin(store: Store, server: Says, *pods: str, window: Window = WINDOW) -> tuple[Kept, list[str]]:
    said: list[str] = []
    owners = Owners({("shop", pod): WEB for pod in pods})
    return renewal.begin(store, cast(Any, server), SHOP, owners, window, said.append), said


def test_a_cluster_is_known_by_when_it_was_made(store: Store) -> None:
    begin(store, Says(1.7e9), "web-0")
    begin(store, Says(), "web-0")  # kube-state-metrics may be away, or keep its metric to itself
    begin(store, Says(1.7e9, 1.7e9), "web-0")
    with pytest.raises(BadInput, match="another cluster"):
        begin(store, Says(1.8e9), "web-0")


def test_a_prometheus_that_knows_no_pod_of_the_state_is_another_clusters(store: Store) -> None:
    begin(store, Says(), "web-0", "web-1")
    with pytest.raises(BadInput, match="knows none of the 1 pods"):
        begin(store, Says(), "web-7")
    later = Window(WINDOW.start + timedelta(days=9), WINDOW.end + timedelta(days=9), WINDOW.step)
    begin(store, Says(), "web-7", window=later)  # all pods of that time are gone: that shows nothing


def test_a_cluster_that_was_refused_by_its_pods_leaves_no_name_in_the_state(store: Store) -> None:
    for _ in range(2):
        with pytest.raises(BadInput, match="knows none of the 1 pods"):
            begin(store, Says(1.8e9), "web-7")
    begin(store, Says(1.7e9), "web-0")


def test_a_prometheus_that_lost_its_past_is_still_that_of_its_cluster(store: Store) -> None:
    begin(store, Says(1.7e9), "web-0")
    begin(store, Says(1.7e9), "web-7")  # its disk was emptied, and every pod was replaced since


def test_pods_that_the_prometheus_has_forgotten_count_as_long_as_their_samples(store: Store) -> None:
    cart = Workload("shop", "cart")
    owners = Owners({("shop", "cart-0"): cart, ("shop", "web-1"): WEB})
    assert renewal.with_gone(owners, store, SHOP, WINDOW).pods == {**owners.pods, ("shop", "web-0"): WEB}
    assert renewal.with_gone(Owners({("shop", "web-0"): cart}), store, SHOP, WINDOW).pods["shop", "web-0"] == cart
    later = Window(WINDOW.end + timedelta(hours=1), WINDOW.end + timedelta(hours=2), WINDOW.step)
    assert renewal.with_gone(owners, store, SHOP, later).pods == owners.pods


def test_an_interval_that_is_measured_a_little_differently_is_the_same_question(store: Store) -> None:
    def paces(*seconds: float) -> Paces:
        spans = [timedelta(seconds=one) for one in seconds]
        return Paces(
            tuple((START + number * timedelta(hours=1), Pace(one, 4 * one)) for number, one in enumerate(spans))
        )

    assert renewal.steady(paces(15.0), store) == paces(15.0)
    store.commit(None)
    assert renewal.steady(paces(15.1), store) == paces(15.0)
    assert renewal.steady(paces(60.0, 14.9), store) == paces(60.0, 15.0)


def test_workloads_with_samples_that_are_gone_are_named(store: Store) -> None:
    kept, said = begin(store, Says(), "web-0")
    renewal.end(kept, WINDOW, said.append)
    assert said == []
    kept.fewer |= {Workload("shop", name) for name in "abcde"}
    renewal.end(kept, WINDOW, said.append)
    assert said == [
        "Prometheus no longer has all samples that the state has of shop/a, shop/b, shop/c and 2 more: those of the "
        f"state are used. If they are wrong, delete {store.path.parent}."
    ]


def test_samples_age_out_beyond_the_longest_history_that_was_asked_for(store: Store) -> None:
    kept, said = begin(store, Says(), "web-0")
    renewal.end(kept, WINDOW, said.append)
    short = Window(WINDOW.end - timedelta(hours=1), WINDOW.end, WINDOW.step)
    renewal.end(kept, short, said.append)
    first = round(START.timestamp() / 300)
    assert store.answered([WEB], Question("cpu", 300.0), first, first + 288)[WEB].since == first
