"""Whether a window is called contended where busy programs changed what it measured, and only there.

    python experiments/benchmarks/contention.py [REPEATS [FILE]]

Drives the same load on the sandbox's shop beside 0, 1, 2 and 4 busy loops, in turns, REPEATS times (3), and prints for
every window its p95, the shop's CPU, what the machine did, and MOrA's verdict. A window has changed where its p95 or
the shop's CPU per request left the range of the windows without a busy loop. FILE: rows are added to it, and those of
earlier calls count too, so that a long calibration can be made in pieces. At least 9 of 10 changed windows must be
flagged, and at most 1 of 10 of the others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from mora import pipeline
from mora.domain import Allocation
from mora.harness.drive import Offer, Times, drive
from mora.harness.plan import Plan

LOOPS = (0, 1, 2, 4)
REPLICAS, USERS = 2, 30
TIMES = Times(timedelta(seconds=16), timedelta(seconds=3), timedelta(seconds=1), timedelta(seconds=1))
# What differs by less between two windows on a quiet machine is no change: the users are few and behave at random.
WIDER = 0.10
BUSY = [sys.executable, "-c", "while True: pass"]


def measure(place: pipeline.Place, loops: int) -> dict[str, Any]:
    """One window beside so many busy loops."""
    others = [subprocess.Popen(BUSY) for _ in range(loops)]
    try:
        plan = Plan.load("demo")
        offer = Offer("checkout", plan.scenario_files["checkout"], USERS)
        driven = drive(place.site(), [offer], TIMES)
    finally:
        for other in others:
            other.kill()
            other.wait()
    (load,) = driven.loads
    assert load.loop is not None
    return {
        "loops": loops,
        "figures": asdict(load.figures),
        "loop": asdict(load.loop),
        "host": None if driven.host is None else asdict(driven.host),
    }


def main(arguments: list[str]) -> int:
    repeats = int(arguments[0]) if arguments else 3
    file = Path(arguments[1]) if len(arguments) > 1 else None
    rows: list[dict[str, Any]] = []
    with pipeline.sandbox_place(f"contention-{os.getpid()}") as place:
        for workload in place.workloads:
            place.cluster.apply(workload, Allocation(replicas=REPLICAS))
        place.cluster.wait_ready(place.workloads, timedelta(seconds=60))
        measure(place, 0)  # the first window warms caches up
        for _ in range(repeats):
            for loops in LOOPS:
                rows.append(measure(place, loops))
                print(json.dumps(rows[-1]), flush=True)
                if file is not None:
                    with file.open("a") as stream:
                        stream.write(json.dumps(rows[-1]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
