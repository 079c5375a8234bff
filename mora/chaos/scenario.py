"""Scenarios: which faults, when, how strong and where, under which load, and what is expected; read from TOML.

The same file and seed give the same faults in the same order. A scenario lists its faults, or has them drawn; a drawn
one can be in several parts, which run side by side, each in a sandbox of its own.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from mora import values
from mora.chaos.catalogue import KINDS
from mora.domain import check_name
from mora.errors import BadConfig, BadInput
from mora.harness.plan import experiments_folder, find_scenario
from mora.harness.tomltable import TomlTable
from mora.metrics import ALL_COLUMNS
from mora.quantities import counted, format_duration
from mora.sandbox.faults import MOST_SECONDS, STRENGTHS
from mora.sandbox.spec import SERVICES

SERVICE_NAMES = tuple(sorted(spec.name for spec in SERVICES))
# A threshold needs 20 scores, of the last quarter of these samples. Minutes are better.
_LEAST_LEARN = timedelta(seconds=80)
_USUAL_LOAD, _USUAL_USERS = "checkout", 6
_MOST_FAULTS, _MOST_PARTS = 500, 16
_MOST_LENGTH = timedelta(days=1)
_MOST_SEED = 2**32
# Between the time that belongs to a drawn fault and the next: it must not come at a beat that could be learnt.
_MOST_DRAWN_PAUSE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one fault. detected: at its own service. within: the longest delay. metrics: one of these has
    the largest share of the alarm; empty for any."""

    detected: bool = True
    within: timedelta | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault of a scenario; `start` is from the beginning of the recording."""

    id: str
    kind: str
    target: str
    start: timedelta
    duration: timedelta
    strength: float
    seed: int
    expected: Expected = field(default_factory=Expected)

    @property
    def end(self) -> timedelta:
        """When it ends, from the beginning of the recording."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Part:
    """What one sandbox goes through: its faults in the order of time, and how long it is recorded."""

    number: int
    injections: tuple[Injection, ...]
    length: timedelta


@dataclass(frozen=True, slots=True)
class Goals:
    """What is expected of all faults together. detected: the least share. median_delay: the longest.
    false_alarms_per_hour: the most, over all services. None: nothing."""

    detected: float | None = None
    median_delay: timedelta | None = None
    false_alarms_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario.

    learn: the healthy time at the beginning that the detector learns from. recover: how long after a fault alarms are
    still its own. alarm_after: how long a service must be abnormal without a break before it counts as an alarm, as
    `for` of an alert rule.
    """

    name: str
    path: Path
    seed: int
    load: str
    load_file: Path
    users: int
    learn: timedelta
    recover: timedelta
    alarm_after: timedelta
    parts: tuple[Part, ...]
    goals: Goals
    description: str = ""

    @classmethod
    def load_file_of(cls, name_or_path: str | Path) -> Path:
        """The file of a scenario's name in experiments/chaos, or of its path."""
        text = str(name_or_path)
        path = Path(text) if text.endswith(".toml") else experiments_folder() / "chaos" / f"{text}.toml"
        if not path.is_file():
            raise BadInput(
                f"There is no scenario {text!r}.",
                hint=f"Scenarios that come with MOrA: {', '.join(scenario_names())}; or name a file, ending in .toml.",
            )
        return path

    @classmethod
    def load_from(cls, name_or_path: str | Path) -> Scenario:
        """A scenario by its name or path; BadConfig with file and key of what is invalid."""
        path = cls.load_file_of(name_or_path)
        return _parse(TomlTable.read(path, "scenario"), path)

    @classmethod
    def of_run(cls, path: Path) -> Scenario:
        """The scenario of a run from the copy beside it, which needs the file of its load no more."""
        return _parse(TomlTable.read(path, "scenario"), path, is_copy=True)

    @property
    def digest(self) -> str:
        """What tells it from other scenarios: everything that a run of it depends on."""
        told = (self.seed, self.load, self.users, self.learn, self.parts)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    @property
    def injections(self) -> tuple[Injection, ...]:
        """Those of all parts."""
        return tuple(one for part in self.parts for one in part.injections)


def scenario_names() -> list[str]:
    """Those that come with MOrA."""
    return sorted(path.stem for path in (experiments_folder() / "chaos").glob("*.toml"))


