"""The plan of a collection: scenarios x replica counts x user counts, read from TOML.

A plan has everything that a run depends on, so that the same file and seed give the same experiments in the same
order. Its keys are the fields of Plan; an unknown or invalid one is a BadConfig that names file and key.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from mora.domain import Experiment, Slo
from mora.errors import BadConfig, BadInput
from mora.metrics import OBSERVED_SCENARIO

# Steadiness compares thirds of a window; fewer samples are too few for that, and for training.
MIN_SAMPLES = 10
# The name is a part of experiment ids, between underscores.
_SCENARIO = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_EXPERIMENT = re.compile(r"([a-z0-9][a-z0-9_-]*)_replicas_(\d+)_(?:users_(\d+)|rps_([0-9.]+))(?:_run_(\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One experiment of the plan, for all services at once.

    requests_per_second: the rate at which requests arrive; `users` is then 0.
    """

    scenario: str
    replicas: int
    users: int
    repeat: int = 1
    requests_per_second: float = 0.0
    duration: timedelta | None = field(default=None, compare=False)
    """Its own measured window; None for that of the plan."""

    @classmethod
    def named(cls, experiment_id: str, service: str) -> Cell | None:
        """The cell that a service's experiment is of; None where the id has another form.

        >>> Cell.named("frontend_browsing_replicas_2_users_40_run_3", "frontend")
        Cell(scenario='browsing', replicas=2, users=40, repeat=3, requests_per_second=0.0, duration=None)
        """
        match = _EXPERIMENT.fullmatch(experiment_id.removeprefix(f"{service}_"))
        if match is None:
            return None
        scenario, replicas, users, rate, repeat = match.groups()
        return cls(scenario, int(replicas), int(users or 0), int(repeat or 1), float(rate or 0.0))

    def experiment(self, service: str) -> Experiment:
        """The experiment that this cell is for one service."""
        return Experiment(service, self.scenario, self.replicas, self.users, self.repeat, self.requests_per_second)

    def __str__(self) -> str:
        """For people: "checkout, 2 replicas, 60 users, run 2"."""
        load = f"{self.requests_per_second:g} requests/s" if self.requests_per_second else f"{self.users} users"
        text = f"{self.scenario}, {self.replicas} replica{'s' * (self.replicas != 1)}, {load}"
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
class Adaptive:
    """How an adaptive plan looks for the knee of every scenario (harness/adaptive.py)."""

    first_users: int = 10
    """The load of the first run: low, so that its CPU per user is that of a pod without queues."""
    within: float = 0.10
    """How close the highest load that kept the SLO and the lowest that broke it must be: a share of the former."""
    max_runs: int = 8
    """The most runs of a scenario."""
    max_users: int = 1000
    """The most users of a run."""
    below: timedelta = timedelta(seconds=40)
    """The measured window of a run below the expected knee: training needs 40 samples. The first run has the plan's."""
    short: timedelta = timedelta(seconds=30)
    """The measured window of the others, which only decide between the loads around the knee."""
    check_replicas: int = 2
    """The replicas of the last run, which must carry as many users a pod as one; 1: no such run."""
    slo: Slo = field(default_factory=Slo)
    """What a load has to keep; that of the settings."""
    target_utilisation: float = 0.7
    """The share of a pod's CPU limit that replicas are sized by; that of the settings."""


@dataclass(frozen=True)
class Plan:
    """The experiments of a run, their order and their duration."""

    name: str
    path: Path
    cells: tuple[Cell, ...]
    """Scenario, replicas and users of every experiment, without repeats; none where the plan is adaptive."""
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
    adaptive: Adaptive | None = None
    """How the experiments are chosen while they run; None where they are listed."""

    @property
    def most_replicas(self) -> int:
        """The most replicas that an experiment sets."""
        if self.adaptive is not None:
            return max(1, self.adaptive.check_replicas)
        return max(cell.replicas for cell in self.cells)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Plan:
        """A plan by its name in experiments/plans, or by its path; BadConfig with file and key of what is invalid."""
        path = find_plan(name_or_path)
        from mora.harness.planfile import parse_plan

        return parse_plan(path)

    def looking_for(self, slo: Slo | None, target_utilisation: float | None) -> Plan:
        """The plan with another SLO and target utilisation to look for; one that is not adaptive has neither."""
        if self.adaptive is None:
            return self
        aim = self.adaptive
        aim = aim if slo is None else replace(aim, slo=slo)
        aim = aim if target_utilisation is None else replace(aim, target_utilisation=target_utilisation)
        return replace(self, adaptive=aim)

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
                [
                    cell.scenario,
                    cell.replicas,
                    cell.users,
                    *([cell.duration.total_seconds()] if cell.duration else []),
                    *([{"rps": cell.requests_per_second}] if cell.requests_per_second else []),
                ]
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
        if self.adaptive is not None:
            content["adaptive"] = {
                **asdict(self.adaptive),
                "below": self.adaptive.below.total_seconds(),
                "short": self.adaptive.short.total_seconds(),
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
