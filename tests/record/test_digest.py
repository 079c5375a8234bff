from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mora.quantities import GIB
from mora.record.digest import Digest, digest_of, workloads_of
from mora.record.numbers import Seen, Use
from mora.record.reading import reading
from mora.record.store import Record
from tests.record.making import DAY, START, seen, total

WEEK = 7 * DAY


def three(now: int | None, value: int, workload: str = "web", number: str = "cpu_request") -> Seen:
    return replace(seen(now, value, workload=workload, number=number), replicas=3)


def before() -> list[Seen]:
    memory = three(4 * GIB, GIB, number="memory_request")
    return [three(1000, 300), memory, three(500, 250, "api"), three(800, 200, "cart"), seen(500, 100, workload="job")]


def after() -> list[Seen]:
    memory = three(GIB, GIB, number="memory_request")
    return [three(300, 300), memory, three(400, 250, "api"), three(1600, 200, "cart"), seen(100, 100, workload="job")]


def a_week(path: Path) -> None:
    """A week in which web was cut as recommended, api in part, and cart was raised instead."""
    with Record(path) as record:
        record.take("", START, before(), [total(waste_cores=9.0)])
        record.take("", START + DAY, after(), [total(waste_cores=6.0)])
        in_force = record.in_force("")
        uses = {
            one.episode: Use(one.since, START + WEEK, 99, 1.2 * GIB, oom_kills=1)
            if one.key.number == "memory_request"
            else Use(one.since, START + WEEK, 99, 250.0)
            for one in in_force
            if one.key.workload != "job"
        }
        record.take("", START + WEEK, after(), [total(waste_cores=4.0)], uses=uses)


def read(path: Path, since: float = START + 60, **more: str) -> Digest:
    with reading(path) as found:
        return digest_of(found, since=since, until=START + WEEK, **more)


def test_a_week_is_summed_up(tmp_path: Path) -> None:
    a_week(tmp_path / "record.sqlite")
    found = read(tmp_path / "record.sqlite")
    assert [(one.key.workload, one.key.number) for one in found.applied] == [
        ("job", "cpu_request"),
        ("web", "cpu_request"),
        ("web", "memory_request"),
    ]
    assert [one.key.workload for one in found.partly] == ["api"]
    assert [one.key.workload for one in found.otherwise] == ["cart"]
    assert [one.key.workload for one in found.open] == ["api", "cart"]
    assert [one.key.workload for one in found.covered] == ["api", "web"]
    assert [(one.key.number, one.oom_kills) for one in found.exceeded] == [("memory_request", 1)]
    assert found.unchecked == 1
    # Three replicas each; the job, which does not run all the time, is in no sum.
    assert found.freed_cores == pytest.approx(3 * (0.7 + 0.1))
    assert found.freed_gib == pytest.approx(9)
    assert found.uncounted == 1
    assert found.first is not None
    assert found.last is not None
    assert (found.first.waste_cores, found.last.waste_cores) == (9.0, 4.0)
    assert workloads_of(found.applied) == 2


def test_what_was_before_the_span_is_not_in_it_and_what_is_set_is_still_checked(tmp_path: Path) -> None:
    a_week(tmp_path / "record.sqlite")
    found = read(tmp_path / "record.sqlite", START + 2 * DAY)
    assert (found.applied, found.partly, found.otherwise) == ((), (), ())
    assert (found.freed_cores, found.freed_gib) == (0, 0)
    assert len(found.exceeded) == 1
    assert found.first is not None
    assert found.first.waste_cores == 6.0


def test_another_namespace_has_a_digest_of_its_own(tmp_path: Path) -> None:
    a_week(tmp_path / "record.sqlite")
    found = read(tmp_path / "record.sqlite", namespace="bank")
    assert (found.applied, found.open, found.covered) == ((), (), ())
