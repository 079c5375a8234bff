"""OOM kills in a real Prometheus: one count, in whatever form a kill shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from mora.domain import ContainerHistory, CrashLoop, Role, Window, Workload
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig
from tests.fleet.tsdb import Group

END = 1_790_000_040 // 60 * 60
LAST = rig.DAYS * rig.DAY + 1
MIB = rig.MIB
FLAT = np.ones(LAST)
KILLS = {LAST - rig.DAY: True, LAST - rig.DAY + 60: True, LAST - rig.HOUR * 5: False}


@dataclass(frozen=True)
class Ended(rig.Fleet):
    """A fleet whose container `migrate` was killed on its only run, three hours ago, and never started again."""

    def groups(self) -> Iterator[Group]:
        """The fleet's series, and the reason of its end."""
        yield from super().groups()
        labels = {"namespace": "shop", "pod": "web-1aa-0", "container": "migrate", "reason": "OOMKilled"}
        name = "kube_pod_init_container_status_terminated_reason"
        last = 3 * rig.HOUR
        yield Group([{"__name__": name, **labels}], self.end - last * 60, 60, np.array([1.0]), samples=last + 1)


def web(*boxes: rig.Box) -> rig.Service:
    main = rig.Box("web", 0.2 * FLAT, 300 * MIB * FLAT)
    return rig.Service(Workload("shop", "web"), (rig.Pod("web-1aa-0", 0, (main, *boxes)),), 1)


def read(folder: Path, fleet: rig.Fleet) -> tuple[dict[str, ContainerHistory], dict[str, Role]]:
    end = datetime.fromtimestamp(END, UTC)
    with rig.serving(folder, fleet) as url:
        source = PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: end)
        states = source.states("shop")
        (history,) = source.histories(states, Window(end - timedelta(days=3), end, timedelta(minutes=5)))
    roles = {container.name: container.role for container in states[0].allocation.containers}
    return dict(history.containers), roles


def test_kills_of_init_containers_and_native_sidecars_count_like_those_of_others(tmp_path: Path) -> None:
    idle = rig.Box("migrate", np.nan * FLAT, np.nan * FLAT, init="", restarts=KILLS)
    shipper = rig.Box("shipper", 0.01 * FLAT, 60 * MIB * FLAT, init="Always", restarts=KILLS)
    found, roles = read(tmp_path, rig.Fleet((web(idle, shipper),), END))
    assert {name: (one.oom_kills, one.restarts) for name, one in found.items()} == {
        "web": (0, 0),
        "migrate": (2, 3),
        "shipper": (2, 3),
    }
    assert (roles["migrate"], roles["shipper"]) == (Role.INIT, Role.NATIVE_SIDECAR)
    # When, too: rows are of five minutes of the last three days, kills are by the minute.
    began = LAST - 3 * rig.DAY
    kills = [minute - began for minute, is_kill in sorted(KILLS.items()) if is_kill]
    assert found["web"].oom_rows == ()
    assert found["migrate"].oom_rows == found["shipper"].oom_rows
    late = [5 * row - minute for row, minute in zip(found["shipper"].oom_rows, kills, strict=True)]
    assert all(0 <= minutes <= 5 for minutes in late)


def test_an_init_container_that_was_killed_and_never_started_again_counts(tmp_path: Path) -> None:
    idle = rig.Box("migrate", np.nan * FLAT, np.nan * FLAT, init="")
    found, _ = read(tmp_path, Ended((web(idle),), END))
    assert (found["migrate"].oom_kills, found["web"].oom_kills) == (1, 0)
    without, _ = read(tmp_path / "without", replace(rig.Fleet((web(idle),), END)))
    assert "migrate" not in without


def test_a_container_that_keeps_crashing_is_named_and_one_that_runs_out_of_memory_is_not(tmp_path: Path) -> None:
    often = range(LAST - rig.DAY, LAST, 60)
    crashing = rig.Box("agent", 0.01 * FLAT, 60 * MIB * FLAT, restarts=dict.fromkeys(often, False))
    hungry = rig.Box("cache", 0.01 * FLAT, 60 * MIB * FLAT, restarts=dict.fromkeys(often, True))
    found, _ = read(tmp_path, rig.Fleet((web(crashing, hungry),), END))
    assert found["web"].crash_loop is None
    assert (found["cache"].crash_loop, found["cache"].oom_kills) == (None, len(often))
    assert found["agent"].crash_loop == CrashLoop("web-1aa-0", "agent", len(often), timedelta(days=1))


def test_kills_of_the_last_two_weeks_count_however_long_the_history_is(tmp_path: Path) -> None:
    end = datetime.fromtimestamp(END, UTC)
    idle = rig.Box("cache", 0.01 * FLAT, 60 * MIB * FLAT, restarts={rig.DAY: True, LAST - rig.DAY: True})
    with rig.serving(tmp_path, rig.Fleet((web(idle),), END)) as url:
        # The same fleet seen two days later.
        later = end + timedelta(days=2)
        source = PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: end)
        (history,) = source.histories(
            source.states("shop"), Window(later - timedelta(days=16), later, timedelta(minutes=5))
        )
    cache = history.containers["cache"]
    assert (cache.oom_kills, cache.restarts) == (1, 2)


@dataclass(frozen=True)
class Killed(rig.Fleet):
    """A fleet whose container `web` ended by SIGKILL whenever it ended."""

    def groups(self) -> Iterator[Group]:
        """The fleet's series, and the exit code of its last end."""
        yield from super().groups()
        labels = {"namespace": "shop", "pod": "web-1aa-0", "container": "web"}
        name = "kube_pod_container_status_last_terminated_exitcode"
        yield Group([{"__name__": name, **labels}], self.start, 60, np.array([137.0]), samples=LAST)


def test_restarts_after_a_signal_that_are_no_oom_kills_are_counted_apart(tmp_path: Path) -> None:
    main = rig.Box("web", 0.2 * FLAT, 300 * MIB * FLAT, restarts=KILLS)
    service = rig.Service(Workload("shop", "web"), (rig.Pod("web-1aa-0", 0, (main,)),), 1)
    found, _ = read(tmp_path, Killed((service,), END))
    assert (found["web"].oom_kills, found["web"].killed, found["web"].restarts) == (2, 1, 3)
