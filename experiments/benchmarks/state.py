"""What a renewal costs beside a full read: `--state` against a real Prometheus, and whether the numbers are the same.

    python experiments/benchmarks/state.py [WORKLOADS...]

A real Prometheus on loopback holds 14 days of so many Deployments (one to three pods, rolled out anew one to three
times; cAdvisor and kube-state-metrics scraped every 30 s). All of them are recommended for in full, then with a state:
the first run, which fills it, one a quarter of an hour later, and one a day later. Times are CPU seconds: of
Prometheus, the kernel's of its process; of MOrA, its own, of reading and of sizing. Both read the same window, and
bounds for the next hour must be the same within 0.5 % (or one millicore).
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora import pipeline
from mora.domain import Recommendation, Window
from mora.fleet.settings import FleetSettings
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet.many import write_fleet
from tests.sources.rig import serve

WORKLOADS = (500,)
DAYS = 14.0
STEP = timedelta(minutes=5)
# No block is compacted while it is measured.
FLAGS = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
HORIZON = timedelta(hours=1)
MOST_APART = 0.005
MOST_RATIOS = {24.25: 1.10, 24.0: 0.10, 0.0: 0.15}
"""Hours before the newest sample of each run -> the most it may cost of what a full read costs the Prometheus."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of Prometheus, and of MOrA: to read histories alone, and in all. wall: seconds."""

    server: float
    read: float
    whole: float
    wall: float


def cpu_of(process: psutil.Process) -> float:
    """User and system seconds of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def run(url: str, window: Window, state: Path | None) -> tuple[Cost, dict[object, Recommendation]]:
    """Recommend for all at the end of a window; what that took, and the advice by workload."""
    (server,) = psutil.Process().children()
    at_server, began, own, clock = cpu_of(server), time.process_time(), time.thread_time(), time.monotonic()
    fleet = PrometheusFleet(PrometheusSource(url), now=lambda: window.end, state=state, say=print)
    advice = pipeline.recommend_fleet(fleet.states(), fleet, window, settings=FleetSettings(horizon=HORIZON))
    found: dict[object, Recommendation] = {one.workload: one for one in advice}
    # Answers are read by a thread of their own, and sized by this one.
    whole, sizing = time.process_time() - began, time.thread_time() - own
    return Cost(cpu_of(server) - at_server, whole - sizing, whole, time.monotonic() - clock), found


def lives(state: Path) -> dict[tuple[object, ...], float]:
    """Until when what is kept of each bound is gone on with."""
    with closing(sqlite3.connect(state / "samples.sqlite")) as run:
        return {
            tuple(key): until
            for *key, until in run.execute("SELECT workload, container, target, place, until FROM bound")
        }


def furthest(expected: dict[object, Recommendation], found: dict[object, Recommendation]) -> float:
    """By how much the bound of any container differs at most, relative."""
    most = 0.0
    for workload, one in expected.items():
        for mine, theirs in zip(one.containers, found[workload].containers, strict=True):
            for of, other in ((mine.cpu_request, theirs.cpu_request), (mine.memory_request, theirs.memory_request)):
                if (of.value is None) != (other.value is None):
                    return float("inf")
                if of.value and other.value and abs(of.value - other.value) > 1:
                    most = max(most, abs(other.value / of.value - 1))
    return most


def compare(workloads: int, folder: Path) -> bool:
    """Print what each run costs; whether the renewals are cheap enough and equal."""
    end = time.time() // 300 * 300
    write_fleet(workloads, end - (DAYS + 1) * 86_400, DAYS + 1, folder / "tsdb")
    newest = datetime.fromtimestamp(end, UTC)
    print(f"{workloads} workloads, {DAYS:g} days at a sample every 5 minutes. CPU seconds:")
    print(f"{'':20}{'Prometheus':>12}{'reading':>10}{'in all':>10}{'ms each':>10}{'wall':>8}   bounds")
    is_good, before = True, dict[tuple[object, ...], float]()
    with serve(folder / "tsdb", *FLAGS) as url:
        for name, back in (("first run", 24.25), ("15 minutes later", 24.0), ("a day later", 0.0)):
            at = newest - timedelta(hours=back)
            window = Window(at - timedelta(days=DAYS), at, STEP)
            full, expected = run(url, window, None)
            cost, found = run(url, window, folder / "state")
            after = lives(folder / "state")
            went_on = np.mean([before.get(one) == until for one, until in after.items()])
            most, before = furthest(expected, found), after
            for words, one in (("in full", full), (name, cost)):
                print(
                    f"{words:20}{one.server:12.2f}{one.read:10.2f}{one.whole:10.2f}"
                    f"{1000 * one.whole / workloads:10.1f}{one.wall:8.1f}",
                    end="",
                )
                print(
                    "" if one is full else f"   {went_on:.0%} gone on with; at most {most:.2%} from a full read",
                    flush=True,
                )
            is_good = is_good and most <= MOST_APART and cost.server <= MOST_RATIOS[back] * full.server
        size = (folder / "state" / "samples.sqlite").stat().st_size
        print(f"the state takes {size / workloads / 1024:.0f} KiB a workload")
    return is_good


def main() -> None:
    """Measure each size."""
    is_good = True
    for workloads in [int(one) for one in sys.argv[1:]] or WORKLOADS:
        with tempfile.TemporaryDirectory() as folder:
            is_good = compare(workloads, Path(folder)) and is_good
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
