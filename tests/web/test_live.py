from __future__ import annotations

from mora.errors import SourceUnavailable
from mora.web.live import Live
from tests.web.making import MADE_AT, answer


def test_the_last_good_answer_stays_while_refreshes_fail() -> None:
    live = Live(("",), 900.0, now=lambda: MADE_AT + 60)
    assert live.unready() == "the first refresh has not ended"
    live.failed("", SourceUnavailable("Prometheus does not answer.", hint="Is it up?"))
    assert live.unready() == "no answer yet: Prometheus does not answer."
    live.answered("", answer())
    live.failed("", SourceUnavailable("Prometheus does not answer."))
    live.now = lambda: MADE_AT + 600
    live.failed("", SourceUnavailable("It still does not."))
    (cluster,) = live.shown().clusters
    assert live.unready() is None
    assert cluster.answer == answer()
    assert cluster.problem is not None
    # Since when: the first failure. What: the last.
    assert (cluster.problem.message, cluster.problem.since) == ("It still does not.", MADE_AT + 60)
    live.answered("", answer(made_at=MADE_AT + 700))
    assert live.shown().clusters[0].problem is None


def test_an_answer_is_stale_after_three_refreshes() -> None:
    live = Live(("a", "b"), 100.0)
    live.answered("a", answer())
    shown = live.shown()
    a, b = shown.clusters
    assert [shown.is_stale(a, MADE_AT + seconds) for seconds in (0, 300, 301)] == [False, False, True]
    assert shown.is_stale(b, MADE_AT)
    assert (shown.age(a, MADE_AT + 5), shown.age(b, MADE_AT), shown.oldest(MADE_AT + 5)) == (5.0, None, 5.0)


def test_a_cluster_that_is_away_costs_only_its_own_rows() -> None:
    live = Live(("a", "b"), 100.0)
    live.failed("a", SourceUnavailable("away"))
    live.answered("b", answer())
    assert live.unready() is None
    assert {cluster.name for cluster, _ in live.shown().entries()} == {"b"}


def test_workloads_are_chosen_by_cluster_namespace_kind_and_name() -> None:
    live = Live(("a", "b"), 100.0)
    live.answered("a", answer())
    live.answered("b", answer())
    shown = live.shown()
    everything = shown.entries()
    assert len(shown.entries(cluster="a")) * 2 == len(everything)
    _, one = everything[0]
    found = shown.entries(namespace=one.namespace, workload=one.workload, kind=one.kind.lower())
    assert [(cluster.name, entry.document) for cluster, entry in found] == [("a", one.document), ("b", one.document)]
    assert shown.entries(namespace="nowhere") == []


def test_each_change_raises_the_version() -> None:
    live = Live(("",), 100.0)
    versions = [live.shown().version]
    live.answered("", answer())
    versions.append(live.shown().version)
    live.failed("", SourceUnavailable("x"))
    versions.append(live.shown().version)
    live.recorded("", [])
    versions.append(live.shown().version)
    live.unrecorded("", SourceUnavailable("y"))
    versions.append(live.shown().version)
    assert versions == sorted(set(versions))
