"""Which experiment comes next: the cells that a plan lists, or those that an adaptive plan chooses as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mora.capacity import Capacity, Trial, capacity_of, trials
from mora.dataset import list_services, read_cards, read_dataset
from mora.domain import Workload
from mora.errors import MoraError
from mora.harness.adaptive import check_first, expected_cells, next_cell
from mora.harness.drive import Driven, Moment
from mora.harness.ledger import Ledger
from mora.harness.plan import Adaptive, Cell, Plan
from mora.harness.sequential import failed_counts, is_broken, slow_counts
from mora.response import Run, run_of

# A p95 is broken where more than this share of the requests is slower.
_SLOW_ALLOWED = 0.05


class Choosing(Protocol):
    """The experiments of a run, one after the other."""

    def finished(self) -> list[Cell]:
        """Those that an earlier process of this run has finished."""

    def coming(self) -> list[Cell]:
        """Those that are expected from now on; the first of them is the next. Empty at the end."""

    def order(self, cell: Cell) -> int:
        """Its place in the run, from 1."""

    def is_enough(self, cell: Cell, moment: Moment) -> bool:
        """Whether what a running experiment has shown is enough, so that its window ends now."""

    def check(self, cell: Cell, driven: Driven) -> None:
        """Raise MoraError where an experiment shows that the run is of no use, before it is written."""

    def capacities(self) -> tuple[Capacity, ...]:
        """What one pod carries, for each scenario; none where the plan does not look for it."""


def choosing_of(
    plan: Plan,
    ledger: Ledger,
    *,
    data_dir: Path,
    targets: Sequence[Workload],
    workloads: Sequence[Workload],
    entry_service: str,
) -> Choosing:
    """How a plan's experiments are chosen. targets: the workloads that are scaled, of all that are measured."""
    entry = next(workload for workload in workloads if workload.name == entry_service)
    if plan.adaptive is None:
        return _Listed(plan, ledger, data_dir, entry)
    return _Adaptive(plan, plan.adaptive, ledger, data_dir, targets, entry)


def _cards(data_dir: Path, entry: Workload) -> dict[str, dict[str, Any]]:
    """The cards of the entry service; none where it has no experiment yet."""
    if entry.name not in list_services(data_dir, namespace=entry.namespace):
        return {}
    return read_cards(entry.name, data_dir, namespace=entry.namespace)


def _is_contended(card: Mapping[str, Any]) -> bool:
    """Whether something else disturbed an experiment: it is no measurement."""
    return bool((card.get("contention") or {}).get("is_contended"))


class _Listed:
    """The cells of a plan, in its order."""

    def __init__(self, plan: Plan, ledger: Ledger, data_dir: Path, entry: Workload) -> None:
        self._ordered, self._ledger = plan.experiments(), ledger
        done = [cell for cell in self._ordered if ledger.is_done(cell)]
        contended = {name for name, card in _cards(data_dir, entry).items() if _is_contended(card)}
        self._finished = [cell for cell in done if cell.experiment(entry.name).id not in contended]
        self._left = [cell for cell in self._ordered if cell not in self._finished]
        self._asked: Cell | None = None

    def finished(self) -> list[Cell]:
        """Those whose files exist, without those that something else disturbed: they are driven again."""
        return self._finished

    def coming(self) -> list[Cell]:
        """Those that are to be driven yet."""
        if self._asked is not None and self._ledger.is_done(self._asked):
            self._left.remove(self._asked)
        self._asked = self._left[0] if self._left else None
        return list(self._left)

    def order(self, cell: Cell) -> int:
        """Its place in the plan's order."""
        return self._ordered.index(cell) + 1

    def is_enough(self, cell: Cell, moment: Moment) -> bool:
        """Never: a listed experiment has the window that it was given."""
        return False

    def check(self, cell: Cell, driven: Driven) -> None:
        """Nothing: an overloaded service is data."""

    def capacities(self) -> tuple[Capacity, ...]:
        """None."""
        return ()


