"""The card: the JSON beside an experiment's CSV, which says how the numbers were measured."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from mora import __version__
from mora.domain import Observation, Quality, Window
from mora.quantities import format_moment


def observation_card(observation: Observation, frame: pd.DataFrame, quality: Quality, window: Window) -> dict[str, Any]:
    """The fields that driven and observed data share; those of a load experiment are None.

    observation: what the source answered. frame: its rows in the unified format, of one experiment, inside `window`.
    """
    workload, first = observation.workload, frame.iloc[0]
    return {
        "experiment_id": str(first["experiment_id"]),
        "run_id": None,
        "repeat": None,
        "service": workload.name,
        "namespace": workload.namespace,
        "kind": workload.kind,
        "container": observation.main_container,
        "container_chosen_by": observation.main_container_chosen_by,
        "image": None,
        "scenario": str(first["scenario"]),
        "replica_count": _whole_or_none(first["replica_count"]),
        "load_users": _whole_or_none(first["load_users"]),
        "plan": None,
        "order": None,
        "seed": None,
        "window": {
            "start": format_moment(window.start, "seconds"),
            "end": format_moment(window.end, "seconds"),
            "step_seconds": window.step.total_seconds(),
        },
        "rate_window_seconds": observation.rate_window.total_seconds() if observation.rate_window else None,
        "queries": dict(observation.queries),
        "warnings": list(observation.warnings),
        "load_test": None,
        "contention": None,
        "entry_service": None,
        "startup": None,
        "quality": asdict(quality),
        "resources": None,
        "standing_replicas": None,
        "mora_version": __version__,
    }


def startup_peaks(metrics: pd.DataFrame) -> dict[str, float | None] | None:
    """The highest CPU and memory use before the window, in cores and bytes; None where neither is known.

    metrics: the samples from the moment the replicas were ready to the start of the window.
    """
    cpu, memory = _peak(metrics, "cpu_cores_value"), _peak(metrics, "mem_bytes_value")
    return None if cpu is None and memory is None else {"cpu_cores": cpu, "mem_bytes": memory}


def _peak(metrics: pd.DataFrame, column: str) -> float | None:
    peak = float(metrics[column].max()) if column in metrics and len(metrics) else math.nan
    return None if math.isnan(peak) else round(peak, 9)


def _whole_or_none(value: float) -> int | None:
    return None if math.isnan(value) else int(value)
