"""Many rules on many series: what is asked, in which pieces, and what is kept of it.

A run is cut into tasks: one for each rule, resource and series, or one for all series where the rule learns over them.
Tasks share nothing, so they may run anywhere and in any order. Finished tasks are kept as plain arrays in a folder: a
run that was stopped, or that is repeated with one rule more, computes only the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from mora.backtest.policy import (
    RESOURCES,
    Decisions,
    Floats,
    Resource,
    Series,
    decide,
    load_policy,
    policy_names,
)
from mora.backtest.renewing import PLAIN, Renewal, followed
from mora.backtest.scoring import Score, oracle, score, scored_samples, series_scores
from mora.changes.rule import FOLLOW_ALL
from mora.errors import BadInput, MoraError, NotEnoughData
from mora.files import made_folder
from mora.quantities import MIB, format_duration
from mora.seams import Reporter, Silent

# The rule that knows each window before it begins: no rule of one number a window can cost less.
ORACLE = "oracle"
# Runs that are kept; an older one makes room.
_KEPT_RUNS = 10
# Of the file of a one-dimensional array.
_HEADER_BYTES = 128


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """policies: names of rules; the oracle may be among them. with_minimums: see Decisions. renewal: how often the
    numbers are renewed, and which of them are followed; the oracle's all are."""

    policies: tuple[str, ...]
    horizon_seconds: int = 86400
    warmup_seconds: int = 7 * 86400
    with_minimums: bool = True
    renewal: Renewal = PLAIN

    def __post_init__(self) -> None:
        known = [*policy_names(), ORACLE]
        unknown = [name for name in self.policies if name not in known]
        if unknown or not self.policies:
            raise BadInput(f"There is no policy {unknown[0] if unknown else ''!r}.", hint=f"Known: {', '.join(known)}.")
        if self.horizon_seconds < 1 or self.warmup_seconds < 0:
            raise BadInput("The horizon must be at least 1s, and the warm-up must not be negative.")
        if not 1 <= self.renew_seconds <= self.horizon_seconds:
            raise BadInput(
                f"Numbers that are right for {format_duration(self.horizon_seconds)} cannot be renewed every "
                f"{format_duration(max(self.renew_seconds, 0))}.",
                hint="Renew them at least once a horizon: a longer --horizon, or a shorter --renew.",
            )

    @property
    def renew_seconds(self) -> int:
        """From one number to the next."""
        every = self.renewal.every_seconds
        return self.horizon_seconds if every is None else every


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of a run: what `name` reserves of one resource on these series. numbers: their places in the run.
    what: its reservations, or its confidence in them."""

    name: str
    resource: Resource
    numbers: tuple[int, ...]
    series: tuple[Series, ...]
    decisions: Decisions
    what: Literal["reservations", "confidence"] = "reservations"

    @property
    def weight(self) -> int:
        """How much work it is, in decisions; a rule that learns over all series does many times as much."""
        return sum(len(at) for at in self.decisions.at) * (1 if len(self.series) == 1 else 40) + 1


Done = tuple[Task, list[Floats]]
Workers = Callable[[Sequence[Task]], Iterable[Done]]


def run_task(task: Task) -> Done:
    """The reservations of one task; MoraError naming the rule where it breaks its contract."""
    rule = load_policy(task.name)
    if task.what == "confidence":
        return task, rule.confidence(task.series, task.resource, task.decisions)
    found = rule.reservations(task.series, task.resource, task.decisions)
    for one, at, reserved in zip(task.series, task.decisions.at, found, strict=True):
        use = one.use(task.resource)
        first = len(at) if use is None else int(np.searchsorted(at, _first_known(use), side="right"))
        if reserved.shape != at.shape or not (np.isfinite(reserved[first:]) & (reserved[first:] >= 0)).all():
            raise MoraError(
                f"The rule {task.name!r} gives no usable {task.resource} reservation for series {one.id!r}.",
                hint="It must be a finite number of at least 0 wherever the series has a sample before the decision.",
            )
    return task, [np.asarray(reserved, dtype=np.float64) for reserved in found]


def one_by_one(tasks: Sequence[Task]) -> Iterator[Done]:
    """The workers of a single process."""
    return map(run_task, tasks)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of a run.

    series: those that were replayed. scores: rule -> resource -> score, in the order asked for; a resource that no
    series has is missing. skipped: resource -> how many series have it and could not be scored: no use, or no window.
    reservations: rule -> resource -> one array per series, one number per decision. unread: remarks on series that
    could not be read. wanted: as reservations, before a change rule decided which numbers are followed.
    confidence: likewise, of rules that state it, where the change rule asks for it.
    """

    settings: BacktestSettings
    series: tuple[Series, ...]
    decisions: Decisions
    scores: Mapping[str, Mapping[Resource, Score]]
    skipped: Mapping[Resource, int]
    reservations: Mapping[str, Mapping[Resource, Sequence[Floats]]]
    unread: tuple[str, ...] = ()
    wanted: Mapping[str, Mapping[Resource, Sequence[Floats]]] = field(default_factory=dict)
    confidence: Mapping[str, Mapping[Resource, Sequence[Floats]]] = field(default_factory=dict)

    def remarks(self, *, are_units_sure: bool = False) -> list[str]:
        """What a reader of the scores should know. are_units_sure: use is in cores and bytes, however small."""
        most_cores = max((float(np.nanmax(one.cpu)) for one in self.series if one.cpu is not None), default=np.inf)
        most_bytes = max((float(np.nanmax(one.mem)) for one in self.series if one.mem is not None), default=np.inf)
        short = sum(not len(at) for at in self.decisions.at)
        found = list(self.unread)
        if short:
            found.append(f"{short} of {len(self.series)} series end before the first window does and are not scored.")
        if are_units_sure:
            return found
        if self.settings.with_minimums and most_cores <= 1.0:
            found.append(
                "No series ever uses more than 1 core. If this is a fraction of a machine, add --cpu-scale 10 "
                "--no-floors: the minimums and buckets of KRR and the VPA are made for cores."
            )
        if most_bytes < MIB:
            found.append(
                "No series ever uses 1 MiB of memory. If this is a fraction of a machine, add --mem-scale 1e10 "
                "--no-floors: the minimums and buckets of KRR and the VPA are made for bytes."
            )
        return found


