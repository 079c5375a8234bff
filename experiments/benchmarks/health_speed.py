"""What the default detector and its threshold cost: fit, score, size.

    OMP_NUM_THREADS=1 python experiments/benchmarks/health_speed.py [--workloads 1000]

Made-up workloads at 60 s, each different: a day's shape and noise. CPU seconds of this process, made-up samples not
counted; the line of two cores is wall time. robust-z, the simplest detector, stands beside.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from statistics import median

import numpy as np
import pandas as pd

from mora import registry
from mora.detectors.levels import paced
from mora.domain.learning import Saved
from mora.seams import Detector, Threshold

STEP, DAYS, METRICS = 60, 14, 5
DAY_ROWS = 86_400 // STEP


def samples(seed: int, days: float, metrics: int) -> pd.DataFrame:
    """One workload: metrics that follow its load, and noise."""
    rng = np.random.default_rng(seed)
    rows = int(days * DAY_ROWS)
    load = 1 + rng.uniform(0, 0.8) * np.sin(2 * np.pi * np.arange(rows) / DAY_ROWS + rng.uniform(0, 6))
    values = load[:, None] * rng.uniform(0.1, 50, metrics) * (1 + rng.normal(0, 0.1, (rows, metrics)))
    moments = pd.date_range("2026-01-01", periods=rows, freq=f"{STEP}s", tz="UTC").as_unit("us")
    return pd.DataFrame(values, columns=[f"m{n}" for n in range(metrics)]).assign(timestamp=moments)


def fitted(name: str, frame: pd.DataFrame) -> tuple[Detector, Threshold]:
    """As `mora health train` does it: the threshold on the last quarter."""
    detector: Detector = registry.load("detectors", name)()
    threshold: Threshold = paced(registry.load("thresholds", "tracking")(), STEP)
    cut = 3 * len(frame) // 4
    detector.fit(frame[:cut])
    threshold.fit(detector.score(frame[cut - detector.context :])[detector.context :])
    return detector, threshold


def size_of(*parts: Saved) -> int:
    """Bytes of the arrays and documents as they are written to files."""
    total = 0
    for saved in parts:
        file = io.BytesIO()
        np.savez(file, **saved.arrays)  # type: ignore[arg-type]  # allow_pickle is no array
        total += len(file.getvalue()) + len(json.dumps(saved.document))
    return total


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def fleet(name: str, workloads: int) -> tuple[float, float, float, int]:
    """CPU seconds of fitting and of scoring a day for all; median CPU seconds of a sample alone; bytes of the last."""
    fit = score = 0.0
    alone = []
    size = 0
    for seed in range(workloads):
        frame = samples(seed, DAYS, METRICS)
        begin = time.process_time()
        detector, threshold = fitted(name, frame)
        fit += time.process_time() - begin
        day = frame[-DAY_ROWS - detector.context :]
        score += cpu_of(lambda one=detector, two=threshold, rows=day: two.follow(one.score(rows)))
        tail = day[-detector.context - 1 :]
        alone.append(cpu_of(lambda one=detector, two=threshold, rows=tail: two.follow(one.score(rows)[-1:])))
        size = max(size, size_of(detector.save(), threshold.save()))
    return fit, score, median(alone), size


def score_a_day(seeds: range) -> float:
    """Seconds for a series of one metric each, fitted before; run in a process of its own."""
    made = [(fitted("context-distance", samples(seed, 3, 1)), samples(seed, 1, 1)) for seed in seeds]
    begin = time.perf_counter()
    for (detector, threshold), frame in made:
        threshold.follow(detector.score(frame))
    return time.perf_counter() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", type=int, default=1000)
    workloads = parser.parse_args().workloads
    share = workloads / 1000
    fit, score, alone, size = fleet("context-distance", workloads)
    plain = fleet("robust-z", max(20, workloads // 20))
    halves = (range(workloads // 2), range(workloads // 2, workloads))
    with ProcessPoolExecutor(2) as pool:
        wall = max(pool.map(score_a_day, halves))
    wide = {
        metrics: cpu_of(lambda count=metrics: fitted("context-distance", samples(1, DAYS, count)))
        for metrics in (5, 19, 60)
    }
    rows = [
        (f"fit {workloads} workloads of {METRICS} metrics, {DAYS} days, CPU s", fit, 60 * share),
        (f"score a day of them ({DAY_ROWS} samples each), CPU s", score, 2 * share),
        ("score one sample of one workload, CPU ms", 1000 * alone, 1.0),
        (f"score a day of {workloads} series of one metric, two processes, wall s", wall, 20 * share),
        *((f"fit a service of {metrics} metrics, CPU s", seconds, 1.0) for metrics, seconds in wide.items()),
        (f"detector and threshold of {METRICS} metrics, kB", size / 1000, 20.0),
    ]
    print(f"{'context-distance and tracking':<68}{'measured':>10}{'at most':>10}")
    for text, value, most in rows:
        print(f"{text:<68}{value:>10.3g}{most:>10.3g}{'' if value <= most else '  MISSED'}")
    ratio = fit / workloads / (plain[0] / max(20, workloads // 20))
    print(f"A fit takes {ratio:.1f} times as long as one of robust-z.")
    return 0 if all(value <= most for _, value, most in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