def _parse(table: TomlTable, path: Path, *, is_copy: bool = False) -> Scenario:
    scenario, file, users = _load(table.table("load"), path, is_copy=is_copy)
    goals = table.table("expect")
    seed = table.get("seed", values.whole(0, is_text_read=False), 1)
    if seed > _MOST_SEED:
        raise table.fail("seed", f"must be at most {_MOST_SEED}.")
    learn = table.get("learn", values.written_span, timedelta(minutes=5))
    recover = table.get("recover", values.written_span, timedelta(seconds=60))
    if learn < _LEAST_LEARN:
        raise table.fail("learn", f"must be at least {format_duration(_LEAST_LEARN)}: a detector learns from it.")
    drawn = table.table("draw")
    if drawn is not None and "faults" in table:
        raise table.fail("faults", "a scenario lists its [[faults]], or has a [draw]; not both.")
    if drawn is not None:
        parts = _drawn(drawn, learn, recover, seed)
    else:
        quiet = table.get("quiet", values.written_span, timedelta(0))
        parts = (_listed(table, learn, recover, quiet, seed),)
    found = Scenario(
        name=check_name(path.stem, "scenario name"),
        path=path,
        seed=seed,
        load=scenario,
        load_file=file,
        users=users,
        learn=learn,
        recover=recover,
        alarm_after=table.get("alarm_after", values.written_span, timedelta(seconds=15)),
        parts=parts,
        goals=Goals() if goals is None else _goals(goals),
        description=table.get("description", values.string, ""),
    )
    table.check_all_known()
    return found


def _load(table: TomlTable | None, path: Path, *, is_copy: bool) -> tuple[str, Path, int]:
    """Name, locustfile and users of the load."""

    def found(value: object) -> tuple[str, Path]:
        text = values.string(value)
        return (Path(text).stem, Path(text)) if is_copy else find_scenario(text, path.parent)

    usual = found(_USUAL_LOAD)
    if table is None:
        return (*usual, _USUAL_USERS)
    name, file = table.get("scenario", found, usual)
    users = table.get("users", values.whole(1, is_text_read=False), _USUAL_USERS)
    table.check_all_known()
    return name, file, users


def _goals(table: TomlTable) -> Goals:
    goals = Goals(
        detected=table.get("detected", values.ratio),
        median_delay=table.get("median_delay", values.written_span),
        false_alarms_per_hour=table.get("false_alarms_per_hour", values.number),
    )
    table.check_all_known()
    return goals


def _listed(table: TomlTable, learn: timedelta, recover: timedelta, quiet: timedelta, seed: int) -> Part:
    """The part of a scenario that lists its faults."""
    rows = table.tables("faults")
    if len(rows) > _MOST_FAULTS:
        raise table.fail("faults", f"are {len(rows)}; a scenario has at most {_MOST_FAULTS}.")
    found: list[Injection] = []
    follows = learn
    for number, row in enumerate(rows, 1):
        kind = row.get("fault", values.one_of(*KINDS), is_required=True)
        strength = row.get("strength", values.number, KINDS[kind].usual)
        least, most = STRENGTHS[kind]
        if not least <= strength <= most:
            raise row.fail("strength", f"of {kind} is from {least:g} to {most:g} {KINDS[kind].unit}".rstrip() + ".")
        start = row.get("start", values.written_span, follows)
        if start < learn:
            raise row.fail(
                "start",
                f"is {format_duration(start)}, and the detector learns until {format_duration(learn)}.",
                hint="Start the fault later, or set `learn` to a shorter time.",
            )
        duration = row.get("duration", values.written_span, timedelta(seconds=45))
        if not 1 <= duration.total_seconds() <= MOST_SECONDS:
            raise row.fail("duration", f"must be from 1 s to {format_duration(MOST_SECONDS)}.")
        expect = row.table("expect")
        target = row.get("target", values.one_of(*SERVICE_NAMES), is_required=True)
        targets = KINDS[kind].targets
        if targets and target not in targets:
            raise row.fail("target", f"{kind} does something to {', '.join(targets)} alone, and not to {target}.")
        expected = Expected() if expect is None else _expected(expect)
        row.check_all_known()
        found.append(Injection(str(number), kind, target, start, duration, strength, seed * 1000 + number, expected))
        follows = found[-1].end + recover
    _refuse_two_at_once(table, found)
    length = max([learn, *(one.end for one in found)]) + recover + quiet
    if length > _MOST_LENGTH:
        raise table.fail("faults", _too_long(length))
    return Part(1, tuple(sorted(found, key=lambda one: one.start)), length)


def _too_long(length: timedelta) -> str:
    return f"take {format_duration(length)} with their quiet time; the most is {format_duration(_MOST_LENGTH)}."


def _refuse_two_at_once(table: TomlTable, found: list[Injection]) -> None:
    """Two faults of one kind at one service at the same time are one: what is counted twice would be a lie."""
    for number, one in enumerate(found):
        for other in found[:number]:
            if (one.kind, one.target) == (other.kind, other.target) and one.start < other.end and other.start < one.end:
                raise table.fail(f"faults[{number}].start", f"{one.kind} at {one.target} is in force already then.")


