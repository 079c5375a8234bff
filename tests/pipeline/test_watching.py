"""Which numbers a pass prints: those that moved enough, each once, and again where the cluster was changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mora.changes.rule import RULES, ChangeRule
from mora.domain import Recommendation, Target
from mora.errors import BadInput
from mora.pipeline import watching
from mora.pipeline.recommending import Advised, Request
from mora.pipeline.watching import Number, Renewed, _decided, renew
from mora.settings import Settings
from mora.state.opening import opened
from mora.state.store import Store
from tests.fleet.making import advised

MIB = 2**20
RULE = ChangeRule(0.30, 0.30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path, say=print) as found:
        yield found


def recommended(
    *, cpu: int, now: int | None = 1000, peak: float = 100.0 * MIB, memory: int = 200 * MIB
) -> Recommendation:
    """A recommendation of one container: CPU that is set and recommended, memory that is as it should be."""
    one = advised()
    (container,) = one.containers
    assert container.evidence is not None
    changed = replace(
        container,
        cpu_request=replace(container.cpu_request, now=now, value=cpu, goal=None, confidence=0.9),
        memory_request=replace(container.memory_request, now=200 * MIB, value=memory, goal=None),
        evidence=replace(container.evidence, mem_peak_bytes=peak),
    )
    return replace(one, containers=(changed,))


def moved(
    store: Store, advice: Recommendation, at: float, rule: ChangeRule = RULE
) -> tuple[dict[Target, tuple[int | None, int]], list[Number]]:
    changes, stays = _decided([advice], rule, store, at, print)
    store.commit(None)
    return {one.target: (one.before, one.after) for one in changes}, stays


def test_a_move_is_printed_once_and_the_next_is_compared_with_it(store: Store) -> None:
    assert moved(store, recommended(cpu=500), 0)[0] == {Target.CPU: (1000, 500)}
    changes, stays = moved(store, recommended(cpu=500), 900)
    assert changes == {}
    assert {one.target: one.before for one in stays} == {Target.CPU: 500, Target.MEMORY: 200 * MIB}
    assert moved(store, recommended(cpu=600), 1800)[0] == {}
    assert moved(store, recommended(cpu=900), 2700)[0] == {Target.CPU: (500, 900)}


def test_what_was_changed_in_the_cluster_is_what_counts_from_then_on(store: Store) -> None:
    moved(store, recommended(cpu=500), 0)
    assert moved(store, recommended(cpu=500, now=700), 900)[0] == {}
    assert moved(store, recommended(cpu=200, now=700), 1800)[0] == {Target.CPU: (700, 200)}


def test_a_number_that_nothing_is_set_for_is_a_change(store: Store) -> None:
    assert moved(store, recommended(cpu=500, now=None), 0)[0] == {Target.CPU: (None, 500)}
    assert moved(store, recommended(cpu=500, now=None), 900)[0] == {}


def test_memory_below_what_was_used_is_raised_whatever_the_rule_says(store: Store) -> None:
    wide = ChangeRule(5.0, 0.9)
    assert moved(store, recommended(cpu=1000, memory=220 * MIB), 0, wide)[0] == {}
    advice = recommended(cpu=1000, memory=220 * MIB, peak=210.0 * MIB)
    assert moved(store, advice, 900, wide)[0] == {Target.MEMORY: (200 * MIB, 220 * MIB)}


def test_a_container_is_changed_no_more_often_than_the_rule_allows(store: Store) -> None:
    rule = ChangeRule(0.1, 0.1, changes_per_day=1)
    assert moved(store, recommended(cpu=500), 0, rule)[0]
    changes, stays = moved(store, recommended(cpu=900), 900, rule)
    assert changes == {}
    assert "had 1 change in 24h" in stays[0].why
    assert moved(store, recommended(cpu=900), 86_401, rule)[0] == {Target.CPU: (500, 900)}


def test_what_was_printed_in_another_way_is_printed_anew(store: Store) -> None:
    advice = recommended(cpu=500)
    moved(store, advice, 0)
    store.note(advice.workload, f"told {advice.containers[0].container}", 0.0, '{"set": 1}')
    store.commit(None)
    said: list[str] = []
    changes, _ = _decided([advice], RULE, store, 900, said.append)
    assert [one.after for one in changes] == [500]
    assert said == ["What was printed of 1 container cannot be read: another version wrote it. It is printed anew."]


def test_what_is_raised_because_little_is_sure_is_a_whole_amount(store: Store) -> None:
    rule = replace(RULE, low_confidence_step=0.3333)
    advice = recommended(cpu=1501, memory=301 * MIB, peak=250.0 * MIB)
    (container,) = advice.containers
    unsure = replace(container, memory_request=replace(container.memory_request, confidence=0.77))
    changes, _ = moved(store, replace(advice, containers=(unsure,)), 0, rule)
    assert changes == {Target.CPU: (1000, 1552), Target.MEMORY: (200 * MIB, 325 * MIB)}


def test_what_could_not_be_printed_is_not_noted_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "recommend_workloads", lambda *_, **__: Advised((recommended(cpu=500),)))
    settings = Settings(state_dir=tmp_path)
    printed: list[tuple[Number, ...]] = []

    def broken(found: Renewed) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        renew(Request(everything=True), settings, RULE, tell=broken)
    for _ in range(2):
        renew(Request(everything=True), settings, RULE, tell=lambda found: printed.append(found.changes))
    assert [[one.after for one in changes] for changes in printed] == [[500], []]


@pytest.mark.parametrize(
    ("amount", "text"), [(500_000_000, "500000000"), (1536, "1536"), (3 * MIB, "3Mi"), (1_073_742_617, "1Gi")]
)
def test_memory_is_written_as_it_was_set_or_in_mebibytes(amount: int, text: str) -> None:
    assert Number(advised().workload, "web", Target.MEMORY, None, amount, None, "").written(amount) == text


def test_a_pass_needs_a_folder_for_its_state() -> None:
    with pytest.raises(BadInput, match="Where is the state"):
        renew(Request(everything=True), Settings(), RULES["in-place"])
