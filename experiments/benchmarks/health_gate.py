"""What health does for the advice: numbers made while a service is abnormal, and abnormal times left out of sizing.

    python experiments/benchmarks/health_gate.py [--traces ../shared/traces] [--only untouched,pods]

- *abnormal*: the numbers of 100 VMs made every six hours from their last 14 days, and how often the day after exceeded
  them: where the VM was abnormal when they were made, and where it was not. What was covered there are constants of
  mora/fleet/health.py. The screen's share of looked-at histories, and the share of abnormal ones that it lets through.
- *cost*: CPU seconds of sizing 500 such histories, with a look at their health and without.
- *untouched*: 34 VMs, a number every other day from 14 days, judged on the day after, with different times left out of
  the 14 days: none; all that the detector flags (a); of those what a witness speaks against (b), what is over (c), and
  so that enough remains (d), see mora/health/witness.py; and windows that a person names (`--exclude-incidents`): here
  three hours at random, since there was no incident.
- *injected*: the same with a fault put into every history: CPU without work, or a leak that ends in an OOM kill; one in
  four is not over. Judged on the untouched day after. Named are the faults. The last row is of histories without fault.
- *pods*: ten pods of Online Boutique with 24 real faults in their first four hours; p99 x 1.15 of those, judged on the
  quiet eight hours that follow. The detector learns from the eight after these, since nothing came before the faults.

Cost is (reserved + 20 x unmet) / used, a geometric mean over series; days over: share of days with a sample above.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora.bounds.cpu import cpu_bounds_many
from mora.bounds.memory import memory_bounds_many
from mora.coverage import CPU_OVER_SHARE
from mora.domain import (
    Allocation,
    Container,
    ContainerHistory,
    Resources,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.health.histories import Condition, condition_of
from mora.health.screen import may_be_abnormal
from mora.health.witness import Flags, Floats, Parts, Rows, Signs, left_out

DAY = timedelta(days=1)
HISTORY, STEP = 14 * DAY, timedelta(minutes=5)
ROWS, PER_DAY = HISTORY // STEP, DAY // STEP
UNMET = 20.0
SEED = 13
AT_ONCE = 48
# `mora recommend --all` of 500 workloads with 14 days, from a Prometheus to JSON (fleet.py).
WHOLE_RUN_SECONDS = 17.9
# What mora/policies never goes below.
LEAST_CORES, LEAST_BYTES = 0.01, 16 * 2**20
NO_FAULT = "(nothing, and no fault)"
RULES: Mapping[str, Parts | None] = {
    "(a) flagged": Parts(witness=False, ended=False, remaining=False),
    "(a, b) and a witness": Parts(ended=False, remaining=False),
    "(a, b, c) and over": Parts(remaining=False),
    "(a, b, c, d) the rule": Parts(),
}


@dataclass(frozen=True)
class Vm:
    """One series on its grid."""

    id: str
    start: int
    cpu: Floats
    mem: Floats
    work: Floats


def read_vms(path: Path) -> list[Vm]:
    """The VMs on a grid of five minutes; traffic counts as work."""
    frame = pd.read_parquet(path)
    found = []
    for name, rows in frame.groupby("series_id", sort=True):
        slots = ((rows["timestamp"] - rows["timestamp"].iloc[0]) // int(STEP.total_seconds())).to_numpy()
        laid = np.full((3, int(slots.max()) + 1), np.nan)
        laid[:, slots] = rows["cpu"], rows["mem"], rows["net_rx_kbs"] + rows["net_tx_kbs"]
        found.append(Vm(str(name), int(rows["timestamp"].iloc[0]), *laid))
    return found


def window_of(vm: Vm, stop: int, rows: int = ROWS) -> Window:
    end = datetime.fromtimestamp(vm.start, UTC) + (stop - 1) * STEP
    return Window(end - (rows - 1) * STEP, end, STEP)


def rows_of(condition: Condition, window: Window) -> list[Rows]:
    return [
        (round((one.start - window.start) / STEP), round((one.end - window.start) / STEP) + 1)
        for one in condition.events
    ]


def requests_of(histories: Sequence[Floats], *, is_cpu: bool) -> Floats:
    """MOrA's number for the day after each history, all of one length."""
    rule, least = (cpu_bounds_many, LEAST_CORES) if is_cpu else (memory_bounds_many, LEAST_BYTES)
    found = []
    for first in range(0, len(histories), AT_ONCE):
        some = np.array(histories[first : first + AT_ONCE])
        end = np.array([some.shape[1]])
        found.append(rule(some, step_seconds=300, decisions=end, horizon_seconds=86400).requests[:, 0])
    return np.maximum(np.concatenate(found), least)


