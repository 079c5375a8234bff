"""What a renewal costs beside a full read: `--state` against a real Prometheus, and whether the numbers are the same.

    python experiments/benchmarks/state.py [WORKLOADS...]

A real Prometheus on loopback holds 14 days of so many Deployments (one to three pods, rolled out anew one to three
times; cAdvisor and kube-state-metrics scraped every 30 s). All of them are recommended for in full, then with a state:
the first run, which fills it, one a quarter of an hour later, and one a day later. Times are CPU seconds: of
Prometheus, the kernel's of its process; of MOrA, its own, of reading and of sizing. Both read the same window; the
numbers must be equal.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora import pipeline
from mora.domain import Recommendation, Window
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet.many import write_fleet
from tests.sources.rig import serve

WORKLOADS = (500,)
DAYS = 14.0
STEP = timedelta(minutes=5)
# No block is compacted while it is measured.
FLAGS = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
MOST_RATIOS = {24.25: 1.10, 24.0: 0.10, 0.0: 0.15}
"""Hours before the newest sample of each run -> the most it may cost of what a full read costs the Prometheus."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of Prometheus, and of MOrA: to read histories alone, and to size as well."""

    server: float
    read: float
    whole: float


def cpu_of(process: psutil.Process) -> float:
    """User and system seconds of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def run(url: str, window: Window, state: Path | None) -> tuple[Cost, dict[object, Recommendation]]:
    """Recommend for all at the end of a window; what that took, and the advice by workload."""
    (server,) = psutil.Process().children()
    at_server, began = cpu_of(server), time.process_time()
    fleet = PrometheusFleet(PrometheusSource(url), now=lambda: window.end, state=state, say=print)
    states = fleet.states()
    histories = list(fleet.histories(states, window))
    read, at_server = time.process_time() - began, cpu_of(server) - at_server
    advice = pipeline.recommend_fleet(states, Given(histories), window)
    found: dict[object, Recommendation] = {one.workload: one for one in advice}
    return Cost(at_server, read, time.process_time() - began), found


class Given:
    """Histories that have been read."""

    def __init__(self, histories: Sequence[object]) -> None:
        self._histories = histories

    def histories(self, states: object, window: Window, *, reporter: object = None) -> object:
        """The histories, whatever is asked."""
        return iter(self._histories)


def numbers(advice: dict[object, Recommendation]) -> dict[object, list[tuple[int | None, int | None]]]:
    """Every request that is recommended."""
    return {
        workload: [(of.cpu_request.value, of.memory_request.value) for of in one.containers]
        for workload, one in advice.items()
    }


def compare(workloads: int, folder: Path) -> bool:
    """Print what each run costs; whether the renewals are cheap enough and equal."""
    end = time.time() // 300 * 300
    write_fleet(workloads, end - (DAYS + 1) * 86_400, DAYS + 1, folder / "tsdb")
    newest = datetime.fromtimestamp(end, UTC)
    print(f"{workloads} workloads, {DAYS:g} days at a sample every 5 minutes. CPU seconds:")
    print(f"{'':28}{'Prometheus':>12}{'reading':>10}{'with sizing':>13}   numbers")
    is_good = True
    with serve(folder / "tsdb", *FLAGS) as url:
        for name, back in (("first run", 24.25), ("15 minutes later", 24.0), ("a day later", 0.0)):
            at = newest - timedelta(hours=back)
            window = Window(at - timedelta(days=DAYS), at, STEP)
            full, expected = run(url, window, None)
            cost, found = run(url, window, folder / "state")
            same = sum(numbers(expected)[one] == numbers(found)[one] for one in numbers(expected))
            print(
                f"{'in full':28}{full.server:12.2f}{full.read:10.2f}{full.whole:13.2f}\n"
                f"{name:28}{cost.server:12.2f}{cost.read:10.2f}{cost.whole:13.2f}   {same} of {len(expected)} equal; "
                f"of a full read {cost.server / full.server:.1%}, {cost.read / full.read:.0%}, "
                f"{cost.whole / full.whole:.0%}",
                flush=True,
            )
            is_good = is_good and same == len(expected) and cost.server <= MOST_RATIOS[back] * full.server
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
