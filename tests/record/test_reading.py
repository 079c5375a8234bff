from __future__ import annotations

from pathlib import Path

import pytest

from mora.record.outcomes import Outcome
from mora.record.reading import reading
from mora.record.store import Record
from tests.record.making import DAY, START, seen, total


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record.sqlite"


def test_what_moved_since_yesterday_is_what_is_new_and_what_differs_by_a_tenth(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 100, workload=name) for name in ("same", "little", "much")], [])
        later = [seen(500, 100, workload="same"), seen(500, 105, workload="little"), seen(500, 140, workload="much")]
        record.take("", START + DAY, [*later, seen(500, 70, workload="new"), seen(70, 70, workload="right")], [])
    with reading(path) as read:
        moved = {one.key.workload: (one.before, one.value) for one in read.moved_since(START + DAY / 2)}
    assert moved == {"much": (100, 140), "new": (None, 70)}


def test_the_first_answer_of_a_record_is_no_news(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 100)], [])
        record.take("", START + 900, [seen(500, 150), seen(300, 100, workload="new")], [])
    with reading(path) as read:
        moved = [(one.key.workload, one.before, one.value) for one in read.moved_since(START - DAY)]
    assert moved == [("new", None, 100), ("web", 100, 150)]


def test_the_trend_keeps_the_figures_of_a_cluster_that_is_away(path: Path) -> None:
    with Record(path) as record:
        record.take("a", START, [], [total(cluster="a", waste_cores=5.0), total("bank", cluster="a", waste_cores=1.0)])
        record.take("b", START, [], [total(cluster="b", waste_cores=2.0)])
        record.take("b", START + DAY, [], [total(cluster="b", waste_cores=1.0)])
    with reading(path) as read:
        assert [one.waste_cores for one in read.trend()] == [8.0, 7.0]
        assert [one.waste_cores for one in read.trend(namespace="bank")] == [1.0, 1.0]
        assert [one.waste_cores for one in read.trend(cluster="b")] == [2.0, 1.0]
        assert [one.waste_cores for one in read.trend(since=START + DAY)] == [7.0]


def test_a_namespace_that_has_gone_is_not_counted_on(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [], [total("shop"), total("bank")])
        record.take("", START + 3600, [], [total("shop")])
    with reading(path) as read:
        assert [one.reserved_cores for one in read.trend()] == [20.0, 10.0]


def test_what_ended_since_a_moment_names_what_became_of_it(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 120, workload=name) for name in ("a", "b", "c", "d")], [])
        record.take("", START + 60, [seen(120, 120, workload="a")], [])
        later = [seen(120, 120, workload="a"), seen(300, 120, workload="b"), seen(900, 120, workload="c")]
        record.take("", START + 120, [*later, seen(500, 120, workload="d")], [])
    with reading(path) as read:
        assert [(one.key.workload, one.outcome) for one in read.ended_since(START + 61)] == [
            ("b", Outcome.PARTLY),
            ("c", Outcome.OTHERWISE),
        ]
        assert [one.key.workload for one in read.ended_since(START)] == ["a", "b", "c"]
        assert read.ended_since(START, namespace="bank") == []
        recommended = [(one.key.workload, one.before) for one in read.recommended_since(START + 120)]
    assert recommended == [("b", 300), ("c", 900), ("d", 500)]


def test_the_history_of_a_kind_is_found_in_any_case(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 100), seen(500, 100, kind="StatefulSet")], [])
    with reading(path) as read:
        for kind in ("Deployment", "deployment"):
            assert [one.key.kind for one in read.history("shop", "web", kind=kind)] == ["Deployment"]
