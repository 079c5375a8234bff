"""The experiments before an answer: each class alone at low load, all ample, then each service squeezed alone.

Squeezing goes from ample toward the predicted knee, by the use that the first runs showed, and is halved (on a log
scale) between what kept the SLO and what broke it. A step ends early once a class broke its SLO beyond doubt. Every
finished step is in the journal (journal.py), so that a killed run continues where it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from mora.domain import Allocation, Resources, Workload
from mora.errors import BadInput, MoraError
from mora.harness.drive import Moment, Site, Times, drive
from mora.optimize.attribution import Step, fit_service, split_use
from mora.optimize.journal import Journal, Measured
from mora.optimize.readings import (
    BROKEN_ERRORS,
    is_beyond_doubt,
    is_broken,
    offer_of,
    quiet,
    quiet_steps,
    read_driven,
    size_of,
    step_name,
)
from mora.optimize.solve import Learned, LoadClass, Terms
from mora.seams import Reporter

MOST_RUNS = 20
"""The most experiments before an answer."""
_PROBE_SHARE = 3
# Where squeezing starts, and its step: the use of CFS-limited pods is fine to about 0.7 of their limit.
_FIRST_UTILISATION, _STEP, _LAST_UTILISATION = 0.6, 0.7, 0.92
_CLOSE_ENOUGH = 1.35
_MOST_STEPS, _MOST_STEPS_LARGE = 3, 4
# Pods that use more than this of what they may take are not ample.
_AMPLE_UTILISATION = 0.5
_LEAST_MILLICORES = 25


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each kind of run takes: settling lasts a rate window where CPU is read, else until the queues stand."""

    probe: Times
    baseline: Times
    squeeze: Times
    confirm: Times

    @classmethod
    def of(cls, interval: timedelta) -> Pace:
        """The times for a source with samples every `interval`."""
        rate_window = max(4 * interval, timedelta(seconds=10))
        measured = max(12 * interval, timedelta(seconds=20))
        ramp, step = timedelta(seconds=2), min(interval, timedelta(seconds=1))
        return cls(
            Times(measured, rate_window, ramp, interval),
            Times(max(measured, timedelta(seconds=30)), rate_window, ramp, interval),
            Times(_LATENCY, timedelta(seconds=5), ramp, step),
            # New replicas answer their first requests late.
            Times(_LATENCY, timedelta(seconds=8), ramp, step),
        )


# Locust records each second, so latency needs no more for slow scrapes.
_LATENCY = timedelta(seconds=20)


