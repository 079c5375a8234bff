"""The plan of a collection: scenarios x replica counts x user counts, read from TOML.

A plan has everything that a run depends on, so that the same file and seed give the same experiments in the same
order. Its keys are the fields of Plan; an unknown or invalid one is a BadConfig that names file and key.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

from mora import values
from mora.domain import Experiment, check_name
from mora.errors import BadConfig, BadInput
from mora.metrics import OBSERVED_SCENARIO
from mora.quantities import format_duration

# Steadiness compares thirds of a window; fewer samples are too few for that, and for training.
# A year of the shortest ones.
_MOST_EXPERIMENTS = 500_000
MIN_SAMPLES = 10
# The name is a part of experiment ids, between underscores.
_SCENARIO = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_WHOLE_SECOND = timedelta(seconds=1)
_count, _count_or_none = values.whole(1, is_text_read=False), values.whole(0, is_text_read=False)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One experiment of the plan, for all services at once."""

    scenario: str
    replicas: int
    users: int
    repeat: int = 1
    duration: timedelta | None = field(default=None, compare=False)
    """Its own measured window; None for that of the plan."""

    def experiment(self, service: str) -> Experiment:
        """The experiment that this cell is for one service."""
        return Experiment(service, self.scenario, self.replicas, self.users, self.repeat)

    def __str__(self) -> str:
        """For people: "checkout, 2 replicas, 60 users, run 2"."""
        text = f"{self.scenario}, {self.replicas} replica{'s' * (self.replicas != 1)}, {self.users} users"
        return text if self.repeat == 1 else f"{text}, run {self.repeat}"


@dataclass(frozen=True)
class LocustOptions:
    """How Locust drives the load."""

    processes: int = 1
    """Locust processes on this machine; more than one where one core is too little for the users."""
    workers: int = 0
    """Locust workers on other machines to wait for; they run `locust --worker -f SCENARIO`. 0: none."""
    master_bind_host: str = "127.0.0.1"
    """The address where the master listens for workers; they have to reach it."""
    master_bind_port: int = 5557
    """The port where it listens."""
    arguments: tuple[str, ...] = ()
    """More arguments for Locust, unchanged."""


PLAIN_LOCUST = LocustOptions()


@dataclass(frozen=True, slots=True)
class RemoteLimits:
    """The limits at which a run on another machine stops by itself."""

    abort_error_ratio: float
    """Share of failed requests, over the last ten seconds and at least ten requests, that ends the run."""
    max_duration: timedelta
    """The longest duration of the whole run."""


