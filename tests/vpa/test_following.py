"""Which new numbers become targets, pass after pass, on the fake API server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mora.changes.rule import RULES, ChangeRule
from mora.quantities import MIB
from mora.vpa.following import Following
from mora.vpa.objects import read_vpa
from mora.vpa.status import Estimate
from tests.vpa.fake_vpa import FakeVpaApi, serving
from tests.vpa.making import NOW, container, evidence, manifest, number, recommendation
from tests.vpa.test_loop import Rig, target

HOUR = timedelta(hours=1)


@pytest.fixture
def api() -> Iterator[FakeVpaApi]:
    with serving() as server:
        yield server


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def renewed(rig: Rig, clock: Clock, cpu: int, *, after: timedelta = HOUR, memory: int = 230 * MIB) -> None:
    """The next pass, with new numbers."""
    one = container("server", number(cpu), memory, seen=evidence(cpu_level_cores=0.05, mem_peak_bytes=100.0 * MIB))
    rig.advise = lambda workloads: [recommendation(one, workload=each) for each in workloads]
    rig.seconds += after.total_seconds()
    clock.now += after
    rig.run_pass()


def test_a_target_moves_only_where_the_new_number_is_worth_it_and_the_log_says_why_once(
    api: FakeVpaApi, tmp_path: Path
) -> None:
    clock = Clock()
    rig = Rig(api, tmp_path, clock=clock, rule=RULES["vpa"])
    api.add(manifest("web"))
    renewed(rig, clock, 200)
    assert target(api)["cpu"] == "200m"
    for cpu in (210, 212, 211):
        renewed(rig, clock, cpu)
        assert target(api)["cpu"] == "200m"
    assert rig.said("info").count("target not changed") == 1
    assert "stays at 200m: the raise to 210m (5.0%) is deferred; raises below 10% are not worth" in rig.said("info")
    renewed(rig, clock, 230)
    assert target(api)["cpu"] == "230m"
    renewed(rig, clock, 180)
    assert target(api)["cpu"] == "180m"


def test_a_target_below_what_the_history_needs_is_raised_at_once(api: FakeVpaApi, tmp_path: Path) -> None:
    clock = Clock()
    rig = Rig(api, tmp_path, clock=clock, rule=ChangeRule(0.5, 0.5))
    api.add(manifest("web"))
    renewed(rig, clock, 200, memory=230 * MIB)
    one = container("server", number(200), 240 * MIB, seen=evidence(mem_peak_bytes=235.0 * MIB))
    rig.advise = lambda workloads: [recommendation(one, workload=each) for each in workloads]
    rig.seconds += 3600
    rig.run_pass()
    assert target(api)["memory"] == str(240 * MIB)


def test_the_bounds_stay_around_a_target_that_stays() -> None:
    following = Following(ChangeRule(0.3, 0.3), log=lambda level, message, **about: None)
    choose = following.chooser(read_vpa(manifest()), NOW)
    kept = choose(container("server"), "cpu", 200, Estimate(240, 230, 300))
    assert kept == Estimate(240, 230, 300)  # 200 is below what was needed
    assert choose(container("server"), "cpu", 200, Estimate(180, 150, 190)) == Estimate(200, 150, 200)


def test_changes_count_only_once_they_are_written(api: FakeVpaApi, tmp_path: Path) -> None:
    clock = Clock()
    rig = Rig(api, tmp_path, clock=clock, rule=ChangeRule(0.1, 0.1, changes_per_day=1))
    api.add(manifest("web"))
    renewed(rig, clock, 200)
    api.failing, api.failing_path = [500], "/status"
    renewed(rig, clock, 300)
    assert target(api)["cpu"] == "200m"
    renewed(rig, clock, 300)
    assert target(api)["cpu"] == "300m"
    renewed(rig, clock, 500)
    assert target(api)["cpu"] == "300m"
    assert "the container had 1 change in 24h" in rig.said("info")
    renewed(rig, clock, 500, after=24 * HOUR)
    assert target(api)["cpu"] == "500m"


def test_what_is_remembered_of_an_object_goes_with_it() -> None:
    following = Following(ChangeRule(0.1, 0.1, changes_per_day=1), log=lambda level, message, **about: None)
    vpa = read_vpa(manifest())
    high = Estimate(400, 100, 500)
    assert following.chooser(vpa, NOW)(container("server"), "cpu", 200, high).target == 400
    following.written(vpa, NOW)
    assert following.chooser(vpa, NOW + HOUR)(container("server"), "cpu", 200, high).target == 200
    following.forget([])
    assert following.chooser(vpa, NOW + HOUR)(container("server"), "cpu", 200, high).target == 400


@pytest.mark.parametrize("confidence", [None, 0.5])
def test_a_number_without_a_confidence_is_followed_as_a_sure_one(confidence: float | None) -> None:
    rule = ChangeRule(0.1, 0.1, low_confidence_step=0.5)
    choose = Following(rule, log=lambda level, message, **about: None).chooser(read_vpa(manifest()), NOW)
    found = choose(container("server", number(300, confidence=confidence)), "cpu", 200, Estimate(300, 100, 400))
    assert found.target == (300 if confidence is None else 375)