@dataclass(slots=True)
class Learner:
    """One learning run at a site. targets: the services that are squeezed."""

    site: Site
    classes: Sequence[LoadClass]
    scenario_files: Mapping[str, Path]
    targets: Sequence[Workload]
    originals: Mapping[Workload, Allocation]
    terms: Terms
    pace: Pace
    journal: Journal
    reporter: Reporter
    calls: Callable[[datetime, datetime], tuple[frozenset[str], ...]] = lambda start, end: ()
    applied: dict[Workload, tuple[int, int]] = field(default_factory=dict)

    def run(self) -> Learned:
        """Every experiment that the journal does not have yet, and what all of them show."""
        replicas = dict.fromkeys(self.targets, self.terms.min_replicas)
        ample = self.terms.most_pod_millicores
        for one in self.classes:
            users = max(one.users // _PROBE_SHARE, 1)
            self._run(f"probe {one.scenario}", {one.scenario: users}, self._all(replicas, ample), self.pace.probe)
        replicas = {workload: self._ample_replicas(workload) for workload in self.targets}
        whole = {one.scenario: one.users for one in self.classes}
        base = self._run("baseline", whole, self._all(replicas, ample), self.pace.baseline)
        _check_answered(base, self.classes)
        self._squeeze_all(replicas, ample, whole)
        return self._learned(replicas, ample, base)

    def known(self) -> Learned:
        """What the experiments of the journal show, without any new one. BadInput where they are not all there."""
        base = self.journal.steps.get("baseline")
        needed = [f"probe {one.scenario}" for one in self.classes]
        names = sorted(workload.name for workload in self.targets)
        if base is None or any(name not in self.journal.steps for name in needed) or sorted(base.setting) != names:
            raise BadInput(
                f"{self.journal.path} has no experiments of these scenarios and services.",
                hint="Measure them: run it without --reuse.",
            )
        replicas = {workload: base.setting[workload.name][0] for workload in self.targets}
        return self._learned(replicas, max(size for _, size in base.setting.values()), base)

    def _squeeze_all(self, replicas: Mapping[Workload, int], ample: int, whole: Mapping[str, int]) -> None:
        """Squeeze each service alone; the one with most use last, when its use is known from many runs."""
        if any(is_broken(self.journal.steps["baseline"], one) for one in self.classes):
            return  # the SLO is below the latency at no squeeze: solve.check_baseline says so
        by_use = sorted(self.targets, key=lambda workload: (self._use(workload), workload.name))
        for place, workload in enumerate(by_use):
            allowed = _MOST_STEPS_LARGE if place >= len(by_use) - 2 else _MOST_STEPS
            kept, broken = ample, 0
            for _ in range(allowed):
                if len(self.journal.steps) >= MOST_RUNS:
                    return
                size = self._next_size(workload, replicas[workload], kept, broken)
                if size is None or size >= kept:
                    break
                setting = {**self._all(replicas, ample), workload: (replicas[workload], size)}
                name = step_name(workload.name, size)
                step = self._run(name, whole, setting, self.pace.squeeze, may_break=True)
                if any(is_broken(step, one) for one in self.classes):
                    broken = size
                else:
                    kept = size

    def _next_size(self, workload: Workload, replicas: int, kept: int, broken: int) -> int | None:
        """The millicores of the next step; None where kept and broken are close, or nothing less makes sense."""
        use = 1000 * self._use(workload) / replicas
        if broken:
            return None if kept / broken < _CLOSE_ENOUGH else max(round(math.sqrt(kept * broken)), _LEAST_MILLICORES)
        first = max(round(use / _FIRST_UTILISATION), _LEAST_MILLICORES)
        if first < kept:
            return first
        # At its use a service cannot keep up, whatever the SLO: the last step stays above it.
        smaller = max(round(kept * _STEP), round(use / _LAST_UTILISATION), _LEAST_MILLICORES)
        return smaller if kept / smaller > 1.05 else None

    def _all(self, replicas: Mapping[Workload, int], millicores: int) -> dict[Workload, tuple[int, int]]:
        return {workload: (count, millicores) for workload, count in replicas.items()}

    def _use(self, workload: Workload) -> float:
        """Cores that a service uses at the whole load; before the baseline, extrapolated from the probes.

        The median of all runs at that load in which it was not squeezed itself: one run beside other work on the
        machine does not decide.
        """
        steps = self.journal.steps
        if "baseline" in steps:
            whole = [
                one
                for name, one in steps.items()
                if not name.startswith("probe") and size_of(name, workload.name) is None
            ]
            return median(one.cores.get(workload.name, 0.0) for one in quiet(whole))
        return sum(
            steps[f"probe {one.scenario}"].cores.get(workload.name, 0.0) * one.users / max(one.users // _PROBE_SHARE, 1)
            for one in self.classes
        )

    def _ample_replicas(self, workload: Workload) -> int:
        most = _AMPLE_UTILISATION * self.terms.most_pod_millicores / 1000
        return max(self.terms.min_replicas, math.ceil(round(self._use(workload) / most, 6)))

    # --- one run ---

    def _run(
        self,
        name: str,
        users: Mapping[str, int],
        setting: Mapping[Workload, tuple[int, int]],
        times: Times,
        *,
        may_break: bool = False,
    ) -> Measured:
        """Drive users on a setting (workload -> replicas, millicores), unless the journal has it."""
        total = MOST_RUNS
        done = len(self.journal.steps)
        if name in self.journal.steps:
            return self.journal.steps[name]
        self.reporter.advance("learn", done, total, name)
        self._apply(setting)
        slos = {one.scenario: one.slo.p95_seconds for one in self.classes}
        offers = [
            offer_of(one, self.scenario_files[one.scenario], users[one.scenario])
            for one in self.classes
            if users.get(one.scenario)
        ]

        def watch(moment: Moment) -> bool:
            if moment.window is not None and moment.note == "measuring":
                passed = (moment.now - moment.window.start) / times.duration
                self.reporter.advance("learn", done + min(max(passed, 0.0), 0.99), total, name)
                return may_break and is_beyond_doubt(moment, offers, slos)
            return False

        driven = drive(self.site, offers, times, watch=watch)
        if driven.contention.is_contended:
            driven = drive(self.site, offers, times, watch=watch)
        measured = replace(read_driven(driven), setting={workload.name: wanted for workload, wanted in setting.items()})
        if name.startswith("probe"):
            measured = replace(measured, together=self.calls(driven.window.start, driven.window.end))
        self.journal.add(name, measured)
        self.reporter.advance("learn", done + 1, total, name)
        return measured

    def _apply(self, setting: Mapping[Workload, tuple[int, int]]) -> None:
        """Set replicas and the limit; the request stays at most what it was, so that pods can be scheduled."""
        changed = [workload for workload, wanted in setting.items() if self.applied.get(workload) != wanted]
        for workload in changed:
            replicas, millicores = setting[workload]
            original = self.originals[workload]
            main = original.main
            if main is None:
                raise BadInput(f"{workload.name} has no container to squeeze.")
            request = main.resources.cpu_request_millicores
            resources = replace(
                main.resources,
                cpu_limit_millicores=millicores,
                cpu_request_millicores=None if request is None else min(request, millicores),
            )
            self.site.cluster.apply(workload, only_main(original, resources, replicas))
            self.applied[workload] = setting[workload]
        if changed:
            self.site.cluster.wait_ready(changed, self.site.ready_timeout)

    # --- what it shows ---

    def _learned(self, replicas: Mapping[Workload, int], ample: int, base: Measured) -> Learned:
        steps = self.journal.steps
        scenarios = [one.scenario for one in self.classes]
        baseline = {name: self._least_p95(base, name) for name in scenarios}
        errors = {name: base.error_ratio[name] or 0.0 for name in scenarios}
        services = []
        for workload in self.targets:
            runs = [
                (one.users, self._use(workload) if one is base else one.cores.get(workload.name, 0.0))
                for name, one in steps.items()
                if one is base or name.startswith("probe")
            ]
            per_user, idle = split_use(runs, scenarios, replicas[workload])
            use = self._use(workload)
            squeezed = [
                Step(
                    utilisation=1000 * use / (replicas[workload] * size),
                    cores=size / 1000,
                    p95_seconds=one.p95_seconds,
                    p95_upper_seconds=one.p95_upper_seconds,
                    error_ratio=one.error_ratio,
                    is_broken=any(is_broken(one, of) for of in self.classes),
                )
                for name, one in quiet_steps(steps, workload.name)
                if (size := size_of(name, workload.name)) is not None
            ]
            services.append(
                fit_service(
                    workload.name,
                    replicas=replicas[workload],
                    ample_cores=ample / 1000,
                    ample_utilisation=1000 * use / (replicas[workload] * ample),
                    cores_per_user=per_user,
                    idle_cores=idle,
                    memory_bytes=max(one.memory_bytes.get(workload.name, 0) for one in steps.values()),
                    baseline_p95=baseline,
                    baseline_errors=errors,
                    steps=squeezed,
                )
            )
        together = {name: steps[f"probe {name}"].together for name in scenarios}
        users = {one.scenario: one.users for one in self.classes}
        return Learned(users, baseline, errors, tuple(services), together)

    def _least_p95(self, base: Measured, scenario: str) -> float:
        """The p95 of a class when nothing is squeezed: squeezing never makes it faster.

        So where the mildest steps of most services were faster than the baseline, something else slowed that down.
        """
        mildest: list[float] = []
        for workload in self.targets:
            sizes = [size for name in self.journal.steps if (size := size_of(name, workload.name)) is not None]
            if sizes:
                p95 = self.journal.steps[step_name(workload.name, max(sizes))].p95_seconds.get(scenario)
                mildest += [] if p95 is None else [p95]
        own = base.p95_seconds[scenario] or 0.0
        return min(own, median(mildest)) if mildest else own


def _check_answered(base: Measured, classes: Sequence[LoadClass]) -> None:
    """Raise MoraError where a class sent nothing or not what was asked, or got nothing but errors."""
    if base.remarks:
        raise MoraError(
            f"{base.remarks[0]} Every service had ample resources.",
            hint="Ask for less load, or run MOrA on a machine with more CPU.",
        )
    for one in classes:
        if base.p95_seconds.get(one.scenario) is None:
            raise MoraError(
                f"No request of {one.scenario} was answered in the baseline, with {one.words()}.",
                hint="Run the scenario by itself against the service, and look at what it sends.",
            )
        if (base.error_ratio.get(one.scenario) or 0.0) > BROKEN_ERRORS:
            raise MoraError(
                f"{base.error_ratio[one.scenario]:.0%} of the requests of {one.scenario} fail, with ample resources "
                "for every service.",
                hint="Look at the errors of the target first; nothing can be sized while it fails.",
            )


def only_main(original: Allocation, resources: Resources, replicas: int) -> Allocation:
    """What changes of a workload: its replicas, and its main container; the others are not touched."""
    main = original.main
    containers = () if main is None else (replace(main, resources=resources, is_main=True),)
    return Allocation(replicas, containers)


def resources_of(original: Allocation, millicores: int, memory_bytes: int) -> Resources:
    """What a pod reserves and may take in a confirmation: limits equal requests, so nothing borrowed is counted on."""
    return Resources(millicores, millicores, memory_bytes, memory_bytes)