# --- numbers made while a VM is abnormal -----------------------------------------------------------------------------


def abnormal(vms: Sequence[Vm]) -> Iterator[str]:
    counts = {state: np.zeros(3) for state in ("healthy", "abnormal")}
    looked, asked, kept, sick = 0, 0, 0, 0
    every = timedelta(hours=6) // STEP
    for number, vm in enumerate(vms):
        stops = np.arange(ROWS, len(vm.cpu) - PER_DAY + 1, every)
        cpu, mem = (
            rule(one[None], step_seconds=300, decisions=stops, horizon_seconds=86400).requests[0]
            for rule, one in ((cpu_bounds_many, vm.cpu), (memory_bounds_many, vm.mem))
        )
        for at, stop in enumerate(stops):
            part = slice(stop - ROWS, stop)
            metrics = {"cpu_cores_value": vm.cpu[part], "mem_bytes_value": vm.mem[part]}
            window = window_of(vm, int(stop))
            is_looked_at = may_be_abnormal(metrics, window)
            asked, looked = asked + 1, looked + is_looked_at
            # Every tenth is examined without the look, to see what it passes over.
            is_sampled = (at + number) % 10 == 0
            state = "healthy"
            if is_looked_at or is_sampled:
                state = condition_of(metrics, window).state
            if is_sampled and state == "abnormal":
                sick, kept = sick + 1, kept + is_looked_at
            if not is_looked_at or state == "unknown":
                state = "healthy"
            day = slice(stop, stop + PER_DAY)
            if np.isnan(vm.cpu[day]).all():
                continue
            counts[state] += (
                1,
                np.nanmean(vm.cpu[day] > max(cpu[at], LEAST_CORES)) > CPU_OVER_SHARE,
                bool(np.nanmax(vm.mem[day]) > max(mem[at], LEAST_BYTES)),
            )
    yield "| made while | numbers | CPU exceeded | memory exceeded |"
    yield "|---|---|---|---|"
    for state, (total, over_cpu, over_mem) in counts.items():
        yield f"| {state} | {total:,.0f} | {over_cpu / total:.1%} | {over_mem / total:.1%} |"
    healthy, unwell = counts["healthy"], counts["abnormal"]
    times = (unwell[1:] / unwell[0]) / (healthy[1:] / healthy[0])
    yield f"exceeded so many times as often: CPU {times[0]:.2f}, memory {times[1]:.2f}"
    yield f"the screen looks at {looked / asked:.1%} of histories, and at {kept} of {sick} that are abnormal"


# --- what it costs ---------------------------------------------------------------------------------------------------


