"""How much load one pod carries, from the load experiments of a data folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mora.domain import Slo
from mora.errors import BadInput, NotEnoughData
from mora.model.catalogue import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from mora.capacity import Capacity
    from mora.response import Run


def read_capacities(
    data_dir: Path | str = "data",
    *,
    namespace: str = DEFAULT_NAMESPACE,
    slo: Slo | None = None,
    target_utilisation: float = 0.7,
    scenario: str | None = None,
    include_flagged: bool = False,
) -> list[Capacity]:
    """What one pod carries of each scenario that a data folder has experiments of, or of one.

    Raises NotEnoughData where there is no load experiment, BadInput where the scenario was not driven.
    """
    from mora.capacity import capacity

    runs = _runs(data_dir, namespace, include_flagged=include_flagged)
    driven = sorted({run.scenario for own in runs.values() for run in own if run.latency_p95_seconds is not None})
    if not driven:
        raise NotEnoughData(
            f"There are no load experiments in {data_dir}.", hint="Drive some: mora collect --plan adaptive"
        )
    if scenario is not None and scenario not in driven:
        raise BadInput(f"No run drove the scenario {scenario!r}.", hint=f"Driven: {', '.join(driven)}.")
    asked = slo if slo is not None else Slo()
    return [
        capacity(runs, name, asked, target_utilisation=target_utilisation)
        for name in driven
        if scenario in (None, name)
    ]


def write_capacity_page(found: Sequence[Capacity], path: Path, *, source: str) -> None:
    """Write the page of some capacities, whole or not at all."""
    from mora.capacity.page import capacity_page
    from mora.files import write_files

    write_files([(path, capacity_page(found, source=source))])


def _runs(data_dir: Path | str, namespace: str, *, include_flagged: bool) -> Mapping[str, list[Run]]:
    """Service -> its driven runs. A service that was not scaled has replicas of its own: its runs are left out."""
    from mora.dataset import list_services, read_cards, read_dataset
    from mora.harness.plan import Cell
    from mora.metrics import OBSERVED_SCENARIO
    from mora.response import run_of

    found: dict[str, list[Run]] = {}
    for service in list_services(data_dir, namespace=namespace):
        frame = read_dataset(service, data_dir, namespace=namespace, include_flagged=include_flagged)
        cards = read_cards(service, data_dir, namespace=namespace)
        for name, rows in frame[frame["scenario"] != OBSERVED_SCENARIO].groupby("experiment_id", sort=True):
            cell = Cell.named(str(name), service)
            run = run_of(str(name), rows, cards.get(str(name), {}))
            if run is not None and (cell is None or cell.replicas == run.replicas):
                found.setdefault(service, []).append(run)
    return found
