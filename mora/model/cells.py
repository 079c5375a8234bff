"""The cells of a plan (scenario, replicas, users): which are for training, and which runs are near a load."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from mora.domain import Load, Target
from mora.response import LoadResponse, Run

SIZED = (Target.CPU, Target.MEMORY)
# With fewer cells none can be left out whole: every one of them is an edge that the others would have to guess.
MIN_CELLS_TO_LEAVE_OUT = 9

Cell = tuple[str, int, int]


def cell_of(run: Run) -> Cell:
    """What repeats share: scenario, replicas, users."""
    return (run.scenario, run.replicas, run.users)


@dataclass(frozen=True, slots=True)
class Split:
    """Experiments by what they are for; all repeats of a cell are in one part."""

    fit: frozenset[str]
    choose: frozenset[str]
    score: frozenset[str]


def split_cells(runs: Sequence[Run], *, seed: int) -> Split:
    """Cells into fit, choose and score, about 4 : 3 : 2 within every scenario, drawn by the seed.

    With few cells one alone chooses when to stop the network, and none scores.
    """
    cells = sorted({cell_of(run) for run in runs})
    rng = np.random.default_rng(seed)
    choose: set[Cell] = set()
    score: set[Cell] = set()
    if len(cells) < MIN_CELLS_TO_LEAVE_OUT:
        sizes = {cell[0]: sum(other[0] == cell[0] for other in cells) for cell in cells}
        largest = max(sorted(sizes), key=lambda scenario: sizes[scenario])
        candidates = [cell for cell in cells if cell[0] == largest]
        choose = {candidates[int(rng.integers(len(candidates)))]}
    else:
        for scenario in sorted({cell[0] for cell in cells}):
            own = [cell for cell in cells if cell[0] == scenario]
            order = [own[index] for index in rng.permutation(len(own))]
            choosing, scoring = round(len(own) / 3), round(len(own) * 2 / 9)
            choose |= set(order[:choosing])
            score |= set(order[choosing : choosing + scoring])
    part = {"fit": set[str](), "choose": set[str](), "score": set[str]()}
    for run in runs:
        cell = cell_of(run)
        part["choose" if cell in choose else "score" if cell in score else "fit"].add(run.experiment_id)
    return Split(frozenset(part["fit"]), frozenset(part["choose"]), frozenset(part["score"]))


def is_pinned(run: Run, target: Target) -> bool:
    """Whether a run was limit-bound: its use is a limit and not a need."""
    return run.is_cpu_limit_bound if target is Target.CPU else run.is_memory_limit_bound


def limit_bound_names(response: LoadResponse) -> dict[Target, frozenset[str]]:
    """Per target, the limit-bound runs."""
    return {target: frozenset(run.experiment_id for run in response.runs if is_pinned(run, target)) for target in SIZED}


def nearest_runs(
    response: LoadResponse, target: Target, load: Load, replicas: int, *, windowed: Container[str]
) -> list[Run]:
    """The runs of the driven cell nearest to the asked one, in users per pod, then replicas, then users.

    windowed: experiments that are long enough for a window; others are passed over. Limit-bound runs count only where
    there are no others: their use is the limit's.
    """
    own = [run for run in response.runs_of(load.scenario) if run.experiment_id in windowed]
    candidates = [run for run in own if not is_pinned(run, target)] or list(own)
    if not candidates:
        return []
    asked = load.users / max(replicas, 1)

    def distance(run: Run) -> tuple[float, int, int]:
        far = abs(math.log(max(run.users_per_pod, 1e-9) / max(asked, 1e-9)))
        return (round(far, 9), abs(run.replicas - replicas), abs(run.users - load.users))

    nearest = min(distance(run) for run in candidates)
    cell = cell_of(next(run for run in candidates if distance(run) == nearest))
    return [run for run in candidates if cell_of(run) == cell]


def runs_up_to(response: LoadResponse, load: Load, replicas: int) -> list[Run]:
    """The runs of a scenario at up to the asked users per pod; the lowest ones where it lies below all."""
    own = response.runs_of(load.scenario)
    share = load.users / max(replicas, 1)
    upto = [run for run in own if run.users_per_pod <= share * (1 + 1e-9)]
    lowest = min(run.users_per_pod for run in own)
    return upto or [run for run in own if run.users_per_pod == lowest]


def memory_peak(response: LoadResponse, load: Load, replicas: int) -> float:
    """The highest memory use over driven runs at up to the asked users per pod."""
    return max(run.memory_peak_bytes for run in runs_up_to(response, load, replicas))