def cost(vms: Sequence[Vm]) -> Iterator[str]:
    """500 workloads of 14 days sized with a look at their health and without, in CPU seconds; the better of two."""
    states, histories = [], []
    random = np.random.default_rng(SEED)
    for number in range(500):
        vm = vms[number % len(vms)]
        stop = int(random.integers(ROWS, len(vm.cpu)))
        workload = Workload("shop", f"web-{number}")
        resources = Resources(2000, None, 8 * 2**30, 8 * 2**30)
        states.append(WorkloadState(workload, Allocation(2, (Container("server", resources, is_main=True),))))
        use = ContainerHistory("server", vm.cpu[stop - ROWS : stop], vm.mem[stop - ROWS : stop], pods=1)
        histories.append(WorkloadHistory(workload, window_of(vms[0], ROWS), {"server": use}))
    seconds = {}
    for name, settings in (
        ("without", FleetSettings(cut_while_abnormal=True)),
        ("with", FleetSettings()),
        ("with all times marked", FleetSettings(marks_abnormal=True)),
    ):
        took = []
        for _ in range(2):
            before = time.process_time()
            deferred = sum(
                any(reason.code == "deferred-abnormal" for reason in advice.reasons)
                for advice in stream(states, histories, histories[0].window, settings)
            )
            took.append(time.process_time() - before)
        seconds[name] = min(took)
        yield f"{name}: {min(took):.2f} CPU s, {deferred} of 500 with cuts deferred"
    more = seconds["with"] - seconds["without"]
    yield (
        f"{more:.2f} CPU s more, {more / WHOLE_RUN_SECONDS:.1%} of what the whole run takes "
        f"({WHOLE_RUN_SECONDS:g} CPU s, fleet.py)"
    )


# --- times left out --------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What one way to leave out times came to, over all histories."""

    used: dict[tuple[str, bool], Floats] = field(default_factory=dict)
    over: list[list[bool]] = field(default_factory=lambda: [[], []])
    dropped: list[float] = field(default_factory=list)
    caught: list[float] = field(default_factory=list)

    def add(self, name: str, use: Floats, request: float, *, is_cpu: bool) -> None:
        known = use[~np.isnan(use)]
        if not len(known):
            return
        sums = np.array([known.sum(), request * len(known), np.maximum(known - request, 0).sum()])
        self.used[name, is_cpu] = self.used.get((name, is_cpu), np.zeros(3)) + sums
        is_over = np.mean(known > request) > CPU_OVER_SHARE if is_cpu else bool((known > request).any())
        self.over[is_cpu].append(bool(is_over))

    def cost(self, *, is_cpu: bool) -> float:
        ratios = [
            (reserved + UNMET * unmet) / used
            for (_, kind), (used, reserved, unmet) in self.used.items()
            if kind == is_cpu and used > 0
        ]
        return float(np.exp(np.mean(np.log(ratios))))

    def row(self, name: str) -> str:
        caught = f"{np.mean(self.caught):.0%}" if self.caught else "-"
        return (
            f"| {name} | {self.cost(is_cpu=True):.3f} | {np.mean(self.over[True]):.2%} | {self.cost(is_cpu=False):.3f} "
            f"| {np.mean(self.over[False]):.2%} | {np.mean(self.dropped):.2%} | {caught} |"
        )


@dataclass(frozen=True)
class Case:
    """One history to size from, and the day that judges it."""

    name: str
    window: Window
    signs: Signs
    mem: Floats
    next_cpu: Floats
    next_mem: Floats
    named: Flags
    clean_cpu: Floats
    clean_mem: Floats


HEAD = (
    "| left out | CPU cost | CPU days over | memory cost | memory days over | dropped of what is usual | of faults |",
    "|---|---|---|---|---|---|---|",
)


def cases_of(vms: Sequence[Vm], inject: Callable[[Case, np.random.Generator], Case]) -> Iterator[Case]:
    for number, vm in enumerate(vms[::3]):
        for stop in range(ROWS, len(vm.cpu) - PER_DAY + 1, 2 * PER_DAY):
            part, day = slice(stop - ROWS, stop), slice(stop, stop + PER_DAY)
            if np.isnan(vm.cpu[part]).mean() > 0.5 or np.isnan(vm.cpu[day]).all():
                continue
            case = Case(
                vm.id,
                window_of(vm, stop),
                Signs(vm.cpu[part], vm.work[part]),
                vm.mem[part],
                vm.cpu[day],
                vm.mem[day],
                np.zeros(ROWS, dtype=bool),
                vm.cpu[part],
                vm.mem[part],
            )
            yield inject(case, np.random.default_rng((SEED, number, stop)))


