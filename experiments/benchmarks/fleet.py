"""How long a whole fleet takes, and what it costs the Prometheus, beside the queries that KRR sends, in one run.

    python experiments/benchmarks/fleet.py [WORKLOADS...]

A real Prometheus on loopback holds 14 days of 10, 100 and 500 Deployments (one to three pods, rolled out anew one to
three times; cAdvisor and kube-state-metrics scraped every 30 s), and 2 days of 5,000. `mora recommend --all`
reads and sizes all of them: usage, throttling, restarts, limits, start-ups, owners. Beside it the four queries a
workload that KRR sends (FIELD.md 1.1), with its ten workers, and nothing else of KRR. Each runs twice, in turns, and
the better wall time and CPU time count. Prometheus' CPU seconds are the kernel's, of its process.

The error is against what was put in. KRR takes each pod's p95 and of these the highest; MOrA sizes by
single pods, too, and knows besides the pod that is hottest at each moment, which is never lower. Each is compared with
its own truth.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import requests

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora.domain import Window
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet.many import Truth, write_fleet
from tests.sources.rig import serve

CASES = {10: 14.0, 100: 14.0, 500: 14.0, 5000: 2.0}
"""Workloads -> days of history."""
KRR_WORKERS = 10
AHEAD_SECONDS = 3600
LONGEST_RATIO, LARGEST_MIB = 0.5, 300
# Runs mora, and leaves behind what the kernel says of it: a child's rusage counts its parent's memory, too.
WATCHED = """
import atexit, pathlib, runpy, sys
place = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: place.write_text(pathlib.Path("/proc/self/status").read_text()))
runpy.run_module("mora", run_name="__main__", alter_sys=True)
"""
# No block is compacted while it is measured.
FLAGS = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds of the clock, of Prometheus' CPU and of the reader's own, and its peak memory."""

    wall: float
    server: float
    own: float = 0.0
    mib: float = 0.0


def krr_queries(truth: Truth, hours: float) -> tuple[str, str, str, str]:
    """The four queries that KRR's strategy `simple` sends for one workload: p95, peak, and both counts of points."""
    pods = f'namespace="{truth.namespace}",pod=~"{"|".join(truth.pods)}",container="server"'
    used, memory = f"container_cpu_usage_seconds_total{{{pods}}}", f"container_memory_working_set_bytes{{{pods}}}"
    by, over = "by (container,pod,job)", f"[{hours:g}h:75s]"
    return (
        f"quantile_over_time(0.95,max(rate({used}[75s])) {by}{over})",
        f"max_over_time(max({memory}) {by}{over})",
        f"count_over_time(max({used}) {by}{over})",
        f"count_over_time(max({memory}) {by}{over})",
    )


def replay_krr(url: str, truths: Sequence[Truth], days: float) -> list[tuple[float, float]]:
    """CPU p95 and memory peak of each workload, as KRR's queries answer them."""
    at = time.time()
    with requests.Session() as session:
        session.mount(url, requests.adapters.HTTPAdapter(pool_maxsize=KRR_WORKERS))

        def ask(truth: Truth) -> tuple[float, float]:
            found = []
            for query in krr_queries(truth, days * 24):
                answer = session.post(f"{url}/api/v1/query", data={"query": query, "time": at}, timeout=600)
                answer.raise_for_status()
                found.append(max(float(row["value"][1]) for row in answer.json()["data"]["result"]))
            return found[0], found[1]

        with ThreadPoolExecutor(KRR_WORKERS) as workers:
            return list(workers.map(ask, truths))


def run_mora(url: str, truths: Sequence[Truth], days: float, folder: Path) -> tuple[float, float]:
    """`mora recommend --all` in a process of its own: its CPU seconds and peak MiB."""
    answer, status_file = folder / "answer.json", folder / "status"
    command = [sys.executable, "-c", WATCHED, str(status_file), "recommend", "--all", "-A", "--no-kubernetes"]
    command += ["--prometheus", url, "--history", f"{days * 24:g}h", "-o", "json"]
    with answer.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"mora recommend ended with {process.returncode}"
    advised = json.loads(answer.read_bytes())["recommendations"]
    assert len(advised) == len(truths), f"{len(advised)} of {len(truths)} workloads"
    assert all(one["cpu_request_millicores"]["value"] for one in advised), "every workload has a number"
    (peak,) = [line.split()[1] for line in status_file.read_text().splitlines() if line.startswith("VmHWM:")]
    return usage.ru_utime + usage.ru_stime, int(peak) / 1024


