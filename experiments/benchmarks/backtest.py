"""MOrA beside KRR's rule, the VPA's and plain ones on recorded traces: what the project promises of its advice.

    python experiments/benchmarks/backtest.py [--traces ../shared/traces] [--series 20] [--jobs 2] [--only vms-24h]

For each set of traces and each horizon the scores of `mora backtest`, then the targets beside what was reached, then
time and memory. Nothing is kept from one run to the next, so the time is that of a first run. Then all of it as the
table that docs/benchmarks.md shows, losses included. Last come the rules of others against the first experiments'
figures (SCIENCE.md): the same rules, written twice, must cost the same.

PlanetLab holds fractions of a machine and days that are not adjacent: there a machine counts as ten cores, and the days
are laid end to end. There and on the pods of the Online Boutique, of which most use less than anyone's least amount,
rules' least amounts are off: rules are compared, not floors. So they are for Sock Shop's short load tests (cores and
bytes) and for whole data centres (fractions, counted as a thousand cores and a tebibyte; the one that is recorded as a
sum of cores as a fraction of its own peak, since the VPA's histogram ends at a thousand cores).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from mora import pipeline
from mora.backtest.policy import RESOURCES, Resource, Series, decide, load_policy
from mora.backtest.render import against_peers, render_table
from mora.backtest.run import ORACLE, Backtest
from mora.backtest.scoring import oracle, score, score_series, scored_samples
from mora.backtest.traces import read_trace_file

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True)
class Goal:
    """Floor and aim that `mora` must not exceed. what: "waste" (CPU), "of krr's" or "windows exceeded" (memory)."""

    resource: Resource
    what: str
    floor: float | None
    aim: float | None


@dataclass(frozen=True)
class Case:
    """first: only so much of the beginning of each series is replayed; the rest is cut off. has_fractions: CPU is a
    fraction of a machine, and a series that goes above 1 is counted as a fraction of its own peak."""

    name: str
    what: str
    file: str
    horizon: timedelta
    warmup: timedelta
    most_minutes: int | None = None
    targets: tuple[Goal, ...] = ()
    cpu_scale: float = 1.0
    mem_scale: float = 1.0
    with_minimums: bool = True
    time_column: str = "timestamp"
    first: timedelta | None = None
    has_fractions: bool = False


_PLANETLAB = Case(
    "planetlab-24h",
    "PlanetLab, daily",
    "planetlab.parquet",
    DAY,
    3 * DAY,
    targets=(Goal("cpu", "waste", 1.00, None),),
    cpu_scale=10.0,
    with_minimums=False,
    time_column="seq_timestamp",
)
CASES = (
    Case(
        "vms-24h",
        "hosted VMs, renewed daily",
        "vms.parquet",
        DAY,
        8 * DAY,
        most_minutes=15,
        targets=(
            Goal("cpu", "waste", 0.94, 0.85),
            Goal("mem", "of krr's", 0.97, 0.90),
            Goal("mem", "windows exceeded", None, None),
        ),
    ),
    Case(
        "vms-1h",
        "the same, renewed hourly",
        "vms.parquet",
        HOUR,
        8 * DAY,
        most_minutes=30,
        targets=(Goal("cpu", "waste", 0.56, 0.48), Goal("mem", "windows exceeded", None, None)),
    ),
    Case(
        "young-24h",
        "the VMs' first five days, daily, from 1 d on",
        "vms.parquet",
        DAY,
        DAY,
        first=5 * DAY,
    ),
    Case(
        "young-1h",
        "the same, hourly, from 1 d on",
        "vms.parquet",
        HOUR,
        DAY,
        first=5 * DAY,
    ),
    Case(
        "young-1h-6h",
        "the same, hourly, from 6 h on",
        "vms.parquet",
        HOUR,
        6 * HOUR,
        first=5 * DAY,
    ),
    _PLANETLAB,
    replace(
        _PLANETLAB,
        name="planetlab-1h",
        what="PlanetLab, hourly",
        horizon=HOUR,
        targets=(Goal("cpu", "waste", 0.95, None),),
    ),
    Case(
        "boutique-1h",
        "Online Boutique pods, hourly, from 6 h of history on",
        "boutique_pods.parquet",
        HOUR,
        6 * HOUR,
        with_minimums=False,
    ),
    Case(
        "boutique-3h",
        "the same, renewed every 3 h",
        "boutique_pods.parquet",
        3 * HOUR,
        6 * HOUR,
        with_minimums=False,
    ),
    Case(
        "sockshop-10m",
        "Sock Shop load tests, every 10 min, from 30 min on",
        "sockshop.parquet",
        timedelta(minutes=10),
        timedelta(minutes=30),
        with_minimums=False,
    ),
    Case(
        "datacenters-24h",
        "three whole data centres, daily, from 3 d on",
        "datacenters.parquet",
        DAY,
        3 * DAY,
        cpu_scale=1e3,
        mem_scale=2.0**40,
        with_minimums=False,
        has_fractions=True,
    ),
    Case(
        "datacenters-1h",
        "the same, hourly",
        "datacenters.parquet",
        HOUR,
        3 * DAY,
        cpu_scale=1e3,
        mem_scale=2.0**40,
        with_minimums=False,
        has_fractions=True,
    ),
)
# What the first experiments found (SCIENCE.md) on VMs with a mean use of so many cores or more, 94 of the 100, renewed
# after so many hours from day 8 on: the better peer's cost, and cost - 1 of others over that peer's. History was filled
# forward there, which the replay does not do: no monitoring sees samples that are missing.
BUSY_CORES = 0.02
KNOWN = {24: ("krr", 3.476, {"vpa": 1.039, ORACLE: 0.618}), 1: ("vpa", 3.261, {"krr": 1.053, ORACLE: 0.170})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    parser.add_argument("--series", help="only the first so many of each file, or these ids")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="CASE", help=", ".join(case.name for case in CASES))
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    started = time.monotonic()
    done = [
        (case, _measure(case, asked.traces, asked.series, asked.jobs))
        for case in CASES
        if asked.only is None or case.name in asked.only
    ]
    for resource in RESOURCES:
        print("\n".join(_as_markdown(done, resource)) + "\n")
    print(f"   all in {(time.monotonic() - started) / 60:.1f} min with {asked.jobs} processes\n", flush=True)
    if asked.only is None and asked.series is None:
        _check_rules(asked.traces)
    return 0


def _measure(case: Case, traces: Path, series: str | None, jobs: int) -> Backtest:
    print(f"-- {case.name}: {case.file}")
    with tempfile.TemporaryDirectory() as fresh:
        started = time.monotonic()
        found = pipeline.backtest(
            _prepared(case, traces / case.file, Path(fresh)),
            horizon=case.horizon,
            warmup=case.warmup,
            series=series,
            with_minimums=case.with_minimums,
            cpu_scale=case.cpu_scale,
            mem_scale=case.mem_scale,
            time_column=case.time_column,
            jobs=jobs,
            cache_dir=fresh,
        )
        seconds = time.monotonic() - started
    print(render_table(found).rpartition("\n\n")[0])
    for target in case.targets:
        _tell(target, found)
    gigabytes = sum(map(_peak_bytes, [os.getpid(), *(child.pid for child in psutil.Process().children(True))])) / 2**30
    limit = f" (at most {case.most_minutes} min, 3 GB)" if case.most_minutes else ""
    print(f"   {seconds:.0f} s with {jobs} processes, {gigabytes:.1f} GB{limit}\n", flush=True)
    return found


def _prepared(case: Case, path: Path, folder: Path) -> Path:
    """The traces of `path`, or, where the case replays something else of them, a file in `folder`."""
    if case.first is None and not case.has_fractions:
        return path
    frame = pd.read_parquet(path)
    of = frame.groupby("series_id", observed=True)
    if case.has_fractions:
        frame["cpu"] = frame["cpu"] / of["cpu"].transform("max").clip(lower=1.0)
    if case.first is not None:
        frame = frame[frame["timestamp"] - of["timestamp"].transform("min") < case.first.total_seconds()]
    prepared = folder / path.name
    frame.to_parquet(prepared)
    return prepared


def _as_markdown(done: Sequence[tuple[Case, Backtest]], resource: Resource) -> list[str]:
    """README.md's table of one resource: `mora` beside KRR's rule, the VPA's and the best in hindsight."""
    if resource == "cpu":
        heads = ["CPU: cost", "series", "`mora`", "KRR", "VPA", "best in hindsight", "waste over the better peer's"]
    else:
        heads = ["memory: reserved/used, windows exceeded", "series", "`mora`", "KRR", "VPA", "reserve over KRR's"]
    lines = [" | ".join(heads), "|".join(["---"] * len(heads))]
    for case, found in done:
        scores = {name: of[resource] for name, of in found.scores.items() if resource in of}
        if "mora" not in scores:
            continue
        share = against_peers(found, resource, scores["mora"])
        if resource == "cpu":
            cells = [f"{scores[name].cost:.3f}" for name in ("mora", "krr", "vpa", ORACLE)]
        else:
            cells = [
                f"{scores[name].reserved_per_used:.3f}, {scores[name].windows_exceeded:.2%}"
                for name in ("mora", "krr", "vpa")
            ]
        lines.append(" | ".join([case.what, str(scores["mora"].series), *cells, f"**{share:.3f}**"]))
    return [f"| {line} |" for line in lines]


