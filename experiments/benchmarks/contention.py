"""Whether a window is called contended where busy programs changed what it measured, and only there.

    python experiments/benchmarks/contention.py [--repeats 3] [--loops 0,1,2,4] [--enforcement supervisor] [--rows FILE]

Drives the same load on the sandbox's shop beside 0, 1, 2 and 4 busy loops, in turns, and prints for every window its
p95, the shop's CPU for each request, what the machine did, and MOrA's verdict. A window has changed where its p95 or
its CPU for each request is outside the range of the windows without a busy loop, by more than these differ among
themselves. At least 9 of 10 changed windows must be flagged, and at most 1 of 10 of the others.

With cgroups the shop and Locust get CPU before other programs, so busy loops change little. `--enforcement supervisor`
is a machine without: there they compete as equals, and with `--urgent` the busy loops go first. --rows: rows are added
to this file, and those of earlier calls are judged too, so that a long calibration can be made in pieces; `--repeats 0`
only prints the table again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora import pipeline, sandbox
from mora.columns import columns
from mora.domain import Allocation
from mora.harness.contention import judge
from mora.harness.drive import Offer, Times, drive
from mora.harness.host import HostUse
from mora.harness.plan import Plan
from mora.harness.record import LoadFigures, LoopFigures

REPLICAS, USERS = 2, 30
TIMES = Times(timedelta(seconds=16), timedelta(seconds=3), timedelta(seconds=1), timedelta(seconds=1))
BUSY = [sys.executable, "-c", "while True: pass"]
URGENT = -15
# How far the p95 of two quiet windows may lie apart (users behave at random), and their CPU for each request.
P95_TIMES, P95_SECONDS, CPU_TIMES = 1.25, 0.010, 1.15
LEAST_FLAGGED, MOST_FALSE = 0.9, 0.1
Row = dict[str, Any]


@contextmanager
def place(enforcement: str | None) -> Iterator[pipeline.Place]:
    """The shop on two replicas, in a sandbox of its own."""
    name = f"contention-{os.getpid()}"
    handle = sandbox.start(name, enforcement=enforcement, owner_pid=os.getpid(), await_metrics=False)
    try:
        with pipeline.sandbox_place(name) as found:
            for workload in found.workloads:
                found.cluster.apply(workload, Allocation(replicas=REPLICAS))
            found.cluster.wait_ready(found.workloads, timedelta(seconds=60))
            yield found
    finally:
        handle.down()


def measure(shop: pipeline.Place, loops: int, nice: int = 0) -> Row:
    """One window beside so many busy loops of this priority."""
    others = [subprocess.Popen(BUSY) for _ in range(loops)]
    for other in others if nice else []:
        os.setpriority(os.PRIO_PROCESS, other.pid, nice)
    try:
        offer = Offer("checkout", Plan.load("demo").scenario_files["checkout"], USERS)
        driven = drive(shop.site(), [offer], TIMES)
    finally:
        for other in others:
            other.kill()
            other.wait()
    (load,), host = driven.loads, driven.contention.host
    assert load.loop is not None
    assert host is not None
    return {"loops": loops, "figures": asdict(load.figures), "loop": asdict(load.loop), "host": asdict(host)}


def cpu_of(row: Row) -> float:
    """CPU seconds of the shop for each request."""
    return float(row["host"]["target_cores"] / row["figures"]["requests_per_second"])


def has_changed(row: Row, quiet: Sequence[Row]) -> bool:
    """Whether p95 or CPU for each request left the range of the quiet windows."""
    p95s, cpus = [one["figures"]["latency_p95_seconds"] for one in quiet], [cpu_of(one) for one in quiet]
    is_slower = row["figures"]["latency_p95_seconds"] > P95_TIMES * max(p95s) + P95_SECONDS
    return is_slower or not min(cpus) / CPU_TIMES <= cpu_of(row) <= CPU_TIMES * max(cpus)


def table(rows: Sequence[Row]) -> int:
    """Print every window and the counts; 1 where they miss what is asked."""
    quiet = [row for row in rows if row["loops"] == 0]
    lines, counts = [], {(changed, flagged): 0 for changed in (True, False) for flagged in (True, False)}
    for row in sorted(rows, key=lambda row: int(row["loops"])):
        figures, loop, host = LoadFigures(**row["figures"]), LoopFigures(**row["loop"]), HostUse(**row["host"])
        found = judge(host, [(figures, loop)])
        changed = has_changed(row, quiet)
        counts[changed, found.is_contended] += 1
        rate = figures.requests_per_second or 1.0
        cells = [
            (figures.latency_p95_seconds, 1000, "ms"),
            (cpu_of(row), 1000, "ms"),
            (loop.late_p95_seconds, 1000, "ms"),
            ((loop.waited_cores or 0.0) / rate, 1000, "ms"),
            ((host.target_waited_cores or 0.0) / rate, 1000, "ms"),
            (found.others_cores, 1, ""),
            (host.idle_cores, 1, ""),
            (host.pressure_ratio, 100, "%"),
            (host.steal_cores, 1, ""),
        ]
        texts = [
            "-" if value is None else f"{value * times:.{0 if unit == '%' else 1}f} {unit}"
            for value, times, unit in cells
        ]
        lines.append(
            (str(row["loops"]), *texts, "changed" if changed else "", "contended" if found.is_contended else "")
        )
    titles = (
        "loops",
        "p95",
        "CPU",
        "late",
        "Locust waits",
        "shop waits",
        "others",
        "idle",
        "PSI",
        "steal",
        "",
        "verdict",
    )
    print("\n".join(columns([titles, *lines])))
    changed, same = (
        sum(counts[True, flag] for flag in (True, False)),
        sum(counts[False, flag] for flag in (True, False)),
    )
    print(f"\nflagged {counts[True, True]} of {changed} changed windows, {counts[False, True]} of {same} others")
    missed = counts[True, True] < LEAST_FLAGGED * changed or counts[False, True] > MOST_FALSE * same
    return int(missed)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loops", default="0,1,2,4", help="busy loops beside the windows; 0 among them")
    parser.add_argument("--enforcement", choices=["supervisor"])
    parser.add_argument("--urgent", action="store_true", help="busy loops of a priority above the shop's (needs root)")
    parser.add_argument("--rows", type=Path)
    asked = parser.parse_args(arguments)
    rows: list[Row] = []
    if asked.rows is not None and asked.rows.exists():
        rows = [json.loads(line) for line in asked.rows.read_text().splitlines()]
    if asked.repeats:
        with place(asked.enforcement) as shop:
            measure(shop, 0)  # the first window warms caches up
            for _ in range(asked.repeats):
                for loops in map(int, asked.loops.split(",")):
                    rows.append(measure(shop, loops, URGENT if asked.urgent else 0))
                    if asked.rows is not None:
                        with asked.rows.open("a") as stream:
                            stream.write(json.dumps(rows[-1]) + "\n")
    return table(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
