"""Runs a scenario in sandboxes: load, faults at their times, and what was measured with its labels, part by part.

A fault is injected by the supervisor of the sandbox, which ends it at its time, and at once where this process ends,
however it ends. A part is written when it has ended; what was finished is not run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mora.chaos.folder import RunPart, begin, finished_parts, write_part
from mora.chaos.labels import Label
from mora.chaos.scenario import Injection, Part, Scenario
from mora.errors import MoraError
from mora.files import folder_lock
from mora.harness.drive import Driven, Moment, Offer, Site, Times, drive
from mora.seams import Reporter

if TYPE_CHECKING:
    import pandas as pd

_STEP = timedelta(seconds=1)
_RAMP = timedelta(seconds=3)
# More than the rate window of ten seconds, and until replicas that just started are warm.
_SETTLE = timedelta(seconds=20)


class Faulty(Protocol):
    """What can be disturbed: a sandbox (mora.sandbox.SandboxHandle)."""

    def inject(
        self, kind: str, service: str, *, seconds: float, strength: float, seed: int = 0, owner_pid: int | None = None
    ) -> str:
        """Begin a fault, which ends by itself; its id."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a part runs. read: the metrics of every service from a moment to another, service -> frame. calls: which
    service called which in that time."""

    site: Site
    faulty: Faulty
    namespace: str
    read: Callable[[datetime, datetime], Mapping[str, pd.DataFrame]]
    calls: Callable[[datetime, datetime], Collection[tuple[str, str]]]


OpenGround = Callable[[int], AbstractContextManager[Ground]]
"""Opens the place where the part of a number runs; whatever was started for it ends with the block."""


class Stopped(MoraError):
    """A run was stopped because another part of it failed, or by the user."""


def run_scenario(
    scenario: Scenario,
    folder: Path,
    open_ground: OpenGround,
    *,
    owner_pid: int,
    reporter: Reporter,
    jobs: int | None = None,
) -> list[Path]:
    """Run the parts that are not finished, at most `jobs` side by side (by default all); the folders of all parts.

    owner_pid: the process that faults end with. Raises BadConfig where the folder has a run of another scenario,
    MoraError where another process runs one there, and what the first part that failed raised; the others are stopped
    then, and those that are finished stay.
    """
    with folder_lock(folder, wait_seconds=0.0):  # a second run would drive the same parts again
        begin(folder, scenario)
        done = finished_parts(folder)
        due = [part for part in scenario.parts if part.number not in done]
        stop = threading.Event()

        def run(part: Part) -> None:
            if stop.is_set():
                return
            try:
                _run_part(scenario, part, folder, open_ground, owner_pid, reporter, stop)
            except BaseException:
                stop.set()  # the others end at their next second, and their sandboxes with them
                raise

        with ThreadPoolExecutor(jobs or max(len(due), 1), thread_name_prefix="mora-chaos") as pool:
            try:
                running = [pool.submit(run, part) for part in due]
                wait(running)
            finally:  # Ctrl-C
                stop.set()
        failures = [failure for one in running if (failure := one.exception()) is not None]
        for failure in sorted(failures, key=lambda one: isinstance(one, Stopped)):
            raise failure
        return list(finished_parts(folder).values())


def _run_part(
    scenario: Scenario,
    part: Part,
    folder: Path,
    open_ground: OpenGround,
    owner_pid: int,
    reporter: Reporter,
    stop: threading.Event,
) -> Path:
    task = "chaos" if len(scenario.parts) == 1 else f"part {part.number}"
    with open_ground(part.number) as ground:
        injector = _Injector(part.injections, ground, owner_pid, stop, _Progress(reporter, task, part.length))
        offer = Offer(scenario.load, scenario.load_file, scenario.users)
        times = Times(part.length + _STEP, _SETTLE, _RAMP, _STEP)
        driven = drive(ground.site, [offer], times, watch=injector.watch)
        if injector.due:
            raise MoraError(
                f"{len(injector.due)} faults of part {part.number} were never injected; the next is a "
                f"{injector.due[0].kind}.",
                hint="Is this machine very busy? Run it again; finished parts stay.",
            )
        span = driven.window.start, driven.window.end
        frames, calls = ground.read(*span), ground.calls(*span)
        found = _part_of(scenario, part, ground.namespace, driven, injector.labels, frames, calls)
    return write_part(folder, found)


def _part_of(
    scenario: Scenario,
    part: Part,
    namespace: str,
    driven: Driven,
    labels: Sequence[Label],
    frames: Mapping[str, pd.DataFrame],
    calls: Collection[tuple[str, str]],
) -> RunPart:
    figures = driven.loads[0].figures
    return RunPart(
        digest=scenario.digest,
        scenario=scenario.name,
        number=part.number,
        namespace=namespace,
        began=driven.window.start,
        learnt_until=driven.window.start + scenario.learn,
        ended=driven.window.end,
        step_seconds=_STEP.total_seconds(),
        labels=tuple(labels),
        frames=frames,
        contended=tuple(driven.contention.reasons),
        calls=tuple(sorted(calls)),
        requests=figures.requests,
        failures=figures.failures,
    )


@dataclass(slots=True)
class _Progress:
    reporter: Reporter
    task: str
    length: timedelta

    def tell(self, done: timedelta, note: str) -> None:
        seconds = min(max(done.total_seconds(), 0.0), self.length.total_seconds())
        self.reporter.advance(self.task, seconds, self.length.total_seconds(), note)


@dataclass(slots=True)
class _Injector:
    """Injects the faults of a part as their times come; called about once a second."""

    injections: Sequence[Injection]
    ground: Ground
    owner_pid: int
    stop: threading.Event
    progress: _Progress
    labels: list[Label] = field(default_factory=list)
    due: list[Injection] = field(init=False)

    def __post_init__(self) -> None:
        self.due = list(self.injections)

    def watch(self, moment: Moment) -> bool:
        if self.stop.is_set():
            raise Stopped("The run was stopped.", hint="Run it again: finished parts stay.")
        if moment.window is None or moment.note != "measuring":
            self.progress.tell(timedelta(0), moment.note)
            return False
        since = moment.now - moment.window.start
        while self.due and since >= self.due[0].start:
            self._inject(self.due.pop(0), moment.now)
        self.progress.tell(since, self._note(moment.now))
        return False

    def _inject(self, one: Injection, start: datetime) -> None:
        self.ground.faulty.inject(
            one.kind,
            one.target,
            seconds=one.duration.total_seconds(),
            strength=one.strength,
            seed=one.seed,
            owner_pid=self.owner_pid,
        )
        end = start + one.duration
        self.labels.append(
            Label(one.id, one.kind, self.ground.namespace, one.target, start, end, one.strength, one.seed)
        )

    def _note(self, now: datetime) -> str:
        active = [f"{one.fault} at {one.service}" for one in self.labels if one.end > now]
        return ", ".join(active) if active else f"{len(self.labels)} of {len(self.injections)} faults"