def read_mora(url: str, days: float) -> dict[tuple[str, str], tuple[float, float, float]]:
    """(namespace, name) -> p95 of the hottest pod at each moment, the highest p95 of a pod, memory peak."""
    end = datetime.now(UTC).replace(microsecond=0)
    fleet = PrometheusFleet(PrometheusSource(url))
    found = {}
    for history in fleet.histories(fleet.states(), Window(end - timedelta(days=days), end, timedelta(minutes=5))):
        one = history.containers["server"]
        peak = max(float(np.nanmax(one.mem_bytes)), one.startup_mem_bytes or 0.0)
        levels = float(np.nanquantile(one.cpu_cores, 0.95)), one.pod_p95_cores or 0.0
        found[history.workload.namespace, history.workload.name] = (*levels, peak)
    return found


def measured(act: Callable[[], tuple[float, float]]) -> Cost:
    """What a run took, here and at the one Prometheus that this process started."""
    (server,) = psutil.Process().children()
    before, started = server.cpu_times(), time.perf_counter()
    own, mib = act()
    wall, after = time.perf_counter() - started, server.cpu_times()
    return Cost(wall, after.user + after.system - before.user - before.system, own, mib)


def best(costs: Sequence[Cost]) -> Cost:
    return Cost(
        min(cost.wall for cost in costs),
        min(cost.server for cost in costs),
        min(cost.own for cost in costs),
        max(cost.mib for cost in costs),
    )


def error(found: Sequence[float], true: Sequence[float]) -> str:
    """Mean and largest relative error, and the mean with its sign."""
    off = np.array(found) / np.array(true) - 1
    return f"{np.mean(abs(off)):.2%} (at most {np.max(abs(off)):.1%}, on average {np.mean(off):+.2%})"


def compare(workloads: int, days: float, folder: Path) -> Cost:
    """Both readers on one fleet, printed; what MOrA's took."""
    started = time.perf_counter()
    end = time.time() // 30 * 30
    start = end - days * 86_400
    truths = write_fleet(workloads, start, days, folder / "tsdb", ahead_seconds=AHEAD_SECONDS)
    pods = sum(len(truth.pods) for truth in truths)
    print(
        f"{workloads} workloads, {pods} pods, {days:g} days at 30 s ({time.perf_counter() - started:.0f} s to make)",
        flush=True,
    )
    with serve(folder / "tsdb", *FLAGS) as url:
        answers: list[tuple[float, float]] = []

        def krr() -> tuple[float, float]:
            answers[:] = replay_krr(url, truths, days)
            return 0.0, 0.0

        ours: list[Cost] = []
        theirs: list[Cost] = []
        for _ in range(2):
            ours.append(measured(lambda: run_mora(url, truths, days, folder)))
            theirs.append(measured(krr))
        mora, peer = best(ours), best(theirs)
        read = read_mora(url, days)
    found = [read[truth.namespace, truth.name] for truth in truths]
    print(
        f"  wall          MOrA {mora.wall:7.2f} s   KRR's queries {peer.wall:7.2f} s   "
        f"ratio {mora.wall / peer.wall:.2f} (at most {LONGEST_RATIO})\n"
        f"  Prometheus    MOrA {mora.server:7.2f} s   KRR's queries {peer.server:7.2f} s   "
        f"ratio {mora.server / peer.server:.2f} (at most {LONGEST_RATIO})\n"
        f"  MOrA itself   {mora.own:.2f} CPU s, {mora.mib:.0f} MiB (at most {LARGEST_MIB})"
    )
    by_pod = [truth.cpu_p95_cores for truth in truths]
    by_moment = [truth.cpu_p95_of_the_hottest_cores for truth in truths]
    peaks = [truth.mem_peak_bytes for truth in truths]
    print(
        f"  error of CPU p95, highest of a pod:           MOrA {error([one[1] for one in found], by_pod)}\n"
        f"                                                KRR  {error([one[0] for one in answers], by_pod)}\n"
        f"  error of CPU p95, hottest pod at each moment: MOrA {error([one[0] for one in found], by_moment)}\n"
        f"                                                KRR  {error([one[0] for one in answers], by_moment)}\n"
        f"  error of the memory peak:                     MOrA {error([one[2] for one in found], peaks)}\n"
        f"                                                KRR  {error([one[1] for one in answers], peaks)}",
        flush=True,
    )
    return mora


def main(sizes: Sequence[int]) -> None:
    costs: dict[int, Cost] = {}
    for workloads in sizes:
        with tempfile.TemporaryDirectory() as folder:
            costs[workloads] = compare(workloads, CASES.get(workloads, 14.0), Path(folder))
    print("growth, a workload and day of history: " + ", ".join(_per_workload(n, cost) for n, cost in costs.items()))


def _per_workload(workloads: int, cost: Cost) -> str:
    share = 1000 / workloads / CASES.get(workloads, 14.0)
    return f"{workloads}: {cost.wall * share:.2f} ms wall, {cost.server * share:.2f} ms of Prometheus"


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(CASES))