class _Adaptive:
    """The cells of an adaptive plan: all that is decided rests on the files of this run, so a kill loses nothing."""

    def __init__(
        self,
        plan: Plan,
        aim: Adaptive,
        ledger: Ledger,
        data_dir: Path,
        targets: Sequence[Workload],
        entry: Workload,
    ) -> None:
        self._plan, self._aim, self._ledger, self._data_dir = plan, aim, ledger, data_dir
        self._targets, self._entry = targets, entry
        self._runs: dict[str, list[Run]] = {workload.name: [] for workload in targets}
        self._done = self._find_done()
        self._learn(self._done)
        self._before = list(self._done)
        self._asked: Cell | None = None

    def finished(self) -> list[Cell]:
        """Those of this run whose files existed when the process began, in the order in which they were driven."""
        return self._before

    def coming(self) -> list[Cell]:
        """The next one, as the files decide it, and those that are then expected."""
        if self._asked is not None and self._ledger.is_done(self._asked):
            self._done.append(self._asked)
            self._learn([self._asked])
            self._refuse_unmeasured(self._asked)
        found: list[Cell] = []
        for scenario in self._plan.scenario_files:
            tried = self._tried(scenario)
            # The scenarios are driven one after the other: what is refused in the first ends the run.
            if found or next_cell(self._aim, scenario, tried) is not None:
                found += expected_cells(self._aim, scenario, tried)
        self._asked = found[0] if found else None
        return found

    def order(self, cell: Cell) -> int:
        """Its place in the run: after those that are finished."""
        return len(self._done) + 1

    def is_enough(self, cell: Cell, moment: Moment) -> bool:
        """Whether an experiment has broken the SLO beyond doubt; the first of a scenario has its whole window."""
        if cell.duration is None or moment.window is None or moment.note != "measuring":
            return False
        slo, start = self._aim.slo, moment.window.start
        for load in moment.loads:
            seconds = load.record().between(start, moment.now)
            if is_broken(slow_counts(seconds, slo.p95_seconds), _SLOW_ALLOWED):
                return True
            if is_broken(failed_counts(seconds), slo.error_ratio):
                return True
        return False

    def check(self, cell: Cell, driven: Driven) -> None:
        """Raise MoraError where the first experiment of a scenario has errors only, or any has no request.

        Without one there is no p95, and the same load would be chosen again for ever.
        """
        figures = driven.loads[0].figures
        if cell.duration is None:
            check_first(figures.requests, figures.error_ratio, cell.scenario)
        elif not figures.requests:
            raise MoraError(
                f"The target answered no request of {cell}.",
                hint="Check that the target still runs, then continue with --resume. If this load is too much for it, "
                "collect into another folder with a lower max_users in the plan.",
            )

    def capacities(self) -> tuple[Capacity, ...]:
        """What one pod carries of every scenario that was driven."""
        found = ((scenario, self._tried(scenario)) for scenario in self._plan.scenario_files)
        return tuple(
            capacity_of(tried, scenario, self._aim.slo, target_utilisation=self._aim.target_utilisation)
            for scenario, tried in found
            if tried
        )

    # --- what the files of this run say ------------------------------------------------------------------------------

    def _find_done(self) -> list[Cell]:
        entry = self._entry
        own = {
            name: card
            for name, card in _cards(self._data_dir, entry).items()
            if card.get("run_id") == self._ledger.run.run_id and not _is_contended(card)
        }
        ordered = sorted(own, key=lambda name: own[name]["order"])
        cells = [Cell.named(name, entry.name) for name in ordered]
        return [cell for cell in cells if cell is not None and self._ledger.is_done(cell)]

    def _tried(self, scenario: str) -> tuple[Trial, ...]:
        return trials(self._runs, scenario)

    def _learn(self, cells: Sequence[Cell]) -> None:
        """Read what these experiments measured."""
        for workload in self._targets if cells else ():
            names = [cell.experiment(workload.name).id for cell in cells]
            frame = read_dataset(workload.name, self._data_dir, namespace=workload.namespace, include_flagged=True)
            cards = read_cards(workload.name, self._data_dir, namespace=workload.namespace)
            for name, rows in frame[frame["experiment_id"].isin(names)].groupby("experiment_id"):
                run = run_of(str(name), rows, cards.get(str(name), {}))
                if run is not None:
                    self._runs[workload.name].append(run)

    def _refuse_unmeasured(self, cell: Cell) -> None:
        names = {cell.experiment(workload.name).id for workload in self._targets}
        if not any(run.experiment_id in names for runs in self._runs.values() for run in runs):
            raise MoraError(
                f"Prometheus has no CPU and memory samples of the targets during {cell}.",
                hint="Check that it scrapes cAdvisor in that namespace: mora doctor. Then continue with --resume.",
            )
