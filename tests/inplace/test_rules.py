"""The change rule for the containers of a workload: what is followed, what is remembered, what waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mora.changes.rule import RULES
from mora.domain import Resources
from mora.inplace import rules
from mora.inplace.fit import Wanted
from mora.quantities import MIB
from tests.inplace.rig import START

RULE = RULES["in-place"]
NOW = Resources(400, None, 500 * MIB, 500 * MIB)


def wanted(cpu: int, memory: int) -> dict[str, Wanted]:
    return {"server": Wanted(NOW, Resources(cpu, None, memory * MIB, memory * MIB), (1.0, 1.0))}


def followed(
    cpu: int, memory: int, states: rules.States | None = None, hours: float = 0.0, age: float = 9e9
) -> dict[str, Resources]:
    at = START + timedelta(hours=hours)
    return rules.followed(RULE, wanted(cpu, memory), states or {}, now=at, age_seconds=age)[0]


def test_each_number_is_followed_by_itself_and_a_memory_limit_with_its_request() -> None:
    assert followed(200, 480)["server"] == replace(NOW, cpu_request_millicores=200)
    assert followed(390, 200)["server"] == replace(NOW, memory_request_bytes=200 * MIB, memory_limit_bytes=200 * MIB)
    assert followed(390, 480) == {}


def test_memory_below_what_was_used_is_raised_however_little_is_missing() -> None:
    short = {"server": replace(wanted(390, 530)["server"], least_memory_bytes=510.0 * MIB)}
    found, _, _ = rules.followed(RULE, short, {}, now=START, age_seconds=None)
    assert found["server"].memory_request_bytes == 530 * MIB
    assert followed(390, 530) == {}


def test_nothing_is_changed_while_a_container_starts_up() -> None:
    assert followed(100, 100, age=60.0) == {}


def test_so_many_changes_a_day_and_no_more() -> None:
    rule = replace(RULE, changes_per_day=1)
    states = rules.changed({}, ["server"], START)
    found, why, _ = rules.followed(rule, wanted(100, 100), states, now=START + timedelta(hours=1), age_seconds=None)
    assert found == {}
    assert "1 change in 24h" in why["server"]


def test_after_an_undone_cut_cuts_wait_and_raises_do_not() -> None:
    states = rules.undone({}, ["server"], START, RULE, -1)
    assert followed(100, 500, states, hours=1) == {}
    assert followed(900, 500, states, hours=1)["server"].cpu_request_millicores == 900
    assert followed(100, 500, states, hours=24 * 30)["server"].cpu_request_millicores == 100


def test_a_change_that_cuts_anything_counts_as_a_cut() -> None:
    both = {"server": replace(NOW, cpu_request_millicores=900, memory_request_bytes=MIB)}
    assert rules.direction_of({"server": NOW}, both) == -1
    assert rules.direction_of({"server": NOW}, {"server": replace(NOW, cpu_request_millicores=900)}) == 1
    assert rules.direction_of({"server": NOW}, {"server": NOW}) is None
