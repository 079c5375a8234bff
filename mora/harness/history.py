"""Collects history that a Prometheus already has into the unified CSV, with the scenario `observed`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from mora.dataset import assess_quality, last_resources, list_services, read_cards, unify, write_experiment
from mora.domain import Observation, Window, Workload
from mora.errors import BadDataset, NotEnoughData, SourceUnavailable
from mora.harness.card import observation_card
from mora.harness.ledger import locked
from mora.metrics import OBSERVED_SCENARIO
from mora.quantities import format_duration, format_moment
from mora.seams import MetricSource, Reporter, Silent

# These show whether a workload existed at all; restarts, for example, are 0 where nothing ran.
_PRESENCE = ["cpu_cores_value", "mem_bytes_value", "replica_count_value"]
_READERS = 4


def collect_history(
    source: MetricSource,
    workloads: Sequence[Workload],
    window: Window,
    data_dir: Path | str = "data",
    *,
    reporter: Reporter | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> list[Path]:
    """Write one observed experiment for each workload; the paths of the CSVs.

    A workload that was collected before continues after its last sample, in a new file: collected every night, the
    files are one history with one step. `say` gets a line about everything that is not read: no new samples, a gap
    longer than the window, time before the first file.

    A file starts with the first sample and ends with the last, and its JSON says so: a service deployed an hour ago
    has one hour of history, not a window of gaps.
    Raises NotEnoughData where a workload has no history, with the services that the source has metrics of; nothing is
    written then. Raises BadDataset where the step differs from that of the files collected before.
    """
    reporter = reporter or Silent()
    folder = Path(data_dir)
    found: dict[Workload, tuple[Observation, Window]] = {}
    empty: list[Workload] = []
    with locked(folder):
        befores = {workload: _collected(workload, folder) for workload in workloads}
        windows = {workload: _window_after(workload, before, window, say) for workload, before in befores.items()}
        to_read = [(workload, asked) for workload, asked in windows.items() if asked is not None]
        for observation in _read_all(source, to_read):
            workload = observation.workload
            reporter.advance("history", len(found) + len(empty) + 1, len(to_read), workload.name)
            known = _known_window(observation.metrics, observation.window)
            before = befores[workload]
            if known is not None:
                found[workload] = observation, known
            elif before is not None:
                say(f"{workload.name}: no data since {format_moment(before.end)}.")
            else:
                empty.append(workload)
        if empty:
            raise _no_history(source, empty, window)
        return [_write(observation, known, folder) for observation, known in found.values()]


def _read_all(source: MetricSource, asked: Sequence[tuple[Workload, Window]]) -> Iterator[Observation]:
    """The observation of each workload, in order; a few are read at the same time."""
    readers = ThreadPoolExecutor(_READERS)
    try:
        yield from readers.map(lambda pair: source.observe(*pair), asked)
    finally:
        # After an interrupt, do not wait for a source that does not answer; nothing has been written yet.
        readers.shutdown(wait=False, cancel_futures=True)


def _collected(workload: Workload, data_dir: Path) -> Window | None:
    """The time range of the files that a workload already has, with the step of the last one."""
    if workload.name not in list_services(data_dir, namespace=workload.namespace):
        return None
    cards = read_cards(workload.name, data_dir, namespace=workload.namespace).values()
    spans = [
        (datetime.fromisoformat(at["end"]), datetime.fromisoformat(at["start"]), timedelta(seconds=at["step_seconds"]))
        for at in (card["window"] for card in cards if card["scenario"] == OBSERVED_SCENARIO)
    ]
    return Window(min(start for _, start, _ in spans), max(spans)[0], max(spans)[2]) if spans else None


def _window_after(
    workload: Workload, before: Window | None, window: Window, say: Callable[[str], None]
) -> Window | None:
    """The part of a window after the samples collected before; None where nothing is new."""
    if before is None:
        return window
    name = workload.name
    if before.step != window.step:
        raise BadDataset(
            f"{name} has files with a step of {format_duration(before.step)}, and this window has one of "
            f"{format_duration(window.step)}.",
            hint=f"Use --step {format_duration(before.step)}, or collect into another folder with --data.",
        )
    if window.start < before.start:
        say(
            f"{name}: samples before {format_moment(before.start)} are not read, because the files start there. "
            "Collect them into another folder with --data."
        )
    if window.start > before.end + window.step:
        say(
            f"{name}: {format_moment(before.end)} to {format_moment(window.start)} remains a gap. "
            "A longer --history reads what the source still has of it."
        )
        return window
    # All files share one grid, at whatever second their queries were sent.
    done = (before.end - window.start) // window.step
    start = window.start + (done + 1) * window.step
    if start > window.end:
        say(f"{name}: no new samples since {format_moment(before.end)}.")
        return None
    say(f"{name}: continues after {format_moment(before.end)}.")
    return Window(start, window.end, window.step)


def _known_window(metrics: pd.DataFrame, window: Window) -> Window | None:
    """From the first to the last known sample; None without any."""
    times = metrics.index[metrics.reindex(columns=_PRESENCE).notna().any(axis=1)]
    if not len(times):
        return None
    return Window(times[0].to_pydatetime(), times[-1].to_pydatetime(), window.step)


def _no_history(source: MetricSource, empty: Sequence[Workload], window: Window) -> NotEnoughData:
    namespace = empty[0].namespace
    try:
        known = ", ".join(source.services(namespace)) or "none"
    except SourceUnavailable:
        known = "not known, because the source did not answer"
    return NotEnoughData(
        f"There are no metrics of {', '.join(workload.name for workload in empty)} in namespace {namespace!r} between "
        f"{format_moment(window.start)} and {format_moment(window.end)}.",
        hint=f"Check the names. Services with metrics in that namespace: {known}.",
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
            f"Requested: {format_moment(asked.start)} to {format_moment(asked.end)}; "
            f"samples: {format_moment(window.start)} to {format_moment(window.end)}."
        )
    containers = observation.containers
    if len(containers):
        containers = containers[containers["timestamp"].between(start, pd.Timestamp(window.end))]
    return write_experiment(data_dir, frame, card, containers, namespace=workload.namespace)
