"""The file of a state: what is put in comes back, ages out, and is written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from mora.domain import BoundSeries, KeptBound, Target, Workload
from mora.state.blocks import Samples
from mora.state.opening import opened
from mora.state.store import BLOCK, Answered, Question, Store

WEB, CART = Workload("shop", "web"), Workload("cart", "cart", "StatefulSet")
CPU, LIMITS = Question("cpu", 300.0), Question("limits", 3600.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path, say=print) as found:
        yield found


def answered(first: int, last: int, pod: str = "web-0") -> Answered:
    rows = np.arange(first, last + 1)
    one = Samples({"pod": pod}, rows, rows.astype(np.float64))
    return Answered(first, last, {pod: last}, {one.name: one})


def rows_of(found: Answered) -> list[int]:
    return [int(row) for one in found.series.values() for row in one.rows]


def test_what_was_put_in_comes_back_by_workload_and_question(store: Store) -> None:
    store.put(WEB, CPU, answered(0, 700), [(0, 700)])
    store.put(CART, CPU, answered(10, 20, "cart-0"), [(10, 20)])
    store.put(WEB, LIMITS, answered(0, 3), [(0, 3)])
    assert store.answered([WEB, CART], CPU, 0, 10_000) == {}
    store.commit(1e9)
    found = store.answered([WEB, CART], CPU, 0, 10_000)
    assert rows_of(found[WEB]) == list(range(701))
    assert rows_of(found[CART]) == list(range(10, 21))
    assert found[CART].pods == {"cart-0": 20}
    assert rows_of(store.answered([WEB], LIMITS, 0, 10)[WEB]) == [0, 1, 2, 3]
    # Whole blocks come, so that what lies beside the rows that are asked for stays in them.
    assert rows_of(store.answered([WEB], CPU, BLOCK, BLOCK)[WEB]) == list(range(BLOCK, 2 * BLOCK))
    assert store.workloads(["shop"], 0.0) == {WEB: {"web-0"}}
    assert store.workloads([], 22 * 300.0) == {WEB: {"web-0"}, CART: frozenset()}


def test_only_changed_blocks_are_written(store: Store) -> None:
    store.put(WEB, CPU, answered(0, 700), [(0, 700)])
    store.commit(1e9)
    changed = answered(0, 701)
    one = next(iter(changed.series.values()))
    one.values[:] = 7.0
    store.put(WEB, CPU, changed, [(701, 701)])
    store.commit(1e9)
    (read,) = store.answered([WEB], CPU, 0, 10_000)[WEB].series.values()
    assert read.values[0] == 0.0
    assert read.values[2 * BLOCK] == 7.0
    assert len(read.rows) == 702


def test_nothing_is_known_of_what_lies_after_the_newest_sample_of_all(store: Store) -> None:
    store.put(WEB, CPU, answered(0, 700), [(0, 700)])
    store.commit(None)
    assert store.answered([WEB], CPU, 0, 10_000) == {}
    store.put(WEB, CPU, answered(0, 700), [(0, 700)])
    store.commit(600 * 300.0)
    assert store.answered([WEB], CPU, 0, 10_000)[WEB].until == 600
    assert store.newest() == 600 * 300.0


def test_what_is_old_ages_out_and_workloads_that_are_gone_with_it(store: Store) -> None:
    store.put(WEB, CPU, answered(0, 2000), [(0, 2000)])
    store.put(CART, CPU, answered(0, 100, "cart-0"), [(0, 100)])
    store.note(CART, "told x", 100 * 300.0, "{}")
    store.commit(1e9)
    assert store.age_out(1000 * 300.0) == 1
    found = store.answered([WEB, CART], CPU, 0, 10_000)
    assert set(found) == {WEB}
    assert found[WEB].since == 1000
    assert min(rows_of(found[WEB])) == 1000 // BLOCK * BLOCK
    assert store.notes([CART], "told ") == {}
    assert store.age_out(1000 * 300.0) == 0


def test_a_question_that_aged_out_leaves_no_sample_to_the_next_one_of_its_number(store: Store) -> None:
    store.put(WEB, LIMITS, answered(0, 2000), [(0, 2000)])
    store.put(WEB, CPU, answered(0, 100), [(0, 100)])
    store.commit(1e9)
    store.age_out(150 * 300.0)  # in the middle of the block that has the last samples of CPU
    other = Question("memory", 300.0)
    store.put(WEB, other, answered(200, 210), [])
    store.commit(1e9)
    assert rows_of(store.answered([WEB], other, 0, 10_000)[WEB]) == []
    assert store.answered([WEB], CPU, 0, 10_000) == {}


def test_notes_are_of_a_workload_and_found_by_how_their_names_begin(store: Store) -> None:
    store.note(WEB, "told server", 5.0, "one")
    store.note(WEB, "start a", 5.0, "two")
    store.note(WEB, "told %", 5.0, "three")
    store.drop_pending()
    store.note(WEB, "told server", 5.0, "four")
    store.commit(None)
    assert store.notes([WEB, CART], "told ") == {WEB: {"server": "four"}}


def test_names_of_a_server_are_values_and_never_statements(store: Store) -> None:
    odd = "'); DROP TABLE block; --"
    store.put(WEB, Question(odd, 300.0), answered(0, 5, odd), [(0, 5)])
    store.note(WEB, odd, 1.0, odd)
    store.set_fact(odd, odd)
    store.commit(1e9)
    assert store.answered([WEB], Question(odd, 300.0), 0, 5)[WEB].pods == {odd: 5}
    assert store.fact(odd) == odd


def kept(body: bytes, at: float = 900.0) -> KeptBound:
    return KeptBound(0.0, at, at + 3600.0, body)


SERVER = BoundSeries(WEB, "server", Target.CPU, 1)
FIVE, HOUR = timedelta(minutes=5), timedelta(hours=1)


def test_what_bounds_go_on_from_is_written_with_the_next_answers(store: Store) -> None:
    store.keep_bounds({SERVER: kept(b"older")}, FIVE, HOUR)
    assert store.bounds([WEB], FIVE, HOUR) == {}
    store.drop_pending()  # answers that are asked again in another way
    store.put(WEB, CPU, answered(0, 5), [(0, 5)])
    store.commit(1e9)
    assert store.bounds([WEB, CART], FIVE, HOUR) == {SERVER: kept(b"older")}
    store.keep_bounds({SERVER: kept(b"newer", 1000.0)}, FIVE, HOUR)
    store.keep_bounds({SERVER: kept(b"of a day")}, FIVE, timedelta(days=1))
    store.commit(None)
    assert store.bounds([WEB], FIVE, HOUR) == {SERVER: kept(b"newer", 1000.0)}
    assert store.bounds([CART], FIVE, HOUR) == {}
    store.age_out(950.0)
    assert store.bounds([WEB], FIVE, timedelta(days=1)) == {}
    assert store.bounds([WEB], FIVE, HOUR) == {SERVER: kept(b"newer", 1000.0)}


def test_where_answers_cannot_be_written_bounds_stay_as_they_were(store: Store) -> None:
    store.keep_bounds({SERVER: kept(b"older")}, FIVE, HOUR)
    store.commit(None)
    store.keep_bounds({SERVER: kept(b"newer")}, FIVE, HOUR)
    store.put(WEB, CPU, replace(answered(0, 5), since=None), [(0, 5)])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.commit(1e9)
    assert store.bounds([WEB], FIVE, HOUR) == {SERVER: kept(b"older")}


def test_a_note_comes_once(tmp_path: Path) -> None:
    told: list[str] = []
    with opened(tmp_path, say=told.append) as found:
        found.tell("learnt anew")
        found.tell("learnt anew")
    assert told == ["learnt anew"]
