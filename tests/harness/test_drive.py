"""One drive, with a fake cluster, source, clock and load; the real ones are in test_experiment_on_sandbox.py."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.errors import MoraError
from mora.harness.drive import MIN_SAMPLES_CUT, Moment, Offer, Site, Times, drive
from tests.fakes import SHOP, FakeClock, FakeCluster, FakeLoad, FakeSource

SECOND = timedelta(seconds=1)
TIMES = Times(duration=30 * SECOND, settle=10 * SECOND, ramp=2 * SECOND, sample_interval=SECOND)
BROWSING = Offer("browsing", Path("browsing.py"), 20)
CHECKOUT = Offer("checkout", Path("checkout.py"), 6)


def site(cluster: FakeCluster | None = None) -> Site:
    clock = FakeClock()
    return Site(
        cluster=cluster or FakeCluster(),
        source=FakeSource(),
        workloads=SHOP,
        load_url="http://127.0.0.1:8080",
        clock=clock,
        start_load=lambda *arguments, **options: FakeLoad(clock).start(*arguments, **options),
    )


def test_a_drive_measures_one_window_and_leaves_the_services_as_they_stand() -> None:
    cluster = FakeCluster()
    driven = drive(site(cluster), [BROWSING], TIMES)
    assert cluster.calls == []
    assert driven.window.sample_count == 30
    assert driven.loads[0].figures.requests_per_second == 200
    assert set(driven.observations) == set(driven.allocations) == set(SHOP)
    assert not driven.was_cut


def test_fresh_replicas_are_asked_for_and_never_scaled() -> None:
    cluster = FakeCluster()
    drive(site(cluster), [BROWSING], TIMES, fresh=True)
    assert [what for what, _ in cluster.calls] == ["restart"]


def test_two_loads_are_driven_at_the_same_time_and_counted_apart() -> None:
    driven = drive(site(), [BROWSING, CHECKOUT], TIMES)
    assert [load.offer for load in driven.loads] == [BROWSING, CHECKOUT]
    assert [load.figures.requests_per_second for load in driven.loads] == [200, 60]


def test_a_watcher_hears_of_every_phase_and_can_end_the_window() -> None:
    heard: list[Moment] = []

    def watch(moment: Moment) -> bool:
        heard.append(moment)
        return True  # from the first second on

    driven = drive(site(), [BROWSING], TIMES, fresh=True, watch=watch)
    assert list(dict.fromkeys(moment.note for moment in heard)) == [
        "fresh replicas",
        "starting the load",
        "settling",
        "measuring",
        "reading metrics",
    ]
    assert driven.was_cut
    assert driven.window.sample_count == MIN_SAMPLES_CUT
    assert driven.loads[0].figures.requests == 200 * (MIN_SAMPLES_CUT - 1)
    for observation in driven.observations.values():
        assert observation.window.end == driven.window.end


def test_a_load_that_never_starts_is_named() -> None:
    class Slow(FakeLoad):
        def spawned_at(self) -> Any:
            return None

    clock = FakeClock()
    slow = Site(
        FakeCluster(),
        FakeSource(),
        SHOP,
        "http://127.0.0.1:8080",
        clock=clock,
        start_load=lambda *arguments, **options: Slow(clock).start(*arguments, **options),
    )
    with pytest.raises(MoraError, match="did not start its 6 users in 62 s"):
        drive(slow, [CHECKOUT], TIMES)