def _expected(table: TomlTable) -> Expected:
    expected = Expected(
        detected=table.get("detected", values.switch, True),
        within=table.get("within", values.written_span),
        metrics=tuple(table.get("metrics", values.list_of(values.one_of(*ALL_COLUMNS)), ())),
    )
    table.check_all_known()
    return expected


def _drawn(table: TomlTable, learn: timedelta, recover: timedelta, seed: int) -> tuple[Part, ...]:
    """The parts of a scenario whose faults are drawn: every kind equally often, at each service in turn."""
    count = table.get("faults", values.whole(1, is_text_read=False), is_required=True)
    parts = table.get("parts", values.whole(1, is_text_read=False), 1)
    quiet = table.get("quiet", values.written_span, timedelta(0))
    kinds = table.get("kinds", values.list_of(values.one_of(*KINDS)), list(KINDS))
    targets = table.get("targets", values.list_of(values.one_of(*SERVICE_NAMES)), list(SERVICE_NAMES))
    durations = table.get(
        "duration", values.list_of(values.written_span), [timedelta(seconds=45), timedelta(seconds=60)]
    )
    table.check_all_known()
    most = timedelta(seconds=MOST_SECONDS)
    if len(durations) != 2 or not timedelta(seconds=1) <= durations[0] <= durations[1] <= most:
        raise table.fail(
            "duration",
            f"must be the shortest and the longest, from 1 s to {format_duration(most)}.",
            hint='Such as duration = ["45s", "60s"].',
        )
    if count > _MOST_FAULTS or parts > _MOST_PARTS or count < parts or not kinds or not targets:
        raise table.fail("faults", f"must be at most {_MOST_FAULTS}, in at most {_MOST_PARTS} parts, one in each.")
    chance = random.Random(f"{seed}/{count}")  # noqa: S311  (no secret: the same seed gives the same faults)
    drawn = []
    for number in range(count):
        kind = KINDS[kinds[number % len(kinds)]]
        known = [name for name in targets if not kind.targets or name in kind.targets]
        if not known:
            raise table.fail("targets", f"{kind.name} does something to {', '.join(kind.targets)} alone.")
        turn = number // len(kinds) + number % len(kinds)
        drawn.append((kind, known[turn % len(known)], _strength(kind.drawn, kind.name, chance)))
    chance.shuffle(drawn)
    low, high = (round(span.total_seconds()) for span in durations)
    found = []
    for part in range(parts):
        at, injections = learn + quiet / parts, list[Injection]()
        for number in range(part, count, parts):
            kind, target, strength = drawn[number]
            at += timedelta(seconds=chance.randint(0, _MOST_DRAWN_PAUSE_SECONDS))
            duration = timedelta(seconds=chance.randint(low, high))
            injections.append(
                Injection(str(number + 1), kind.name, target, at, duration, strength, chance.randrange(10**6))
            )
            at += duration + recover
        if at > _MOST_LENGTH:
            raise table.fail("faults", _too_long(at))
        found.append(Part(part + 1, tuple(injections), at))
    return tuple(found)


def _strength(reach: tuple[float, float], kind: str, chance: random.Random) -> float:
    """A strength between two, on a log scale; a number of kills is whole."""
    drawn = math.exp(chance.uniform(*map(math.log, reach)))
    return float(round(drawn)) if kind == "pod-kill" else float(f"{drawn:.2g}")


def describe(scenario: Scenario) -> list[str]:
    """What a scenario does, for people: a line of the whole, one a fault."""
    parts = f" in {counted(len(scenario.parts), 'part')}" if len(scenario.parts) > 1 else ""
    length = format_duration(max(part.length for part in scenario.parts), about=True)
    lines = [
        f"{scenario.name}: {counted(len(scenario.injections), 'fault')}{parts}, {scenario.users} users of "
        f"{scenario.load}, {length}; the detector learns from the first {format_duration(scenario.learn)}."
    ]
    for part in scenario.parts:
        for one in part.injections:
            unit = KINDS[one.kind].unit
            strength = f", {one.strength:g} {unit}" if unit else ""
            where = f"part {part.number}, " if len(scenario.parts) > 1 else ""
            lines.append(
                f"  {where}after {format_duration(one.start)}: {one.kind} at {one.target} for "
                f"{format_duration(one.duration)}{strength}"
            )
    return lines


def same_scenario(digest: object, scenario: Scenario) -> None:
    """Raise BadConfig where what was run has the digest of another scenario than this one."""
    if digest != scenario.digest:
        raise BadConfig(
            f"The folder has a run of another scenario than {scenario.name}, or of an earlier version of it.",
            hint="Name another folder with --out, or delete this one.",
        )