@dataclass(frozen=True)
class Plan:
    """The experiments of a run, their order and their duration."""

    name: str
    path: Path
    cells: tuple[Cell, ...]
    """Scenario, replicas and users of every experiment, without repeats."""
    scenario_files: Mapping[str, Path]
    """Scenario -> its locustfile."""
    repeats: int = 1
    duration: timedelta = timedelta(seconds=62)
    """The measured window: duration / sample_interval samples."""
    settle: timedelta = timedelta(seconds=10)
    """From the end of the ramp to the window: at least the rate window, so that no rate includes a part of the ramp."""
    ramp: timedelta = timedelta(seconds=3)
    """The time in which all users start."""
    sample_interval: timedelta = timedelta(seconds=1)
    seed: int = 1
    targets: tuple[str, ...] = ()
    """The services that are scaled; empty for all that are measured."""
    description: str = ""
    locust: LocustOptions = PLAIN_LOCUST
    remote: RemoteLimits | None = None

    @classmethod
    def load(cls, name_or_path: str | Path) -> Plan:
        """A plan by its name in experiments/plans, or by its path; BadConfig with file and key of what is invalid."""
        path = find_plan(name_or_path)
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadConfig(f"The plan {path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise BadConfig(f"The plan {path} is not UTF-8.") from error
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise BadConfig(f"The plan {path} is not TOML: {error}.") from error
        return _parse(path, table)

    @property
    def sample_count(self) -> int:
        """Samples in one window of the plan's duration."""
        return self.duration // self.sample_interval

    def duration_of(self, cell: Cell) -> timedelta:
        """The measured window of a cell: its own, else the plan's."""
        return self.duration if cell.duration is None else cell.duration

    def experiments(self) -> list[Cell]:
        """Every cell as often as the plan repeats it, in seeded random order.

        Each repeat is a block of all cells, shuffled separately: an interrupted run has measured every cell about
        equally often, and a drift of the machine over time affects all cells alike.
        """
        rng = random.Random(self.seed)  # noqa: S311  the order of a plan is no secret
        order: list[Cell] = []
        for repeat in range(1, self.repeats + 1):
            block = [replace(cell, repeat=repeat) for cell in sorted(self.cells)]
            rng.shuffle(block)
            order += block
        return order

    def digest(self) -> str:
        """A hash of all that the numbers depend on: cells, times, seed, targets and the text of the scenarios."""
        content = {
            "cells": [
                [cell.scenario, cell.replicas, cell.users, *([cell.duration.total_seconds()] if cell.duration else [])]
                for cell in sorted(self.cells)
            ],
            "repeats": self.repeats,
            "seconds": [t.total_seconds() for t in (self.duration, self.settle, self.ramp, self.sample_interval)],
            "seed": self.seed,
            "targets": sorted(self.targets),
            "scenarios": {
                name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self.scenario_files.items()
            },
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# --- files of plans and scenarios ------------------------------------------------------------------------------------


def experiments_folder() -> Path:
    """The folder of scenarios and plans: experiments/ of the checkout, else that of the installed package."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent / "experiments"
    return checkout if (package.parent / "pyproject.toml").is_file() else package / "_experiments"


def plan_names() -> list[str]:
    """Names of the plans that come with MOrA, sorted."""
    return sorted(path.stem for path in (experiments_folder() / "plans").glob("*.toml"))


def scenario_names() -> list[str]:
    """Names of the scenarios that come with MOrA, sorted."""
    files = (experiments_folder() / "scenarios").glob("*.py")
    return sorted(path.stem for path in files if _SCENARIO.fullmatch(path.stem))


def find_plan(name_or_path: str | Path) -> Path:
    """The file of a plan, by name or path; BadConfig with the existing plans."""
    if str(name_or_path).endswith(".toml"):
        path = Path(name_or_path)
    else:
        path = experiments_folder() / "plans" / f"{name_or_path}.toml"
    if not path.is_file() or (not str(name_or_path).endswith(".toml") and str(name_or_path) not in plan_names()):
        raise BadConfig(
            f"There is no plan {str(name_or_path)!r}.",
            hint=f"Plans that come with MOrA: {', '.join(plan_names())}; or name a file that ends in .toml.",
        )
    return path


def find_scenario(name_or_path: str, base: Path) -> tuple[str, Path]:
    """The name and the locustfile of a scenario; a path (ending in .py) is relative to `base`, the plan's folder."""
    if name_or_path.endswith(".py"):
        path = base / name_or_path
        name = path.stem
    else:
        name, path = name_or_path, experiments_folder() / "scenarios" / f"{name_or_path}.py"
    if not path.is_file() or (not name_or_path.endswith(".py") and name not in scenario_names()):
        raise BadInput(
            f"there is no scenario {name_or_path!r}.",
            hint=f"Scenarios that come with MOrA: {', '.join(scenario_names())}; or name a locustfile, ending in .py.",
        )
    if _SCENARIO.fullmatch(name) is None or name == OBSERVED_SCENARIO:
        raise BadInput(
            f"{name!r} is not a valid scenario name.",
            hint=f"Rename the locustfile with a-z, 0-9, '-' and '_', and not {OBSERVED_SCENARIO!r}.",
        )
    return name, path.resolve()


# --- reading ---------------------------------------------------------------------------------------------------------


class _Table:
    """A TOML table that names its place in every error, and records which keys were read."""

    def __init__(self, path: Path, table: Mapping[str, Any], place: str = "") -> None:
        self._path, self._table, self._place = path, table, place
        self._known: list[str] = []

    def fail(self, key: str, why: str, hint: str | None = None) -> BadConfig:
        return BadConfig(f"{self._path}: {self._place}{key}: {why}", hint=hint)

    def get(self, key: str, parse: Callable[[Any], Any], default: Any = None, *, is_required: bool = False) -> Any:
        self._known.append(key)
        if key not in self._table:
            if is_required:
                raise self.fail(key, "is required.")
            return default
        try:
            return parse(self._table[key])
        except BadInput as error:
            raise self.fail(key, error.message, error.hint) from error

    def table(self, key: str) -> _Table | None:
        value = self.get(key, values.table)
        return None if value is None else _Table(self._path, value, f"{self._place}{key}.")

    def tables(self, key: str) -> list[_Table]:
        found = self.get(key, values.list_of(values.table), ())
        return [_Table(self._path, value, f"{self._place}{key}[{n}].") for n, value in enumerate(found)]

    def check_all_known(self) -> None:
        for key in self._table:
            if key not in self._known:
                raise self.fail(key, "unknown key.", hint=f"Known keys: {', '.join(self._known)}.")

    def __contains__(self, key: str) -> bool:
        return key in self._table


def _parse(path: Path, content: Mapping[str, Any]) -> Plan:
    table = _Table(path, content)
    cells, files = _parse_cells(path, table)
    locust, remote = table.table("locust"), table.table("remote")
    plan = Plan(
        name=path.stem,
        path=path,
        cells=cells,
        scenario_files=files,
        repeats=table.get("repeats", _count, Plan.repeats),
        duration=table.get("duration", values.written_span, Plan.duration),
        settle=table.get("settle", values.written_span, Plan.settle),
        ramp=table.get("ramp", values.written_span, Plan.ramp),
        sample_interval=table.get("sample_interval", values.written_span, Plan.sample_interval),
        seed=table.get("seed", _count_or_none, Plan.seed),
        targets=table.get("targets", _service_names, ()),
        description=table.get("description", values.string, ""),
        locust=_parse_locust(locust) if locust else PLAIN_LOCUST,
        remote=_parse_remote(remote) if remote else None,
    )
    table.check_all_known()
    if len(plan.cells) * plan.repeats > _MOST_EXPERIMENTS:
        raise table.fail(
            "repeats",
            f"{len(plan.cells)} cells, each {plan.repeats} times, are {len(plan.cells) * plan.repeats:,} experiments; "
            f"a plan has at most {_MOST_EXPERIMENTS:,}.",
        )
    _check_window(table, plan)
    return plan


def _parse_cells(path: Path, table: _Table) -> tuple[tuple[Cell, ...], dict[str, Path]]:
    """The product of scenarios, replicas and users, or the cells that are listed one by one."""
    files: dict[str, Path] = {}

    def scenario(value: Any) -> str:
        name, file = find_scenario(values.string(value), path.parent)
        if files.setdefault(name, file) != file:
            raise BadInput(f"two scenarios are named {name!r}.", hint="Rename one of the locustfiles.")
        return name

    listed = table.tables("cells")
    if listed:
        for key in ("scenarios", "replicas", "users"):
            if key in table:
                raise table.fail(key, "a plan has [[cells]], or scenarios, replicas and users; not both.")
        cells = [
            Cell(
                scenario=cell.get("scenario", scenario, is_required=True),
                replicas=cell.get("replicas", _count, is_required=True),
                users=cell.get("users", _count, is_required=True),
                duration=cell.get("duration", values.written_span),
            )
            for cell in listed
        ]
        for cell in listed:
            cell.check_all_known()
    else:
        names = table.get("scenarios", values.list_of(scenario), is_required=True)
        replicas = table.get("replicas", values.list_of(_count), is_required=True)
        users = table.get("users", values.list_of(_count), is_required=True)
        cells = [Cell(*values) for values in product(names, replicas, users)]
    twice = sorted(cell for cell, times in Counter(cells).items() if times > 1)
    if twice:
        raise table.fail("cells", f"{twice[0]} is listed twice.", hint="Repeat experiments with the key `repeats`.")
    return tuple(cells), files


def _parse_locust(table: _Table) -> LocustOptions:
    options = LocustOptions(
        processes=table.get("processes", _count, LocustOptions.processes),
        workers=table.get("workers", _count_or_none, LocustOptions.workers),
        master_bind_host=table.get("master_bind_host", values.string, LocustOptions.master_bind_host),
        master_bind_port=table.get("master_bind_port", _count, LocustOptions.master_bind_port),
        arguments=table.get("arguments", lambda value: tuple(values.list_of(values.string)(value)), ()),
    )
    table.check_all_known()
    if options.processes > 1 and options.workers:
        raise table.fail("workers", "set processes on this machine, or workers on others; not both.")
    return options


def _parse_remote(table: _Table) -> RemoteLimits:
    limits = RemoteLimits(
        abort_error_ratio=table.get("abort_error_ratio", values.ratio, is_required=True),
        max_duration=table.get("max_duration", values.written_span, is_required=True),
    )
    table.check_all_known()
    return limits


def _check_window(table: _Table, plan: Plan) -> None:
    spans = {"duration": plan.duration, "sample_interval": plan.sample_interval}
    spans |= {f"cells[{n}].duration": cell.duration for n, cell in enumerate(plan.cells) if cell.duration is not None}
    for key, span in spans.items():
        if span % _WHOLE_SECOND:
            raise table.fail(key, "queries go to Prometheus at whole seconds; give a whole number of seconds.")
        samples = span // plan.sample_interval
        if key != "sample_interval" and samples < MIN_SAMPLES:
            raise table.fail(
                key,
                f"{format_duration(span)} every {format_duration(plan.sample_interval)} are {samples} samples; "
                f"a window needs at least {MIN_SAMPLES}.",
                hint="The models learn from windows of 60 samples and more.",
            )


def _service_names(value: object) -> tuple[str, ...]:
    return tuple(values.list_of(lambda one: check_name(values.string(one), "service name"))(value))