def leave(case: Case, random: np.random.Generator) -> Case:
    """As it is; a person names three hours in which nothing was."""
    named = np.zeros(ROWS, dtype=bool)
    begin = int(random.integers(0, ROWS - 36))
    named[begin : begin + 36] = True
    return replace(case, named=named)


def with_fault(case: Case, random: np.random.Generator) -> Case:
    """A fault in the last ten days; one in four goes on at the end."""
    length = int(random.integers(12, 96))
    end = ROWS if random.random() < 0.25 else int(random.integers(ROWS - 10 * PER_DAY, ROWS - 24))
    part = slice(end - length, end)
    cpu, mem, kills = case.signs.cpu.copy(), case.mem.copy(), np.zeros(ROWS)
    if random.random() < 0.5:
        cpu[part] += max(3 * float(np.nanmean(cpu)), float(np.nanquantile(cpu, 0.99))) * random.uniform(1, 2)
    else:
        mem[part] += np.linspace(0, 2 * float(np.nanmax(mem)), length)
        kills[end - 1] = 1
    named = np.zeros(ROWS, dtype=bool)
    named[part] = True
    return replace(case, signs=Signs(cpu, case.signs.work, kills=kills), mem=mem, named=named)


def leaving_out(cases: Sequence[Case], *, are_faults: bool) -> Iterator[str]:
    variants = ["nothing", *RULES, "named windows", *([NO_FAULT] if are_faults else [])]
    tallies = {name: Tally() for name in variants}
    asked: dict[bool, list[Floats]] = {True: [], False: []}
    places: list[tuple[Case, str, bool, int]] = []
    for case in cases:
        metrics = {"cpu_cores_value": case.signs.cpu, "mem_bytes_value": case.mem}
        events = rows_of(condition_of(metrics, case.window), case.window)
        for is_cpu, values in ((True, case.signs.cpu), (False, case.mem)):
            masks = {"nothing": np.zeros(ROWS, dtype=bool), "named windows": case.named}
            if are_faults:
                masks[NO_FAULT] = np.zeros(ROWS, dtype=bool)
            masks |= {
                name: left_out(events, case.signs, STEP, of_memory=not is_cpu, parts=parts)
                for name, parts in RULES.items()
            }
            seen: dict[bytes, int] = {}
            for name in variants:
                mask = masks[name]
                usual = ~case.named if are_faults else np.ones(ROWS, dtype=bool)
                tallies[name].dropped.append(float(mask[usual].mean()))
                if are_faults and is_cpu != bool(case.signs.kills is not None and case.signs.kills.any()):
                    tallies[name].caught.append(float(mask[case.named].mean()))
                whole = values if name != NO_FAULT else case.clean_cpu if is_cpu else case.clean_mem
                key = mask.tobytes() + (b"-" if whole is values else b"+")
                if key not in seen:
                    seen[key] = len(asked[is_cpu])
                    asked[is_cpu].append(np.where(mask, np.nan, whole))
                places.append((case, name, is_cpu, seen[key]))
    for kind in (True, False):
        requests = requests_of(asked[kind], is_cpu=kind)
        for case, name, is_cpu, place in places:
            if is_cpu == kind:
                use = case.next_cpu if is_cpu else case.next_mem
                tallies[name].add(case.name, use, float(requests[place]), is_cpu=is_cpu)
    yield from HEAD
    yield from (tallies[name].row(name) for name in variants)
    yield f"{len(cases)} histories"


# --- real faults -----------------------------------------------------------------------------------------------------


