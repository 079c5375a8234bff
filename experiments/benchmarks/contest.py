"""Every model beside the others on recorded traces, an hour and a day ahead; and what that takes.

    python experiments/benchmarks/contest.py [--traces ../shared/traces] [--series 8] [--jobs 2] [--models ...]
    python experiments/benchmarks/contest.py --speed        one service, 14 days at 5 min, all models, nothing kept
    python experiments/benchmarks/contest.py --many 100     a hundred services on two Dask workers, killed and continued

Of each trace some series are drawn (seeded), and of each its last 14 days. Prints the tables of `mora compare`, then
for each target and horizon whether what `mora train` learns is as skilled as AutoARIMA and as the best single model,
and whether the model that errs less also makes the cheaper request. The tables of docs/contest.md come from here.
Finished forecasts are kept (--cache), so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import psutil

from mora import pipeline
from mora.backtest.tables import Columns
from mora.backtest.traces import read_traces
from mora.contest.text import LEAST_ANSWERED, render_markdown
from mora.errors import NotEnoughData

ROOT = Path(__file__).resolve().parents[2]
DAYS = timedelta(days=14)
TRACES = {"vms": {}, "planetlab": {"time_column": "seq_timestamp"}, "datacenters": {}}
# What is made of others, or no model: the best *single* one is among the rest.
NOT_SINGLE = ("trained", "blend", "stacked")
MOST_SECONDS, MOST_BYTES = 90.0, 1.5e9
CHEAP = ("yesterday", "moving-average", "xgboost")


def main() -> int:
    options = _options()
    if not (options.traces / "vms.parquet").is_file():
        print(f"Skipped: there are no traces in {options.traces} (name the folder with --traces or MORA_TRACES).")
        return 1
    if options.speed:
        return speed(options)
    if options.many:
        return many(options)
    for name, extra in TRACES.items():
        if options.only not in (None, name):
            continue
        path = options.traces / f"{name}.parquet"
        ids = drawn(path, options.series if name == "vms" else max(options.series // 3, 2), options.seed, extra)
        started = time.monotonic()
        found = pipeline.compare_forecasters(
            [str(path)],
            models=options.models,
            series=",".join(ids),
            last=DAYS,
            jobs=options.jobs,
            cache_dir=options.cache,
            reporter=Bar(),
            **extra,
        )
        print(f"\n## {name}\n\n{render_markdown(found.comparison)}")
        print("\n".join(compact(found)), end="\n\n")
        for line in aims(found):
            print(f"- {line}")
        print(f"\n({time.monotonic() - started:.0f} s)\n", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", "../shared/traces")))
    parser.add_argument("--series", type=int, default=8, help="of vms; a third as many of the others")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(TRACES))
    parser.add_argument("--models", type=lambda text: text.split(","), default=())
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--many", type=int, default=0)
    return parser.parse_args()


class Bar:
    """Progress on stderr."""

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        print(f"\r{done:.0f} of {total:.0f} {note:<60.60}", end="", file=sys.stderr, flush=True)


def drawn(path: Path, count: int, seed: int, extra: dict[str, str]) -> list[str]:
    """Series that are in use in their last 14 days."""
    columns = Columns.of(time=extra.get("time_column", "timestamp"))
    busy = []
    for one in read_traces([path], columns=columns).series:
        last = round(DAYS.total_seconds() / one.step_seconds)
        use = np.nan_to_num(one.cpu[-last:]) if one.cpu is not None else np.zeros(1)
        if one.sample_count * one.step_seconds >= 6 * 86_400 and np.mean(use > 0.05 * use.max()) > 0.5:
            busy.append(one.id)
    picked = np.random.default_rng(seed).choice(len(busy), size=min(count, len(busy)), replace=False)
    return [busy[number] for number in sorted(picked.tolist())]


def compact(found: pipeline.ContestResult) -> list[str]:
    """One table for all targets and horizons, as docs/contest.md has it: skill, and the cost of a request around it."""
    tables = found.comparison.tables
    heads = [f"{t.target.value}, {t.horizon_seconds / 3600:g}h ({t.windows} windows)" for t in tables]
    lines = [f"| model | {' | '.join(heads)} |", f"|---|{'---|' * len(tables)}"]
    rows = [{row.entrant: row for row in table.rows} for table in tables]
    whole = [{name: r.skill.value for name, r in one.items() if r.answered >= LEAST_ANSWERED} for one in rows]

    def mean(name: str) -> float:
        known = [one[name] for one in whole if np.isfinite(one.get(name, np.nan))]
        return float(np.mean(known)) if known else -np.inf

    for name in sorted(found.comparison.models, key=mean, reverse=True):
        cells = []
        for one, complete in zip(rows, whole, strict=True):
            row = one[name]
            if not np.isfinite(row.skill.value):
                cells.append("-")
                continue
            is_best = name in complete and complete[name] == max(value for value in complete.values())
            skill = f"**{row.skill.value:+.2f}**" if is_best else f"{row.skill.value:+.2f}"
            cost = f"{row.cost:.2f}" if np.isfinite(row.cost) else "-"
            part = "" if row.answered >= LEAST_ANSWERED else f" ({row.answered:.0%})"
            cells.append(skill + ("\\*" if row.is_surely_apart else "") + f", {cost}{part}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def aims(found: pipeline.ContestResult) -> list[str]:
    """Per table: the skill of what `mora train` learns beside AutoARIMA's and the best single model's."""
    lines, met, judged = [], 0, 0
    for table in found.comparison.tables:
        answered = [row for row in table.rows if row.answered >= LEAST_ANSWERED]
        rows = {row.entrant: row for row in answered if np.isfinite(row.skill.value)}
        what = f"{table.target.value}, {table.horizon_seconds / 3600:g} h ahead"
        single = max((row for name, row in rows.items() if name not in NOT_SINGLE), key=lambda row: row.skill.value)
        if "trained" in rows and "autoarima" in rows:
            arima = rows["autoarima"].skill.value
            own = rows["trained"].skill.value
            judged += 1
            met += own >= max(arima, single.skill.value) - 1e-9
            lines.append(
                f"{what}: trained {own:+.3f}, AutoARIMA {arima:+.3f}, best single {single.entrant} "
                f"{single.skill.value:+.3f}"
            )
        lines.append(
            f"{what}: the smaller error makes the cheaper request in {table.around.share:.0%} of {table.around.pairs} "
            f"pairs; of MOrA's bound raised to the forecast in {table.raised.share:.0%} of {table.raised.pairs}"
        )
    return [*lines, f"the aim is met in {met} of {judged} rows"] if judged else lines


def speed(options: argparse.Namespace) -> int:
    """All models for one service, from a cold start and with nothing kept, by the command."""
    (one,) = drawn(options.traces / "vms.parquet", 1, options.seed, {})
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / f"{one}.csv"
        _write_last(options.traces / "vms.parquet", one, alone)
        command = [sys.executable, "-m", "mora", "compare", str(alone), "--jobs", str(options.jobs), "--cache", folder]
        command += ["--models", ",".join(options.models)] if options.models else []
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        peak: list[float] = [0.0]
        watch = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
        watch.start()
        told = process.communicate()[0]
        seconds = time.monotonic() - started
    print(told)
    print(f"all models, one service ({one}), {options.jobs} jobs: {seconds:.0f} s (at most {MOST_SECONDS:.0f})")
    print(f"memory of all its processes at most: {peak[0] / 1e9:.2f} GB (at most {MOST_BYTES / 1e9:.1f})")
    return int(process.returncode or seconds > MOST_SECONDS or peak[0] > MOST_BYTES)


def _write_last(path: Path, name: str, target: Path) -> None:
    """The last 14 days of a series as a trace of its own."""
    (series,) = [one for one in read_traces([path]).series if one.id == name]
    first = series.sample_count - round(DAYS.total_seconds() / series.step_seconds)
    at = series.start + series.step_seconds * np.arange(first, series.sample_count)
    frame = pd.DataFrame({"timestamp": at, "cpu": series.cpu[first:], "mem": series.mem[first:]})
    frame.to_csv(target, index=False)


def _watch(pid: int, peak: list[float]) -> None:
    """The proportional set sizes of a process and its children, added up: what is shared counts once."""
    while psutil.pid_exists(pid):
        total = 0.0
        try:
            for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
        peak[0] = max(peak[0], total)
        time.sleep(2)  # adding up takes a tenth of a second of CPU


def many(options: argparse.Namespace) -> int:
    """Many services on two local Dask workers: stopped in the middle, continued, and the same as here."""
    from tests.scaleout.rig import rig

    series = [one.id for one in read_traces([options.traces / "vms.parquet"]).series][: options.many]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dask").mkdir()
        command = [sys.executable, "-m", "mora", "compare", str(options.traces / "vms.parquet"), "--last", "14d"]
        command += ["--series", ",".join(series), "--models", ",".join(options.models or CHEAP), "-o", "json"]
        with rig(Path(folder) / "dask", workers=2) as cluster:
            kept = Path(folder) / "kept"
            command += ["--backend", "dask", "--scheduler", cluster.address, "--cache", str(kept)]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            total = 2 * 3 * len(series) * (1 + len(options.models or CHEAP))
            started = time.monotonic()
            stopped = subprocess.Popen(command, cwd=ROOT, **quiet)
            while stopped.poll() is None and len(list(kept.glob("*.npz"))) < total // 3:
                time.sleep(0.2)
            stopped.kill()
            stopped.wait()
            before = len(list(kept.glob("*.npz")))
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            seconds = time.monotonic() - started
        print(f"{len(series)} services, {1 + len(options.models or CHEAP)} models on two Dask workers: {seconds:.0f} s")
        print(f"killed after {before} of about {total} forecasts, continued with the rest; exit code {done.returncode}")
    return done.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotEnoughData as short:
        sys.exit(str(short))
