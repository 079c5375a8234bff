"""History: what a Prometheus already holds, into the same unified CSV, with the scenario `observed`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pandas as pd

from mora.dataset import assess_quality, last_resources, list_services, read_cards, unify, write_experiment
from mora.domain import MetricSource, Observation, Reporter, Silent, Window, Workload
from mora.errors import BadDataset, NotEnoughData, SourceUnavailable
from mora.harness.experiment import observation_card
from mora.harness.ledger import locked
from mora.metrics import OBSERVED_SCENARIO

# Whether a workload was there at all; restarts, for one, are answered with 0 where nothing ran.
_PRESENCE = ["cpu_cores_value", "mem_bytes_value", "replica_count_value"]
_READERS = 4


def collect_history(
    source: MetricSource,
    workloads: Sequence[Workload],
    window: Window,
    data_dir: Path | str = "data",
    *,
    reporter: Reporter | None = None,
) -> list[Path]:
    """Write one observed experiment a workload and return the CSVs; a workload without any history is an error.

    Time before the first and after the last sample is left off, and said in the JSON: a service that was deployed an
    hour ago has one hour of history, not a window of gaps. Nothing is written unless every workload has some.
    Raises NotEnoughData naming the workloads without history, and those that the source knows; BadDataset where some
    of that time was collected before, since it would be learnt from twice.
    """
    reporter = reporter or Silent()
    found: dict[Workload, tuple[Observation, Window]] = {}
    empty: list[Workload] = []
    with locked(Path(data_dir)), ThreadPoolExecutor(_READERS) as readers:
        for observation in readers.map(lambda workload: source.observe(workload, window), workloads):
            reporter.advance("history", len(found) + len(empty) + 1, len(workloads), observation.workload.name)
            known = _known_window(observation.metrics, window)
            if known is None:
                empty.append(observation.workload)
            else:
                found[observation.workload] = observation, known
        if empty:
            raise _no_history(source, empty, window)
        for workload, (_, known) in found.items():
            _refuse_overlap(workload, known, Path(data_dir))
        return [_write(observation, known, Path(data_dir)) for observation, known in found.values()]


def _known_window(metrics: pd.DataFrame, window: Window) -> Window | None:
    """From the first to the last sample that says anything; None where none does."""
    times = metrics.index[metrics.reindex(columns=_PRESENCE).notna().any(axis=1)]
    if not len(times):
        return None
    return Window(times[0].to_pydatetime(), times[-1].to_pydatetime(), window.step)


def _no_history(source: MetricSource, empty: Sequence[Workload], window: Window) -> NotEnoughData:
    namespace = empty[0].namespace
    try:
        known = ", ".join(source.services(namespace)) or "none"
    except SourceUnavailable:
        known = "it does not say"
    return NotEnoughData(
        f"Nothing is known of {', '.join(workload.name for workload in empty)} in namespace {namespace!r} between "
        f"{window.start:%Y-%m-%d %H:%M} and {window.end:%Y-%m-%d %H:%M} UTC.",
        hint=f"Services with metrics there: {known}.",
    )


def _refuse_overlap(workload: Workload, window: Window, data_dir: Path) -> None:
    if workload.name not in list_services(data_dir, namespace=workload.namespace):
        return
    for experiment_id, card in read_cards(workload.name, data_dir, namespace=workload.namespace).items():
        start, end = (datetime.fromisoformat(card["window"][key]) for key in ("start", "end"))
        if card["scenario"] == OBSERVED_SCENARIO and start <= window.end and window.start <= end:
            raise BadDataset(
                f"{data_dir} already holds what {workload.name} did from {start:%Y-%m-%d %H:%M} to "
                f"{end:%Y-%m-%d %H:%M} UTC ({experiment_id}).",
                hint="Collect into another folder with --data, or delete that experiment's files.",
            )


def _write(observation: Observation, window: Window, data_dir: Path) -> Path:
    workload, start = observation.workload, pd.Timestamp(window.start)
    metrics = observation.metrics.loc[start : pd.Timestamp(window.end)]
    frame = unify(
        metrics,
        experiment_id=f"{workload.name}_{OBSERVED_SCENARIO}_{window.start:%Y%m%dT%H%M%SZ}",
        service=workload.name,
        scenario=OBSERVED_SCENARIO,
    )
    card = observation_card(observation, frame, assess_quality(frame, window), window)
    card["resources"] = asdict(last_resources(metrics))
    asked = observation.window
    if (window.start, window.end) != (asked.start, asked.end):
        card["warnings"].append(
            f"Asked for {asked.start:%Y-%m-%dT%H:%M:%SZ} to {asked.end:%Y-%m-%dT%H:%M:%SZ}; "
            f"known from {window.start:%Y-%m-%dT%H:%M:%SZ} to {window.end:%Y-%m-%dT%H:%M:%SZ}."
        )
    containers = observation.containers
    if len(containers):
        containers = containers[containers["timestamp"].between(start, pd.Timestamp(window.end))]
    return write_experiment(data_dir, frame, card, containers, namespace=workload.namespace)