def pods(path: Path) -> Iterator[str]:
    frame = pd.read_parquet(path)
    first, quiet = timedelta(hours=4, minutes=20), timedelta(minutes=1)
    tallies: dict[str, Tally] = {name: Tally() for name in ("nothing", *RULES, "named windows")}
    for name, rows in frame.groupby("series_id", sort=True):
        rows = rows.reset_index(drop=True)
        start = int(rows["timestamp"].iloc[0])
        cut = int(np.searchsorted(rows["timestamp"] - start, first.total_seconds()))
        middle = cut + (len(rows) - cut) // 2
        past, then, learnt = rows.iloc[:cut], rows.iloc[cut:middle], rows.iloc[middle:]
        cpu = past["cpu"].to_numpy()
        signs = Signs(
            cpu,
            past["podworkload_ops"].to_numpy(),
            latency=past["podserverlatencyp95_s"].to_numpy(),
        )
        events = pod_events(past, learnt)
        faults = past["label"].to_numpy() > 0
        for is_cpu, column in ((True, "cpu"), (False, "mem")):
            masks: dict[str, Flags] = {"nothing": np.zeros(cut, dtype=bool), "named windows": faults}
            masks |= {
                rule: left_out(events, signs, quiet, of_memory=not is_cpu, parts=parts) for rule, parts in RULES.items()
            }
            for rule, mask in masks.items():
                tally = tallies[rule]
                tally.dropped.append(float(mask[~faults].mean()))
                if faults.any() and is_cpu:
                    tally.caught.append(float(mask[faults].mean()))
                use = past[column].to_numpy()
                request = 1.15 * float(np.quantile(use if mask.all() else use[~mask], 0.99))
                tally.add(str(name), then[column].to_numpy(), request, is_cpu=is_cpu)
    yield from HEAD
    yield from (tally.row(rule) for rule, tally in tallies.items())


def pod_events(past: pd.DataFrame, learnt: pd.DataFrame) -> list[Rows]:
    """What the usual detector and threshold flag in `past`, where `learnt` is usual."""
    from mora import registry
    from mora.detectors.frames import TIMESTAMP
    from mora.health.events import find_events
    from mora.health.model import USUAL_DETECTOR, USUAL_THRESHOLD

    def frame_of_pod(rows: pd.DataFrame) -> pd.DataFrame:
        stamps = pd.to_datetime(rows["timestamp"], unit="s", utc=True).reset_index(drop=True)
        metrics = {"cpu": rows["cpu"], "mem": rows["mem"], "net": rows["net_rx"] + rows["net_tx"]}
        return pd.DataFrame({TIMESTAMP: stamps, **{name: one.to_numpy() for name, one in metrics.items()}})

    usual, frame = frame_of_pod(learnt), frame_of_pod(past)
    detector, threshold = registry.load("detectors", USUAL_DETECTOR)(), registry.load("thresholds", USUAL_THRESHOLD)()
    fitted = round(0.75 * len(usual))
    detector.fit(usual.iloc[:fitted])
    threshold.fit(detector.score(usual)[fitted:])
    scores, stamps = detector.score(frame), frame[TIMESTAMP]
    alarms = scores > threshold.follow(scores)
    # Faults follow each other in eight minutes here.
    found = find_events(stamps, alarms, excess=scores, gap=timedelta(minutes=2))
    places = [np.searchsorted(stamps, [one.start, one.end]) for one in found]
    return [(int(first), int(last) + 1) for first, last in places]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    parser.add_argument("--only", default="abnormal,cost,untouched,injected,pods")
    parser.add_argument("--series", type=int, default=100)
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    wanted = asked.only.split(",")
    vms = read_vms(asked.traces / "vms.parquet")[: asked.series] if {*wanted} - {"pods"} else []
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "abnormal": lambda: abnormal(vms),
        "untouched": lambda: leaving_out(list(cases_of(vms, leave)), are_faults=False),
        "injected": lambda: leaving_out(list(cases_of(vms, with_fault)), are_faults=True),
        "cost": lambda: cost(vms),
        "pods": lambda: pods(asked.traces / "boutique_pods.parquet"),
    }
    for name in wanted:
        print(f"\n{name}\n")
        for line in parts[name]():
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