def run(
    series: Sequence[Series],
    settings: BacktestSettings,
    *,
    workers: Workers = one_by_one,
    kept: Kept | None = None,
    reporter: Reporter | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Backtest:
    """Ask every rule about every series, and score the answers.

    workers: runs tasks, in any order. kept: where results of earlier runs lie, and these go.
    Raises NotEnoughData where no series outlasts the warm-up by a window, BadInput where a step is longer than one.
    """
    reporter = reporter or Silent()
    decisions = decide(
        series,
        horizon_seconds=settings.horizon_seconds,
        warmup_seconds=settings.warmup_seconds,
        with_minimums=settings.with_minimums,
        renew_seconds=settings.renew_seconds,
    )
    _check_lengths(series, settings, decisions)
    resources = [resource for resource in RESOURCES if any(one.use(resource) is not None for one in series)]
    found: dict[tuple[str, Resource], list[Floats]] = {
        (name, resource): [np.empty(0)] * len(series) for name in settings.policies for resource in resources
    }
    sure: dict[tuple[str, Resource], list[Floats]] = {}
    missing: list[Task] = []
    for task in _tasks(series, settings, resources, decisions):
        answers = None if kept is None else kept.load(task)
        if answers is None:
            missing.append(task)
        else:
            _put(found if task.what == "reservations" else sure, task, answers, len(series))
    done, total = 0, sum(task.weight for task in missing)
    started = clock()
    reporter.advance("backtest", 0, total)
    for task, answers in workers(missing):
        if kept is not None:
            kept.save(task, answers)
        _put(found if task.what == "reservations" else sure, task, answers, len(series))
        done += task.weight
        left_seconds = (clock() - started) * (total - done) / done
        reporter.advance(
            "backtest", done, total, f"{task.name} {task.resource}, {format_duration(left_seconds, about=True)} left"
        )
    return _scored(series, settings, resources, decisions, found, sure)


def _tasks(
    series: Sequence[Series], settings: BacktestSettings, resources: Sequence[Resource], decisions: Decisions
) -> Iterator[Task]:
    """What learns over all series first, since it takes longest; then series by series, so that the pace is even."""
    rules = [load_policy(name) for name in settings.policies if name != ORACLE]
    everyone = tuple(range(len(series)))
    pieces = [(rule, everyone) for rule in rules if not rule.is_lone]
    pieces += [(rule, (number,)) for number in everyone for rule in rules if rule.is_lone]
    for rule, numbers in pieces:
        own = replace(
            decisions,
            at=tuple(decisions.at[number] for number in numbers),
            until=tuple(decisions.until[number] for number in numbers),
        )
        for resource in resources:
            task = Task(rule.name, resource, numbers, tuple(series[number] for number in numbers), own)
            yield task
            if rule.states_confidence and settings.renewal.rule.low_confidence_step:
                yield replace(task, what="confidence")


def _put(found: dict[tuple[str, Resource], list[Floats]], task: Task, answers: Sequence[Floats], series: int) -> None:
    found.setdefault((task.name, task.resource), [np.empty(0)] * series)
    for number, reserved in zip(task.numbers, answers, strict=True):
        found[task.name, task.resource][number] = reserved


def _scored(
    series: Sequence[Series],
    settings: BacktestSettings,
    resources: Sequence[Resource],
    decisions: Decisions,
    found: dict[tuple[str, Resource], list[Floats]],
    sure: Mapping[tuple[str, Resource], list[Floats]],
) -> Backtest:
    scores: dict[str, dict[Resource, Score]] = {name: {} for name in settings.policies}
    skipped: dict[Resource, int] = {}
    reservations: dict[str, dict[Resource, Sequence[Floats]]] = {name: {} for name in settings.policies}
    for resource in resources:
        samples = [
            scored_samples(one, resource, at, until)
            for one, at, until in zip(series, decisions.at, decisions.until, strict=True)
        ]
        has_use = [bool(len(scored.values)) and float(scored.values.sum()) > 0 for scored in samples]
        skipped[resource] = sum(
            one.use(resource) is not None and not busy for one, busy in zip(series, has_use, strict=True)
        )
        for name in settings.policies:
            if name == ORACLE:
                found[name, resource] = [
                    oracle(scored, len(at)) for scored, at in zip(samples, decisions.at, strict=True)
                ]
            rule = FOLLOW_ALL if name == ORACLE else settings.renewal.rule
            own = sure.get((name, resource))
            set_, changes = followed(series, resource, decisions, found[name, resource], rule, confidence=own)
            reservations[name][resource] = set_
            total = score(
                series_scores(samples, set_, changes, settings.renew_seconds),
                change_price_hours=settings.renewal.change_price_seconds / 3600.0,
            )
            if total is not None:
                scores[name][resource] = total
    wanted = {name: {resource: found[name, resource] for resource in resources} for name in settings.policies}
    stated: dict[str, dict[Resource, Sequence[Floats]]] = {name: {} for name in settings.policies}
    for (name, resource), own in sure.items():
        stated[name][resource] = own
    return Backtest(settings, tuple(series), decisions, scores, skipped, reservations, wanted=wanted, confidence=stated)


def _check_lengths(series: Sequence[Series], settings: BacktestSettings, decisions: Decisions) -> None:
    coarse = [one for one in series if one.step_seconds > settings.renew_seconds]
    if coarse:
        step, is_own = format_duration(coarse[0].step_seconds), settings.renewal.every_seconds is not None
        what, flag = ("time between renewals", "--renew") if is_own else ("horizon", "--horizon")
        raise BadInput(
            f"The {what} of {format_duration(settings.renew_seconds)} is shorter than the step of series "
            f"{coarse[0].id!r}, {step}.",
            hint=f"Use {flag} {step} or more.",
        )
    if any(len(at) for at in decisions.at):
        return
    longest = max((one.sample_count * one.step_seconds for one in series), default=0)
    raise NotEnoughData(
        f"No series is long enough for a warm-up of {format_duration(decisions.warmup_seconds)} and one window of "
        f"{format_duration(decisions.horizon_seconds)}: the longest is {format_duration(longest)}.",
        hint=f"Use a shorter --warmup or --horizon, e.g. --warmup {format_duration(_whole_minutes(longest / 3))} "
        f"--horizon {format_duration(min(decisions.horizon_seconds, _whole_minutes(longest / 6)))}.",
    )


def _whole_minutes(seconds: float) -> int:
    """Rounded down to whole hours, or to minutes below an hour; at least one minute."""
    unit = 3600 if seconds >= 3600 else 60
    return max(60, int(seconds // unit) * unit)


def _first_known(use: Floats) -> int:
    known = np.flatnonzero(~np.isnan(use))
    return int(known[0]) if len(known) else len(use)


# --- what is kept ----------------------------------------------------------------------------------------------------


class Kept:
    """Results of earlier runs, in a folder: one plain array for each rule, resource and series.

    A result's name holds a digest of everything it depends on: the samples, the decisions, and MOrA's own code. It
    is written completely or not at all, so that a run may be stopped at any moment.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = made_folder(folder, "Results")

    def load(self, task: Task) -> list[Floats] | None:
        """The answers of a task; None where one of them is missing."""
        found = []
        for path, at in zip(self._paths(task), task.decisions.at, strict=True):
            try:
                if path.stat().st_size != _HEADER_BYTES + 8 * at.size:  # else the header may promise any size
                    return None
                reserved = np.load(path)
            except (OSError, ValueError, EOFError):
                return None
            if reserved.shape != at.shape or reserved.dtype != np.float64:
                return None
            found.append(reserved)
        return found

    def save(self, task: Task, answers: Sequence[Floats]) -> None:
        """Keep the answers of a task, each completely or not at all."""
        for path, reserved in zip(self._paths(task), answers, strict=True):
            path.parent.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, reserved)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def make_room(self) -> None:
        """Keep only the newest runs."""
        runs = sorted((path for path in self._folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for old in runs[:-_KEPT_RUNS]:
            for path in old.iterdir():
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another run writes there: it stays
                old.rmdir()

    def _paths(self, task: Task) -> list[Path]:
        """One path per series; where a rule learns over all of them, each rests on all."""
        decisions = task.decisions
        asked = f"{decisions.horizon_seconds} {decisions.warmup_seconds} {decisions.with_minimums}"
        run_digest = hashlib.sha256(f"{code_digest()} {asked}".encode()).hexdigest()[:16]
        digests = [_digest(one, at, task.resource) for one, at in zip(task.series, decisions.at, strict=True)]
        name = task.name if task.what == "reservations" else f"{task.name}.confidence"
        together = hashlib.sha256("".join(digests).encode()).hexdigest()
        return [
            self._folder / run_digest / f"{name}-{task.resource}-{digest[:16]}-{together[:16]}.npy"
            for digest in digests
        ]


def _digest(one: Series, at: np.ndarray, resource: Resource) -> str:
    """Of all that a rule may look at: both resources, and when it is asked."""
    made = hashlib.sha256(f"{one.id} {one.step_seconds} {one.start} {resource}".encode())
    for values in (one.cpu, one.mem, at):
        made.update(b"-" if values is None else np.ascontiguousarray(values).tobytes())
    return made.hexdigest()


@cache
def code_digest() -> str:
    """Of MOrA's own modules and the numpy that they run on: what another version computed is not mixed in."""
    made = hashlib.sha256(np.__version__.encode())
    root = Path(__file__).resolve().parent.parent
    for path in sorted(root.rglob("*.py")):
        made.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return made.hexdigest()