def _peak_bytes(pid: int) -> int:
    """The peak memory of a process; the peaks of several add up to at least what they used at once."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _tell(target: Goal, found: Backtest) -> None:
    score = found.scores.get("mora", {}).get(target.resource)
    if score is None:
        return
    if target.what == "windows exceeded":
        peers = found.scores["krr"]["mem"].windows_exceeded
        print(f"   mora, memory, windows exceeded: {score.windows_exceeded:.4f}, at most krr's {peers:.4f}")
        return
    reached = against_peers(found, target.resource, score)
    words = [f"{name} {limit:.2f}" for name, limit in (("floor", target.floor), ("aim", target.aim)) if limit]
    print(f"   mora, {target.resource}, {target.what}: {reached:.3f} ({', '.join(words)})")


def _check_rules(traces: Path) -> None:
    path = traces / "vms.parquet"
    busy = [one for one in read_trace_file(path) if one.cpu is not None and np.nanmean(one.cpu) >= BUSY_CORES]
    print(
        f"-- the rules of others against the first experiments: {len(busy)} VMs, mean use of {BUSY_CORES} cores or more"
    )
    for hours, (better, cost, others) in KNOWN.items():
        found = peer_costs(busy, horizon_seconds=hours * 3600)
        print(f"   {hours}h: {better} costs {found[better]:.3f} ({cost:.3f}); of its cost - 1:", end="")
        shares = [
            f"{name} {(found[name] - 1) / (found[better] - 1):.3f} ({share:.3f})" for name, share in others.items()
        ]
        print(f" {', '.join(shares)}")


def peer_costs(series: Sequence[Series], *, horizon_seconds: int) -> dict[str, float]:
    """Cost of KRR's, the VPA's and the oracle's CPU reservations from day 8 on, on history that is filled forward."""
    decisions = decide(series, horizon_seconds=horizon_seconds, warmup_seconds=8 * 86400, with_minimums=False)
    filled = [replace(one, cpu=pd.Series(one.use("cpu")).ffill().to_numpy()) for one in series]
    samples = [
        scored_samples(one, "cpu", at, until)
        for one, at, until in zip(series, decisions.at, decisions.until, strict=True)
    ]
    said = {name: load_policy(name).reservations(filled, "cpu", decisions) for name in ("krr", "vpa")}
    said[ORACLE] = [oracle(scored, len(at)) for scored, at in zip(samples, decisions.at, strict=True)]
    return {
        name: total.cost
        for name, found in said.items()
        if (total := score([score_series(one, reserved) for one, reserved in zip(samples, found, strict=True)]))
    }


if __name__ == "__main__":
    sys.exit(main())
